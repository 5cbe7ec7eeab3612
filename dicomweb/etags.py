"""Names the state of what is given by an entity tag, so that what a client has already is not sent again (RFC 9110)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from flask import Response, request

from .accept import Packing


@dataclass(frozen=True)
class Tag:
    """An entity tag (RFC 9110 8.8.3). Weak where the bytes may differ from one time to the next, as boundaries and
    compression do; `exact` where they never do."""

    name: str
    exact: bool = False

    def __str__(self) -> str:
        return f'"{self.name}"' if self.exact else f'W/"{self.name}"'


def tag_of(name: str, packing: Packing) -> Tag:
    """The tag of stored bytes that are given as they are, or as the one part of a multipart body."""
    return Tag(name, exact=True) if packing is Packing.SINGLE else Tag(f"{name}-multipart")


def tag_for(*asked: object) -> Tag:
    """The tag of what is made anew from the version of the index and from what was asked, all that the answer differs
    by."""
    return Tag(hashlib.sha256(repr(asked).encode()).hexdigest()[:32])


def unchanged(tag: Tag, *, vary: str = "Accept") -> Response | None:
    """304 where the client has what the tag names already, 412 where it wants nothing but what another tag names,
    otherwise None (RFC 9110 13.2.2). `vary`: by what the answer differs, which caches are told each time."""
    if request.if_match and not (request.if_match.star_tag or (tag.exact and request.if_match.contains(tag.name))):
        return _without_body(412, tag, vary)
    return _without_body(304, tag, vary) if request.if_none_match.contains_weak(tag.name) else None


def _without_body(status: int, tag: Tag, vary: str) -> Response:
    response = tagged(Response(status=status, headers={"Vary": vary}), tag)
    del response.headers["Content-Type"]
    return response


def tagged(response: Response, tag: Tag) -> Response:
    """The response with its entity tag."""
    response.headers["ETag"] = str(tag)
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def range_holds(tag: Tag) -> bool:
    """RFC 9110 13.1.5: a weak tag never holds, nor does a date, for none is given."""
    condition = request.headers.get("If-Range")
    return condition is None or (tag.exact and condition.strip() == str(tag))
