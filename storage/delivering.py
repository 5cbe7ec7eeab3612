"""Decides when what is published goes out: studies that are complete, queues that are paused, what is sent again."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from .audit import SYSTEM, Actor
from .database import transaction
from .datafolder import DataFolder
from .digests import BLAKE3
from .errors import NotFound, Refused
from .gatherings import Gathering
from .query import Equals, Level, Query

_PORTION = 500
_TAGS = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}


class Delivering(DataFolder):
    """What people and the node decide about sending; all of it is in the audit trail."""

    def whole_clean(self, sop_uid: str) -> Path:
        """Where the clean file of an instance lies, of which every byte is as it was written; of what an older version
        wrote, the length alone is known. Raises NotFound; Refused where the disk has changed it."""
        name, size, digest = self.holdings.file_of(sop_uid)
        with self.files.open("clean", name) as file:
            changed = os.fstat(file.fileno()).st_size != size or (digest and BLAKE3.of_content(file) != digest)
        if changed:
            raise Refused("its clean file is not what was written; the disk may be damaged")
        return self.files.path("clean", name)

    def pause(self, destination: str, actor: Actor) -> bool:
        """Send nothing more to a destination until it is resumed; False where it was paused."""
        with transaction(self.database):
            changed = self.queues.pause(destination)
            if changed:
                self.audit.record(actor, "queue-paused", destination, {})
        return changed

    def resume(self, destination: str, actor: Actor) -> bool:
        """Send again, at once; False where nothing kept it from it."""
        with transaction(self.database):
            changed = bool(self.deliveries.at_once(destination)) | self.queues.resume(destination)
            if changed:
                self.audit.record(actor, "queue-resumed", destination, {})
        return changed

    def put_first(self, study_uid: str, actor: Actor, destination: str = "") -> int:
        """Send what waits of a clean study before everything else. Returns how many jobs. Raises NotFound."""
        instances = [uid for uid, _project in self.instances_of(study_uid)]
        with transaction(self.database):
            moved = self.deliveries.hurry(instances, destination)
            detail = {"jobs": moved, "destination": destination}
            self.audit.record(actor, "put-first", study_uid, detail)
        return moved

    def resend(
        self,
        uid: str,
        destinations_of: Callable[[str], Sequence[str]],
        actor: Actor,
        *,
        priority_of: Callable[[str], int] = lambda _project: 0,
    ) -> int:
        """Send a clean study, series or instance again; by project, `destinations_of` says where to and `priority_of`
        how urgently. Returns how many jobs that makes: what is on its way already is not sent twice. Raises
        NotFound."""
        instances, jobs = self.instances_of(uid), 0
        destinations = {project: destinations_of(project) for _uid, project in instances}
        for start in range(0, len(instances), _PORTION):
            with transaction(self.database):
                for sop_uid, project in instances[start : start + _PORTION]:
                    for name in destinations[project]:
                        jobs += self.deliveries.again(
                            sop_uid, project=project, destination=name, priority=priority_of(project)
                        )
                if start + _PORTION >= len(instances):
                    to = sorted({name for names in destinations.values() for name in names})
                    detail = {"instances": len(instances), "jobs": jobs, "destinations": to}
                    self.audit.record(actor, "resent", uid, detail)
        return jobs

    def instances_of(self, uid: str) -> list[tuple[str, str]]:
        """SOP Instance UID and project of each instance of a clean study or series, or of the instance itself. Raises
        NotFound."""
        for tag in _TAGS.values():
            entries = self.index.find(Query(Level.INSTANCE, (Equals(tag, (uid,)),)))
            if entries:
                return [(entry.sop_uid, entry.project) for entry in entries]
        raise NotFound("there is no such study, series or instance")

    def complete(self, gathering: Gathering, why: str) -> int | None:
        """Send a study to those who want it whole. Returns how many jobs wait for it no longer; None where something
        of it came in, or went back to be cleaned, meanwhile."""
        with transaction(self.database):
            if self.gatherings.is_undecided(gathering) or not self.gatherings.end(gathering):
                return None
            jobs = self.deliveries.gathered(gathering.id)
            if jobs:
                detail = {"project": gathering.project, "jobs": jobs, "why": why, "expected": gathering.expected}
                self.audit.record(SYSTEM, "study-complete", gathering.clean, detail)
        return jobs

    def destinations_known(self) -> Collection[str]:
        """The names of all that were ever sent to, or paused."""
        return self.jobs.destinations().keys() | self.queues.states().keys()
