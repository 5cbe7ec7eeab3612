"""Manages workitems (UPS-RS, PS3.18 11): what clients ask is read here, decided by storage, and answered with the
status and the Warning that the standard has for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import islice

from flask import Response, request

from lethe.storage.entries import DicomJson, first_text, is_uid
from lethe.storage.errors import Refused
from lethe.storage.steprules import REASON, REASON_CODES, SOP_INSTANCE, STATE, TRANSACTION, Judged, StepRefused, Why
from lethe.storage.workitems import Gone
from lethe.storage.worklisting import FILTERED_UID

from . import searchkeys
from .answers import Service, failure, json_array
from .datasets import data_set_in_request
from .nativexml import wants_xml, xml_parts

MOST = 1000
"""How many workitems one answer has at most (PS3.18 8.3.4.4)."""

_CREATED_MODIFIED = "The Workitem was created with modifications."
_NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
_INCONSISTENT_UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
_INCONSISTENT_STATE = "The submitted request is inconsistent with the state of the UPS Instance."
_MISSING, _INCORRECT = "The Transaction UID is missing.", "The Transaction UID is incorrect."

# PS3.18 11.4.3, 11.6.3, 11.7.3, 11.8.3, 11.10.3: for each failure of PS3.4 CC the status and what the Warning says.
Answer = tuple[int, tuple[str, ...]]
_CREATE: dict[Why, Answer] = {Why.EXISTS: (409, ())}
_UPDATE: dict[Why, Answer] = {
    Why.MALFORMED: (400, (_INCONSISTENT_UPDATE,)),
    Why.NO_LONGER: (400, (_INCONSISTENT_UPDATE,)),
    Why.NO_LOCK: (400, (_INCONSISTENT_UPDATE, _MISSING)),
    Why.WRONG_LOCK: (400, (_INCONSISTENT_UPDATE, _INCORRECT)),
    Why.NOT_IN_PROGRESS: (409, (_NOT_CLAIMED,)),
}
_CHANGE: dict[Why, Answer] = {
    Why.MALFORMED: (400, (_INCONSISTENT_STATE,)),
    Why.NOT_BY_ACTION: (400, (_INCONSISTENT_STATE,)),
    Why.NO_LOCK: (400, (_MISSING,)),
    Why.WRONG_LOCK: (400, (_INCORRECT,)),
    Why.NO_LONGER: (409, (_INCONSISTENT_STATE,)),
    Why.IN_PROGRESS: (409, (_INCONSISTENT_STATE,)),
    Why.NOT_FINAL: (409, (_INCONSISTENT_STATE,)),
    Why.NOT_IN_PROGRESS: (409, (_INCONSISTENT_STATE,)),
}
_CANCEL: dict[Why, Answer] = {
    Why.COMPLETED: (409, ("The UPS is already COMPLETED.",)),
    Why.CANCELED: (409, (Judged.ALREADY_CANCELED.value,)),
    Why.KEPT: (409, ("The performer chooses not to cancel.",)),
}

# What a search returns (PS3.4 Table CC.2.5-3): return key types 1 and 2, and 1C where there is a value.
_RETURNED = (
    *("00080016", SOP_INSTANCE, "00741200", "00741204", "00741202", "00741210", "00404025", "00404026", "00404027"),
    *("00404034", "00404005", "00404018", "00404041", "00404021", "0020000D", "00100010", "00100020", "00101002"),
    *("00100030", "00100040", "00380010", "00380014", "00081080", "00081084", "0040A370", STATE, "00741002"),
)
_RETURNED_IF_KNOWN = ("00080005", "00080201", "00100021", "00100024")
_UID_NAMES = ("workitem", "affectedsopinstanceuid", "sopinstanceuid")
_LOCK_NAMES = ("transaction-uid", "transactionuid", "transaction")

View = Callable[..., Response]


def refusing(table: dict[Why, Answer]) -> Callable[[View], View]:
    """A view whose refusals are answered by this table; whatever is not in it is a 400."""

    def answered(view: View) -> View:
        @wraps(view)
        def wrapped(service: Service, **values: str) -> Response:
            try:
                return view(service, **values)
            except StepRefused as refusal:
                status, warnings = table.get(refusal.why, (400, ()))
                response = failure(refusal)
                response.status_code = status
                return _warned(service, response, warnings)
            except Gone as gone:
                response = failure(gone)
                response.status_code = 410
                return response

        return wrapped

    return answered


@refusing(_CREATE)
def create(service: Service) -> Response:
    """Create a workitem (PS3.18 11.4), of the UID that the address names, or that is in it."""
    attributes = data_set_in_request()
    if not attributes:
        raise Refused("the body holds no workitem")
    inside = [first_text(attributes, tag) for tag in (SOP_INSTANCE, "00001000") if tag in attributes]
    uid = _one_uid([*_uids_asked(_UID_NAMES), *inside])
    if not uid:
        raise Refused("neither the address nor the workitem has its UID")
    attributes = {tag: told for tag, told in attributes.items() if not tag.startswith(("0000", "0002"))}
    modified = service.archive.create_workitem(uid, attributes, actor=service.actor())
    response = _done(201)
    url = f"{service.base()}/workitems/{uid}"
    response.headers["Location"] = response.headers["Content-Location"] = url
    return _warned(service, response, (_CREATED_MODIFIED,) if modified else ())


@refusing({})
def retrieve(service: Service, workitem: str) -> Response:
    """Retrieve a workitem (PS3.18 11.5); its Transaction UID is nobody's but its performer's."""
    as_xml = wants_xml()
    item = service.archive.workitems.get(workitem)
    response = _given(service, [item.attributes], as_xml=as_xml)
    response.headers["Content-Location"] = f"{service.base()}/workitems/{workitem}"
    return response


@refusing(_UPDATE)
def update(service: Service, workitem: str) -> Response:
    """Update a workitem (PS3.18 11.6)."""
    changes = data_set_in_request()
    lock = _one_uid(
        [*_uids_asked(_LOCK_NAMES), *([first_text(changes, TRANSACTION)] if TRANSACTION in changes else [])]
    )
    changes = {tag: told for tag, told in changes.items() if not tag.startswith(("0000", "0002"))}
    if not changes.keys() - {TRANSACTION}:
        raise StepRefused(Why.MALFORMED, "the body changes nothing")
    service.archive.set_workitem(workitem, changes, lock, actor=service.actor())
    response = _done(200)
    response.headers["Content-Location"] = f"{service.base()}/workitems/{workitem}"
    return response


@refusing(_CHANGE)
def change_state(service: Service, workitem: str) -> Response:
    """Claim, complete or cancel a workitem (PS3.18 11.7)."""
    asked = data_set_in_request()
    lock, wanted = first_text(asked, TRANSACTION), first_text(asked, STATE)
    if lock and not is_uid(lock):
        raise StepRefused(Why.WRONG_LOCK, "the Transaction UID is no UID")
    judged = service.archive.change_step_state(workitem, wanted, lock, actor=service.actor())
    response = _done(200)
    response.headers["Content-Location"] = f"{service.base()}/workitems/{workitem}"
    return _warned(service, response, () if judged == Judged.DONE else (judged.value,))


@refusing(_CANCEL)
def request_cancel(service: Service, workitem: str) -> Response:
    """Request that a workitem be canceled (PS3.18 11.8)."""
    asked = data_set_in_request()
    known = {tag: asked[tag] for tag in (REASON, REASON_CODES, "0074100A", "0074100C") if tag in asked}
    service.archive.request_cancel(workitem, known, actor=service.actor())
    return _done(202)


def search(service: Service) -> Response:
    """Search for workitems (PS3.18 11.9), by every key that QIDO-RS has."""
    as_xml = wants_xml()
    terms = searchkeys.matches()
    wanted, everything = searchkeys.fields_asked()
    asked, offset = searchkeys.count_asked("limit"), searchkeys.count_asked("offset") or 0
    limit = MOST if asked is None else min(asked, MOST)
    found = service.archive.workitems.find(terms)
    results = [item.attributes for item in islice(found, offset, offset + limit)] if limit else []
    remaining = sum(1 for _ in found) if len(results) == MOST and asked != MOST else 0
    tags = {*_RETURNED, *wanted, *(term.tag for term in terms)}
    if results:
        response = _given(service, (_result(one, tags, everything=everything) for one in results), as_xml=as_xml)
    else:
        response = _done(204)
    if remaining:
        _warned(service, response, (f"There are {remaining} additional results that can be requested",))
    return response


@refusing({})
def subscribe(service: Service, workitem: str, aetitle: str) -> Response:
    """Subscribe an application to a workitem, to the worklist, or to what of it matches (PS3.18 11.10)."""
    events = service.events()
    if not events:
        response = failure(Refused("this server sends no event reports"))
        response.status_code = 403
        return response
    lock = request.args.get("deletionlock", "false").lower()
    if lock not in ("true", "false"):
        raise Refused("deletionlock is true or false")
    terms = searchkeys.terms_of(_filter())
    if bool(terms) != (workitem == FILTERED_UID):
        raise Refused("a filter is given where the filtered worklist is subscribed to, and nowhere else")
    service.archive.subscribe(workitem, aetitle, terms, locked=lock == "true", actor=service.actor())
    response = _done(201)
    response.headers["Content-Location"] = f"{events}/ws/subscribers/{aetitle}"
    return response


@refusing({})
def unsubscribe(service: Service, workitem: str, aetitle: str) -> Response:
    """End a subscription (PS3.18 11.11)."""
    service.archive.unsubscribe(workitem, aetitle, actor=service.actor())
    return _done(200)


@refusing({})
def suspend(service: Service, workitem: str, aetitle: str) -> Response:
    """Subscribe an application to nothing new any more (PS3.18 11.12)."""
    service.archive.suspend(workitem, aetitle, actor=service.actor())
    return _done(200)


def _filter() -> dict[tuple[str, ...], str]:
    """The keys of a filtered subscription: in `filter`, with commas between them, or each a parameter of its own."""
    pairs: list[tuple[str, str]] = []
    for value in request.args.getlist("filter"):
        for piece in value.split(","):
            name, equals, rest = piece.partition("=")
            if equals:
                pairs.append((name.strip(), rest))
            elif pairs:  # a comma within a list of UIDs
                pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]},{piece}")
            else:
                raise Refused("filter is a list of attributes with their values, such as WorklistLabel=CT")
    given = [(name, values[0]) for name, values in request.args.lists() if searchkeys.is_key(name) and name != "filter"]
    return {tuple(searchkeys.tag_of(part) for part in name.split(".")): value for name, value in [*pairs, *given]}


def _result(attributes: DicomJson, tags: Iterable[str], *, everything: bool) -> DicomJson:
    if everything:
        return attributes
    known = {tag: attributes[tag] for tag in tags if tag in attributes}
    return known | {tag: attributes[tag] for tag in _RETURNED_IF_KNOWN if attributes.get(tag, {}).get("Value")}


def _given(service: Service, items: Iterable[DicomJson], *, as_xml: bool) -> Response:
    texts = _texts(service, items)
    return xml_parts(texts) if as_xml else json_array(texts)


def _texts(service: Service, items: Iterable[DicomJson]) -> Iterator[bytes]:
    base = json.dumps(service.base())[1:-1]
    for one in items:
        text = json.dumps(dict(sorted(one.items())), separators=(",", ":"), ensure_ascii=False)
        # Where the results of Lethe's own are; a value of a client's has its quotation marks escaped.
        yield text.replace(
            '"00081190":{"vr":"UR","Value":["studies/', f'"00081190":{{"vr":"UR","Value":["{base}/studies/'
        ).encode()


def _uids_asked(names: Iterable[str]) -> list[str]:
    """UIDs in the query: by one of the names, or alone, as the templates of PS3.18 have it."""
    found = []
    for name, values in request.args.lists():
        if name.lower() in names:
            found += values
        elif re.fullmatch(r"[0-9][0-9.]*", name) and values == [""]:
            found.append(name)
    return [uid.strip() for uid in found]


def _one_uid(given: list[str]) -> str:
    uids = {uid for uid in given if uid}
    if len(uids) > 1:
        raise Refused("the address and the body name different UIDs")
    if not all(is_uid(uid) for uid in uids):
        raise Refused("a UID is malformed")
    return next(iter(uids), "")


def _done(status: int) -> Response:
    response = Response(status=status, headers={"Cache-Control": "no-cache"})
    del response.headers["Content-Type"]  # of nothing
    return response


def _warned(service: Service, response: Response, warnings: Iterable[str]) -> Response:
    for text in warnings:
        response.headers.add("Warning", f"299 {service.base()}: {text}")
    return response
