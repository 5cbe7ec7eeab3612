"""Lets applications follow workitems (PS3.18 11.10 to 11.12): one, all, or those that match."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response, request

from lethe.storage.errors import Refused
from lethe.storage.worklisting import FILTERED_UID

from . import searchkeys
from .answers import Service, failure, nothing
from .stepanswers import refusing


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
    response = nothing(201)
    response.headers["Content-Location"] = f"{events}/ws/subscribers/{quote(aetitle.strip())}"
    return response


@refusing({})
def unsubscribe(service: Service, workitem: str, aetitle: str) -> Response:
    """End a subscription (PS3.18 11.11)."""
    service.archive.unsubscribe(workitem, aetitle, actor=service.actor())
    return nothing(200)


@refusing({})
def suspend(service: Service, workitem: str, aetitle: str) -> Response:
    """Subscribe an application to nothing new any more (PS3.18 11.12)."""
    service.archive.suspend(workitem, aetitle, actor=service.actor())
    return nothing(200)


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
    given = [(name, values[0]) for name, values in request.args.lists() if searchkeys.is_key(name)]
    return {searchkeys.path_of(name): value for name, value in [*pairs, *given]}
