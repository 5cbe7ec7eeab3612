"""Storage Commitment Push Model (PS3.4 Annex J): takes requests of peers and the answers of destinations, and writes
the messages of both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.events import Event

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.commitments import Reference
from lethe.storage.entries import is_uid
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.vouching import Standing, Vow

from ..choices import Ability
from .admission import Admission, origin_of
from .errand import SYNTAXES
from .services import BOTH, NOT_AUTHORIZED, Service

log = logging.getLogger("lethe.commitment")

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
REQUEST, ALL_COMMITTED, SOME_FAILED = 1, 1, 2  # PS3.4 J.3.2.1.1, J.3.3.1.1
SUCCESS, PROCESSING_FAILURE, NO_SUCH_INSTANCE, NO_SUCH_EVENT = 0x0000, 0x0110, 0x0112, 0x0113  # PS3.7 C
INVALID_ARGUMENT, NO_SUCH_ACTION, RESOURCE_LIMITATION = 0x0115, 0x0123, 0x0213
MOST_REFERENCES = 100_000
_FOR_THE_OPEN_ASSOCIATION = 5.0

Answered = tuple[int, None]


@dataclass(frozen=True)
class Answer:
    """What a destination says about one of our transactions."""

    transaction: str
    given: tuple[str, ...]
    refused: dict[str, int]


def requests(
    archive: Archive, admission: Admission, *, answer_here: Callable[[Event, str, int], None] | None = None
) -> Service:
    """N-ACTION: a peer asks us to vouch for what it sent. Success says that its request survives; the result follows.

    `answer_here` is told of each by association, name of the peer and number, before any other way is tried.
    """

    def on_action(event: Event) -> Answered:
        origin = origin_of(event)
        peer = next((one for one in admission.peers(origin) if Ability.COMMIT in one.may), None)
        if peer is None:
            log.warning("%s asks for storage commitment, but is no peer that could be answered", origin.source)
            return NOT_AUTHORIZED, None
        if str(event.request.RequestedSOPInstanceUID) != PUSH_MODEL_INSTANCE:  # type: ignore[union-attr]
            return NO_SUCH_INSTANCE, None
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION, None
        try:
            uid, references = _asked(event.action_information)
        except Exception:  # whatever pydicom raises over a data set of a peer
            return INVALID_ARGUMENT, None
        if not is_uid(uid) or not references:
            return INVALID_ARGUMENT, None
        if len(references) > MOST_REFERENCES:
            return RESOURCE_LIMITATION, None
        try:
            delay = _FOR_THE_OPEN_ASSOCIATION if answer_here else 0.0
            number = archive.commitments.ask(peer.name, uid, references, delay=delay)
        except (Refused, Unavailable) as error:
            log.error("%s: storage commitment cannot be taken now: %s", peer.name, error)
            return PROCESSING_FAILURE, None
        log.info("%s asks to commit %d instances (number %d)", peer.name, len(references), number)
        if answer_here:
            answer_here(event, peer.name, number)
        return SUCCESS, None

    return Service((PUSH_MODEL,), SYNTAXES, Ability.COMMIT, {evt.EVT_N_ACTION: on_action}, roles=BOTH)


def answers(archive: Archive, admission: Admission) -> Service:
    """N-EVENT-REPORT: a destination answers what we asked of it. Who may is decided by whom we asked."""

    def on_report(event: Event) -> Answered:
        origin = origin_of(event)
        names = {peer.name for peer in admission.peers(origin)}
        return take_answer(archive, event, names, Actor(origin.source, origin.address)), None

    return Service((PUSH_MODEL,), SYNTAXES, None, {evt.EVT_N_EVENT_REPORT: on_report}, roles=BOTH)


def take_answer(archive: Archive, event: Event, destinations: Iterable[str], actor: Actor) -> int:
    """Note what a destination answers; the status for it. Success says that it survives."""
    if event.event_type not in (ALL_COMMITTED, SOME_FAILED):
        return NO_SUCH_EVENT
    try:
        answer = _answer(event.event_information)
    except Exception:  # whatever pydicom raises over a data set of a peer
        return INVALID_ARGUMENT
    try:
        if archive.promises.destination_of(answer.transaction) not in set(destinations):
            log.warning("%s answers a storage commitment that was not asked of it", actor.name)
            return INVALID_ARGUMENT
        archive.promised(answer.transaction, answer.given, answer.refused, actor)
    except Unavailable as error:
        log.error("an answer cannot be taken now: %s", error)
        return PROCESSING_FAILURE
    log.info("%s commits %d instances, %d not", actor.name, len(answer.given), len(answer.refused))
    return SUCCESS


def request_of(uid: str, references: Sequence[Reference]) -> Dataset:
    """Action Information (PS3.4 Table J.3-1)."""
    ds = Dataset()
    ds.TransactionUID = uid
    ds.ReferencedSOPSequence = [_item(one) for one in references]
    return ds


def report_of(uid: str, vows: Sequence[Vow]) -> tuple[int, Dataset]:
    """Event Type and Event Information (PS3.4 Table J.3-2). What is not given is failed, with its reason."""
    ds = Dataset()
    ds.TransactionUID = uid
    given = [_item(vow.reference) for vow in vows if vow.standing == Standing.GIVEN]
    failed = [vow for vow in vows if vow.standing != Standing.GIVEN]
    if given:
        ds.ReferencedSOPSequence = given
    if failed:
        ds.FailedSOPSequence = [_item(vow.reference) for vow in failed]
        for item, vow in zip(ds.FailedSOPSequence, failed, strict=True):
            item.FailureReason = vow.reason or PROCESSING_FAILURE
    return (SOME_FAILED if failed else ALL_COMMITTED), ds


def _asked(ds: Dataset) -> tuple[str, tuple[Reference, ...]]:
    references = (
        Reference(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for item in ds.get("ReferencedSOPSequence") or ()
    )
    return str(ds.TransactionUID), tuple(dict.fromkeys(references))


def _answer(ds: Dataset) -> Answer:
    """What a report says. An instance that stands in both lists is not committed: somebody may delete what is."""
    refused = {
        str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or PROCESSING_FAILURE)
        for item in ds.get("FailedSOPSequence") or ()
    }
    committed = (str(item.ReferencedSOPInstanceUID) for item in ds.get("ReferencedSOPSequence") or ())
    given = tuple(uid for uid in committed if uid not in refused)
    return Answer(str(ds.TransactionUID), given, refused)


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class
    item.ReferencedSOPInstanceUID = reference.sop_uid
    return item
