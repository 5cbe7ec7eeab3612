"""Knows of what type an attribute is in the IOD of a SOP Class (PS3.3), so that the result stays valid for it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


class Types:
    """The types in one SOP Class's IOD; `known` is False for a class without a table, where nothing is optional."""

    def __init__(self, sop_class: str) -> None:
        table = _table()
        modules = table["sop_classes"].get(sop_class)
        self.known = modules is not None
        self._types: dict[str, str] = {}
        for module in modules or ():
            for path, kind in table["modules"][module].items():
                self._types[path] = min(kind, self._types.get(path, "9"))

    def of(self, path: tuple[int, ...]) -> str:
        """The strictest type "1", "1C", "2", "2C" or "3" that any module gives the attribute at that path of tags."""
        if not self.known:
            return "1"
        return self._types.get("/".join(f"{tag:08X}" for tag in path), "3")


@cache
def types_of(sop_class: str) -> Types:
    """The types of a SOP Class, remembered."""
    return Types(sop_class)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((files(__package__) / "table" / "types.json").read_text(encoding="utf-8"))
    return table
