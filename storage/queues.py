"""Remembers how the queue of each destination stands: paused by a person, or waiting because the peer is away.

It is one small row for each, read before anything is claimed, so that a queue of any length is paused, resumed and put
off at once, by every process and over restarts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from peewee import Table

_COLUMNS = ("name", "paused", "failures", "next_attempt", "reason")
_STATE = "SELECT paused, failures, next_attempt, reason FROM destination WHERE name = ?"


class Breaker(StrEnum):
    """Whether a destination is called."""

    CLOSED = "closed"
    """It answered the last time: it is sent to."""
    OPEN = "open"
    """It is away: nothing is tried before its next attempt."""
    HALF_OPEN = "half-open"
    """It is time to see, with one instance, whether it is back."""


@dataclass(frozen=True)
class QueueState:
    """How one queue stands. `paused` is since when, 0 for not; `failures` in a row, with when it is tried next and
    why it has to wait."""

    paused: float = 0.0
    failures: int = 0
    next_attempt: float = 0.0
    reason: str = ""

    def breaker(self, now: float) -> Breaker:
        """Whether the destination is called now."""
        if not self.failures:
            return Breaker.CLOSED
        return Breaker.OPEN if now < self.next_attempt else Breaker.HALF_OPEN


class Queues:
    """The queues of one data folder by the names of their destinations."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._table = Table("destination", _COLUMNS, _database=database)

    def state(self, name: str) -> QueueState:
        """How that queue stands; of one that nothing happened to, that it goes on."""
        row = self._database.execute_sql(_STATE, (name,)).fetchone()  # asked before each instance: without building it
        return QueueState(*row) if row else QueueState()

    def states(self) -> dict[str, QueueState]:
        """All queues that something happened to."""
        return {name: QueueState(*values) for name, *values in self._table.select().tuples()}

    def pause(self, name: str) -> bool:
        """Claim nothing more for it; False where that was so."""
        return not self.state(name).paused and self._set(name, paused=self._clock())

    def resume(self, name: str) -> bool:
        """Go on, and try at once even a destination that was away; False where there was nothing to resume."""
        state = self.state(name)
        return bool(state.paused or state.failures) and self._set(name, paused=0.0, next_attempt=0.0)

    def failed(self, name: str, delay: float, reason: str) -> None:
        """It is away: not to be tried for so many seconds."""
        failures = self.state(name).failures + 1
        self._set(name, failures=failures, next_attempt=self._clock() + delay, reason=reason)

    def answered(self, name: str) -> None:
        """It is there."""
        if self.state(name).failures:
            self._set(name, failures=0, next_attempt=0.0, reason="")

    def _set(self, name: str, **values: Any) -> bool:
        row = {"name": name, "paused": 0.0, "failures": 0, "next_attempt": 0.0, "reason": ""} | values
        insert = self._table.insert(row)
        update = {getattr(self._table, name): value for name, value in values.items()}
        insert.on_conflict(conflict_target=[self._table.name], update=update).execute()
        return True
