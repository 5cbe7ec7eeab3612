"""Searches for studies, series and instances (QIDO-RS, PS3.18 10.6).

Every standard attribute is a key, attributes of sequences by their path; a key that storage cannot search for is
refused, never passed over: an answer that is too long would be taken for a match. A private attribute is a key beside
its Private Creator, whatever block that has in an object. Several values of one key, separated by a backslash, are
alternatives, for `ModalitiesInStudy` too; only lists of UIDs are separated by a comma as well. `limit=0` finds nothing.
With `fuzzymatching=true`, person names match by the beginnings of their words; with `multiplevaluematching=true`,
an attribute that can have several values has to have all of a key. Two quotation marks find what is empty, with
`emptyvaluematching` (PS3.18 8.3.4.5) and without it. A range of dates and one of times that belong together are one
range, from the first time of the first day to the last time of the last.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Response, request
from pydicom.datadict import dictionary_VR

from lethe.storage.computed import COUNTED
from lethe.storage.entries import SEARCHABLE, DicomJson, Entry, first_text
from lethe.storage.errors import Refused
from lethe.storage.holding import holds, is_open, key_of
from lethe.storage.matching import keyword_of
from lethe.storage.query import EMPTY, AnyOf, Level, Match, Query, Term, Within, with_moments

from . import searchkeys
from .answers import Keep, Service, json_array, json_kept, nothing, warned
from .dicomjson import served
from .givenback import named, of_an_instance, with_matching_items
from .instances import asked_for_by
from .nativexml import wants_xml, xml_parts
from .searchkeys import creator_of, fields_asked, is_private, page_asked

MOST = 5000
"""How many results one answer has at most (PS3.18 8.3.4.4)."""

# What is returned where a value is known or not (PS3.18 Tables 10.6.3-3 to 10.6.3-5); computed ones are among them.
_RETURNED = {
    Level.STUDY: (
        *("00080020", "00080030", "00080050", "00080061", "00080090", "00100010", "00100020", "00100030", "00100040"),
        *("0020000D", "00200010", "00201206", "00201208"),
    ),
    Level.SERIES: (*("00080060", "0008103E", "0020000E", "00200011", "00201209", "00400244", "00400245", "00400275"),),
    Level.INSTANCE: ("00080016", "00080018", "00200013"),
}
_RETURNED_IF_KNOWN = {
    Level.STUDY: ("00080005", "00080201"),
    Level.SERIES: ("00080201",),
    Level.INSTANCE: ("00080201", "00280008", "00280010", "00280011", "00280100"),
}
_PATH_UIDS = ("0020000D", "0020000E")
_AVAILABILITY, _RETRIEVE_URL, _AVAILABLE_SYNTAX = "00080056", "00081190", "00083002"
_OF_ALL: DicomJson = {_AVAILABILITY: {"vr": "CS", "Value": ["ONLINE"]}}
"""What every result says, whatever the object: only clean instances that can be had are found."""
_NO_KEYS = (COUNTED - SEARCHABLE.keys()) | {_RETRIEVE_URL, _AVAILABLE_SYNTAX}
"""What is returned and cannot be searched for."""


_AS_SPELT, _AS_NUMBERS = ("AE", "CS", "LO", "SH", "UI"), ("IS", "SL", "SS", "UL", "US")
"""The VRs whose values match only as they are spelt (PS3.4 C.2.2.2.1), and those of whole numbers."""


@dataclass(frozen=True)
class _Wish:
    """Which attributes a client is given: the usual ones of `levels`, those it names, or all that are remembered."""

    levels: tuple[Level, ...]
    tags: frozenset[str]
    everything: bool
    private: tuple[Match | Within, ...] = ()
    """Private keys, which know their creators."""
    below: tuple[tuple[str, str], ...] = ()
    """Keys of a lower level and the one value that was asked for, which a series or an instance of each result has."""
    keys: tuple[Match | Within, ...] = ()
    """Those that ask for something that no column answers: it has been read for each result before."""
    sequences: tuple[Within, ...] = ()
    """Those of which no more is wanted than matches."""


def studies(service: Service) -> Response:
    """Search for studies."""
    return _search(service, Level.STUDY, [])


def series(service: Service, study: str | None = None) -> Response:
    """Search for series, of one study or of all."""
    return _search(service, Level.SERIES, [study])


def instances(service: Service, study: str | None = None, series: str | None = None) -> Response:
    """Search for instances, of one series, of one study or of all."""
    return _search(service, Level.INSTANCE, [study, series])


def _search(service: Service, level: Level, uids: Sequence[str | None]) -> Response:
    if wants_xml():
        return _found(service, level, uids, None)
    asked = (service.base(), level, tuple(uids), request.query_string)
    keep = Keep(service.ready, asked, service.archive.index.version())
    return json_kept(keep) or _found(service, level, uids, keep)


def _found(service: Service, level: Level, uids: Sequence[str | None], keep: Keep | None) -> Response:
    """The answer, as JSON if there is a place to keep it, as XML otherwise."""
    parents = tuple(Match(tag, (uid,)) for tag, uid in zip(_PATH_UIDS, uids, strict=False) if uid)
    matches = searchkeys.matches()
    wish = _wish(level, _levels(level, uids), matches)
    page = page_asked(MOST)
    terms = (*parents, *with_moments([_asked(key) for key in matches]))
    query = Query(level, terms, page.limit, page.offset, counted=COUNTED & wish.tags)
    entries = service.archive.index.find(query) if page.limit else []
    warnings = page.warnings(len(entries), lambda: service.archive.index.count(query) - page.offset - len(entries))
    if not entries:
        response = nothing(204)
    elif keep is None:
        response = xml_parts(_results(service, query, entries, wish))
    else:
        response = json_array(_results(service, query, entries, wish), None if warnings else keep)
    return warned(service, response, warnings)


def _asked(key: Match | Within) -> Term:
    """What a key asks of the index; one that is answered here is met by all results or by none. Raises Refused."""
    if key.tag in _NO_KEYS and not is_open(key):
        raise Refused(f"{keyword_of(key.tag)} is made for each answer, and cannot be searched for")
    if key.tag == _AVAILABILITY and not is_open(key):
        return Match(key.tag, ()) if holds(json.dumps(_OF_ALL), key_of(key)) else AnyOf(())
    return key


def _wish(level: Level, levels: tuple[Level, ...], keys: Sequence[Match | Within]) -> _Wish:
    """What `includefield` asks for; matching keys are always returned (PS3.18 10.6.3.3). Raises Refused."""
    tags, everything = fields_asked()
    # A private element is of no use without the element that says whose it is.
    creators = {creator_of(tag) for tag in tags if is_private(tag) and tag[4:6] != "00"}
    known = {key.tag for key in keys if not key.creator}
    private = tuple(key for key in keys if key.creator)
    below = tuple((key.tag, key.values[0]) for key in keys if isinstance(key, Match) and _is_of_lower(key, level))
    asking = tuple(key for key in keys if not is_open(key) and (key.creator or key.tag not in SEARCHABLE))
    sequences = tuple(key for key in keys if isinstance(key, Within) and not everything and key.tag not in tags)
    return _Wish(levels, frozenset({*tags, *creators, *known}), everything, private, below, asking, sequences)


def _is_of_lower(key: Match, level: Level) -> bool:
    """Whether the key asks for the very value of an attribute that only a lower level has."""
    if len(key.values) != 1 or is_private(key.tag) or SEARCHABLE.get(key.tag, (Level.INSTANCE,))[0] <= level:
        return False
    value, vr = key.values[0], dictionary_VR(key.tag)
    if vr in _AS_NUMBERS:
        return bool(re.fullmatch(r"[+-]?[0-9]{1,18}", value))
    return vr in _AS_SPELT and value not in ("", EMPTY) and not set(value) & set("*?")


def _results(service: Service, query: Query, entries: Sequence[Entry], wish: _Wish) -> Iterator[bytes]:
    base = service.base()
    more = _not_remembered(service, query, entries, wish)
    of_instances = wish.keys if query.level != Level.INSTANCE else ()
    for entry in entries:
        result = _result(base, entry, wish)
        result |= more.get(entry.sop_uid, {})
        if rest := [key for key in of_instances if key.creator or key.tag not in result]:
            result |= of_an_instance(service.archive.index, query, entry, rest)
        if wish.sequences:
            result = with_matching_items(result, wish.sequences)
        text = json.dumps(dict(sorted(result.items())), separators=(",", ":"), ensure_ascii=False)
        yield served(text.encode(), base)


def _result(base: str, entry: Entry, wish: _Wish) -> DicomJson:
    known = entry.attributes
    result: DicomJson = {}
    for level in wish.levels:
        result |= {tag: known.get(tag, _empty(tag)) for tag in _RETURNED[level]}
        result |= {tag: known[tag] for tag in _RETURNED_IF_KNOWN[level] if tag in known}
    for tag, uid in zip(_PATH_UIDS, (entry.study_uid, entry.series_uid), strict=True):
        if uid:
            result[tag] = {"vr": "UI", "Value": [uid]}
    if wish.everything:
        result |= known
    for tag in wish.tags:
        if tag in known:
            result[tag] = known[tag]
        elif tag in SEARCHABLE and SEARCHABLE[tag][0] <= entry.level:
            result[tag] = _empty(tag)
    result |= {tag: _given_back(tag, value) for tag, value in wish.below if tag not in known}
    if entry.level == Level.INSTANCE and (wish.everything or _AVAILABLE_SYNTAX in wish.tags):
        result[_AVAILABLE_SYNTAX] = {"vr": "UI", "Value": [asked_for_by(entry.transfer_syntax)]}
    result[_RETRIEVE_URL] = {"vr": "UR", "Value": [_retrieve_url(base, entry)]}
    return result | _OF_ALL


def _given_back(tag: str, value: str) -> dict[str, object]:
    vr = dictionary_VR(tag)
    return {"vr": vr, "Value": [int(value) if vr in _AS_NUMBERS else value]}


def _levels(level: Level, uids: Sequence[str | None]) -> tuple[Level, ...]:
    """The levels whose attributes a result has: its own and those above that the URL does not (PS3.18 10.6.3.3)."""
    above = [Level.STUDY, Level.SERIES][: level - 1]
    return (*(parent for parent, uid in zip(above, uids, strict=True) if uid is None), level)


def _empty(tag: str) -> dict[str, object]:
    # OHIF 3.13 fails on a study whose ModalitiesInStudy has no Value; storage always gives it one.
    return {"vr": dictionary_VR(tag)}


def _retrieve_url(base: str, entry: Entry) -> str:
    url = f"{base}/studies/{entry.study_uid}"
    if entry.series_uid:
        url += f"/series/{entry.series_uid}"
    return f"{url}/instances/{entry.sop_uid}" if entry.sop_uid else url


def _not_remembered(service: Service, query: Query, entries: Sequence[Entry], wish: _Wish) -> Mapping[str, DicomJson]:
    """For instances, the wanted attributes that the index keeps only in the full metadata, such as sequences."""
    missing = {tag for tag in wish.tags - {_AVAILABLE_SYNTAX} if any(tag not in entry.attributes for entry in entries)}
    if query.level != Level.INSTANCE or not (missing or wish.private):
        return {}
    found: dict[str, DicomJson] = {}
    for body in service.archive.index.metadata(query):
        metadata = json.loads(gzip.decompress(body))
        remembered = {tag: metadata[tag] for tag in missing if tag in metadata}
        found[first_text(metadata, "00080018")] = remembered | dict(named(metadata, wish.private))
    return found
