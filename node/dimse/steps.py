"""Unified Procedure Steps (PS3.4 Annex CC): modalities and workstations make, find, claim and end the workitems that
UPS-RS has, by DIMSE.

They show patients: nothing of one is logged, and only peers named for it are answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from functools import partial
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode
from pynetdicom.events import Event, EventType

from lethe.dicomweb.dicomjson import describe
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import DicomJson, first_text, is_uid
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.steprules import SOP_CLASS, SOP_INSTANCE, STATE, TRANSACTION, Judged, StepRefused, element
from lethe.storage.workitems import Workitem
from lethe.storage.worklisting import FILTERED_UID

from ..choices import Ability
from ..config import Peer
from .admission import origin_of
from .errand import SYNTAXES
from .identifiers import encoded
from .performed import created_uid
from .records import put_on_record
from .replies import CANCELLED, OUT_OF_RESOURCES, PENDING, SUCCESS, Asked, Reply
from .services import Handler, Service
from .wanted import chosen, sets_of, terms_of

log = logging.getLogger("lethe.steps")

PUSH, WATCH, PULL, EVENT, QUERY = (f"1.2.840.10008.5.1.4.34.6.{number}" for number in range(1, 6))
WITH_MODIFICATIONS = 0xB300  # PS3.4 Tables CC.2.5-2, CC.2.1-2
ALREADY = {Judged.DONE: SUCCESS, Judged.ALREADY_CANCELED: 0xB304, Judged.ALREADY_COMPLETED: 0xB306}
NO_SUCH_STEP, UNKNOWN_RECEIVER = 0xC307, 0xC308
NOT_ALL_ARE_KEPT, INVALID_VALUE, PROCESSING_FAILURE = 0x0001, 0x0106, 0x0110  # PS3.7 C
INVALID_ARGUMENT, INVALID_INSTANCE, NO_SUCH_ACTION = 0x0115, 0x0117, 0x0123
CHANGE_STATE, REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = range(1, 6)  # PS3.4 Table CC.2-1
_LOCKED, _RECEIVER = "00741230", "00741234"
_DICOM_RETRIEVAL, _WADO_RS_RETRIEVAL = "0040E021", "0040E025"

Answered = tuple[int | Dataset, Dataset | None]
Action = Callable[[str, DicomJson, Actor], int]


def step_services(archive: Archive, peers: Collection[Peer], ae_title: str, *, most: int) -> list[Service]:
    """UPS Push, Watch, Pull and Query. `peers` are those who can be told of events; an answer has at most so many
    results."""
    actions: dict[int, Action] = {
        CHANGE_STATE: partial(_change_state, archive),
        REQUEST_CANCEL: partial(_request_cancel, archive),
        SUBSCRIBE: partial(_subscribe, archive, frozenset(one.ae_title for one in peers if Ability.STEPS in one.may)),
        UNSUBSCRIBE: partial(_unsubscribe, archive),
        SUSPEND: partial(_suspend, archive),
    }

    def service(sop_class: str, handlers: dict[EventType, Handler], *kinds: int, found: bool = True) -> Service:
        if kinds:
            handlers[evt.EVT_N_ACTION] = partial(_on_action, {kind: actions[kind] for kind in kinds})
        answers = {C_FIND: partial(_find, archive, ae_title, most)} if found else {}
        return Service((sop_class,), SYNTAXES, Ability.STEPS, handlers, answers)

    create, get = partial(_on_create, archive), partial(_on_get, archive, ae_title)
    change = partial(_on_set, archive)
    following = (SUBSCRIBE, UNSUBSCRIBE, SUSPEND)
    return [
        service(PUSH, {evt.EVT_N_CREATE: create, evt.EVT_N_GET: get}, REQUEST_CANCEL, found=False),
        service(WATCH, {evt.EVT_N_GET: get}, REQUEST_CANCEL, *following),
        service(PULL, {evt.EVT_N_GET: get, evt.EVT_N_SET: change}, CHANGE_STATE),
        service(QUERY, {}),
    ]


def _on_create(archive: Archive, event: Event) -> Answered:
    """Success says that the step survives."""
    uid, reply = created_uid(event)
    if not is_uid(uid):
        return INVALID_INSTANCE, None

    def create() -> int:
        modified = archive.create_workitem(uid, describe(event.attribute_list), actor=_actor(event))
        return WITH_MODIFICATIONS if modified else SUCCESS

    status = _done(create)
    return status, (reply if status in (SUCCESS, WITH_MODIFICATIONS) else None)


def _on_set(archive: Archive, event: Event) -> Answered:
    uid = str(event.request.RequestedSOPInstanceUID)  # type: ignore[union-attr]

    def change() -> int:
        changes = describe(event.modification_list)
        archive.set_workitem(uid, changes, first_text(changes, TRANSACTION), actor=_actor(event))
        return SUCCESS

    return _done(change), None


def _on_get(archive: Archive, ae_title: str, event: Event) -> Answered:
    """All that is kept of a step but its Transaction UID, or of that what is asked for."""
    uid = str(event.request.RequestedSOPInstanceUID)  # type: ignore[union-attr]
    asked = frozenset(event.attribute_identifiers)
    found = Dataset()

    def get() -> int:
        found.update(_data_set(_told(archive.workitems.get(uid), ae_title)))
        return SUCCESS

    status = _done(get)
    if status != SUCCESS:
        return status, None
    known = Dataset({tag: element for tag, element in found.items() if not asked or _is_asked(tag, asked)})
    return (SUCCESS if all(tag in known for tag in asked) else NOT_ALL_ARE_KEPT), known


def _is_asked(tag: BaseTag, asked: Collection[BaseTag]) -> bool:
    return tag in asked or tag == 0x00080005  # without which the rest cannot be read


def _on_action(actions: dict[int, Action], event: Event) -> Answered:
    action = actions.get(event.action_type or 0)
    if action is None:
        return NO_SUCH_ACTION, None
    uid = str(event.request.RequestedSOPInstanceUID)  # type: ignore[union-attr]
    return _done(lambda: action(uid, describe(event.action_information), _actor(event))), None


def _change_state(archive: Archive, uid: str, asked: DicomJson, actor: Actor) -> int:
    lock = first_text(asked, TRANSACTION)
    return ALREADY[archive.change_step_state(uid, first_text(asked, STATE), lock, actor=actor)]


def _request_cancel(archive: Archive, uid: str, asked: DicomJson, actor: Actor) -> int:
    archive.request_cancel(uid, asked, actor=actor)
    return SUCCESS


def _subscribe(archive: Archive, receivers: Collection[str], uid: str, asked: DicomJson, actor: Actor) -> int:
    title, locked = first_text(asked, _RECEIVER), first_text(asked, _LOCKED)
    if locked not in ("TRUE", "FALSE"):
        return INVALID_ARGUMENT
    if title not in receivers:
        return UNKNOWN_RECEIVER
    keys = {tag: key for tag, key in asked.items() if tag not in (_LOCKED, _RECEIVER)}
    terms = terms_of(keys)
    if bool(terms) != (uid == FILTERED_UID):
        return INVALID_ARGUMENT
    archive.subscribe(uid, title, terms, locked=locked == "TRUE", actor=actor)
    return SUCCESS


def _unsubscribe(archive: Archive, uid: str, asked: DicomJson, actor: Actor) -> int:
    archive.unsubscribe(uid, first_text(asked, _RECEIVER), actor=actor)
    return SUCCESS


def _suspend(archive: Archive, uid: str, asked: DicomJson, actor: Actor) -> int:
    archive.suspend(uid, first_text(asked, _RECEIVER), actor=actor)
    return SUCCESS


def _find(archive: Archive, ae_title: str, most: int, asked: Asked) -> Iterator[Reply]:
    """The steps that match (PS3.4 CC.2.8)."""
    identifier, found = asked.identifier(), 0
    sets, keys = sets_of(identifier), describe(identifier)
    keys.pop("00080005", None)
    try:
        for item in archive.workitems.find(terms_of(keys)):
            if asked.is_cancelled():
                yield Reply(CANCELLED)
                return
            if found == most:
                yield Reply(OUT_OF_RESOURCES, comment=f"there are more than {most} results: ask for less")
                return
            found += 1
            known = _told(item, ae_title)
            told = chosen(keys, known) | {tag: known[tag] for tag in (SOP_CLASS, SOP_INSTANCE)}
            yield Reply(PENDING, encoded(told, asked.transfer_syntax, sets))
        yield Reply(SUCCESS)
    finally:
        put_on_record(archive, asked.origin, "workitems-found", {"results": found})


def _told(item: Workitem, ae_title: str) -> DicomJson:
    """A step as DIMSE has it: results of ours are retrieved by AE title, and not by URL."""
    return _by_title(item.attributes, ae_title) if item.ours else item.attributes


def _by_title(attributes: DicomJson, ae_title: str) -> DicomJson:
    told: DicomJson = {}
    for tag, one in attributes.items():
        if tag == _WADO_RS_RETRIEVAL:
            told[_DICOM_RETRIEVAL] = element("SQ", {"00080054": element("AE", ae_title)})
        elif one["vr"] == "SQ":
            told[tag] = element("SQ", *(_by_title(item, ae_title) for item in one.get("Value", ())))
        else:
            told[tag] = one
    return told


def _actor(event: Event) -> Actor:
    origin = origin_of(event)
    return Actor(origin.source, origin.address)


def _done(request: Callable[[], int]) -> int:
    """The status of what is asked, done or not (PS3.4 Tables CC.2.1-2 to CC.2.7-3)."""
    try:
        return request()
    except StepRefused as refusal:
        return refusal.why.status
    except NotFound:
        return NO_SUCH_STEP
    except Refused:
        return INVALID_VALUE
    except Unavailable as error:
        log.error("a workitem cannot be asked for or changed now: %s", error)
    except Exception as error:  # whatever pydicom raises over a data set of a peer
        log.warning("a request about a workitem cannot be read: %s", type(error).__name__)
    return PROCESSING_FAILURE


def _data_set(attributes: DicomJson) -> Dataset:
    syntax = ExplicitVRLittleEndian
    data = BytesIO(encoded(attributes, syntax))
    return decode(data, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)


def report_of(told: DicomJson) -> tuple[str, int, Dataset]:
    """Of an event report: which step, Event Type ID, and Event Information (PS3.4 Table CC.2.4-1)."""
    rest = {tag: value for tag, value in told.items() if not tag.startswith("0000")}
    return first_text(told, "00001000"), int(first_text(told, "00001002")), _data_set(rest)
