"""Describes the service as an OpenAPI document, made from its routes: parameters, bodies, every status it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, jsonify

from .answers import Service
from .capabilities import Resource, resources
from .captions import PATIENT, TECHNIQUE
from .wishes import PROFILES

_DESCRIPTIONS = {
    "200": "done",
    "201": "made",
    "202": "stored in part, not yet clean, or asked for",
    "204": "nothing matches, or there is no more of it",
    "206": "the range that was asked for",
    "304": "not changed",
    "400": "malformed",
    "401": "no credentials",
    "403": "not permitted",
    "404": "unknown",
    "406": "not to be had in that form",
    "409": "nothing was stored, or not in this state",
    "410": "removed",
    "413": "too large",
    "415": "no such format of a body",
    "416": "no such range",
    "429": "too many attempts",
    "503": "not now",
}
_EVERYWHERE = ("400", "401", "403", "404", "406", "429", "503")
_ANSWERS = {"GET": ("200",), "HEAD": ("200",), "POST": ("200", "202", "409", "413", "415"), "DELETE": ("204",)}
_OF_WORKITEMS = ("409", "410", "413", "415")
_TEXT: dict[str, Any] = {"type": "string"}
_SWITCH: dict[str, Any] = {"type": "boolean"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_UID: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64}
_NUMBER = r"-?[0-9]{1,4}(\.[0-9]{1,4})?"
_SCHEMAS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("study", "series", "instance", "workitem"), _UID),
    "aetitle": {"type": "string", "pattern": r"^[A-Za-z0-9_-]{1,16}$"},
    "deletionlock": _SWITCH,
    "numbers": {"type": "string", "pattern": "^[1-9][0-9]{0,5}(,[1-9][0-9]{0,5})*$"},
    **dict.fromkeys(("limit", "offset"), _COUNT),
    **dict.fromkeys(("fuzzymatching", "emptyvaluematching", "multiplevaluematching"), _SWITCH),
    "quality": {"type": "integer", "minimum": 1, "maximum": 100},
    "iccprofile": {"enum": list(PROFILES)},
    "annotation": {"enum": [PATIENT, TECHNIQUE, f"{PATIENT},{TECHNIQUE}"]},
    "window": {"type": "string", "pattern": f"^{_NUMBER},[1-9][0-9]{{0,4}},(linear|linear-exact|sigmoid)$"},
    "viewport": {"type": "string", "pattern": "^[1-9][0-9]{0,2},[1-9][0-9]{0,2}$"},
}
"""What parameters look like that are not just text; a viewport may also name a region."""
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_HEADERS = ("Accept", "If-None-Match", "Range")


def openapi(service: Service) -> Response:
    """The document, for programs that make clients or tests of it."""
    paths = {one.path: {method.lower(): _operation(one, method) for method in one.methods} for one in resources()}
    return jsonify(
        openapi="3.1.0",
        info={"title": "DICOMweb", "version": "PS3.18 2026"},
        servers=[{"url": service.base()}],
        security=[{"token": []}, {"basic": []}],
        paths=paths,
        components={
            "securitySchemes": {"token": _scheme("bearer"), "basic": _scheme("basic")},
            "responses": {status: {"description": text} for status, text in _DESCRIPTIONS.items()},
        },
    )


def _operation(one: Resource, method: str) -> dict[str, Any]:
    operation: dict[str, Any] = {"parameters": _parameters(one, method), "responses": _responses(one, method)}
    if bodies := one.taken(method):
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(bodies, _BINARY)}
    return operation


def _parameters(one: Resource, method: str) -> list[dict[str, Any]]:
    asked: dict[str, Sequence[str]] = {"path": one.variables, "query": one.asked(method)}
    if method in ("GET", "HEAD"):
        asked["header"] = _HEADERS
    return [
        {"name": name, "in": place, "required": place == "path", "schema": _SCHEMAS.get(name, _TEXT)}
        for place, names in asked.items()
        for name in names
    ]


def _responses(one: Resource, method: str) -> dict[str, Any]:
    statuses = [*((one.done(method), *_OF_WORKITEMS) if one.is_worklist else _ANSWERS[method]), *_EVERYWHERE]
    if method in ("GET", "HEAD"):
        statuses += ["204", "413"] if one.is_search else [] if one.is_worklist else ["206", "304", "416"]
    responses: dict[str, Any] = {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}
    if method == "GET":
        responses["200"] = {"description": _DESCRIPTIONS["200"], "content": {name: {} for name in one.given}}
    elif method == "POST" and not one.is_worklist:
        responses["200"] = {
            "description": _DESCRIPTIONS["200"],
            "content": {name: {} for name in one.answered(method)},
        }
    return responses


def _scheme(kind: str) -> dict[str, str]:
    return {"type": "http", "scheme": kind}
