"""Brings results out: the clean object, or the one that has its originals back, until its destinations have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .audit import SYSTEM
from .crosswalk import CrosswalkEntry
from .database import transaction
from .datafolder import DataFolder
from .digests import BLAKE3, Hash
from .entries import CleanInstance, first_text, receipt_digest, receipt_text
from .errors import Unavailable
from .gatherings import NONE_WHOLE, WholeStudies
from .identities import Identity
from .jobs import Job, Stage, State
from .receipts import RECEIPT_DIGEST
from .sealed import OriginalHeader


class Publication(DataFolder):
    """What is done with a result; each step can be repeated."""

    def publish(
        self,
        job: Job,
        chunks: Iterable[bytes],
        clean: CleanInstance,
        destinations: Sequence[str],
        crosswalk: Sequence[CrosswalkEntry] = (),
        identity: Identity | None = None,
        before: OriginalHeader | None = None,
        whole: WholeStudies = NONE_WHOLE,
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> bool:
        """Write the clean file, then in one transaction: index entry, crosswalk and who the patient was, SEND jobs,
        audit entry, job done.

        `before` is the header it had, to be kept sealed; None keeps none. Destinations that are in `whole` get it with
        the rest of its study. `meanwhile` is called in the transaction.
        Repeatable: the same job gives the same file and entry. False where the lease was lost in the meantime. Raises
        Refused where the SOP Instance UID is published already with other content.
        """
        rows = self.crosswalk.sealed(job.project, crosswalk)
        told = identity if identity is not None and not self.identities.covers(job.project, identity) else None
        sealed = self.headers.sealed(clean.project, clean.sop_uid, before) if before else b""
        content = BLAKE3.begin()
        size = self.files.write("clean", clean.file, _followed(chunks, content))
        clean = replace(clean, size=size, digest=content.hexdigest())
        with transaction(self.database):
            if not self.jobs.finish(job, result=clean.sop_uid):
                return False
            if not self.files.holds("clean", clean.file):
                raise Unavailable("the instance was deleted while it was published again; it is done once more")
            self.crosswalk.add(rows)
            if told is not None:
                self.identities.add(job.project, told)
            self._note(job, clean.sop_uid)
            if self.index.add(clean):
                self._plan_delivery(job, clean, destinations, whole)
                if sealed:
                    self.headers.keep(clean.sop_uid, sealed)
                self.audit.record(SYSTEM, "published", clean.sop_uid, _published(job, clean))
            meanwhile()
        self._originals.drop(job.subject)
        return True

    def _plan_delivery(self, job: Job, clean: CleanInstance, destinations: Sequence[str], whole: WholeStudies) -> None:
        number = 0
        if whole.destinations.intersection(destinations):
            study = first_text(clean.metadata, "0020000D")
            number = self.gatherings.published(job.project, job.subject, study, whole.quiet)
        for destination in destinations:
            waits = number and destination in whole.destinations
            self.jobs.add(
                Stage.SEND,
                clean.sop_uid,
                project=job.project,
                destination=destination,
                state=State.GATHERING if waits else State.READY,
                priority=job.priority,
                gathering=number if waits else 0,
            )

    def put_back(
        self, job: Job, chunks: Iterable[bytes], name: str, destinations: Sequence[str], counts: Mapping[str, int]
    ) -> bool:
        """Write a re-identified file, then in one transaction: RETURN jobs, audit entry, job done. No index knows it.

        Repeatable: the same job gives the same file. False where the lease was lost in the meantime.
        """
        self.files.write("returns", name, chunks)
        with transaction(self.database):
            done = self.jobs.finish(job)
            if done:
                if not self.files.holds("returns", name):
                    raise Unavailable("the result was discarded while it was made again; it is done once more")
                self._note(job, name)
                for destination in destinations:
                    self.jobs.add(
                        Stage.RETURN, name, project=job.project, destination=destination, priority=job.priority
                    )
                detail = {"job": job.id, "original": job.subject, "destinations": list(destinations), **counts}
                self.audit.record(SYSTEM, "reidentified", name, {**detail, "project": job.project})
        self._originals.drop(job.subject)
        self._drop_returned(name)
        return done

    def delivered(self, job: Job, status: int, *, transfer_syntax: str) -> bool:
        """The destination of a SEND or RETURN job answered with this status word, a success or a warning, to the object
        in this transfer syntax. A re-identified file goes once all its destinations have it."""
        action = "returned" if job.stage == Stage.RETURN else "delivered"
        with transaction(self.database):
            if not self.jobs.finish(job, reason=f"0x{status:04X}"):
                return False
            detail = {"job": job.id, "destination": job.destination, "status": f"0x{status:04X}"}
            detail["transfer_syntax"] = transfer_syntax
            self.audit.record(SYSTEM, action, job.subject, detail)
        if job.stage == Stage.RETURN:
            self._drop_returned(job.subject)
        return True

    def handed_over(self, job: Job, status: int, *, transfer_syntax: str) -> bool:
        """As `delivered`, of a SEND job whose destination is to be asked to commit the instance."""
        with transaction(self.database):
            done = self.delivered(job, status, transfer_syntax=transfer_syntax)
            if done:
                self.promises.want(job.destination, job.subject)
        return done

    def _note(self, job: Job, result: str) -> None:
        """Remember what the job's original became, inside the caller's transaction."""
        sql = "INSERT OR REPLACE INTO became (name, project, result) VALUES (?, ?, ?)"
        self.database.execute_sql(sql, (job.subject, job.project, result))

    def _drop_returned(self, name: str) -> None:
        """Remove a re-identified file that every destination has, or that nobody is to get."""
        with transaction(self.database):
            if not self.jobs.is_unfinished(Stage.RETURN, name):
                self.files.remove("returns", name)


def _followed(chunks: Iterable[bytes], content: Hash) -> Iterator[bytes]:
    """The same; all of it goes into the digest."""
    for chunk in chunks:
        content.update(chunk)
        yield chunk


def _published(job: Job, clean: CleanInstance) -> dict[str, Any]:
    """What the trail says of a publication. The digest vouches for the receipt, which is stored beside the instance."""
    return {
        "job": job.id,
        "original": job.subject,
        "file": clean.file,
        "blake3": clean.digest,
        "profile": clean.receipt.get("profile", ""),
        RECEIPT_DIGEST: receipt_digest(receipt_text(clean.receipt)),
    }
