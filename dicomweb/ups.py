"""Manages workitems (UPS-RS, PS3.18 11): what clients ask is read here, decided by storage, and answered with the
status and the Warning that the standard has for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask import Response, request

from lethe.storage.entries import first_text, is_uid
from lethe.storage.errors import Refused
from lethe.storage.steprules import SOP_INSTANCE, STATE, TRANSACTION, Judged, StepRefused, Why

from .answers import Service, nothing, warned
from .datasets import data_set_in_request
from .nativexml import wants_xml, wants_xml_alone
from .stepanswers import Answer, given, given_alone, refusing

_CREATED_MODIFIED = "The Workitem was created with modifications."
_NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
_INCONSISTENT_UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
_INCONSISTENT_STATE = "The submitted request is inconsistent with the state of the UPS Instance."
_MISSING, _INCORRECT = "The Transaction UID is missing.", "The Transaction UID is incorrect."

# PS3.18 11.4.3, 11.6.3, 11.7.3, 11.8.3, 11.10.3: for each failure of PS3.4 CC the status and what the Warning says.
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
    Why.KEPT: (409, ("Performer chooses not to cancel.",)),
}

_UID_NAMES = ("workitem", "affectedsopinstanceuid", "sopinstanceuid")
_LOCK_NAMES = ("transaction-uid", "transactionuid", "transaction")


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
    response = nothing(201)
    url = f"{service.base()}/workitems/{uid}"
    response.headers["Location"] = response.headers["Content-Location"] = url
    return warned(service, response, (_CREATED_MODIFIED,) if modified else ())


@refusing({})
def retrieve(service: Service, workitem: str) -> Response:
    """Retrieve a workitem (PS3.18 11.5); its Transaction UID is nobody's but its performer's."""
    alone = wants_xml_alone()
    item = service.archive.workitems.get(workitem)
    if alone:
        response = given_alone(service, item.attributes)
    else:
        response = given(service, [item.attributes], as_xml=wants_xml())
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
    response = nothing(200)
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
    response = nothing(200)
    response.headers["Content-Location"] = f"{service.base()}/workitems/{workitem}"
    return warned(service, response, () if judged == Judged.DONE else (judged.value,))


@refusing(_CANCEL)
def request_cancel(service: Service, workitem: str) -> Response:
    """Request that a workitem be canceled (PS3.18 11.8)."""
    asked = data_set_in_request()
    service.archive.request_cancel(workitem, asked, actor=service.actor())
    return nothing(202)


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
