"""Chooses the form of an answer: JSON, and what the request says about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from werkzeug.datastructures import MIMEAccept

from .outcome import Problem, invalid
from .parameters import Handling, Pairs

CONTENT_TYPE = "application/fhir+json; charset=utf-8"

_JSON = {"application/fhir+json", "application/json", "text/json", "json", "*/*", "application/*", "text/*"}
_VERSION = re.compile(r"fhirversion\s*=\s*\"?([0-9.]+)\"?", re.IGNORECASE)


def require_json(pairs: Pairs, accept: MIMEAccept) -> None:
    """See that the request can live with JSON of R4; `_format` goes before the Accept header. Raises Problem."""
    formats = [value for name, value in pairs if name == "_format" and value.strip()]
    # The + of an unescaped application/fhir+json arrives as a space.
    wanted = [re.sub(r"/(fhir) (?=json)", r"/\1+", formats[-1].strip())] if formats else _accepted(accept)
    if wanted and not any(_is_ours(media_type) for media_type in wanted):
        raise Problem(406, "not-supported", "resources are given as application/fhir+json in FHIR 4.0 only")


def indentation(pairs: Pairs) -> int | None:
    """What `_pretty` asks for. Raises Problem."""
    pretty = [value for name, value in pairs if name == "_pretty" and value.strip()]
    if not pretty:
        return None
    if pretty[-1] not in ("true", "false"):
        raise invalid("_pretty is true or false")
    return 2 if pretty[-1] == "true" else None


def handling_of(prefer: Iterable[str]) -> Handling:
    """What the Prefer headers say about parameters nobody knows."""
    words = {word.strip().lower() for header in prefer for word in re.split("[;,]", header)}
    return Handling.STRICT if "handling=strict" in words else Handling.LENIENT


def _accepted(accept: MIMEAccept) -> list[str]:
    offered = list(accept)
    return [media_type for media_type, quality in offered if quality > 0] or ["none"] * bool(offered)


def _is_ours(media_type: str) -> bool:
    name, _, parameters = media_type.partition(";")
    version = _VERSION.search(parameters)
    return name.strip().lower() in _JSON and (version is None or version[1] in ("4.0", "4.0.1"))
