"""Knows the jobs that bring something out: which wait, since when, and how they are begun again or put first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from peewee import Table

from .jobs import ENDED, FIRST, OUTGOING, JobQueue, Stage, State

_PORTION = 500
_COLUMNS = (
    "id",
    "stage",
    "state",
    "project",
    "subject",
    "destination",
    "attempts",
    "ready_at",
    "reason",
    "updated",
    "priority",
    "gathering",
)
_NEXT = "SELECT MIN(ready_at) FROM job WHERE stage = ? AND destination = ? AND state = ? AND ready_at > ?"
_OLDEST = "SELECT MIN(id) FROM job WHERE stage = ? AND destination = ? AND state IN (?, ?, ?)"
_OF_STUDY = """SELECT job.destination, job.state, COUNT(*) FROM study JOIN series ON series.study = study.id
    JOIN instance ON instance.series = series.id JOIN job ON job.stage = ? AND job.subject = instance.uid
    WHERE study.uid = ? GROUP BY job.destination, job.state"""
_WAITING = (State.READY, State.RUNNING, State.GATHERING)


class Deliveries:
    """The SEND and RETURN jobs of a queue."""

    def __init__(self, database: Any, jobs: JobQueue, clock: Callable[[], float]) -> None:
        self._database = database
        self._jobs = jobs
        self._clock = clock
        self._job = Table("job", _COLUMNS, _database=database)

    def again(self, subject: str, *, project: str, destination: str, priority: int = 0) -> bool:
        """Have an instance sent, once more if that was done or ended, inside the caller's transaction. False where it
        is on its way anyhow."""
        if self._jobs.add(Stage.SEND, subject, project=project, destination=destination, priority=priority):
            return True
        row, now = self._job, self._clock()
        same = (row.stage == Stage.SEND) & (row.subject == subject)
        same &= (row.project == project) & (row.destination == destination)
        values = {row.state: State.READY, row.attempts: 0, row.ready_at: now, row.reason: "", row.updated: now}
        values[row.priority] = priority
        ended = row.state << [State.DONE, *ENDED]
        return bool(row.update(values).where(same & ended).execute())

    def hurry(self, subjects: Collection[str], destination: str = "") -> int:
        """Put first what waits to be sent of these instances, to one destination or all. Returns how many jobs."""
        row, moved, wanted = self._job, 0, sorted(subjects)
        for start in range(0, len(wanted), _PORTION):
            here = (row.stage == Stage.SEND) & (row.subject << wanted[start : start + _PORTION])
            here &= row.state << [State.READY, State.GATHERING]
            if destination:
                here &= row.destination == destination
            moved += int(row.update({row.priority: FIRST}).where(here).execute())
        return moved

    def at_once(self, destination: str) -> int:
        """Try what waits by itself for a later attempt as soon as its destination is sent to. Returns how many jobs."""
        row, now = self._job, self._clock()
        waits = (row.stage << list(OUTGOING)) & (row.destination == destination)
        waits &= (row.state == State.READY) & (row.ready_at > now)
        return int(row.update({row.ready_at: now, row.updated: now}).where(waits).execute())

    def gathered(self, gathering: int) -> int:
        """A study is complete: its jobs that waited for that are ready. Returns how many."""
        row, now = self._job, self._clock()
        values = {row.state: State.READY, row.ready_at: now, row.updated: now}
        of_it = (row.gathering == gathering) & (row.gathering > 0) & (row.state == State.GATHERING)
        return int(row.update(values).where(of_it).execute())

    def of_study(self, study_uid: str) -> dict[str, dict[State, int]]:
        """For each destination of a clean study: how many of its instances are in each state."""
        found: dict[str, dict[State, int]] = {}
        for destination, state, count in self._database.execute_sql(_OF_STUDY, (Stage.SEND, study_uid)).fetchall():
            found.setdefault(destination, {})[State(state)] = count
        return found

    def next_attempt(self, destination: str) -> tuple[float, str] | None:
        """When the earliest job of a destination that waits by itself is tried again, and why; None if none does."""
        row, now, found = self._job, self._clock(), list[tuple[float, str]]()
        for stage in OUTGOING:
            (at,) = self._database.execute_sql(_NEXT, (stage, destination, State.READY, now)).fetchone()
            if at is not None:
                of_it = (row.stage == stage) & (row.destination == destination) & (row.state == State.READY)
                query = row.select(row.ready_at, row.reason).where(of_it & (row.ready_at == at)).limit(1)
                found += list(query.tuples())
        return min(found, default=None)

    def oldest(self, destination: str) -> float | None:
        """When the longest waiting of what is to go to a destination was made; None if nothing waits."""
        found = [self._database.execute_sql(_OLDEST, (stage, destination, *_WAITING)).fetchone() for stage in OUTGOING]
        return min((self._jobs.get(number).created for (number,) in found if number is not None), default=None)
