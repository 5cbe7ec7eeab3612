"""Discards originals that were held back: what nobody will have cleaned goes for good, by a person's decision.

As with clean objects (`removal.py`) rows go first, then the file that no row mentions any more: a crash in between
leaves a file, which `sweep` removes. The job is forgotten, so an original that is sent once more is worked on once
more; that it came stays known, for a study counts what came. Who discarded it, when and why is in the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable

from .audit import Actor
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound, Refused
from .jobs import ENDED, INTAKE, Job

LONGEST_REASON = 200
_PORTION = 100


class Discarding(DataFolder):
    """What ends an original that waits for a decision."""

    def discardable(self, number: int) -> Job:
        """The job of that number, which holds back an original. Raises NotFound, Refused."""
        try:
            job = self.jobs.get(number)
        except NotFound:
            raise NotFound(f"there is no job {number}, or not any more") from None
        if job.stage not in INTAKE:
            raise Refused(f"job {number} sends a result; only an original that is held back can be discarded")
        if job.state not in ENDED:
            raise Refused(f"job {number} is {job.state}; only what is held, quarantined or failed can be discarded")
        return job

    def discard(self, number: int, why: str, actor: Actor) -> Job:
        """Discard the original of that job for its project, and its file unless another job needs it. Raises NotFound;
        Refused where it is not held back, or `why` is no reason."""
        reason = reason_from(why)
        with transaction(self.database):
            job = self._discard(number, reason, actor)
        self._originals.drop(job.subject)
        return job

    def discard_all(self, numbers: Iterable[int], why: str, actor: Actor) -> list[Job]:
        """Discard those that are still held back; what others decided on meanwhile stays as they have it. Raises
        Refused where `why` is no reason.

        In portions, so that nobody waits long for the database; where it breaks off, asking again goes on.
        """
        reason, wanted, discarded = reason_from(why), list(numbers), list[Job]()
        for start in range(0, len(wanted), _PORTION):
            discarded += self._discard_portion(wanted[start : start + _PORTION], reason, actor)
        return discarded

    def _discard_portion(self, numbers: list[int], reason: str, actor: Actor) -> list[Job]:
        discarded = []
        with transaction(self.database):
            for number in numbers:
                try:
                    discarded.append(self._discard(number, reason, actor))
                except (NotFound, Refused):
                    continue  # somebody else was first
        with transaction(self.database):
            for job in discarded:
                self._originals.drop(job.subject)
        return discarded

    def _discard(self, number: int, reason: str, actor: Actor) -> Job:
        """Its row and its entry in the trail, inside the caller's transaction."""
        job = self.discardable(number)
        self.jobs.discard(job)
        told = {"job": job.id, "project": job.project, "was": job.state, "reason": job.reason, "why": reason}
        told["file"] = "kept for other jobs" if self._originals.is_needed(job.subject) else "removed"
        self.audit.record(actor, "discarded", job.subject, told)
        return job


def reason_from(text: str) -> str:
    """The reason a person gives. Raises Refused where it is none."""
    reason = " ".join(text.split())
    if not reason:
        raise Refused("say why: the audit trail keeps the reason")
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Refused(f"a reason is plain text of at most {LONGEST_REASON} characters")
    return reason
