"""Hands the instances that a retrieval asks for to whoever is to have them, and counts what became of each (PS3.4
C.4.2, C.4.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lethe.storage.archive import Archive
from lethe.storage.entries import Entry
from lethe.storage.errors import NotFound, Refused, StorageError, Unavailable
from lethe.storage.query import Level, Query

from ..choices import Queries
from .identifiers import encoded
from .replies import CANCELLED, PENDING, SUCCESS, Asked, Counts, Reply, WrongIdentifier
from .scu import is_stored
from .wanted import UNIQUE_KEYS, demand_hierarchy, terms_of, wanted

log = logging.getLogger("lethe.receive")

TOO_MANY, NONE_DONE, SOME_FAILED = 0xA701, 0xA702, 0xB000  # PS3.4 Tables C.4-2 and C.4-3
_MOST = 0xFFFF
_FAILED_LIST = "00080058"


@dataclass
class Tally:
    """How far a retrieval has come."""

    total: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        """How many sub-operations are still to come."""
        return self.total - self.completed - self.warning - len(self.failed)

    def note(self, sop_uid: str, status: int | None) -> None:
        """One sub-operation ended with that status; None where there was none."""
        if status == SUCCESS:
            self.completed += 1
        elif status is not None and is_stored(status):
            self.warning += 1
        else:
            self.failed.append(sop_uid)

    def counts(self, remaining: int | None = None) -> Counts:
        """What a response says; `remaining` only where there is more to come."""
        return Counts(remaining, self.completed, len(self.failed), self.warning)

    def summary(self) -> dict[str, int]:
        """What is put on record of it."""
        return {"instances": self.total, "completed": self.completed + self.warning, "failed": len(self.failed)}

    def outcome(self) -> int:
        """The status of the final response."""
        if not self.failed and not self.warning:
            return SUCCESS
        return NONE_DONE if len(self.failed) == self.total else SOME_FAILED


def retrieval(asked: Asked, levels: Mapping[str, Level], queries: Queries) -> tuple[Level, Query]:
    """What a C-MOVE or C-GET asks for: its level, and the instances below the unique keys of that, which have no
    wildcards; other keys narrow it. Raises WrongIdentifier."""
    want = wanted(asked.identifier(), levels)
    if queries == Queries.HIERARCHICAL and not asked.is_relational():
        demand_hierarchy(want, levels)
    terms = terms_of(want.keys)
    values = [value for term in terms if term.tag == UNIQUE_KEYS[want.level] for value in getattr(term, "values", ())]
    if not values or any(set(value) & set("*?") for value in values):
        raise WrongIdentifier("the unique key of the level must have values without wildcards", UNIQUE_KEYS[want.level])
    return want.level, Query(Level.INSTANCE, terms)


def handed_over(
    archive: Archive, asked: Asked, query: Query, tally: Tally, give: Callable[[Entry], int]
) -> Iterator[Reply]:
    """Give away all instances that match, with a response after each, and a final one. `give` returns the status of a
    C-STORE, or raises Refused or Unavailable."""
    if tally.total > _MOST:
        yield Reply(TOO_MANY, comment=f"more than {_MOST} instances: ask for less at once")
        return
    for entry in archive.index.stream(replace(query, limit=tally.total)):
        if asked.is_cancelled():
            yield _final(asked, CANCELLED, tally, tally.counts(tally.remaining))
            return
        tally.note(entry.sop_uid, _status(entry, give))
        if tally.remaining > 0:
            yield Reply(PENDING, counts=tally.counts(tally.remaining))
    yield _final(asked, tally.outcome(), tally, tally.counts())


def _status(entry: Entry, give: Callable[[Entry], int]) -> int | None:
    try:
        return give(entry)
    except (Refused, Unavailable, NotFound, OSError) as error:
        log.warning("an instance of %s is not handed over: %s", entry.project, _why(error))
        return None


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, StorageError) else type(error).__name__


def _final(asked: Asked, status: int, tally: Tally, counts: Counts) -> Reply:
    """A final response; one that is no success lists what failed (PS3.4 C.4.2.1.4.2)."""
    if status == SUCCESS:
        return Reply(status, counts=counts)
    failed = {_FAILED_LIST: {"vr": "UI", "Value": tally.failed}}
    return Reply(status, encoded(failed, asked.transfer_syntax), counts=counts)
