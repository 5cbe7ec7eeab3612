"""Says what this service can do (Retrieve Capabilities, PS3.18 8.9): as WADL or JSON, made from the routes
themselves; `openapi.py` says the same as an OpenAPI document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from flask import Response, current_app, jsonify, request

from . import codecs, pixels
from .accept import JSON_TYPES, Offer, choose
from .answers import Service, accepted
from .composing import METADATA_TYPES
from .nativexml import XML_TYPE

WADL = "application/vnd.sun.wadl+xml"

_NAMESPACE = "http://wadl.dev.java.net/2009/02"
_MODEL = (JSON_TYPES[0], f'multipart/related; type="{XML_TYPE}"')
_SEARCHES = ("studies", "series", "instances", "workitems")
PAGING = ("limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching", "multiplevaluematching")
WISHES = ("window", "viewport", "quality", "annotation", "iccprofile")
_PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/jp2")
_FILMS = (*_PICTURES, "video/mp4")
_OCTETS = "application/octet-stream"
_FRAMES = tuple(
    form
    for name in (_OCTETS, *sorted({pixels.image_type(syntax) for syntax in codecs.ENCODED} - {_OCTETS}))
    for form in (f'multipart/related; type="{name}"', name)
)
"""Of one frame, or of one value, alone as well."""
_GIVEN = {
    "metadata": _MODEL,
    "frames": _FRAMES,
    "bulkdata": _FRAMES[:1],
    "pixeldata": _FRAMES[::2],
    "rendered": (*_FILMS, "application/pdf", "text/xml", "text/html"),
    "thumbnail": _PICTURES,
    **dict.fromkeys(_SEARCHES, _MODEL),
}
_OBJECTS = ('multipart/related; type="application/dicom"', "application/zip")
_OBJECT = (*_OBJECTS, "application/dicom")
_TAKEN = (*_MODEL, XML_TYPE)
"""What a workitem, or something about one, is sent as; one is given so as well."""
_STORED = (
    "application/dicom",
    *(f'multipart/related; type="{kind}"' for kind in ("application/dicom", *METADATA_TYPES)),
    *METADATA_TYPES,
)
_READS = ("GET", "HEAD")
_SUBSCRIBER = "/workitems/{workitem}/subscribers/{aetitle}"
_DONE = {
    ("POST", "/workitems"): "201",
    ("POST", "/workitems/{workitem}/cancelrequest"): "202",
    ("POST", _SUBSCRIBER): "201",
}
_ASKED = {
    ("POST", "/workitems"): ("workitem",),
    ("POST", "/workitems/{workitem}"): ("transaction-uid",),
    ("POST", _SUBSCRIBER): ("deletionlock", "filter"),
}


@dataclass(frozen=True)
class Resource:
    """One address below the service's root, with the methods it takes."""

    path: str
    methods: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The last word of the path that is none of a variable."""
        words = [word for word in self.path.split("/") if word and "{" not in word]
        return words[-1] if words else ""

    @property
    def is_search(self) -> bool:
        """Whether GET searches here."""
        return self.kind in _SEARCHES and not self.path.endswith("}")

    @property
    def _wishes(self) -> tuple[str, ...]:
        """What may be wished of what GET draws here."""
        return {"rendered": WISHES, "thumbnail": ("viewport",)}.get(self.kind, ())

    @property
    def given(self) -> tuple[str, ...]:
        """The media types of what GET gives."""
        if self.path == "/workitems/{workitem}":
            return _TAKEN
        if self.kind == "rendered" and "numbers" in self.variables:
            return _FILMS
        if self.kind == "workitems" or self.is_search or not self.path.endswith("}"):
            return _GIVEN.get(self.kind, ())
        if self.kind == "bulkdata":  # of compressed pixel data, their frames
            return _FRAMES
        return _OBJECT if self.kind == "instances" else _GIVEN["frames"] if self.kind == "frames" else _OBJECTS

    def answered(self, method: str) -> tuple[str, ...]:
        """The media types of the answer."""
        if method in _READS:
            return self.given
        return (JSON_TYPES[0], XML_TYPE) if method == "POST" and not self.is_worklist else ()

    @property
    def is_worklist(self) -> bool:
        """Whether it is about workitems."""
        return self.path.startswith("/workitems")

    def taken(self, method: str) -> tuple[str, ...]:
        """The media types in which something is sent."""
        if not self.is_worklist:
            return _STORED if method == "POST" else ()
        return _TAKEN if method in ("POST", "PUT") and self.kind not in ("subscribers", "suspend") else ()

    def asked(self, method: str) -> tuple[str, ...]:
        """The query parameters."""
        if method not in _READS:
            return _ASKED.get((method, self.path), ())
        return "accept", *(PAGING if self.is_search else self._wishes)

    def done(self, method: str) -> str:
        """The status of a success."""
        if method == "DELETE" and not self.is_worklist:
            return "204"
        return _DONE.get((method, self.path), "200")

    @property
    def variables(self) -> list[str]:
        """The names in braces."""
        return re.findall(r"{(\w+)}", self.path)


def capabilities(service: Service) -> Response:
    """What is here, as the client likes it: WADL first for OPTIONS, JSON first for GET."""
    offers = [*(Offer(name) for name in ("application/json", JSON_TYPES[0])), Offer(WADL)]
    wanted = choose(accepted(), offers if request.method != "OPTIONS" else offers[::-1])
    if wanted.media_type == WADL:
        response = Response(_wadl(service), content_type=WADL)
    else:
        listed = [{"path": one.path, "methods": list(one.methods)} for one in resources()]
        response = jsonify({"base": service.base(), "resources": listed})
    response.headers["Allow"] = "GET, HEAD, OPTIONS"
    response.headers["Vary"] = "Accept"
    return response


def resources() -> Iterator[Resource]:
    """Every address that the blueprint of this request answers, in the order of their names."""
    found: dict[str, set[str]] = {}
    prefix = f"{request.blueprint}."
    root = next(rule.rule for rule in current_app.url_map.iter_rules() if rule.endpoint == f"{prefix}capabilities")
    for rule in current_app.url_map.iter_rules():
        if rule.endpoint.startswith(prefix) and not rule.endpoint.endswith((".capabilities", ".unknown", ".openapi")):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", "/" + rule.rule.removeprefix(root))
            found.setdefault(path, set()).update(rule.methods or ())
    for path, methods in sorted(found.items()):
        yield Resource(path, tuple(sorted(methods - {"OPTIONS"})))


def _wadl(service: Service) -> str:
    below = "".join(_wadl_resource(one) for one in resources())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<application xmlns="{_NAMESPACE}">'
        f"<resources base={quoteattr(service.base() + '/')}>{below}</resources></application>"
    )


def _wadl_resource(one: Resource) -> str:
    variables = "".join(f'<param name="{name}" style="template" required="true"/>' for name in one.variables)
    methods = "".join(_wadl_method(one, method) for method in one.methods)
    return f"<resource path={quoteattr(one.path.lstrip('/'))}>{variables}{methods}</resource>"


def _wadl_method(one: Resource, method: str) -> str:
    asked = "".join(f'<param name="{name}" style="query"/>' for name in one.asked(method))
    taken, given = _representations(one.taken(method)), _representations(one.answered(method))
    done = f'<response status="{one.done(method)}"' + (f">{given}</response>" if given else "/>")
    return f'<method name="{method}"><request>{asked}{taken}</request>{done}</method>'


def _representations(media_types: Sequence[str]) -> str:
    return "".join(f"<representation mediaType={quoteattr(name)}/>" for name in media_types)
