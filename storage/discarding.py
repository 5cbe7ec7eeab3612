"""Discards what was held back and tells of a patient: originals that nobody will have cleaned, and re-identified
results that a destination does not take, go for good, by a person's decision.

As with clean objects (`removal.py`) rows go first, then the file that no row mentions any more: a crash in between
leaves a file, which `sweep` removes. The job is forgotten, so an original that is sent once more is worked on once
more; that it came stays known, for a study counts what came. With a result's delivery its re-identification is
forgotten, for nobody may be told that it was delivered. Who discarded it, when and why is in the audit trail.
"""

from __future__ import annotations

from collections.abc import Iterable

from .audit import Actor
from .database import transaction
from .datafolder import DataFolder
from .errors import NotFound, Refused
from .jobs import PATIENTS, Job, Stage, State, holds_back

LONGEST_REASON = 200
_PORTION = 100


class Discarding(DataFolder):
    """What ends an original, or a result with originals in it, that waits for a decision."""

    def discardable(self, number: int) -> Job:
        """The job of that number, which holds something back. Raises NotFound, Refused."""
        try:
            job = self.jobs.get(number)
        except NotFound:
            raise NotFound(f"there is no job {number}, or not any more") from None
        if holds_back(job.stage, job.state):
            return job
        if job.stage not in PATIENTS:
            raise Refused(f"job {number} sends a clean instance: what can be deleted is that")
        raise Refused(f"job {number} is {job.state}; only what is held, quarantined or failed can be discarded")

    def discard(self, number: int, why: str, actor: Actor) -> Job:
        """Discard what that job holds back for its project, and its file unless another job needs it. Raises NotFound;
        Refused where it is not held back, or `why` is no reason."""
        reason = reason_from(why)
        with transaction(self.database):
            job = self._discard(number, reason, actor)
        self._drop_file(job)
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
                self._drop_file(job)
        return discarded

    def _discard(self, number: int, reason: str, actor: Actor) -> Job:
        """Its row and its entry in the trail, inside the caller's transaction."""
        job = self.discardable(number)
        self.jobs.discard(job)
        if job.stage == Stage.RETURN:
            self._forget_making(job)
        told = {"job": job.id, "project": job.project, "was": job.state, "reason": job.reason, "why": reason}
        told["file"] = "kept for other jobs" if self._is_needed(job) else "removed"
        if job.destination:
            told["destination"] = job.destination
        self.audit.record(actor, "discarded", job.subject, told)
        return job

    def _forget_making(self, job: Job) -> None:
        """Forget what made a re-identified file, so that it is made anew where its source comes again; not where that
        came already."""
        table = self._became
        made = table.select(table.name).where((table.result == job.subject) & (table.project == job.project))
        for (name,) in list(made.tuples()):
            done = self.jobs.find(states=[State.DONE], stage=Stage.REIDENTIFY, subject=name)
            if any(one.project == job.project for one in done):
                self.jobs.forget(Stage.REIDENTIFY, name, job.project)

    def _is_needed(self, job: Job) -> bool:
        if job.stage == Stage.RETURN:
            return self.jobs.is_unfinished(Stage.RETURN, job.subject)
        return self._originals.is_needed(job.subject)

    def _drop_file(self, job: Job) -> None:
        """Remove its file if nobody needs it, in a transaction, so that none comes to need it meanwhile."""
        with transaction(self.database):
            if not self._is_needed(job):
                self.files.remove("returns" if job.stage == Stage.RETURN else "inbox", job.subject)


def reason_from(text: str) -> str:
    """The reason a person gives. Raises Refused where it is none."""
    reason = " ".join(text.split())
    if not reason:
        raise Refused("say why: the audit trail keeps the reason")
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise Refused(f"a reason is plain text of at most {LONGEST_REASON} characters")
    return reason
