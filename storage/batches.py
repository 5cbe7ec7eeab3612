"""Remembers how far a batch of files has come, so that a page that is loaded again, or a part that is started again,
still knows. Nothing here names a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from peewee import Table

from .database import transaction
from .errors import NotFound, Refused

_COLUMNS = ("id", "state", "asked", "total", "done", "clean", "refused", "reason", "started", "updated")


class BatchState(StrEnum):
    """How a batch stands."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The part that worked on it ended before the batch did; what is done is done, and it can be asked for again."""
    CANCELLED = "cancelled"
    """Nobody wants the rest of it any more."""


@dataclass(frozen=True)
class Refusal:
    """Why a file was refused; `file` is its place, from 1, in the sorted list of the batch."""

    file: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """One batch; times are seconds since the epoch, `reason` is why it failed."""

    id: str
    state: BatchState
    asked: Mapping[str, Any]
    total: int
    done: int
    clean: int
    refused: tuple[Refusal, ...]
    reason: str
    started: float
    updated: float


class Batches:
    """The batches of one data folder."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._batch = Table("batch", _COLUMNS, _database=database)

    def begin(self, name: str, asked: Mapping[str, Any], total: int) -> None:
        """A new batch, inside the caller's transaction."""
        now = self._clock()
        row = {"id": name, "state": BatchState.RUNNING, "asked": json.dumps(dict(asked)), "total": total, "done": 0}
        self._batch.insert({**row, "clean": 0, "refused": "[]", "reason": "", "started": now, "updated": now}).execute()

    def progress(self, name: str, done: int, clean: int, refused: Sequence[Refusal]) -> None:
        """How far it is."""
        told = json.dumps([[one.file, one.reason] for one in refused])
        self._update(name, done=done, clean=clean, refused=told)

    def end(self, name: str, state: BatchState, reason: str = "") -> None:
        """It ended in that way, if nobody cancelled it, inside the caller's transaction or without one."""
        self._become(name, state, (BatchState.RUNNING,), reason=reason)

    def cancel(self, name: str) -> None:
        """Nobody wants the rest of it, inside the caller's transaction. Raises NotFound; Refused where it has ended."""
        if not self._become(name, BatchState.CANCELLED, (BatchState.RUNNING, BatchState.CANCELLED)):
            raise Refused(f"the batch is {self.get(name).state}; only one that runs can be cancelled")

    def is_cancelled(self, name: str) -> bool:
        """Whether nobody wants the rest of it."""
        batch = self._batch
        found = batch.select(batch.state).where(batch.id == name).tuples()
        return any(state == BatchState.CANCELLED for (state,) in found)

    def interrupt(self, is_worked_on: Callable[[str], bool]) -> int:
        """Say of every batch that runs that it does not where nobody is there any more to run it. How many."""
        batch = self._batch
        running = [name for (name,) in batch.select(batch.id).where(batch.state == BatchState.RUNNING).tuples()]
        left = [name for name in running if not is_worked_on(name)]
        return sum(self._become(name, BatchState.INTERRUPTED, (BatchState.RUNNING,)) for name in left)

    def get(self, name: str) -> Batch:
        """The batch of that name. Raises NotFound."""
        for row in self._batch.select().where(self._batch.id == name).dicts():
            asked, refused = json.loads(row["asked"]), json.loads(row["refused"])
            told = tuple(Refusal(file, reason) for file, reason in refused)
            return Batch(**{**row, "state": BatchState(row["state"]), "asked": asked, "refused": told})
        raise NotFound("there is no such batch")

    def _become(self, name: str, state: BatchState, before: Sequence[BatchState], **values: Any) -> int:
        """Give it a state, if it has one of those before; whether it had."""
        return self._update(name, self._batch.state << before, state=state, **values)

    def _update(self, name: str, *only: Any, **values: Any) -> int:
        batch = self._batch
        columns = {getattr(batch, column): value for column, value in values.items()}
        changed = batch.update({**columns, batch.updated: self._clock()}).where(batch.id == name, *only)
        with transaction(self._database):
            return int(changed.execute())
