"""Takes over what comes in: an object has file, row and jobs before its sender hears of success."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """Where an object came from: the calling AE title, "stow", "upload" or "folder", and the network address."""

    source: str
    address: str = ""


class Intake(DataFolder):
    """The originals, from their coming in until a job is done with them."""

    def accept(
        self,
        path: Path,
        sop_uid: str,
        origin: Origin,
        projects: Sequence[str],
        stage: Stage = Stage.CLEAN,
        *,
        digest: str = "",
        by: Actor | None = None,
    ) -> Acceptance:
        """Take over a complete Part 10 file from `files.incoming()` and make the jobs of that stage, one per project.

        When this returns, file and jobs have survived. With no project the job is held until a route matches. The file
        is known by the SHA-256 of its data set, which is `digest` where the caller knows it; `sop_uid` tells whether
        other bytes came under the same UID before. `by` is who sent it, where the origin does not say so. Raises
        Unavailable, with nothing taken over.
        """
        name, size = digest or data_set_digest(path), path.stat().st_size
        uid_digest = hashlib.sha256(sop_uid.encode()).hexdigest()
        if self._is_done(stage, name, projects):
            path.unlink()
        else:
            self.files.adopt(path, "inbox", name)
        with transaction(self.database):
            acceptance = self._enter(name, uid_digest, size, origin)
            for project in projects or ("",):
                state = State.READY if project else State.HELD
                reason = "" if project else "no route matches its source"
                of = stage if project else Stage.CLEAN
                self.jobs.add(of, name, project=project, state=state, reason=reason)
            if not self._originals.drop(name) and not self.files.holds("inbox", name):
                # The last project that needed it was done with it, and removed it, between our rename and our lock.
                raise Unavailable("the object was removed while it came in again; it must be sent once more")
            detail = {"sop_instance_uid": sop_uid, "size": size, "projects": list(projects)}
            if by is not None:
                detail["source"] = origin.source
            self.audit.record(by or Actor(origin.source, origin.address), acceptance, name, detail)
        return acceptance

    def original(self, job: Job) -> BinaryIO:
        """The inbox file a CLEAN or REIDENTIFY job is about; a Job is the only way to one. Raises NotFound."""
        return self.files.open("inbox", job.subject)

    def origin(self, job: Job) -> Origin:
        """Where the object of a CLEAN or REIDENTIFY job came from. Raises NotFound."""
        table = self._received
        for row in table.select(table.source, table.address).where(table.name == job.subject).tuples():
            return Origin(*row)
        raise NotFound(f"nothing is known of the object of job {job.id}")

    def route_held(
        self,
        projects_for: Callable[[Origin], Sequence[str]],
        stage_for: Callable[[Origin], Stage] = lambda _origin: Stage.CLEAN,
    ) -> int:
        """Give held objects whose source now has a route to its projects. Returns how many."""
        routed = 0
        for job in self.jobs.find(states=[State.HELD], stage=Stage.CLEAN):
            with transaction(self.database):
                origin = self.origin(job)
                projects, stage = projects_for(origin), stage_for(origin)
                served = {known.project for known in self.jobs.find(stage=stage, subject=job.subject)}
                first, *others = [project for project in projects if project not in served] or [""]
                if not projects or not (self.jobs.move(job, first, stage) if first else self.jobs.drop(job)):
                    continue
                for project in others:
                    self.jobs.add(stage, job.subject, project=project)
                self.audit.record(SYSTEM, "routed", job.subject, {"job": job.id, "projects": list(projects)})
            self._originals.drop(job.subject)
            routed += 1
        return routed

    def _enter(self, name: str, uid_digest: str, size: int, origin: Origin) -> Acceptance:
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
        }
        table.insert(row).on_conflict_ignore().execute()
        if name in known:
            return Acceptance.AGAIN
        return Acceptance.CONFLICT if known else Acceptance.NEW

    def _is_done(self, stage: Stage, name: str, projects: Sequence[str]) -> bool:
        """Whether these bytes are known and every wanted project has done with them, so that no file is needed."""
        jobs = {job.project: job.state for job in self.jobs.find(stage=stage, subject=name)}
        return bool(projects) and all(jobs.get(project) == State.DONE for project in projects)
