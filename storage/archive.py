"""Is one data folder: opens files, jobs, index, audit trail, crosswalk and users, and owns every change that touches
more than one of them.

Files come first, synced; then one transaction with the rows that mention them. A crash in between leaves a file that
nobody mentions, which `sweep` removes, and never a row without its file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from peewee import Table, fn

from .audit import Actor, AuditTrail
from .crosswalk import Comparison, Crosswalk, CrosswalkEntry
from .database import open_database, transaction
from .entries import CleanInstance, receipt_digest, receipt_text
from .errors import NotFound, Refused, Unavailable
from .files import FileStore
from .identities import Identities, Identity
from .index import Index
from .jobs import INTAKE, OUTGOING, Job, JobQueue, Stage, State
from .query import Level
from .receipts import RECEIPT_DIGEST, Receipts, StoredReceipt
from .sealed import OriginalHeader, SealedHeaders
from .users import Users

_STALE = 3600.0
_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}  # PS3.5 7.1.2
_RECEIVED = ("name", "uid_digest", "source", "address", "size", "at")
SYSTEM = Actor("lethe")


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


class Archive:
    """One data folder and its database. `folder` is made where it is absent; `url` defaults to SQLite within it."""

    def __init__(self, folder: Path, url: str = "", *, clock: Callable[[], float] = time.time) -> None:
        folder = folder.resolve()
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.folder = folder
        self.database = open_database(url or f"sqlite:///{folder / 'lethe.db'}")
        self.files = FileStore(folder)
        self.jobs = JobQueue(self.database, clock)
        self.index = Index(self.database, clock)
        self.audit = AuditTrail(self.database)
        self.crosswalk = Crosswalk(self.database, partial(self.files.secret, "crosswalk.key"), clock)
        self.identities = Identities(self.database, self.crosswalk, clock)
        self.receipts = Receipts(self.database)
        self.headers = SealedHeaders(self.database, self.crosswalk.key_for)
        self.users = Users(self.database)
        self._clock = clock
        self._received = Table("received", _RECEIVED, _database=self.database)

    def close(self) -> None:
        """Close this thread's connection."""
        if not self.database.is_closed():
            self.database.close()

    def accept(
        self, path: Path, sop_uid: str, origin: Origin, projects: Sequence[str], stage: Stage = Stage.CLEAN
    ) -> Acceptance:
        """Take over a complete Part 10 file from `files.incoming()` and make the jobs of that stage, one per project.

        When this returns, file and jobs have survived. With no project the job is held until a route matches. The file
        is known by the SHA-256 of its data set; `sop_uid` tells whether other bytes came under the same UID before.
        Raises Unavailable, with nothing taken over.
        """
        name, size = _data_set_digest(path), path.stat().st_size
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
            if not self._drop_original(name) and not self.files.holds("inbox", name):
                # The last project that needed it was done with it, and removed it, between our rename and our lock.
                raise Unavailable("the object was removed while it came in again; it must be sent once more")
            actor = Actor(origin.source, origin.address)
            detail = {"sop_instance_uid": sop_uid, "size": size, "projects": list(projects)}
            self.audit.record(actor, acceptance, name, detail)
        return acceptance

    def original(self, job: Job) -> BinaryIO:
        """The inbox file a CLEAN or REIDENTIFY job is about; a Job is the only way to one. Raises NotFound."""
        return self.files.open("inbox", job.subject)

    def publish(
        self,
        job: Job,
        chunks: Iterable[bytes],
        clean: CleanInstance,
        destinations: Sequence[str],
        crosswalk: Sequence[CrosswalkEntry] = (),
        identity: Identity | None = None,
        before: OriginalHeader | None = None,
    ) -> bool:
        """Write the clean file, then in one transaction: index entry, crosswalk and who the patient was, SEND jobs,
        audit entry, job done.

        `before` is the header it had, to be kept sealed; None keeps none.
        Repeatable: the same job gives the same file and entry. False where the lease was lost in the meantime. Raises
        Refused where the SOP Instance UID is published already with other content.
        """
        rows = self.crosswalk.sealed(job.project, crosswalk)
        told = identity if identity is not None and not self.identities.covers(job.project, identity) else None
        sealed = self.headers.sealed(clean.project, clean.sop_uid, before) if before else b""
        clean = replace(clean, size=self.files.write("clean", clean.file, chunks))
        with transaction(self.database):
            if not self.jobs.finish(job):
                return False
            self.crosswalk.add(rows)
            if told is not None:
                self.identities.add(job.project, told)
            if self.index.add(clean):
                for destination in destinations:
                    self.jobs.add(Stage.SEND, clean.sop_uid, project=job.project, destination=destination)
                if sealed:
                    self.headers.keep(clean.sop_uid, sealed)
                self.audit.record(SYSTEM, "published", clean.sop_uid, _published(job, clean))
        self._drop_original(job.subject)
        return True

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
                for destination in destinations:
                    self.jobs.add(Stage.RETURN, name, project=job.project, destination=destination)
                detail = {"job": job.id, "original": job.subject, "destinations": list(destinations), **counts}
                self.audit.record(SYSTEM, "reidentified", name, {**detail, "project": job.project})
        self._drop_original(job.subject)
        self._drop_returned(name)
        return done

    def delivered(self, job: Job, status: int) -> bool:
        """The destination of a SEND or RETURN job answered with this status word, a success or a warning. A
        re-identified file goes once all its destinations have it."""
        action = "returned" if job.stage == Stage.RETURN else "delivered"
        with transaction(self.database):
            if not self.jobs.finish(job, reason=f"0x{status:04X}"):
                return False
            detail = {"job": job.id, "destination": job.destination, "status": f"0x{status:04X}"}
            self.audit.record(SYSTEM, action, job.subject, detail)
        if job.stage == Stage.RETURN:
            self._drop_returned(job.subject)
        return True

    def quarantine(self, job: Job, reason: str) -> bool:
        """The job's object is refused; it stays here with the reason until a person decides."""
        with transaction(self.database):
            if not self.jobs.quarantine(job, reason):
                return False
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
            if job.state == State.HELD or not self.jobs.revive(job):
                raise Refused(f"job {number} is {job.state}; only a quarantined or failed job can be tried again")
            self.audit.record(actor, "released", job.subject, {"job": job.id, "was": job.state, "reason": job.reason})
            return self.jobs.get(number)

    def look_up(self, values: Sequence[str], project: str, actor: Actor) -> list[CrosswalkEntry]:
        """What originals became, or pseudonyms were, in one project or, with "", in all; audited without the values."""
        found = list(dict.fromkeys(entry for value in values for entry in self.crosswalk.find(value, project)))
        with transaction(self.database):
            self.audit.record(actor, "crosswalk-looked-up", project, {"asked": len(values), "found": len(found)})
        return found

    def export_crosswalk(self, project: str, actor: Actor) -> Iterator[CrosswalkEntry]:
        """All entries of one project or, with "", of all; audited before the first is given out."""
        with transaction(self.database):
            self.audit.record(actor, "crosswalk-exported", project, {"entries": self.crosswalk.count(project)})
        return self.crosswalk.entries(project)

    def view_original(self, sop_uid: str, actor: Actor) -> OriginalHeader:
        """The header an instance had before it was cleaned; audited before it is opened. Raises NotFound where none was
        kept, Refused where it was altered."""
        if not self.headers.holds(sop_uid):
            raise NotFound("the original header of this instance was not kept")
        with transaction(self.database):
            self.audit.record(actor, "originals-viewed", sop_uid)
        return self.headers.open(sop_uid)

    def export_receipts(self, study_uids: Sequence[str], actor: Actor) -> Iterator[StoredReceipt]:
        """The receipts of these studies or, with none named, of all; audited before the first is given out."""
        return self._exported("receipts-exported", study_uids, actor)

    def export_originals(self, study_uids: Sequence[str], actor: Actor) -> Iterator[StoredReceipt]:
        """The same for an export that goes on to open `headers`: audited as what it is."""
        return self._exported("originals-exported", study_uids, actor)

    def try_patients(self, project: str, pairs: Sequence[tuple[str, str]], actor: Actor) -> Comparison:
        """What `import_patients` would do; nothing is changed."""
        comparison = self.crosswalk.compare(project, pairs)
        with transaction(self.database):
            self.audit.record(actor, "patients-import-tried", project, _counted(comparison))
        return comparison

    def import_patients(self, project: str, pairs: Sequence[tuple[str, str]], actor: Actor) -> Comparison:
        """Add pairs of Patient ID and trial ID to a project's own list: all of them, or none where one conflicts."""
        with transaction(self.database):
            comparison = self.crosswalk.compare(project, pairs)
            if comparison.conflicts:
                self.audit.record(actor, "patients-import-refused", project, _counted(comparison))
            else:
                self.crosswalk.enlist(project, comparison.added)
                self.audit.record(actor, "patients-imported", project, _counted(comparison))
        return comparison

    def rotate_key(self, name: str, key: bytes, actor: Actor, project: str) -> str:
        """Put another key in the place of the project's, which is kept. Returns the name of the file it is kept in."""
        with transaction(self.database):
            kept = self.files.replace_secret(name, key)
            self.audit.record(actor, "key-rotated", project, {"kept": kept})
        return kept

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
            self._drop_original(job.subject)
            routed += 1
        return routed

    def origin(self, job: Job) -> Origin:
        """Where the object of a CLEAN or REIDENTIFY job came from. Raises NotFound."""
        table = self._received
        for row in table.select(table.source, table.address).where(table.name == job.subject).tuples():
            return Origin(*row)
        raise NotFound(f"nothing is known of the object of job {job.id}")

    def counts(self) -> dict[str, int]:
        """Counts by state, as `lethe status` and the portal show them."""
        jobs = self.jobs.counts()
        work = {state: sum(jobs.get((stage, state), 0) for stage in INTAKE) for state in State}
        send = {state: sum(jobs.get((stage, state), 0) for stage in OUTGOING) for state in State}
        studies, series, instances = self.index.totals()
        return {
            "received": int(next(iter(self._received.select(fn.COUNT(self._received.name)).tuples()))[0]),
            "waiting": work[State.READY],
            "running": work[State.RUNNING],
            "held": work[State.HELD],
            "quarantined": work[State.QUARANTINED],
            "published": jobs.get((Stage.CLEAN, State.DONE), 0),
            "reidentified": jobs.get((Stage.REIDENTIFY, State.DONE), 0),
            "sending": send[State.READY] + send[State.RUNNING],
            "delivered": send[State.DONE],
            "undeliverable": send[State.QUARANTINED],
            "failed": work[State.FAILED] + send[State.FAILED],
            "studies": studies,
            "series": series,
            "instances": instances,
        }

    def sweep(self) -> int:
        """Remove what no row mentions: unfinished receptions, and files a crash left behind. Returns how many files
        went. Young files are left alone: their row may be on its way."""
        swept = self.files.sweep_incoming() + self.files.sweep_unfinished(self._clock() - _STALE)
        for name in set(self.files.names("inbox")) - self._needed():
            swept += self._sweep_one("inbox", name, self._is_needed)
        for name in set(self.files.names("returns")) - self.jobs.unfinished(Stage.RETURN):
            swept += self._sweep_one("returns", name, lambda name: self.jobs.is_unfinished(Stage.RETURN, name))
        for name in set(self.files.names("clean")) - set(self.index.files().values()):
            swept += self._sweep_one("clean", name, self.index.mentions)
        return swept

    def verify(self) -> Iterator[str]:
        """Every way in which files, jobs, index and audit trail contradict one another, one sentence each."""
        # Rows before files: work goes on meanwhile, and a file is there before its row.
        for name in self._needed() - set(self.files.names("inbox")):
            if self._is_needed(name):
                yield f"the original {name[:12]} has a job but no file"
        for name in self.jobs.unfinished(Stage.RETURN) - set(self.files.names("returns")):
            if self.jobs.is_unfinished(Stage.RETURN, name):
                yield f"the re-identified object {name[:12]} has a job but no file"
        known = self.index.files()
        clean = set(self.files.names("clean"))
        for uid, name in known.items():
            if name not in clean:
                yield f"the instance {uid} has no file"
        for number in self._homeless_sends():
            yield f"job {number} sends an instance that is not in the index"
        yield from self.index.miscounts()
        yield from self.crosswalk.problems()
        yield from self.identities.problems()
        yield from self.headers.problems()
        yield from self.receipts.problems()
        verdict = self.audit.verify()
        if verdict.broken_at is not None:
            yield f"the audit trail is broken: {verdict.why}"

    def _exported(self, action: str, study_uids: Sequence[str], actor: Actor) -> Iterator[StoredReceipt]:
        for uid in study_uids:
            self.index.one(Level.STUDY, uid)
        detail = {"studies": list(study_uids) or "all", "receipts": self.receipts.count(study_uids)}
        with transaction(self.database):
            self.audit.record(actor, action, detail=detail)
        return self.receipts.of_studies(study_uids)

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

    def _drop_original(self, name: str) -> bool:
        """Remove an original that every project has done with, in a transaction, so that none comes to need it
        meanwhile. False where it is still needed."""
        with transaction(self.database):
            if self._is_needed(name):
                return False
            self.files.remove("inbox", name)
        return True

    def _needed(self) -> set[str]:
        return {name for stage in INTAKE for name in self.jobs.unfinished(stage)}

    def _is_needed(self, name: str) -> bool:
        return any(self.jobs.is_unfinished(stage, name) for stage in INTAKE)

    def _drop_returned(self, name: str) -> None:
        """Remove a re-identified file that every destination has, or that nobody is to get."""
        with transaction(self.database):
            if not self.jobs.is_unfinished(Stage.RETURN, name):
                self.files.remove("returns", name)

    def _sweep_one(self, room: str, name: str, is_mentioned: Callable[[str], bool]) -> bool:
        with transaction(self.database), contextlib.suppress(FileNotFoundError):
            if self._clock() - self.files.modified(room, name) > _STALE and not is_mentioned(name):
                self.files.remove(room, name)
                return True
        return False

    def _homeless_sends(self) -> list[int]:
        sql = "SELECT id FROM job WHERE stage = ? AND subject NOT IN (SELECT uid FROM instance)"
        return [number for (number,) in self.database.execute_sql(sql, (Stage.SEND,))]


def _published(job: Job, clean: CleanInstance) -> dict[str, Any]:
    """What the trail says of a publication. The digest vouches for the receipt, which is stored beside the instance."""
    return {
        "job": job.id,
        "original": job.subject,
        "file": clean.file,
        "profile": clean.receipt.get("profile", ""),
        RECEIPT_DIGEST: receipt_digest(receipt_text(clean.receipt)),
    }


def _counted(comparison: Comparison) -> dict[str, int]:
    return {
        "added": 0 if comparison.conflicts else len(comparison.added),
        "unchanged": comparison.unchanged,
        "conflicts": len(comparison.conflicts),
    }


def clean_name(original: str, *made_by: str) -> str:
    """The name of the file that an original becomes under a project, a profile and a key: the same each time."""
    return hashlib.sha256("\0".join((original, *made_by)).encode()).hexdigest()


def _data_set_digest(path: Path) -> str:
    """SHA-256 of what follows the file meta information (PS3.10 7.1): that is written by whoever stores the file."""
    with path.open("rb") as file:
        file.seek(_end_of_meta(file))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _end_of_meta(file: BinaryIO) -> int:
    """Where the elements of group 0002 end; 0 where there are none that can be read. Its group length (0002,0000) is
    not believed: with a wrong one, different objects would look the same."""
    head, end = file.read(132), 132
    if head[128:] != b"DICM":
        return 0
    while (header := file.read(8))[:2] == b"\x02\x00":
        length, size = int.from_bytes(header[6:8], "little"), 8
        if header[4:6] in _LONG_VRS:
            length, size = int.from_bytes(file.read(4), "little"), 12
        end += size + length
        if end >= os.fstat(file.fileno()).st_size:
            return 0
        file.seek(end)
    return end
