"""Remembers what is still to be done, and leases it out.

A job is claimed for a time, never popped: when its worker dies, the lease ends and the job is simply ready again. That
is all of crash recovery, so work must be repeatable: same input, same output, same names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from peewee import Table, fn

from .database import transaction
from .errors import NotFound

_COLUMNS = (
    "id",
    "stage",
    "state",
    "project",
    "subject",
    "destination",
    "attempts",
    "ready_at",
    "lease_until",
    "owner",
    "reason",
    "created",
    "updated",
    "priority",
    "gathering",
    "result",
    "excused",
)
_LEVELS = """WITH RECURSIVE level (priority) AS (
    SELECT MAX(priority) FROM job WHERE stage = ?1 AND destination = ?2 AND state = ?3
    UNION ALL
    SELECT (SELECT MAX(job.priority) FROM job WHERE stage = ?1 AND destination = ?2 AND state = ?3
        AND job.priority < level.priority)
    FROM level WHERE level.priority IS NOT NULL)
    SELECT priority FROM level WHERE priority IS NOT NULL"""
FIRST = 1000
"""The priority of what a person puts first; what is configured stays far below."""


_INSERT = (
    f"INSERT INTO job ({', '.join(_COLUMNS[1:])}) VALUES ({', '.join('?' * len(_COLUMNS[1:]))})"  # noqa: S608 - ours
    " ON CONFLICT DO NOTHING"
)

# Written out where they are run for every object: putting a statement together takes longer than running it.
_LAPSED = "state = 'running' AND lease_until <= ?"
_DUE = "state = 'ready' AND ready_at <= ? AND priority = ?"
_CLAIM = (  # noqa: S608 - names of ours
    "UPDATE job SET state = ?, owner = ?, lease_until = ?, attempts = attempts + 1, updated = ? WHERE id IN"
    " (SELECT id FROM job WHERE stage = ? AND destination = ? AND {free} ORDER BY ready_at, id LIMIT ?) RETURNING "
) + ", ".join(_COLUMNS)
_END = (
    "UPDATE job SET state = ?, reason = ?, result = ?, lease_until = 0, owner = '', updated = ?"
    " WHERE id = ? AND state = ? AND owner = ? AND attempts = ?"
)


class Stage(StrEnum):
    """What a job does."""

    CLEAN = "clean"
    """De-identify the inbox file named by `subject` under `project`."""
    SEND = "send"
    """Send the clean instance whose SOP Instance UID is `subject` to `destination`."""
    REIDENTIFY = "reidentify"
    """Put the originals of `project` back into the inbox file named by `subject`."""
    RETURN = "return"
    """Send the re-identified file named by `subject` to `destination`."""


class State(StrEnum):
    """Where a job stands."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    GATHERING = "gathering"
    """Waits with the rest of its study until that is complete."""
    HELD = "held"
    """No route matched; waits until one does."""
    QUARANTINED = "quarantined"
    """It will never be right as it is; a person decides."""
    FAILED = "failed"
    """Tried as often as is sensible; a person decides."""


INTAKE = (Stage.CLEAN, Stage.REIDENTIFY)
"""Stages that work on what came in."""
OUTGOING = (Stage.SEND, Stage.RETURN)
"""Stages that bring something to a destination."""
PATIENTS = (*INTAKE, Stage.RETURN)
"""Stages whose files tell who the patient is."""
STOPPED = (State.QUARANTINED, State.FAILED)
"""States that a person brings back to READY."""
ENDED = (State.HELD, *STOPPED)
"""States that only a person, or a changed configuration, brings back to READY."""


def holds_back(stage: Stage, state: State) -> bool:
    """Whether a job that stands so keeps a file that tells of a patient until somebody decides."""
    return stage in PATIENTS and state in ENDED


@dataclass(frozen=True)
class Job:
    """One thing to do. `attempts` counts claims; times are seconds since the epoch. `result` is the SOP Instance UID of
    what a CLEAN job published."""

    id: int
    stage: Stage
    state: State
    project: str
    subject: str
    destination: str
    attempts: int
    ready_at: float
    lease_until: float
    owner: str
    reason: str
    created: float
    updated: float
    priority: int = 0
    """The higher goes first."""
    gathering: int = 0
    """The number of the gathering it waits, or waited, in; 0 for none."""
    result: str = ""
    excused: int = 0
    """Of its attempts, those that ended for a reason that has nothing to do with it, such as a full disk."""

    @property
    def failures(self) -> int:
        """How many attempts before this one may be its own fault."""
        return self.attempts - self.excused - 1


@dataclass(frozen=True)
class Standstill:
    """How many ended jobs share a stage, a state, a destination and a reason, and when the last of them ended."""

    stage: Stage
    state: State
    destination: str
    reason: str
    jobs: int
    newest: float


def retry_delay(attempts: int, chance: float, *, first: float = 2.0, longest: float = 600.0) -> float:
    """Seconds to wait after so many attempts: doubling from `first`, at most `longest`, spread by `chance` in [0, 1)
    over the upper half, so that many jobs do not come back at once."""
    delay = min(longest, first * 2.0 ** min(attempts - 1, 30))
    return delay * (0.5 + chance / 2)


class JobQueue:
    """The jobs of one data folder. Everything that decides by time takes `now`."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._job = Table("job", _COLUMNS, _database=database)

    def add(
        self,
        stage: Stage,
        subject: str,
        *,
        project: str,
        destination: str = "",
        state: State = State.READY,
        reason: str = "",
        priority: int = 0,
        gathering: int = 0,
    ) -> bool:
        """Add a job inside the caller's transaction; False where the same job exists already."""
        now = self._clock()
        values = (
            stage,
            state,
            project,
            subject,
            destination,
            0,
            now,
            0.0,
            "",
            reason,
            now,
            now,
            priority,
            gathering,
            "",
            0,
        )
        return bool(self._database.execute_sql(_INSERT, values).rowcount)

    def claim(self, stage: Stage, owner: str, lease: float, *, destination: str = "") -> Job | None:
        """Lease the first ready job of that stage (and destination) to `owner` for `lease` seconds, or None.

        A job whose lease has ended is free again, and goes first. It is chosen and marked by one statement, so that no
        two owners get the same job.
        """
        claimed = self.claim_many(stage, owner, lease, most=1, destination=destination)
        return claimed[0] if claimed else None

    def claim_many(
        self, stage: Stage, owner: str, lease: float, *, most: int, destination: str = "", now: float | None = None
    ) -> list[Job]:
        """Lease up to `most` free jobs: those whose lease has ended, then the ready ones, by priority, oldest first."""
        now = self._clock() if now is None else now
        claimed: list[Job] = []
        with transaction(self._database):
            # A priority at a time, not one OR and not one ORDER BY: each is then read in the order of the index and no
            # further, however many wait for a later time.
            levels = ((_DUE, (now, level)) for level in self._levels(stage, destination))
            for free, limits in chain(((_LAPSED, (now,)),), levels):
                if len(claimed) >= most:
                    break
                values = (State.RUNNING, owner, now + lease, now, stage, destination, *limits, most - len(claimed))
                rows = self._database.execute_sql(_CLAIM.format(free=free), values).fetchall()
                claimed += sorted(map(_job, rows), key=lambda taken: (taken.ready_at, taken.id))
        return claimed

    def _levels(self, stage: Stage, destination: str) -> list[int]:
        """The priorities that ready jobs have, the highest first: one step in the index for each."""
        rows = self._database.execute_sql(_LEVELS, (stage, destination, State.READY))
        return [priority for (priority,) in rows.fetchall()]

    def extend(self, jobs: Iterable[Job], lease: float) -> None:
        """Keep the leases of jobs that take long."""
        job, now = self._job, self._clock()
        with transaction(self._database):
            for held in jobs:
                job.update({job.lease_until: now + lease}).where(self._mine(held)).execute()

    def finish(self, job: Job, *, reason: str = "", result: str = "") -> bool:
        """Done, inside the caller's transaction. False where the lease was lost: somebody else did it or will."""
        return self._end(job, State.DONE, reason, result)

    def quarantine(self, job: Job, reason: str) -> bool:
        """Never right as it is. False where the lease was lost."""
        return self._end(job, State.QUARANTINED, reason)

    def fail(self, job: Job, reason: str) -> bool:
        """Tried often enough. False where the lease was lost."""
        return self._end(job, State.FAILED, reason)

    def later(self, job: Job, delay: float, reason: str) -> bool:
        """Ready again after `delay` seconds. False where the lease was lost."""
        return self._put_off(job, delay, reason)

    def postpone(self, job: Job, delay: float, reason: str) -> bool:
        """As `later`, for a reason that is not the job's own: it may happen for days, and is not held against it."""
        return self._put_off(job, delay, reason, excused=1)

    def _put_off(self, job: Job, delay: float, reason: str, *, excused: int = 0) -> bool:
        row, now = self._job, self._clock()
        values = {row.state: State.READY, row.ready_at: now + delay, row.reason: reason, row.updated: now}
        values[row.excused] = row.excused + excused
        return bool(row.update(values).where(self._mine(job)).execute())

    def give_back(self, jobs: Iterable[Job]) -> None:
        """Return claimed jobs that were not tried; the claim does not count."""
        row, now = self._job, self._clock()
        values = {row.state: State.READY, row.attempts: row.attempts - 1, row.updated: now}
        with transaction(self._database):
            for job in jobs:
                row.update(values).where(self._mine(job)).execute()

    def owners(self) -> list[str]:
        """Who has leases that have not been ended."""
        job = self._job
        leased = (job.state == State.RUNNING) & (job.lease_until > 0)
        return [owner for (owner,) in job.select(job.owner).where(leased).distinct().tuples()]

    def expire(self, owner: str) -> int:
        """End all leases of an owner that is known to be gone. Returns how many."""
        job = self._job
        gone = job.update({job.lease_until: 0.0}).where((job.state == State.RUNNING) & (job.owner == owner))
        return int(gone.execute())

    def revive(self, job: Job) -> bool:
        """Bring an ended job back to READY with its attempts forgotten. False where it is not ended."""
        row, now = self._job, self._clock()
        values = {row.state: State.READY, row.attempts: 0, row.excused: 0, row.ready_at: now, row.reason: ""}
        values[row.updated] = now
        return bool(row.update(values).where((row.id == job.id) & (row.state << list(ENDED))).execute())

    def move(self, job: Job, project: str, stage: Stage = Stage.CLEAN, *, priority: int = 0) -> bool:
        """Give a HELD job its project and stage, which have none for the same subject, and make it READY."""
        row, now = self._job, self._clock()
        values = {row.state: State.READY, row.stage: stage, row.project: project, row.ready_at: now, row.reason: ""}
        values |= {row.updated: now, row.priority: priority}
        return bool(row.update(values).where((row.id == job.id) & (row.state == State.HELD)).execute())

    def drop(self, job: Job) -> bool:
        """Forget a HELD job whose work others do. False where it is not held any more."""
        row = self._job
        return bool(row.delete().where((row.id == job.id) & (row.state == State.HELD)).execute())

    def discard(self, job: Job) -> bool:
        """Forget an ended job, whose work nobody will do, inside the caller's transaction. False where it is not ended
        any more."""
        row = self._job
        return bool(row.delete().where((row.id == job.id) & (row.state << list(ENDED))).execute())

    def undo(self, stage: Stage, destination: str, subject: str, state: State, *, delay: float, reason: str) -> bool:
        """What was done did not last: the job is READY again after `delay` seconds, or ended. Inside the caller's
        transaction; False where no such job is done."""
        row, now = self._job, self._clock()
        values = {row.state: state, row.attempts: 0, row.ready_at: now + delay, row.reason: reason, row.updated: now}
        same = (row.stage == stage) & (row.subject == subject) & (row.destination == destination)
        return bool(row.update(values).where(same & (row.state == State.DONE)).execute())

    def forget(self, stage: Stage, subject: str, project: str | None = None) -> int:
        """Remove what was done or is to be done about that subject, inside the caller's transaction; who works on it
        finds his lease lost. Returns how many jobs went."""
        row = self._job
        meant = (row.stage == stage) & (row.subject == subject)
        if project is not None:
            meant &= row.project == project
        return int(row.delete().where(meant).execute())

    def has_open(self, stage: Stage, destination: str = "") -> bool:
        """Whether a job of that stage (and destination) may be there to claim; unlike a claim, this locks nothing."""
        sql = "SELECT 1 FROM job WHERE stage = ? AND destination = ? AND state IN (?, ?) LIMIT 1"
        parameters = (stage, destination, State.READY, State.RUNNING)
        return self._database.execute_sql(sql, parameters).fetchone() is not None

    def get(self, number: int) -> Job:
        """The job of that number. Raises NotFound."""
        for row in self._job.select().where(self._job.id == number).tuples():
            return _job(row)
        raise NotFound(f"there is no job {number}")

    def find(
        self,
        *,
        states: Collection[State] = (),
        stage: Stage | None = None,
        subject: str | None = None,
        destination: str | None = None,
        reason: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs in those states (all if none is named), the newest change first."""
        job = self._job
        query = job.select().order_by(job.updated.desc(), job.id.desc())
        if states:
            query = query.where(job.state << list(states))
        if stage is not None:
            query = query.where(job.stage == stage)
        for column, value in ((job.subject, subject), (job.destination, destination), (job.reason, reason)):
            if value is not None:
                query = query.where(column == value)
        return [_job(row) for row in query.limit(limit).tuples()]

    def unfinished(self, stage: Stage) -> set[str]:
        """The subjects of all jobs of that stage that are not done."""
        job, states = self._job, [state for state in State if state != State.DONE]
        query = job.select(job.subject).where((job.stage == stage) & (job.state << states))
        return {subject for (subject,) in query.tuples().iterator()}

    def is_unfinished(self, stage: Stage, subject: str) -> bool:
        """Whether a job of that stage about that subject is not done."""
        sql = "SELECT 1 FROM job WHERE stage = ? AND subject = ? AND state <> ? LIMIT 1"
        return self._database.execute_sql(sql, (stage, subject, State.DONE)).fetchone() is not None

    def counts(self) -> dict[tuple[Stage, State], int]:
        """How many jobs are in each stage and state; what is not there is not listed."""
        job = self._job
        query = job.select(job.stage, job.state, fn.COUNT(job.id)).group_by(job.stage, job.state)
        return {(Stage(stage), State(state)): count for stage, state, count in query.tuples()}

    def standstills(self) -> list[Standstill]:
        """The ended jobs, grouped by why they ended, the latest first."""
        job, newest = self._job, fn.MAX(self._job.updated)
        same = (job.stage, job.state, job.destination, job.reason)
        query = job.select(*same, fn.COUNT(job.id), newest).where(job.state << list(ENDED)).group_by(*same)
        return [
            Standstill(Stage(stage), State(state), destination, reason, count, last)
            for stage, state, destination, reason, count, last in query.order_by(newest.desc()).tuples()
        ]

    def destinations(self) -> dict[str, dict[State, int]]:
        """For each destination that was ever sent to: how many of its jobs are in each state."""
        job = self._job
        query = job.select(job.destination, job.state, fn.COUNT(job.id)).where(job.stage << list(OUTGOING))
        result: dict[str, dict[State, int]] = {}
        for destination, state, count in query.group_by(job.destination, job.state).tuples():
            result.setdefault(destination, {})[State(state)] = count
        return result

    def explain(self, job: Job, reason: str) -> None:
        """Say anew why a HELD job is held."""
        row = self._job
        row.update({row.reason: reason}).where((row.id == job.id) & (row.state == State.HELD)).execute()

    def _end(self, job: Job, state: State, reason: str, result: str = "") -> bool:
        mine = (job.id, State.RUNNING, job.owner, job.attempts)
        return bool(self._database.execute_sql(_END, (state, reason, result, self._clock(), *mine)).rowcount)

    def _mine(self, job: Job) -> Any:
        row = self._job
        return (
            (row.id == job.id)
            & (row.state == State.RUNNING)
            & (row.owner == job.owner)
            & (row.attempts == job.attempts)
        )


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Job(**{**values, "stage": Stage(values["stage"]), "state": State(values["state"])})
