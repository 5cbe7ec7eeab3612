"""Keeps the device rules that a site has learned, by name. What they say is JSON that nobody here reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from peewee import Table

_COLUMNS = ("id", "name", "document", "added")


class Rulebook:
    """The learned rules of one data folder."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._rule = Table("device_rule", _COLUMNS, _database=database)

    def version(self) -> tuple[int, int]:
        """What changes whenever a rule is added, replaced or removed."""
        count, newest = self._database.execute_sql("SELECT COUNT(id), COALESCE(MAX(id), 0) FROM device_rule").fetchone()
        return int(count), int(newest)

    def documents(self) -> list[dict[str, Any]]:
        """All rules, by name."""
        query = self._rule.select(self._rule.document).order_by(self._rule.name)
        return [json.loads(document) for (document,) in query.tuples()]

    def put(self, rules: Iterable[Mapping[str, Any]], at: float) -> tuple[int, int]:
        """Add rules, each in the place of one of its name, inside the caller's transaction. Returns how many are new
        and how many were replaced."""
        added = replaced = 0
        for document in rules:
            if self.remove(document["name"]):
                replaced += 1
            else:
                added += 1
            self._rule.insert({"name": document["name"], "document": json.dumps(dict(document)), "added": at}).execute()
        return added, replaced

    def remove(self, name: str) -> bool:
        """Remove the rule of that name, inside the caller's transaction; whether there was one."""
        return bool(self._rule.delete().where(self._rule.name == name).execute())
