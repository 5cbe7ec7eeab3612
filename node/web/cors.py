"""Lets pages of other origins, such as a viewer's, use DICOMweb and FHIR from a browser (the CORS protocol of Fetch).

Only the origins that are configured, only these addresses, and never with cookies: Access-Control-Allow-Credentials is
never sent, so a page has to bring a token of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Response, request

_ADDRESSES = ("/dicom-web", "/fhir", "/wado")
_METHODS = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
_TAKEN = (
    "Accept, Accept-Language, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, "
    "Prefer, Range, X-Request-Id"
)
_SHOWN = (
    "Accept-Ranges, Allow, Content-Length, Content-Location, Content-Range, ETag, Last-Modified, Link, Location, "
    "Retry-After, Warning, WWW-Authenticate, X-Request-Id"
)
_REMEMBERED = "600"
"""Seconds for which a browser need not ask again."""


class Cors:
    """Answers for the origins in `origins`; "*" among them stands for every one."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins)

    def answer_preflight(self) -> Response | None:
        """For `app.before_request`, before the guard: browsers ask without credentials. OPTIONS without
        Access-Control-Request-Method is a request like others."""
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not (is_preflight and self.admits()):
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]  # of nothing
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _TAKEN
        response.headers["Access-Control-Max-Age"] = _REMEMBERED
        response.vary.update(("Access-Control-Request-Method", "Access-Control-Request-Headers"))
        return response

    def admits(self) -> bool:
        """Whether this request is one that a page of a configured origin may make."""
        origin = request.headers.get("Origin", "")
        return _is_open() and bool(origin) and not self._origins.isdisjoint(("*", origin))

    def allow(self, response: Response) -> Response:
        """For `app.after_request`: says so on every answer, on failures too, since a page learns nothing otherwise."""
        if not (self._origins and _is_open()):
            return response
        response.vary.add("Origin")
        if self.admits():
            everyone = "*" in self._origins
            response.headers["Access-Control-Allow-Origin"] = "*" if everyone else request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = _SHOWN
        if self.admits() or self._is_shown():
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    def _is_shown(self) -> bool:
        """Whether the answer is shown in a page of a configured origin, as an image is: that request has no Origin."""
        parts = urlsplit(request.headers.get("Referer", ""))
        return not self._origins.isdisjoint(("*", f"{parts.scheme}://{parts.netloc}"))


def _is_open() -> bool:
    return any(request.path == address or request.path.startswith(f"{address}/") for address in _ADDRESSES)
