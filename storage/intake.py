"""Takes over what comes in: an object has file, row and jobs before its sender hears of success."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import BufferedReader
from pathlib import Path
from typing import Any

from .audit import SYSTEM, Actor, Record
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound, Refused, Unavailable
from .files import Adoption
from .groupcommit import GroupCommit
from .jobs import Job, Stage, State
from .syncing import Sync
from .writeahead import WriteAhead, Written


class Acceptance(StrEnum):
    """What became of an object that was handed in; all three are durable."""

    NEW = "received"
    AGAIN = "received-again"
    """The same bytes were accepted before; nothing is done twice."""
    CONFLICT = "received-conflict"
    """Other bytes came before under the same SOP Instance UID; both are kept apart."""


@dataclass(frozen=True)
class Origin:
    """Where an object came from: the calling AE title, "stow", "upload" or "folder", the network address, and the AE
    title it called us by."""

    source: str
    address: str = ""
    called: str = ""


@dataclass(frozen=True)
class Handling:
    """What is to be known of an object beside its projects: why it has none; by project the priority of its jobs, and
    the quiet seconds that make its study complete where a destination wants it whole; then `study` is the SHA-256 of
    its Study Instance UID."""

    reason: str = "no route matches its source"
    priority: Mapping[str, int] = field(default_factory=dict)
    quiet: Mapping[str, float] = field(default_factory=dict)
    study: str = ""


@dataclass(frozen=True)
class Plan:
    """What is to be done with an object that came in: for which projects, in which stage; held where there are none."""

    projects: tuple[str, ...] = ()
    stage: Stage = Stage.CLEAN
    handling: Handling = Handling()


@dataclass(frozen=True)
class Arrival:
    """One object that came in: where from, its file, and when in seconds since the epoch."""

    origin: Origin
    path: Path
    at: float


@dataclass(frozen=True)
class _Committed:
    """What became of an object, once its rows are durable."""

    acceptance: Acceptance
    written: Written

    def wait(self) -> Acceptance:
        self.written.wait()
        return self.acceptance


class _KnownMeanwhile(Exception):
    """The same bytes came in at the same time, and their rows are written: ours come after our file."""


_REMOVED = "the object was removed while it came in again; it must be sent once more"

Planner = Callable[[Arrival], Plan]
"""Decides what is done with what came in."""


@dataclass(frozen=True)
class Placed:
    """An object whose file is in place: what is to be written about it."""

    name: str
    sop_uid: str
    sop_class: str
    size: int
    origin: Origin
    projects: tuple[str, ...]
    stage: Stage
    handling: Handling
    by: Actor | None = None
    mark: int | None = None
    """Set while its file is being synced."""
    relies: bool = False
    """It brought no file along, for what is kept is the same."""

    @property
    def actor(self) -> Actor:
        """Who sent it."""
        return self.by or Actor(self.origin.source, self.origin.address)

    @property
    def detail(self) -> dict[str, Any]:
        """What the audit trail says of it."""
        told = {"sop_instance_uid": self.sop_uid, "size": self.size, "projects": list(self.projects)}
        return {**told, "source": self.origin.source} if self.by else told


class Intake(DataFolder):
    """The originals, from their coming in until a job is done with them."""

    def __init__(self, folder: Path, url: str = "", *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(folder, url, clock=clock)
        self._arriving.recover()
        self._log = WriteAhead(self.database, self.files.sync_soon)
        self._commit: GroupCommit[Placed, _Committed] = GroupCommit(self._take_over)

    def accept(
        self,
        path: Path,
        sop_uid: str,
        origin: Origin,
        projects: Sequence[str],
        stage: Stage = Stage.CLEAN,
        handling: Handling = Handling(),
        *,
        digest: str = "",
        sop_class: str = "",
        by: Actor | None = None,
        syncing: Sync | None = None,
    ) -> Acceptance:
        """Take over a complete Part 10 file from `files.incoming()` and make the jobs of that stage, one per project.

        When this returns, file and jobs have survived; what comes in at the same time shares a transaction. Of what was
        not known before both are synced at once, and a mark (`arriving.py`) tells it after a power cut in between.
        With no project the job is held until a route matches. The file is known by `digest` (`digests.py`), which is
        read from it if it is not given; `sop_uid` tells whether other bytes came under the same UID before, and
        `sop_class` whether a peer means this object when it asks us to vouch for it. `by` is who sent it, where the
        origin does not say so; `syncing` ends when the bytes of the file are durable, if that was begun. Raises
        Unavailable, with nothing taken over.
        """
        name, size = digest or self.digests.of(path), path.stat().st_size
        placed = Placed(name, sop_uid, sop_class, size, origin, tuple(projects), stage, handling, by)
        if not self._is_known(name):
            adoption = self.files.adopt_meanwhile(path, "inbox", name, syncing)
            return self._commit(placed).wait() if adoption is None else self._commit_meanwhile(placed, adoption)
        if self._is_done(stage, name, projects) or self._is_kept(name, path):
            path.unlink()
            return self._commit(replace(placed, relies=True)).wait()
        self.files.adopt(path, "inbox", name)
        return self._commit(placed).wait()

    def _commit_meanwhile(self, placed: Placed, adoption: Adoption) -> Acceptance:
        """Sync rows and file at once, and return when both are durable."""
        mark = self._arriving.mark()
        try:
            committed = self._commit(replace(placed, mark=mark))
        except _KnownMeanwhile:
            committed = None
        except Exception:
            adoption.take_back()
            raise
        try:
            acceptance = committed.wait() if committed else None
            adoption.wait()
        except Exception:
            if committed is None or self._arriving.withdraw(mark, placed.name):
                adoption.take_back()
            else:
                adoption.leave()
            raise
        if acceptance is None:
            return self._commit(placed).wait()
        self._arriving.synced(mark)
        return acceptance

    def original(self, job: Job) -> BufferedReader:
        """The inbox file a CLEAN or REIDENTIFY job is about; a Job is the only way to one. Raises NotFound."""
        return self.files.open("inbox", job.subject)

    def whole_original(self, job: Job) -> BufferedReader:
        """The same, of which every byte is as it came in. Raises NotFound; Refused where the disk has changed one."""
        file = self.original(job)
        if self.digests.of_file(file) == job.subject:
            return file
        file.close()
        raise Refused("its file is not what came in; the disk may be damaged: have it sent once more, then try again")

    def origin(self, job: Job) -> Origin:
        """Where the object of a CLEAN or REIDENTIFY job came from. Raises NotFound."""
        table = self._received
        for row in table.select(table.source, table.address, table.called).where(table.name == job.subject).tuples():
            return Origin(*row)
        raise NotFound(f"nothing is known of the object of job {job.id}")

    def arrival(self, job: Job) -> Arrival:
        """How the object of a CLEAN or REIDENTIFY job came in. Raises NotFound."""
        table = self._received
        for (at,) in table.select(table.at).where(table.name == job.subject).tuples():
            return Arrival(self.origin(job), self.files.path("inbox", job.subject), at)
        raise NotFound(f"nothing is known of the object of job {job.id}")

    def route_held(self, planner: Planner) -> int:
        """Give held objects that a route now matches to its projects. Returns how many."""
        held = self.jobs.find(states=[State.HELD], stage=Stage.CLEAN)
        return sum(self._route(job, planner(self.arrival(job))) for job in held)

    def _route(self, job: Job, plan: Plan) -> bool:
        projects, stage, handling = plan.projects, plan.stage, plan.handling
        with transaction(self.database):
            served = {known.project for known in self.jobs.find(stage=stage, subject=job.subject)}
            first, *others = [project for project in projects if project not in served] or [""]
            if not projects:
                if job.reason != handling.reason:  # each change is synced, and there may be very many
                    self.jobs.explain(job, handling.reason)
                return False
            priority = handling.priority.get(first, 0)
            if not (self.jobs.move(job, first, stage, priority=priority) if first else self.jobs.drop(job)):
                return False
            for project in others:
                self.jobs.add(stage, job.subject, project=project, priority=handling.priority.get(project, 0))
            self._note_study(job.subject, handling.study)
            self._gather(self.origin(job), handling)
            self.audit.record(SYSTEM, "routed", job.subject, {"job": job.id, "projects": list(projects)})
        self._originals.drop(job.subject)
        return True

    def _gather(self, origin: Origin, handling: Handling) -> None:
        if handling.study:
            for project, quiet in handling.quiet.items():
                self.gatherings.arrived(project, handling.study, origin.source, quiet)

    def _note_study(self, name: str, study: str) -> None:
        table = self._received
        if study:
            table.update({table.study: study}).where((table.name == name) & (table.study == "")).execute()

    def _take_over(self, objects: Sequence[Placed]) -> list[_Committed | Exception]:
        """Write the rows of all of them in one transaction; their files are durable, or marked as arriving."""
        with self._log.transaction() as written:
            swept = self._arriving.sweep()
            outcomes = [self._enter(placed) for placed in objects]
            self.audit.record_all(
                Record(placed.actor, outcome, placed.name, placed.detail)
                for placed, outcome in zip(objects, outcomes, strict=True)
                if isinstance(outcome, Acceptance)
            )
        if not any(isinstance(one, Acceptance) for one in outcomes):
            written.wait()  # nobody else will, and what was swept stands in the log before what others write
        self._arriving.swept(swept)
        return [_Committed(one, written) if isinstance(one, Acceptance) else one for one in outcomes]

    def _enter(self, placed: Placed) -> Acceptance | Exception:
        """Its row and its jobs, inside the caller's transaction."""
        uid_digest = hashlib.sha256(placed.sop_uid.encode()).hexdigest()
        known = {
            row[0]
            for row in self.database.execute_sql(
                "SELECT name FROM received WHERE uid_digest = ? UNION ALL SELECT name FROM received WHERE name = ?",
                (uid_digest, placed.name),
            ).fetchall()
        }
        if placed.name not in known:
            if placed.mark is None and (placed.relies or not self.files.holds("inbox", placed.name)):
                return Unavailable(_REMOVED)  # it was known, but taken back meanwhile, and its file goes or is gone
            self._add(placed, uid_digest)
            return Acceptance.CONFLICT if known else Acceptance.NEW
        if placed.mark is not None:
            return _KnownMeanwhile()
        try:
            with self.database.atomic():
                self._arriving.replace(placed.name)
                self._add(placed, uid_digest)
                self._note_study(placed.name, placed.handling.study)
                if not self._originals.drop(placed.name) and not self.files.holds("inbox", placed.name):
                    # The last project that needed it was done with it, and removed it, between our naming it and now.
                    raise Unavailable(_REMOVED)
            return Acceptance.AGAIN
        except Unavailable as error:
            return error

    def _add(self, placed: Placed, uid_digest: str) -> None:
        origin, handling = placed.origin, placed.handling
        if placed.mark is not None:
            self._arriving.enter(placed.mark, placed.name)
        row = (placed.name, uid_digest, origin.source, origin.address, placed.size, self._clock(), placed.sop_class)
        self.database.execute_sql(
            "INSERT INTO received (name, uid_digest, source, address, size, at, sop_class, called, study)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*row, origin.called, handling.study),
        )
        for project in placed.projects or ("",):
            state = State.READY if project else State.HELD
            reason = "" if project else handling.reason
            of, priority = placed.stage if project else Stage.CLEAN, handling.priority.get(project, 0)
            self.jobs.add(of, placed.name, project=project, state=state, reason=reason, priority=priority)
        self._gather(origin, handling)

    def _is_known(self, name: str) -> bool:
        """Whether these bytes came before."""
        return self.database.execute_sql("SELECT 1 FROM received WHERE name = ?", (name,)).fetchone() is not None

    def _is_done(self, stage: Stage, name: str, projects: Sequence[str]) -> bool:
        """Whether every wanted project has done with these bytes, so that no file is needed."""
        sql = "SELECT project, state FROM job WHERE stage = ? AND subject = ?"
        jobs = dict(self.database.execute_sql(sql, (stage, name)).fetchall())
        return bool(projects) and all(jobs.get(project) == State.DONE for project in projects)

    def _is_kept(self, name: str, path: Path) -> bool:
        """Whether the file of these bytes is durable and is, byte by byte, what came; else that takes its place, for
        the disk may have changed it, or its file meta information may have been wrong."""
        return not self._arriving.is_marked(name) and self.files.has_same("inbox", name, path)
