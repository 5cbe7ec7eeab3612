"""Decides for which instances we can vouch: each as far along as its projects demand, and nothing of it lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .audit import Actor
from .commitments import Commitment, Progress, Reference
from .database import transaction
from .datafolder import DataFolder
from .demand import Demand
from .errors import NotFound
from .jobs import ENDED, INTAKE, Job, Stage, State
from .promises import Promised
from .writeahead import settle

PROCESSING_FAILURE, NO_SUCH_INSTANCE = 0x0110, 0x0112  # PS3.3 C.14.1.1
CLASS_CONFLICT, CLASS_NOT_SUPPORTED, DUPLICATE_TRANSACTION = 0x0119, 0x0122, 0x0131


class Standing(StrEnum):
    """How it stands with one instance; the later ones decide over the earlier."""

    GIVEN = "given"
    WAITING = "waiting"
    """What is demanded may still come."""
    LOST = "lost"
    """What is demanded does not come by itself any more."""


@dataclass(frozen=True)
class Vow:
    """What can be said of one instance now: `reason` is a Failure Reason, 0 where there is none."""

    reference: Reference
    standing: Standing
    reason: int = 0


class Vouching(DataFolder):
    """Storage commitment for what came in."""

    def vows(
        self, commitment: Commitment, demands: Mapping[str, Demand], is_supported: Callable[[str], bool]
    ) -> list[Vow]:
        """One for each instance of the commitment, in its order. A project that `demands` does not name demands that
        the instance was received; so does none, where no route matched."""
        if commitment.duplicate:
            return [Vow(one, Standing.LOST, DUPLICATE_TRANSACTION) for one in commitment.references]
        vows = [self._vow(one, demands, is_supported) for one in commitment.references]
        settle(self.database)  # a row that was read may be newer than what the disk has
        return vows

    def reported(self, commitment: Commitment, vows: Sequence[Vow], actor: Actor, progress: Progress) -> None:
        """The peer has its answer, or we stopped trying to give it; in one transaction with its audit entry."""
        given = sum(vow.standing == Standing.GIVEN for vow in vows)
        with transaction(self.database):
            self.commitments.end(commitment, progress)
            reasons = sorted({f"0x{vow.reason:04X}" for vow in vows if vow.standing != Standing.GIVEN})
            detail = {
                "commitment": commitment.id,
                "transaction": commitment.uid,
                "committed": given,
                "failed": len(vows) - given,
                "reasons": reasons,
            }
            self.audit.record(actor, f"commitment-{progress}", "", detail)

    def _vow(self, one: Reference, demands: Mapping[str, Demand], is_supported: Callable[[str], bool]) -> Vow:
        table, digest = self._received, hashlib.sha256(one.sop_uid.encode()).hexdigest()
        rows = list(table.select(table.name, table.sop_class).where(table.uid_digest == digest).tuples())
        if not is_supported(one.sop_class):
            return Vow(one, Standing.LOST, CLASS_NOT_SUPPORTED)
        if not rows:
            return Vow(one, Standing.LOST, NO_SUCH_INSTANCE)
        names = [name for name, sop_class in rows if sop_class in ("", one.sop_class)]
        if not names:
            return Vow(one, Standing.LOST, CLASS_CONFLICT)
        # Different bytes under one UID: we do not know which of them the peer means, so all of them count.
        standing, reason = max((self._standing(name, demands) for name in names), key=_badness)
        return Vow(one, standing, reason)

    def _standing(self, name: str, demands: Mapping[str, Demand]) -> tuple[Standing, int]:
        """How it stands with one original, and its Failure Reason."""
        jobs = [job for stage in INTAKE for job in self.jobs.find(stage=stage, subject=name)]
        if not jobs:  # it was discarded, or what it became was deleted
            return Standing.LOST, NO_SUCH_INSTANCE
        standings = [self._in_project(job, demands.get(job.project, Demand.RECEIVED)) for job in jobs]
        worst = max(standings, key=list(Standing).index)
        return worst, 0 if worst == Standing.GIVEN else PROCESSING_FAILURE

    def _in_project(self, job: Job, demand: Demand) -> Standing:
        if job.state == State.DONE:
            return self._when_done(job, demand)
        if not self.files.holds("inbox", job.subject):
            try:
                job = self.jobs.get(job.id)  # it may just have been done, and its original removed
            except NotFound:
                return Standing.LOST
            return self._when_done(job, demand) if job.state == State.DONE else Standing.LOST
        if demand == Demand.RECEIVED:
            self._arriving.make_durable(job.subject)
            return Standing.GIVEN  # quarantined or failed as well: it is held durably until a person decides
        return Standing.LOST if job.state in ENDED else Standing.WAITING

    def _when_done(self, job: Job, demand: Demand) -> Standing:
        table = self._became
        same = (table.name == job.subject) & (table.project == job.project)
        result = next((row[0] for row in table.select(table.result).where(same).tuples()), None)
        if result is None:
            return Standing.LOST
        clean = job.stage == Stage.CLEAN
        if clean and not self._is_published(result):
            return Standing.LOST
        if demand in (Demand.RECEIVED, Demand.PUBLISHED):
            return Standing.GIVEN
        sends = self.jobs.find(stage=Stage.SEND if clean else Stage.RETURN, subject=result)
        standings = [self._there(send, demand) for send in sends if send.project == job.project]
        return max(standings, key=list(Standing).index, default=Standing.GIVEN)

    def _there(self, send: Job, demand: Demand) -> Standing:
        """How it stands with one destination."""
        if send.state != State.DONE:
            return Standing.LOST if send.state in ENDED else Standing.WAITING
        if demand == Demand.DELIVERED or send.stage == Stage.RETURN:
            return Standing.GIVEN
        promised = self.promises.state(send.destination, send.subject)
        if promised == Promised.GIVEN:
            return Standing.GIVEN
        return Standing.WAITING if promised in (Promised.WANTED, Promised.ASKED) else Standing.LOST

    def _is_published(self, sop_uid: str) -> bool:
        row = self.database.execute_sql("SELECT file FROM instance WHERE uid = ?", (sop_uid,)).fetchone()
        return row is not None and self.files.holds("clean", row[0])


def _badness(word: tuple[Standing, int]) -> tuple[int, int]:
    standing, reason = word
    return list(Standing).index(standing), reason
