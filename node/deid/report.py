"""Keeps account of what was done to each element of one object, by tag and rule and without any value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Done(StrEnum):
    """What became of an element."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    KEPT = "kept"


def place(path: tuple[tuple[int, int], ...], tag: int) -> str:
    """Where an element stands: `(gggg,eeee)[item]>(gggg,eeee)`, items counted from 1."""
    above = "".join(f"({outer >> 16:04X},{outer & 0xFFFF:04X})[{item + 1}]>" for outer, item in path)
    return f"{above}({tag >> 16:04X},{tag & 0xFFFF:04X})"


@dataclass
class Report:
    """The account of one object: how many elements ended how, and each that did not stay, as (place, rule)."""

    counts: Counter[Done] = field(default_factory=Counter)
    changes: dict[Done, list[tuple[str, str]]] = field(default_factory=dict)

    def note(self, done: Done, where: str, why: str) -> None:
        """Take down one element that was not kept."""
        self.counts[done] += 1
        self.changes.setdefault(done, []).append((where, why))

    def keep(self) -> None:
        """Count one element that stays as it is."""
        self.counts[Done.KEPT] += 1
