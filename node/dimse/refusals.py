"""Puts on record who was not let in, so that nobody fills the audit trail by trying again: what is new is told at once,
and how often the same came after that once an interval is over."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor, Record
from lethe.storage.database import transaction

log = logging.getLogger("lethe.receive")

_MOST_OF_ONE = 8
"""Different refusals of one address that are told at once within an interval: titles can be made up without end."""
_MOST = 256
_OTHERS = "not told one by one"
_Key = tuple[Actor, str, tuple[tuple[str, str], ...]]


class Refusals:
    """Those of the interval that goes on, which began with the first of them. Any thread may use it; a process that is
    killed loses no more than the numbers of its last interval."""

    def __init__(self, archive: Archive, *, seconds: float = 300.0) -> None:
        self._archive = archive
        self._seconds = seconds
        self._lock = threading.Lock()
        self._again: dict[_Key, int] = {}
        self._others: Counter[tuple[str, str]] = Counter()
        self._end: threading.Timer | None = None

    def note(self, actor: Actor, action: str, detail: Mapping[str, str]) -> None:
        """Somebody was turned away: put on record if that is new, else counted."""
        key = (actor, action, tuple(sorted(detail.items())))
        if not self._is_new(key):
            return
        try:
            self._record([Record(actor, action, "", detail)])
        except Exception:
            with self._lock:
                self._again.pop(key, None)
            raise

    def tell(self) -> None:
        """Put the numbers of the interval on record, which is over."""
        with self._lock:
            again, self._again = self._again, {}
            others, self._others = self._others, Counter()
            end, self._end = self._end, None
        if end is not None:
            end.cancel()
        try:
            records = [*_counted(again), *_summed(others)]
            if records:
                self._record(records)
        except Exception as error:
            log.error("how often callers were turned away cannot be put on record: %s", type(error).__name__)

    def _is_new(self, key: _Key) -> bool:
        actor, action, _ = key
        with self._lock:
            if self._end is None:
                self._end = threading.Timer(self._seconds, self._over)
                self._end.daemon = True
                self._end.start()
            if key in self._again:
                self._again[key] += 1
                return False
            of_one = sum(1 for known, _, _ in self._again if known.address == actor.address)
            if of_one >= _MOST_OF_ONE or len(self._again) >= _MOST:
                other = (action, actor.address)
                self._others[other if other in self._others or len(self._others) < _MOST else (action, "")] += 1
                return False
            self._again[key] = 0
            return True

    def _over(self) -> None:
        try:
            self.tell()
        finally:
            self._archive.close()

    def _record(self, records: Sequence[Record]) -> None:
        with transaction(self._archive.database):
            self._archive.audit.record_all(records)


def _counted(again: Mapping[_Key, int]) -> Iterator[Record]:
    for (actor, action, detail), times in again.items():
        if times:
            yield Record(actor, action, "", {**dict(detail), "times": times})


def _summed(others: Mapping[tuple[str, str], int]) -> Iterator[Record]:
    for (action, address), times in others.items():
        yield Record(Actor("", address), action, "", {"why": _OTHERS, "times": times})
