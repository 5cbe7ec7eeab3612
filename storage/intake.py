"""Takes over what comes in: an object has file, row and jobs before its sender hears of success."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from .audit import SYSTEM, Actor
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound, Unavailable
from .jobs import Job, Stage, State
from .names import data_set_digest


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


Planner = Callable[[Arrival], Plan]
"""Decides what is done with what came in."""


class Intake(DataFolder):
    """The originals, from their coming in until a job is done with them."""

    def accept(
        self,
        path: Path,
        sop_uid: str,
        origin: Origin,
        projects: Sequence[str],
        stage: Stage = Stage.CLEAN,
        handling: Handling = Handling(),
    ) -> Acceptance:
        """Take over a complete Part 10 file from `files.incoming()` and make the jobs of that stage, one per project.

        When this returns, file and jobs have survived. With no project the job is held until a route matches. The file
        is known by the SHA-256 of its data set; `sop_uid` tells whether other bytes came under the same UID before.
        Raises Unavailable, with nothing taken over.
        """
        name, size = data_set_digest(path), path.stat().st_size
        uid_digest = hashlib.sha256(sop_uid.encode()).hexdigest()
        if self._is_done(stage, name, projects):
            path.unlink()
        else:
            self.files.adopt(path, "inbox", name)
        with transaction(self.database):
            acceptance = self._enter(name, uid_digest, size, origin, handling.study)
            for project in projects or ("",):
                state = State.READY if project else State.HELD
                reason = "" if project else handling.reason
                of, priority = stage if project else Stage.CLEAN, handling.priority.get(project, 0)
                self.jobs.add(of, name, project=project, state=state, reason=reason, priority=priority)
            self._gather(origin, handling)
            if not self._originals.drop(name) and not self.files.holds("inbox", name):
                # The last project that needed it was done with it, and removed it, between our rename and our lock.
                raise Unavailable("the object was removed while it came in again; it must be sent once more")
            actor = Actor(origin.source, origin.address)
            detail = {"sop_instance_uid": sop_uid, "size": size, "projects": list(projects)}
            self.audit.record(actor, acceptance, name, detail)
        return acceptance

    def original(self, job: Job) -> BinaryIO:
        """The inbox file a CLEAN or REIDENTIFY job is about; a Job is the only way to one. Raises NotFound."""
        return self.files.open("inbox", job.subject)

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

    def _enter(self, name: str, uid_digest: str, size: int, origin: Origin, study: str) -> Acceptance:
        table = self._received
        same = (table.uid_digest == uid_digest) | (table.name == name)
        known = {row[0] for row in table.select(table.name).where(same).tuples()}
        row = {
            "name": name,
            "uid_digest": uid_digest,
            "source": origin.source,
            "address": origin.address,
            "size": size,
            "at": self._clock(),
            "called": origin.called,
            "study": study,
        }
        table.insert(row).on_conflict_ignore().execute()
        self._note_study(name, study)
        if name in known:
            return Acceptance.AGAIN
        return Acceptance.CONFLICT if known else Acceptance.NEW

    def _is_done(self, stage: Stage, name: str, projects: Sequence[str]) -> bool:
        """Whether these bytes are known and every wanted project has done with them, so that no file is needed."""
        jobs = {job.project: job.state for job in self.jobs.find(stage=stage, subject=name)}
        return bool(projects) and all(jobs.get(project) == State.DONE for project in projects)
