"""Turns what went wrong into an answer: a page for people, problem details (RFC 9457) for programs, an OperationOutcome
under /fhir/. What the caller sent is never repeated, and a traceback goes to the log without values.
"""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from lethe.storage.errors import NotFound, Refused, Unavailable

_LOG = logging.getLogger(__name__)
_SENTENCES = {
    400: "The request cannot be understood.",
    401: "Please say who you are.",
    403: "This is not permitted.",
    404: "There is nothing here.",
    405: "This address does not take that kind of request.",
    406: "None of the accepted formats can be delivered.",
    409: "This cannot be done in the present state.",
    413: "The request is too large.",
    415: "The format of the request is not supported.",
    429: "There were too many attempts. Please wait a little.",
    503: "Not possible right now. Please try again.",
}
_ISSUES = {401: "login", 403: "forbidden", 404: "not-found", 409: "conflict", 429: "throttled", 503: "transient"}
_KEPT = ("Allow", "Retry-After", "WWW-Authenticate", "Content-Range")
_FOR_PROGRAMS = ("/api/", "/dicom-web", "/metrics", "/healthz", "/readyz")


def answer(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """The answer for a failure, in the form this caller can use. `detail` is a sentence of ours."""
    detail = detail or _SENTENCES.get(status, "This did not work.")
    if request.path.startswith("/fhir"):
        response = _outcome(status, detail)
    elif wants_html() and not request.path.startswith(_FOR_PROGRAMS):
        response = Response(render_template("error.html", status=status, title=_title(status), detail=detail))
    else:
        problem = {"title": _title(status), "status": status, "detail": detail}
        response = Response(json.dumps(problem), mimetype="application/problem+json")
    response.status_code = status
    response.headers.update(headers or {})
    return response


def wants_html() -> bool:
    """Whether a browser asks for a page: it names text/html, where programs say */* or a format of theirs."""
    return any(kind.lower() == "text/html" and quality > 0 for kind, quality in request.accept_mimetypes)


def register(app: Flask) -> None:
    """Answer every failure that no blueprint answers itself."""
    app.register_error_handler(NotFound, lambda error: answer(404, f"{_sentence(error)}."))
    app.register_error_handler(Refused, lambda error: answer(409, f"{_sentence(error)}."))
    app.register_error_handler(Unavailable, lambda error: answer(503, f"{_sentence(error)}.", {"Retry-After": "10"}))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unforeseen)


def _http(error: HTTPException) -> AnyResponse:
    if isinstance(error.response, AnyResponse):
        return error.response
    headers = dict(error.get_headers())
    return answer(error.code or 500, headers={name: headers[name] for name in _KEPT if name in headers})


def _unforeseen(error: Exception) -> Response:
    """The log names kind and place, never the message: it may quote what was in an object or a request."""
    incident = secrets.token_hex(4)
    frames = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    _LOG.error("incident %s: %s at\n%s", incident, type(error).__name__, frames)
    return answer(500, f"Something went wrong on our side. The log says more under incident {incident}.")


def _outcome(status: int, detail: str) -> Response:
    code = _ISSUES.get(status, "exception" if status >= 500 else "invalid")
    issue = {"severity": "error", "code": code, "diagnostics": detail}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    return Response(json.dumps(body), content_type="application/fhir+json; charset=utf-8")


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
