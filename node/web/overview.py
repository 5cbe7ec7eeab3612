"""Gathers what the portal shows, as values. Everything here is clean: no original UID, name or file is reachable."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from lethe.storage.archive import Archive
from lethe.storage.audit import AuditEvent
from lethe.storage.entries import Entry
from lethe.storage.errors import NotFound
from lethe.storage.files import free_bytes
from lethe.storage.jobs import INTAKE, OUTGOING, STOPPED, Job, Stage, Standstill, State, holds_back
from lethe.storage.query import Level, Order, Query

from ..outbox import Outbox, Queue
from .reads import READS

_STUDIES = 12
_GROUPS = 12
_JOBS = 5
_AUDIT = 12


class Tone(StrEnum):
    """How a thing stands; shown by colour, sign and word together."""

    CALM = "calm"
    BUSY = "busy"
    ALERT = "alert"


@dataclass(frozen=True)
class Headline:
    """The state of the node in one sentence."""

    tone: Tone
    text: str


@dataclass(frozen=True)
class Decision:
    """One job that waits for a person."""

    number: int
    source: str
    project: str
    attempts: int
    at: float


@dataclass(frozen=True)
class DecisionGroup:
    """Jobs that ended for the same reason: how many, and the newest of them."""

    why: Standstill
    newest: tuple[Decision, ...]

    @property
    def title(self) -> str:
        """What happened to them."""
        if self.why.state == State.HELD:
            return "Held"
        if self.why.stage in OUTGOING:
            return "Not delivered" if self.why.state == State.FAILED else "Refused by the destination"
        return "Failed" if self.why.state == State.FAILED else "Quarantined"

    @property
    def can_be_tried(self) -> bool:
        """Whether a person may try again; what is held waits for a route instead."""
        return self.why.state in STOPPED

    @property
    def can_be_discarded(self) -> bool:
        """Whether they hold back what tells of a patient, and a person may throw away."""
        return holds_back(self.why.stage, self.why.state)

    @property
    def can_be_reviewed(self) -> bool:
        """Whether they are originals, whose frames a person may look at."""
        return self.why.stage == Stage.CLEAN and self.why.state == State.QUARANTINED

    @property
    def more(self) -> int:
        """How many there are beside the newest."""
        return self.why.jobs - len(self.newest)


@dataclass(frozen=True)
class StudyCard:
    """A clean study in a few words."""

    uid: str
    patient: str
    date: str
    description: str
    modalities: str
    series: int
    instances: int


@dataclass(frozen=True)
class Overview:
    """What the first page shows."""

    headline: Headline
    counts: Mapping[str, int]
    decisions: tuple[DecisionGroup, ...]
    more_decisions: int
    studies: tuple[StudyCard, ...]
    destinations: tuple[Queue, ...]
    audit: tuple[AuditEvent, ...]
    disk: str
    """What is wrong with the disk; empty if nothing is."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing ever came."""
        return not self.counts["received"] and not self.counts["instances"]


def overview(archive: Archive, outbox: Outbox, least_free: int) -> Overview:
    """How the archive stands now."""
    counts = archive.counts()
    groups = archive.jobs.standstills()
    return Overview(
        headline=headline(counts),
        counts=counts,
        decisions=tuple(_group(archive, why) for why in groups[:_GROUPS]),
        more_decisions=sum(why.jobs for why in groups[_GROUPS:]),
        studies=tuple(
            study_card(entry) for entry in archive.index.find(Query(Level.STUDY, (), _STUDIES, 0, Order.NEWEST))
        ),
        destinations=tuple(outbox.queues()),
        audit=tuple(archive.audit.newest(_AUDIT, but=READS)),
        disk=_disk(free_bytes(archive.folder), least_free),
    )


def _disk(free: int, least: int) -> str:
    if free >= least:
        return ""
    left, wanted = (f"{size >> 20:,} MB" for size in (free, least))
    return f"The disk of the data folder has {left} left: senders are turned away until it has {wanted}."


def headline(counts: Mapping[str, int]) -> Headline:
    """The one sentence: first what needs a person, then what is going on."""
    stuck = sum(counts[name] for name in ("quarantined", "undeliverable", "failed", "held"))
    busy = sum(counts[name] for name in ("waiting", "running", "sending"))
    if stuck:
        return Headline(Tone.ALERT, f"{stuck:,} {'object needs' if stuck == 1 else 'objects need'} a decision.")
    if busy:
        return Headline(Tone.BUSY, f"Working on {busy:,} {'object' if busy == 1 else 'objects'}.")
    if not counts["received"] and not counts["instances"]:
        return Headline(Tone.CALM, "Ready for the first study.")
    return Headline(Tone.CALM, "All caught up.")


def decision(archive: Archive, job: Job) -> Decision:
    """What a person is told of a job that waits for him."""
    source = ""
    if job.stage in INTAKE:
        try:
            source = archive.origin(job).source
        except NotFound:
            source = "unknown"
    return Decision(job.id, source, job.project, job.attempts, job.updated)


def study_card(entry: Entry) -> StudyCard:
    """The study as the list shows it."""
    return StudyCard(
        uid=entry.study_uid,
        patient=entry.text("00100020") or entry.text("00100010") or "no patient ID",
        date=day(entry.text("00080020")),
        description=entry.text("00081030"),
        modalities=", ".join(str(value) for value in entry.attributes["00080061"].get("Value", ())),
        series=int(entry.text("00201206") or 0),
        instances=int(entry.text("00201208") or 0),
    )


def day(text: str) -> str:
    """A DICOM date as people write it; what is not one stays as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def moment(seconds: float) -> str:
    """A point in time as ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def first_command(dicom_address: str, host: str) -> str:
    """The command that sends a first file to "AETITLE at host:port". A listener on every address is reached by the name
    the page was asked for."""
    ae_title, _, address = dicom_address.rpartition(" at ")
    listening, _, port = address.rpartition(":")
    listening = listening.strip("[]")
    if listening in ("0.0.0.0", "::", ""):  # noqa: S104 - compared with, not bound to
        listening = host.strip("[]") or "127.0.0.1"
    return f"storescu -aec {shlex.quote(ae_title)} {listening} {port}"


def _group(archive: Archive, why: Standstill) -> DecisionGroup:
    jobs = archive.jobs.find(
        states=[why.state], stage=why.stage, destination=why.destination, reason=why.reason, limit=_JOBS
    )
    return DecisionGroup(why, tuple(decision(archive, job) for job in jobs))
