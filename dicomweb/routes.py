"""Puts the transactions of PS3.18 under their URLs, as one Flask blueprint; each needs READ, STORE, DELETE
or WORKLIST."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import Map, Rule

from lethe.storage.archive import Archive
from lethe.storage.audit import SYSTEM, Actor
from lethe.storage.entries import is_uid
from lethe.storage.errors import NotFound, Refused
from lethe.storage.users import Permission, needs

from . import (
    bulkdata,
    capabilities,
    deletion,
    everything,
    following,
    frames,
    instances,
    openapi,
    qido,
    rendered,
    stow,
    ups,
    upssearch,
    wado,
)
from .answers import Service, failure, nothing
from .stow import Reception

_STUDY = "/studies/<study>"
_SERIES = f"{_STUDY}/series/<series>"
_INSTANCE = f"{_SERIES}/instances/<instance>"
_WORKITEM = "/workitems/<workitem>"
_SUBSCRIBER = f"{_WORKITEM}/subscribers/<aetitle>"
_UIDS = {"study", "series", "instance", "workitem"}

_ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

View = Callable[..., Response]

TRANSACTIONS: dict[str, View] = {
    "/studies": qido.studies,
    "/series": qido.series,
    "/instances": qido.instances,
    f"{_STUDY}/series": qido.series,
    f"{_STUDY}/instances": qido.instances,
    f"{_SERIES}/instances": qido.instances,
    _STUDY: instances.study,
    _SERIES: instances.series,
    _INSTANCE: instances.instance,
    f"{_STUDY}/metadata": wado.study_metadata,
    f"{_SERIES}/metadata": wado.series_metadata,
    f"{_INSTANCE}/metadata": wado.instance_metadata,
    f"{_INSTANCE}/frames/<numbers>": frames.frames,
    f"{_INSTANCE}/bulkdata/<path:path>": bulkdata.bulkdata,
    f"{_STUDY}/bulkdata": everything.bulkdata,
    f"{_SERIES}/bulkdata": everything.bulkdata,
    f"{_INSTANCE}/bulkdata": everything.bulkdata,
    f"{_STUDY}/pixeldata": everything.pixeldata,
    f"{_SERIES}/pixeldata": everything.pixeldata,
    f"{_INSTANCE}/pixeldata": everything.pixeldata,
    f"{_STUDY}/rendered": rendered.rendered,
    f"{_SERIES}/rendered": rendered.rendered,
    f"{_INSTANCE}/rendered": rendered.rendered,
    f"{_INSTANCE}/frames/<numbers>/rendered": rendered.rendered,
    f"{_STUDY}/thumbnail": rendered.thumbnail,
    f"{_SERIES}/thumbnail": rendered.thumbnail,
    f"{_INSTANCE}/thumbnail": rendered.thumbnail,
    f"{_INSTANCE}/frames/<numbers>/thumbnail": rendered.thumbnail,
}
"""Every resource and the view that answers it."""

STORES = ("/studies", _STUDY)
DELETES = (_STUDY, _SERIES, _INSTANCE)
WORKLIST: tuple[tuple[str, str, View], ...] = (
    ("GET", "/workitems", upssearch.search),
    ("POST", "/workitems", ups.create),
    ("GET", _WORKITEM, ups.retrieve),
    ("POST", _WORKITEM, ups.update),
    ("PUT", f"{_WORKITEM}/state", ups.change_state),
    ("POST", f"{_WORKITEM}/cancelrequest", ups.request_cancel),
    ("POST", _SUBSCRIBER, following.subscribe),
    ("DELETE", _SUBSCRIBER, following.unsubscribe),
    ("POST", f"{_SUBSCRIBER}/suspend", following.suspend),
)
"""The transactions of the worklist service (PS3.18 11.3)."""


def blueprint(
    archive: Archive,
    service_url: Callable[[], str],
    *,
    reception: Reception | None = None,
    actor: Callable[[], Actor] = lambda: SYSTEM,
    events_url: Callable[[], str] = lambda: "",
) -> Blueprint:
    """The DICOMweb service over an archive; `service_url` gives the absolute URL it is registered under, `reception`
    says what is done with what is stored, `actor` who asks, `events_url` where event reports can be had."""
    service = Service(archive, service_url, actor=actor, events=events_url)
    web = Blueprint("dicomweb", __name__)
    known: list[Rule] = []

    def put(rule: str, endpoint: str, view: View, *methods: str) -> None:
        # Flask's own answer to OPTIONS would name the methods of the rule for the rest as well.
        web.add_url_rule(rule, endpoint, view, methods=methods, strict_slashes=False, provide_automatic_options=False)
        known.append(Rule(rule, endpoint=endpoint, methods=[*methods, "OPTIONS"], strict_slashes=False))

    for number, (rule, transaction) in enumerate(TRANSACTIONS.items()):
        name = f"{transaction.__module__.rpartition('.')[2]}_{transaction.__name__}_{number}"
        put(rule, name, _view(service, transaction), "GET")
    stores = _view(service, partial(stow.store, reception=reception or Reception()), Permission.STORE)
    for rule in STORES:
        put(rule, "store", stores, "POST")
    deletes = _view(service, deletion.delete, Permission.DELETE)
    for rule in DELETES:
        put(rule, "delete", deletes, "DELETE")
    for method, rule, transaction in WORKLIST:
        put(rule, f"ups_{transaction.__name__}", _view(service, transaction, Permission.WORKLIST), method)
    put("/", "capabilities", _view(service, capabilities.capabilities), "GET", "OPTIONS")
    put("/openapi.json", "openapi", _view(service, openapi.openapi), "GET")
    rest, unknown = "/<path:rest>", _unknown(Map(known))
    web.add_url_rule(rest, "unknown", unknown, methods=_ALL, provide_automatic_options=False)
    # A root without its slash is no path at all.
    changes = [method for method in _ALL if method not in ("GET", "HEAD", "OPTIONS")]
    web.add_url_rule("/", "unknown", unknown, methods=changes, defaults={"rest": ""}, strict_slashes=False)
    web.register_error_handler(Exception, failure)
    return web


def _view(service: Service, transaction: View, permission: Permission = Permission.READ) -> View:
    @needs(permission)
    def view(**values: str) -> Response:
        if not all(is_uid(value) for name, value in values.items() if name in _UIDS):
            raise Refused("a UID in the address is malformed")
        return transaction(service, **values)

    return view


def _unknown(known: Map) -> View:
    """The view of all other addresses. Flask brings a known one here as well, when it is asked with another method,
    or which ones it has."""
    addresses = known.bind("")

    @needs(Permission.READ)
    def view(rest: str) -> Response:
        methods = sorted(addresses.allowed_methods(f"/{rest}"))
        if methods and request.method == "OPTIONS":
            response = nothing(200)
            response.headers["Allow"] = ", ".join(methods)
            return response
        if methods and request.method not in methods:
            raise MethodNotAllowed(valid_methods=methods)
        raise NotFound("there is no such resource")

    return view
