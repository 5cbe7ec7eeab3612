"""Does one job at a time: claims it, cleans the object or puts its originals back, gives the verdict.

The ladder of errors stands here and nowhere else: refused goes to quarantine with its reason, unavailable is tried
later, anything else is logged and tried again until it is called failed. Nothing is dropped.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Mapping

from lethe.dicomweb.dicomjson import describe
from lethe.storage.archive import Archive
from lethe.storage.entries import CleanInstance
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.jobs import Job, Stage, retry_delay
from lethe.storage.names import clean_name

from .burned.review import reviewed_from
from .deid.errors import CannotClean
from .deid.part10 import pixel_vr
from .leases import LeaseKeeper
from .projects import Project, crosswalk_of, identity_of
from .returns import Destinations, Returns, nowhere

log = logging.getLogger("lethe.worker")

_LEASE = 60.0
_TRIES = 5
_LONGEST_IDLE = 8.0
"""Seconds between two looks at a database that cannot be written to: each is a line in the log."""


class Worker:
    """Works on what the inbox holds. `owner` names the process in its leases, `destinations` says where re-identified
    objects go."""

    def __init__(
        self,
        archive: Archive,
        projects: Mapping[str, Project],
        owner: str,
        destinations: Destinations = nowhere,
    ) -> None:
        self._archive = archive
        self._projects = projects
        self._owner = owner
        self._returns = Returns(archive, projects, destinations)
        self._keeper = LeaseKeeper(archive, _LEASE)
        self._next: Job | None = None
        self._stopping: threading.Event | None = None
        self._turns = [Stage.CLEAN, Stage.REIDENTIFY]

    def step(self) -> bool:
        """Do one job if there is one; whether there was."""
        job = self._claimed()
        if job is None:
            return False
        if job.failures >= 2 * _TRIES:  # the process died over it each time, or it would have had its verdict
            self._archive.fail(job, f"given up after {job.failures} attempts that ended without a verdict")
            return True
        with self._keeper.kept_alive(job):
            self._judge(job)
        return True

    def run(self, stopping: threading.Event) -> None:
        """Step until told to stop, waiting a little longer each time there is nothing to do."""
        idle, self._stopping = 0.02, stopping
        while not stopping.is_set():
            try:
                idle = 0.02 if self.step() else min(idle * 1.5, 0.5)
            except Unavailable as error:
                log.warning("%s", error)
                idle = min(max(0.5, idle * 2), _LONGEST_IDLE)
            if idle > 0.02:
                stopping.wait(idle)
        if self._next is not None:
            self._archive.jobs.give_back([self._next])

    def clean(self, job: Job) -> None:
        """De-identify the job's object and publish it. Raises CannotClean, Refused, NotFound, Unavailable."""
        project = self._projects.get(job.project)
        if project is None:
            raise Refused(f"there is no project {job.project!r} in the configuration any more")
        decision = self._archive.reviews.decision(job.id)
        reviewed = reviewed_from(decision) if decision else None
        digest = f"{project.digest}:{reviewed.digest}" if reviewed else project.digest
        name = clean_name(job.subject, project.name, digest)
        with self._archive.whole_original(job) as file:
            cleaned = project.clean(file, reviewed)
            before, receipt = project.header_before(cleaned)
            if reviewed:
                receipt |= {"reviewed": {"boxes": reviewed.boxes, "accepts_rest": reviewed.accepts_rest}}
            instance = CleanInstance(
                metadata=describe(cleaned.header, pixel_data_vr=pixel_vr(cleaned.source)),
                transfer_syntax=cleaned.source.transfer_syntax,
                project=project.name,
                file=name,
                receipt=receipt,
            )
            told, who = crosswalk_of(cleaned), identity_of(cleaned)
            try:
                self._archive.publish(
                    job,
                    cleaned.chunks(),
                    instance,
                    project.send_to,
                    told,
                    who,
                    before,
                    project.whole,
                    meanwhile=self._claim_next,
                )
            except BaseException:
                self._next = None  # its claim went with the transaction
                raise

    def _claimed(self) -> Job | None:
        """The next job, of the stage whose turn it is if there is one: neither waits for all of the other."""
        job, self._next = self._next, None
        if job is not None:
            return job
        for stage in tuple(self._turns):
            job = self._archive.jobs.claim(stage, self._owner, _LEASE) if self._archive.jobs.has_open(stage) else None
            if job is not None:
                self._turns.sort(key=lambda turn: turn == job.stage)
                return job
        return None

    def _claim_next(self) -> None:
        """Claim the job after this one within the transaction that ends this one, which saves a synced commit."""
        if self._stopping is not None and not self._stopping.is_set():
            self._next = self._claimed()

    def _judge(self, job: Job) -> None:
        try:
            if job.stage == Stage.REIDENTIFY:
                self._returns.reidentify(job)
            else:
                self.clean(job)
            log.debug("job %d: done", job.id)
        except (CannotClean, Refused, NotFound) as refusal:
            log.info("job %d: quarantined: %s", job.id, refusal)
            self._archive.quarantine(job, str(refusal), getattr(refusal, "details", None))
        except Unavailable as error:
            log.warning("job %d: later: %s", job.id, error)
            self._archive.jobs.postpone(job, self._delay(job), str(error))
        except Exception as error:
            log.exception("job %d: attempt %d failed", job.id, job.attempts)
            reason = f"unexpected {type(error).__name__}; the log says where"
            if job.failures + 1 >= _TRIES:
                self._archive.fail(job, reason)
            else:
                self._archive.jobs.later(job, self._delay(job), reason)

    def _delay(self, job: Job) -> float:
        return retry_delay(job.attempts, random.random())  # noqa: S311 - not a secret
