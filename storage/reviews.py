"""Keeps, beside a quarantined job, what was found in its object and what a person decided about it.

Both are JSON of numbers and codes that nobody here reads; a decision stays with its job when that is tried again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from peewee import Table

_COLUMNS = ("job", "details", "decision")


class Reviews:
    """The findings and decisions of one data folder."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._review = Table("review", _COLUMNS, _database=database)

    def note(self, job: int, details: Mapping[str, Any]) -> None:
        """Keep what was found, in the place of what was found before, inside the caller's transaction."""
        self._put(job, "details", details)

    def decide(self, job: int, decision: Mapping[str, Any]) -> None:
        """Keep what was decided, in the place of an earlier decision, inside the caller's transaction."""
        self._put(job, "decision", decision)

    def details(self, job: int) -> dict[str, Any]:
        """What was found; empty where nothing was told."""
        return self._read(job, "details")

    def decision(self, job: int) -> dict[str, Any]:
        """What was decided; empty where nobody has decided."""
        return self._read(job, "decision")

    def _put(self, job: int, column: str, document: Mapping[str, Any]) -> None:
        text, table = json.dumps(dict(document)), self._review
        row = {"job": job, "details": "{}", "decision": "{}", column: text}
        target = getattr(table, column)
        table.insert(row).on_conflict(conflict_target=(table.job,), update={target: text}).execute()

    def _read(self, job: int, column: str) -> dict[str, Any]:
        row = self._database.execute_sql(f"SELECT {column} FROM review WHERE job = ?", (job,)).fetchone()  # noqa: S608
        return dict(json.loads(row[0])) if row else {}
