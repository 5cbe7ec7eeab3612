"""Remembers workitems (PS3.4 Annex CC), whatever their attributes say encrypted, and finds those that match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .entries import DicomJson
from .errors import NotFound
from .holding import holds, is_open, key_of
from .query import Match, Within
from .sealing import Sealing
from .steprules import SOP_INSTANCE, STATE, StepState

_COLUMNS = "id, uid, state, lock, ours, sealed"
_PORTION = 200
_LITERAL = {SOP_INSTANCE: "uid", STATE: "state"}
"""Attributes with a column of their own, which answers a value without wildcards."""


class Gone(NotFound):
    """It was there, and was removed."""


@dataclass(frozen=True)
class Workitem:
    """One workitem. `lock` is the digest of its Transaction UID, which is not among the attributes; one that is `ours`
    only Lethe moves."""

    number: int
    uid: str
    state: StepState
    lock: str
    ours: bool
    attributes: DicomJson


def lock_of(transaction_uid: str) -> str:
    """What is remembered of a Transaction UID."""
    return hashlib.sha256(f"lock\0{transaction_uid}".encode()).hexdigest()


class Workitems:
    """The workitems of one data folder. Changes are made inside the caller's transaction."""

    def __init__(self, database: Any, sealing: Sealing, clock: Callable[[], float]) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock

    def add(self, uid: str, attributes: DicomJson, *, ours: bool) -> Workitem | None:
        """Keep a new one; None where there is or was one of that UID."""
        if self._was_removed(uid):
            return None
        sql = """INSERT INTO workitem (uid, state, lock, ours, sealed, updated) VALUES (?, ?, '', ?, ?, ?)
            ON CONFLICT DO NOTHING RETURNING id"""
        row = (uid, StepState.SCHEDULED, int(ours), self._sealing.sealed(uid, attributes), self._clock())
        added = self._database.execute_sql(sql, row).fetchall()
        return Workitem(added[0][0], uid, StepState.SCHEDULED, "", ours, attributes) if added else None

    def get(self, uid: str) -> Workitem:
        """The workitem of that UID. Raises NotFound; Gone where it was removed."""
        row = self._database.execute_sql(f"SELECT {_COLUMNS} FROM workitem WHERE uid = ?", (uid,)).fetchone()  # noqa: S608
        if row is not None:
            return self._opened(row)
        if self._was_removed(uid):
            raise Gone("the workitem was there and has been removed")
        raise NotFound("there is no such workitem")

    def keep(self, item: Workitem) -> None:
        """Keep what one has become."""
        sql = "UPDATE workitem SET state = ?, lock = ?, sealed = ?, updated = ? WHERE id = ?"
        sealed = self._sealing.sealed(item.uid, item.attributes)
        self._database.execute_sql(sql, (item.state, item.lock, sealed, self._clock(), item.number))

    def find(self, terms: Sequence[Match | Within]) -> Iterator[Workitem]:
        """Those that match all terms, in the order they were made. Raises Refused for a term of the wrong form."""
        keys = [key_of(term) for term in terms if not is_open(term)]
        narrowed, values = _narrowed(terms)
        after = 0
        while True:  # in portions: a reader that takes its time would otherwise hold up the write-ahead log
            sql = f"SELECT {_COLUMNS} FROM workitem WHERE id > ?{narrowed} ORDER BY id LIMIT ?"  # noqa: S608
            rows = self._database.execute_sql(sql, (after, *values, _PORTION)).fetchall()
            for row in rows:
                text = self._sealing.text(row[1], row[5])
                if all(holds(text, key) for key in keys):
                    yield self._opened(row, text)
            if len(rows) < _PORTION:
                return
            after = rows[-1][0]

    def matches(self, item: Workitem, terms: Sequence[Match | Within]) -> bool:
        """Whether one matches all terms."""
        text = json.dumps(item.attributes)
        return all(holds(text, key_of(term)) for term in terms if not is_open(term))

    def forget_ended(self, before: float) -> int:
        """Remove those that ended before that time and that nobody has locked; their UIDs are known to be gone."""
        free = """state IN ('COMPLETED', 'CANCELED') AND updated < ? AND NOT EXISTS (SELECT 1 FROM
            workitem_subscription WHERE workitem_subscription.workitem = workitem.id AND locked = 1)"""
        rows = self._database.execute_sql(f"DELETE FROM workitem WHERE {free} RETURNING uid", (before,)).fetchall()  # noqa: S608
        for (uid,) in rows:
            sql = "INSERT INTO workitem_gone (digest) VALUES (?) ON CONFLICT DO NOTHING"
            self._database.execute_sql(sql, (_digest(uid),))
        return len(rows)

    def _was_removed(self, uid: str) -> bool:
        sql = "SELECT 1 FROM workitem_gone WHERE digest = ?"
        return self._database.execute_sql(sql, (_digest(uid),)).fetchone() is not None

    def _opened(self, row: tuple[Any, ...], text: str = "") -> Workitem:
        number, uid, state, lock, ours, sealed = row
        attributes: DicomJson = json.loads(text or self._sealing.text(uid, sealed))
        return Workitem(number, uid, StepState(state), lock, bool(ours), attributes)


def _narrowed(terms: Sequence[Match | Within]) -> tuple[str, list[str]]:
    """A condition on columns that leaves out what cannot match."""
    sql = ""
    values: list[str] = []
    for term in terms:
        column = _LITERAL.get(term.tag) if isinstance(term, Match) and not is_open(term) else None
        if isinstance(term, Match) and column and not any(set(value) & set('*?"') for value in term.values):
            sql += f" AND {column} IN ({', '.join('?' * len(term.values))})"
            values += term.values
    return sql, values


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()
