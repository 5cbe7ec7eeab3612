"""Answers C-FIND in the Patient Root and Study Root models (PS3.4 C.4.1), result after result as they are found."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from lethe.storage.archive import Archive
from lethe.storage.computed import COUNTED
from lethe.storage.entries import DicomJson, Entry, level_of
from lethe.storage.query import Level, Query, Term, with_moments

from ..choices import Ability, Queries
from .contexts import VERIFICATION_SYNTAXES
from .identifiers import encoded
from .records import put_on_record
from .replies import CANCELLED, OUT_OF_RESOURCES, PENDING, PENDING_WITHOUT_SOME_KEYS, SUCCESS, Asked, Reply
from .services import Service
from .wanted import (
    AVAILABLE_SYNTAX,
    PATIENT_ROOT,
    STUDY_ROOT,
    UNIQUE_KEYS,
    Wanted,
    chosen,
    demand_hierarchy,
    is_supported,
    terms_of,
    wanted,
)

_MODELS: Mapping[str, Mapping[str, Level]] = {
    str(PatientRootQueryRetrieveInformationModelFind): PATIENT_ROOT,
    str(StudyRootQueryRetrieveInformationModelFind): STUDY_ROOT,
}
# PS3.4 Table C.5-1: relational queries, combined date-time matching, fuzzy names, time zones, conversion to enhanced
# objects, empty value matching, multiple value matching.
_NEGOTIABLE = bytes((1, 1, 0, 0, 0, 1, 0))
_DATE_TIME = 1


def query_service(archive: Archive, ae_title: str, *, most: int, queries: Queries = Queries.RELATIONAL) -> Service:
    """The SOP Classes by which the clean objects are found; an answer has at most so many results."""
    return Service(
        tuple(_MODELS),
        tuple(VERIFICATION_SYNTAXES),
        Ability.FIND,
        answers={C_FIND: partial(_find, archive, ae_title, most, queries)},
        extended=_agreed,
    )


def _agreed(offered: bytes) -> bytes:
    """What is asked for in a SOP Class Extended Negotiation and supported, byte by byte."""
    return bytes(min(theirs, ours) for theirs, ours in zip(offered, _NEGOTIABLE, strict=False))


def _find(archive: Archive, ae_title: str, most: int, queries: Queries, asked: Asked) -> Iterator[Reply]:
    found, status = 0, OUT_OF_RESOURCES
    want = wanted(asked.identifier(), _MODELS[asked.sop_class])
    if queries == Queries.HIERARCHICAL and not asked.is_relational():
        demand_hierarchy(want, _MODELS[asked.sop_class])
    try:
        pending = PENDING if all(is_supported(tag, want.level) for tag in want.keys) else PENDING_WITHOUT_SOME_KEYS
        for entry, known in _results(archive, _query(asked, want, most)):
            if asked.is_cancelled():
                status = CANCELLED
                break
            if found == most:
                yield Reply(OUT_OF_RESOURCES, comment=f"there are more than {most} results: ask for less")
                return
            found += 1
            response = _response(want, entry, known, ae_title)
            yield Reply(pending, encoded(response, asked.transfer_syntax, want.character_sets))
        else:
            status = CANCELLED if asked.is_cancelled() else SUCCESS
        yield Reply(status)
    finally:
        put_on_record(archive, asked.origin, "found", {"level": want.level.name, "results": found})


def _query(asked: Asked, want: Wanted, most: int) -> Query:
    terms: tuple[Term, ...] = terms_of(want.keys)
    agreed = asked.negotiated()
    if len(agreed) > _DATE_TIME and agreed[_DATE_TIME]:
        terms = with_moments(terms_of(want.keys))
    return Query(want.level, terms, limit=most + 1, counted=COUNTED & want.keys.keys())


def _results(archive: Archive, query: Query) -> Iterator[tuple[Entry, Callable[[], DicomJson]]]:
    """Each entry, and what gives all its attributes, where the index does not keep them at hand."""
    if query.level == Level.INSTANCE:
        for entry, body in archive.index.stream_whole(query):
            yield entry, partial(_unpacked, body)
    else:
        for entry in archive.index.stream(query):
            yield entry, dict


def _unpacked(body: bytes) -> DicomJson:
    whole: DicomJson = json.loads(gzip.decompress(body))
    return whole


def _response(want: Wanted, entry: Entry, known: Callable[[], DicomJson], ae_title: str) -> DicomJson:
    """The keys of the request with the values of an entry, and what every response has (PS3.4 C.4.1.1.3.2)."""
    at_hand = entry.attributes
    if any(_is_elsewhere(tag, entry) for tag in want.keys):
        at_hand = known() | at_hand
    response = {
        UNIQUE_KEYS[level]: at_hand[UNIQUE_KEYS[level]] for level in _levels(entry) if UNIQUE_KEYS[level] in at_hand
    }
    response |= chosen(want.keys, at_hand)
    if AVAILABLE_SYNTAX in want.keys and entry.level == Level.INSTANCE:
        response[AVAILABLE_SYNTAX] = {"vr": "UI", "Value": [entry.transfer_syntax]}
    return response | {
        "00080052": {"vr": "CS", "Value": ["IMAGE" if entry.level == Level.INSTANCE else entry.level.name]},
        "00080054": {"vr": "AE", "Value": [ae_title]},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
    }


def _levels(entry: Entry) -> list[Level]:
    return [Level.PATIENT] if entry.level == Level.PATIENT else [level for level in Level if 0 < level <= entry.level]


def _is_elsewhere(tag: str, entry: Entry) -> bool:
    kept = tag in entry.attributes or tag == AVAILABLE_SYNTAX
    return entry.level == Level.INSTANCE and level_of(tag) == Level.INSTANCE and not kept
