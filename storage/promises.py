"""Remembers what destinations were asked to commit, and which of it they promised to keep (PS3.4 Annex J).

An instance is wanted from its delivery on, asked for in some transaction, and then promised or refused; what is not
answered in time is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from .database import transaction

_PORTION = 500
_BATCH = """SELECT instance.uid, instance.sop_class FROM promise
    JOIN instance ON instance.uid = promise.instance JOIN series ON series.id = instance.series
    WHERE promise.destination = ? AND promise.state = 'wanted' AND promise.ready_at <= ? AND series.study =
        (SELECT series.study FROM promise JOIN instance ON instance.uid = promise.instance
         JOIN series ON series.id = instance.series
         WHERE promise.destination = ? AND promise.state = 'wanted' AND promise.ready_at <= ?
         ORDER BY promise.ready_at, promise.id LIMIT 1)
    ORDER BY promise.id LIMIT ?"""
_WANT = """INSERT INTO promise (destination, instance, state, request, asked, refused, reason, ready_at, updated)
    VALUES (?, ?, 'wanted', '', 0, 0, '', ?, ?)
    ON CONFLICT (destination, instance) DO UPDATE SET state = 'wanted', ready_at = excluded.ready_at,
        updated = excluded.updated"""


class Promised(StrEnum):
    """Where an instance stands at a destination."""

    WANTED = "wanted"
    ASKED = "asked"
    GIVEN = "given"
    REFUSED = "refused"
    """The destination said it does not have it."""


class Wanted(NamedTuple):
    """An instance that is to be asked for."""

    sop_uid: str
    sop_class: str


class Promises:
    """What destinations promise for the instances of one data folder."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def want(self, destination: str, sop_uid: str) -> None:
        """The destination has just got the instance and is to be asked for it, inside the caller's transaction."""
        now = self._clock()
        self._database.execute_sql(_WANT, (destination, sop_uid, now, now))

    def batch(self, destination: str, *, settle: float, most: int) -> list[Wanted]:
        """Instances of one study that were delivered at least `settle` seconds ago and are to be asked for."""
        latest = self._clock() - settle
        rows = self._database.execute_sql(_BATCH, (destination, latest, destination, latest, most)).fetchall()
        return [Wanted(*row) for row in rows]

    def ask(self, destination: str, request: str, wanted: Sequence[Wanted], *, patience: float) -> None:
        """They are asked for in that transaction; durable before the destination hears of it. If there is no answer
        within `patience` seconds, longer each time, they are wanted again."""
        now = self._clock()
        sql = """UPDATE promise SET state = 'asked', request = ?, asked = asked + 1, updated = ?,
            ready_at = ? + ? * (1 << MIN(asked, 5)) WHERE destination = ? AND state = 'wanted' AND instance IN ({})"""
        with transaction(self._database):
            self._database.execute_sql("INSERT INTO promise_request VALUES (?, ?, ?)", (request, destination, now))
            self._each(sql, (request, now, now, patience, destination), [one.sop_uid for one in wanted])

    def again(self, request: str, delay: float, reason: str) -> None:
        """The destination did not take this transaction: its instances are wanted again after `delay` seconds."""
        now = self._clock()
        sql = """UPDATE promise SET state = 'wanted', ready_at = ?, reason = ?, updated = ?
            WHERE request = ? AND state = 'asked'"""
        self._database.execute_sql(sql, (now + delay, reason, now, request))

    def overdue(self, destination: str) -> int:
        """Want again what was not answered in time. Returns how many."""
        now = self._clock()
        asked = "destination = ? AND state = 'asked' AND ready_at <= ?"
        if self._database.execute_sql(f"SELECT 1 FROM promise WHERE {asked} LIMIT 1", (destination, now)).fetchone():  # noqa: S608
            sql = f"UPDATE promise SET state = 'wanted', reason = 'no answer', updated = ? WHERE {asked}"  # noqa: S608
            return int(self._database.execute_sql(sql, (now, destination, now)).rowcount)
        return 0

    def destination_of(self, request: str) -> str | None:
        """Whom a transaction of ours was asked of; None where it is none of ours."""
        sql = "SELECT destination FROM promise_request WHERE uid = ?"
        row = self._database.execute_sql(sql, (request,)).fetchone()
        return row[0] if row else None

    def give(self, destination: str, sop_uids: Collection[str]) -> None:
        """The destination promises to keep them, in whichever transaction; inside the caller's transaction."""
        sql = """UPDATE promise SET state = 'given', refused = 0, reason = '', updated = ?
            WHERE destination = ? AND state IN ('asked', 'wanted') AND instance IN ({})"""
        self._each(sql, (self._clock(), destination), list(sop_uids))

    def refuse(self, request: str, sop_uid: str, reason: str) -> int:
        """The destination does not keep an instance it was asked for in this transaction. Returns how often it has
        refused it by now, 0 where it was not asked so; inside the caller's transaction."""
        sql = """UPDATE promise SET state = 'refused', refused = refused + 1, reason = ?, updated = ?
            WHERE request = ? AND instance = ? AND state IN ('asked', 'wanted') RETURNING refused"""
        row = self._database.execute_sql(sql, (reason, self._clock(), request, sop_uid)).fetchone()
        return int(row[0]) if row else 0

    def state(self, destination: str, sop_uid: str) -> Promised | None:
        """How it stands with an instance; None where the destination was never to be asked."""
        sql = "SELECT state FROM promise WHERE destination = ? AND instance = ?"
        row = self._database.execute_sql(sql, (destination, sop_uid)).fetchone()
        return Promised(row[0]) if row else None

    def forget(self, before: float) -> None:
        """Remove the transactions of before that time in which nothing is asked for any more."""
        sql = """DELETE FROM promise_request
            WHERE at < ? AND uid NOT IN (SELECT request FROM promise WHERE state IN ('asked', 'wanted'))"""
        self._database.execute_sql(sql, (before,))

    def counts(self) -> dict[Promised, int]:
        """How many instances, counted once for each destination, are in each state."""
        rows = self._database.execute_sql("SELECT state, COUNT(*) FROM promise GROUP BY state").fetchall()
        return {Promised(state): count for state, count in rows}

    def _each(self, sql: str, parameters: tuple[Any, ...], sop_uids: Sequence[str]) -> None:
        for start in range(0, len(sop_uids), _PORTION):
            page = sop_uids[start : start + _PORTION]
            self._database.execute_sql(sql.format(", ".join("?" * len(page))), (*parameters, *page))
