"""Knows which procedure steps modalities perform, and where each stands (PS3.4 Annex F).

Of a step only its state and its counts are kept, under a digest of its UID: nothing in it tells of a patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from peewee import Table, fn

from .database import transaction
from .errors import NotFound, Refused

_KEPT = ("source", "state", "modality", "series", "instances", "has_end_date", "has_end_time")
_COLUMNS = ("digest", *_KEPT, "created", "updated")


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True)
class PerformedStep:
    """A step as far as it is kept: who performs it, how many series and instances it has named, and whether it has told
    when it ended."""

    source: str
    state: StepState = StepState.IN_PROGRESS
    modality: str = ""
    series: int = 0
    instances: int = 0
    has_end_date: bool = False
    has_end_time: bool = False


class PerformedSteps:
    """The steps of one data folder."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._table = Table("performed_step", _COLUMNS, _database=database)

    def add(self, sop_uid: str, step: PerformedStep) -> bool:
        """Keep a new step; durable when this returns. False where there is one of that UID."""
        now = self._clock()
        row = {"digest": _digest(sop_uid), **_values(step), "created": now, "updated": now}
        added = self._table.insert(row).on_conflict_ignore().returning(self._table.digest).tuples().execute()
        return bool(list(added))

    def get(self, sop_uid: str) -> PerformedStep:
        """The step of that UID. Raises NotFound."""
        columns = [getattr(self._table, name) for name in _KEPT]
        for row in self._table.select(*columns).where(self._table.digest == _digest(sop_uid)).tuples():
            source, state, modality, series, instances, *ends = row
            return PerformedStep(source, StepState(state), modality, series, instances, *map(bool, ends))
        raise NotFound("there is no such procedure step")

    def change(self, sop_uid: str, changed: Callable[[PerformedStep], PerformedStep]) -> PerformedStep:
        """Replace a step by what `changed` makes of it, which may raise. Raises NotFound; Refused where the step is
        over and may no longer be changed."""
        with transaction(self._database):
            step = self.get(sop_uid)
            if step.state != StepState.IN_PROGRESS:
                raise Refused("the procedure step is over")
            step = changed(step)
            values = {**_values(step), "updated": self._clock()}
            update = {getattr(self._table, name): value for name, value in values.items()}
            self._table.update(update).where(self._table.digest == _digest(sop_uid)).execute()
            return step

    def counts(self) -> dict[StepState, int]:
        """How many steps are in each state."""
        table = self._table
        query = table.select(table.state, fn.COUNT(table.digest)).group_by(table.state)
        return {StepState(state): count for state, count in query.tuples()}


def _values(step: PerformedStep) -> dict[str, Any]:
    return {name: getattr(step, name) for name in _KEPT}


def _digest(sop_uid: str) -> str:
    return hashlib.sha256(sop_uid.encode()).hexdigest()
