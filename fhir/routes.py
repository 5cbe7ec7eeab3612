"""Serves the R4 interactions: metadata, read and search. Whatever goes wrong is told as an OperationOutcome."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from lethe.storage.archive import Archive
from lethe.storage.errors import StorageError
from lethe.storage.users import Permission, needs

from .capability import capability_statement
from .conditions import Site
from .negotiation import CONTENT_TYPE, handling_of, indentation, require_json
from .outcome import Problem, not_found, operation_outcome, problem_of
from .parameters import Pairs, shape_of, understand
from .resources import ID, Resource, checked
from .search import VOCABULARIES, read, search, shaped

_FORM = "application/x-www-form-urlencoded"
_KINDS = f"<any({', '.join(VOCABULARIES)}):kind>"
_LONGEST_FORM = 65_536
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_OPEN_TO_SLASHES: dict[str, Any] = {"strict_slashes": False, "provide_automatic_options": False}
"""With a slash at the end an address is the same; OPTIONS is answered by the fallback, as Flask's own answer would name
the fallback's methods."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CODES = {401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 413: "too-long", 503: "transient"}


@dataclass(frozen=True)
class Place:
    """What the views answer from, and the addresses they answer with."""

    archive: Archive
    base_url: Callable[[], str]
    dicomweb_url: Callable[[], str]
    secured: Resource

    @property
    def site(self) -> Site:
        """Where and when a search happens."""
        return Site(self.archive.index, self.base_url().rstrip("/"), datetime.now(UTC))


def blueprint(
    archive: Archive, base_url: Callable[[], str], dicomweb_url: Callable[[], str], secured: Resource
) -> Blueprint:
    """The FHIR R4 facade over an archive. The functions say, within a request, under which addresses clients reach
    the FHIR base and the DICOMweb root; `secured` is what `metadata` says about who may."""
    place = Place(archive, base_url, dicomweb_url, secured)
    routes = Blueprint("fhir", __name__)
    _add_interactions(routes, place)
    _add_fallback(routes)
    _add_errors(routes)
    routes.after_request(_echo_request_id)
    return routes


def outcome_response(problem: Problem) -> Response:
    """A problem as an HTTP response. For the guard, too, when it turns somebody away from here."""
    body = checked(operation_outcome(problem.code, problem.text))
    return _respond(body, None, problem.status, problem.headers)


def _add_interactions(routes: Blueprint, place: Place) -> None:
    @routes.get("/metadata", **_OPEN_TO_SLASHES)
    @needs(Permission.ANYONE)
    def metadata() -> Response:
        return _answer(capability_statement(place.site.base, place.secured), _query())

    @routes.get(f"/{_KINDS}", **_OPEN_TO_SLASHES)
    @needs(Permission.READ)
    def search_by_get(kind: str) -> Response:
        return _search(place, kind, _query())

    @routes.post(f"/{_KINDS}/_search", **_OPEN_TO_SLASHES)
    @needs(Permission.READ)
    def search_by_post(kind: str) -> Response:
        if request.mimetype not in (_FORM, ""):
            raise Problem(415, "not-supported", f"a search is posted as {_FORM}")
        request.max_content_length = _LONGEST_FORM
        return _search(place, kind, [*_query(), *request.form.items(multi=True)])

    @routes.get(f"/{_KINDS}/<identifier>", **_OPEN_TO_SLASHES)
    @needs(Permission.READ)
    def read_one(kind: str, identifier: str) -> Response:
        if identifier == "_search":
            raise _not_allowed(_allowed(f"{kind}/_search"))
        if not ID.fullmatch(identifier):
            raise not_found()
        pairs = _query()
        shape = shape_of(pairs)
        resource = read(kind, identifier, place.archive.index, place.dicomweb_url())
        return _conditional(_answer(shaped(resource, shape), pairs), resource)


def _add_fallback(routes: Blueprint) -> None:
    """What no interaction answers: a wrong method, an unknown type, or what methods there are. As a route, so that it
    is told in FHIR."""

    @routes.route("/", defaults={"path": ""}, methods=_METHODS, **_OPEN_TO_SLASHES)
    @routes.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
    @needs(Permission.READ)
    def fallback(path: str) -> Response:
        allowed = _allowed(path.rstrip("/"))
        if allowed and request.method == "OPTIONS":
            return Response(headers={"Allow": ", ".join(allowed)}, content_type=CONTENT_TYPE)
        if allowed:
            raise _not_allowed(allowed)
        raise Problem(404, "not-supported", f"there is nothing here but metadata, {', '.join(VOCABULARIES)}")


def _not_allowed(allowed: tuple[str, ...]) -> Problem:
    return Problem(405, "not-supported", "this interaction is not supported here", {"Allow": ", ".join(allowed)})


def _allowed(path: str) -> tuple[str, ...]:
    """The methods that a path of ours takes; none where it is not ours."""
    kind, *rest = path.split("/")
    if path == "metadata":
        return ("GET", "HEAD", "OPTIONS")
    if kind not in VOCABULARIES or len(rest) > 1:
        return ()
    return ("POST", "OPTIONS") if rest == ["_search"] else ("GET", "HEAD", "OPTIONS")


def _add_errors(routes: Blueprint) -> None:
    @routes.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        return outcome_response(error)

    @routes.errorhandler(StorageError)
    def storage_error(error: StorageError) -> Response:
        return outcome_response(problem_of(error))

    @routes.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response | HTTPException:
        if error.response is not None:
            return error
        headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
        status = error.code or 500
        text = f"the request failed with HTTP status {status}"
        return outcome_response(Problem(status, _CODES.get(status, "processing"), text, headers))

    @routes.errorhandler(Exception)
    def defect(error: Exception) -> Response:
        # The message of an exception may hold values of an object; where it arose does not.
        frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        current_app.logger.error("fhir: %s at %s", type(error).__name__, " > ".join(frames))
        return outcome_response(Problem(500, "exception", "the request could not be answered"))


def _query() -> Pairs:
    return list(request.args.items(multi=True))


def _search(place: Place, kind: str, pairs: Pairs) -> Response:
    require_json(pairs, request.accept_mimetypes)
    asked = understand(pairs, VOCABULARIES[kind], handling_of(request.headers.getlist("Prefer")))
    return _answer(search(kind, asked, place.site, place.dicomweb_url()), pairs)


def _answer(resource: Resource, pairs: Pairs) -> Response:
    require_json(pairs, request.accept_mimetypes)
    return _respond(checked(resource), indentation(pairs), 200, {"Cache-Control": "private, no-cache"})


def _respond(resource: Resource, indent: int | None, status: int, headers: Mapping[str, str]) -> Response:
    body = json.dumps(resource, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    return Response(body, status, {**headers, "Vary": "Accept"}, content_type=CONTENT_TYPE)


def _conditional(response: Response, resource: Resource) -> Response:
    """With its version, and empty where the client has that version already.

    A Patient whose latest study is withdrawn is what an older one says: its time goes back, and decides nothing.
    """
    meta = resource["meta"]
    changed = datetime.fromisoformat(meta["lastUpdated"]) if "lastUpdated" in meta else None
    response.set_etag(meta["versionId"], weak=True)
    response.last_modified = changed if resource["resourceType"] != "Patient" else None
    response.make_conditional(request)
    response.last_modified = changed
    return response


def _echo_request_id(response: Response) -> Response:
    given = request.headers.get("X-Request-Id", "")
    if _REQUEST_ID.fullmatch(given):
        response.headers["X-Request-Id"] = given
    return response
