"""Is what became of an element: its clean bytes and its part in the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .report import Done, Report, place

Change = tuple[Done, str, str]


@dataclass(frozen=True)
class Delta:
    """What one element adds to the report: how many elements stayed, the changes, and those noted after all others."""

    kept: int
    changes: tuple[Change, ...] = ()
    late: tuple[Change, ...] = ()


KEPT = Delta(1)


@dataclass(frozen=True)
class Entry:
    """What became of an element: its clean bytes, its part in the report, the UIDs that stand in the result, which
    Patient ID, name and Accession Number (by tag and original) became which, and whether all this is the same in the
    next object."""

    clean: bytes
    delta: Delta
    uids: tuple[str, ...] = ()
    replaced: tuple[tuple[tuple[int, str], str], ...] = ()
    lasts: bool = True


class Deltas:
    """Makes equal deltas one and the same, so that they can be told apart by identity."""

    def __init__(self) -> None:
        self._known: dict[Delta, Delta] = {}

    def of(self, kept: int, changes: Iterable[Change] = (), late: Iterable[Change] = ()) -> Delta:
        """The delta with these parts."""
        delta = Delta(kept, tuple(changes), tuple(late))
        return self._known.setdefault(delta, delta)

    def changed(self, done: Done, tag: int, why: str) -> Delta:
        """That of one top-level element that did not stay."""
        return self.of(0, [(done, place((), tag), why)])

    def of_report(self, report: Report) -> Delta:
        """That of all a report holds."""
        changes = [(done, where, why) for done, notes in report.changes.items() for where, why in notes]
        return self.of(report.counts[Done.KEPT], changes)

    def together(self, entries: Sequence[Entry]) -> Entry:
        """Several elements as one."""
        delta = self.of(
            sum(entry.delta.kept for entry in entries),
            (change for entry in entries for change in entry.delta.changes),
            (change for entry in entries for change in entry.delta.late),
        )
        return Entry(
            b"".join(entry.clean for entry in entries),
            delta,
            tuple(uid for entry in entries for uid in entry.uids),
            tuple(pair for entry in entries for pair in entry.replaced),
            all(entry.lasts for entry in entries),
        )
