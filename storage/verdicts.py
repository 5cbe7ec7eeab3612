"""Holds back what was refused or failed, until a person decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .audit import SYSTEM, Actor
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound, Refused
from .jobs import STOPPED, Job


class Verdicts(DataFolder):
    """The jobs that ended without a result."""

    def quarantine(self, job: Job, reason: str, details: Mapping[str, Any] | None = None) -> bool:
        """The job's object is refused; it stays here with the reason, and what was found, until a person decides."""
        with transaction(self.database):
            if not self.jobs.quarantine(job, reason):
                return False
            self.reviews.note(job.id, details or {})
            self.audit.record(SYSTEM, "quarantined", job.subject, {"job": job.id, "reason": reason})
        return True

    def fail(self, job: Job, reason: str) -> bool:
        """The job was tried as often as is sensible; it stays here until a person decides."""
        with transaction(self.database):
            if not self.jobs.fail(job, reason):
                return False
            self.audit.record(SYSTEM, "failed", job.subject, {"job": job.id, "reason": reason})
        return True

    def release(self, number: int, actor: Actor) -> Job:
        """Try an ended job again, by a person's decision. Raises NotFound; Refused where it has not ended or waits for
        a route."""
        with transaction(self.database):
            job = self.jobs.get(number)
            if job.state not in STOPPED or not self.jobs.revive(job):
                raise Refused(f"job {number} is {job.state}; only a quarantined or failed job can be tried again")
            self.audit.record(actor, "released", job.subject, {"job": job.id, "was": job.state, "reason": job.reason})
            return self.jobs.get(number)

    def release_all(self, numbers: Iterable[int], actor: Actor) -> int:
        """Try again those that still can be, each a decision of its own; what others decided on meanwhile stays as they
        have it. Returns how many."""
        released = 0
        for number in numbers:
            try:
                self.release(number, actor)
                released += 1
            except (NotFound, Refused):
                continue  # somebody else was first: tried again, or discarded
        return released
