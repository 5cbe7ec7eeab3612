"""Searches for studies, series and instances (QIDO-RS, PS3.18 10.6).

Every standard attribute is a key, attributes of sequences by their path; a key that storage cannot search for is
refused, never passed over: an answer that is too long would be taken for a
match. Several values of one key, separated by a backslash, are alternatives, for `ModalitiesInStudy` too; only lists
of UIDs are separated by a comma as well. `limit=0` finds nothing.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask import Response, request
from pydicom.datadict import dictionary_VR, tag_for_keyword

from lethe.storage.computed import COUNTED
from lethe.storage.entries import SEARCHABLE, DicomJson, Entry, first_text, is_uid
from lethe.storage.errors import Refused
from lethe.storage.matching import keyword_of
from lethe.storage.query import Level, Match, Query, Within

from .answers import Keep, Service, json_array, json_kept
from .dicomjson import served
from .nativexml import wants_xml, xml_parts

MOST = 5000
"""How many results one answer has at most (PS3.18 8.3.4.4)."""
_CONTROLS = {"limit", "offset", "includefield", "fuzzymatching", "accept"}
_BIGGEST = 2**62
_MOST_ALTERNATIVES = 32
LITERALLY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."

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
    Level.SERIES: (),
    Level.INSTANCE: ("00280008", "00280010", "00280011", "00280100"),
}
_PATH_UIDS = ("0020000D", "0020000E")


@dataclass(frozen=True)
class _Wish:
    """Which attributes a client is given: the usual ones of `levels`, those it names, or all that are remembered."""

    levels: tuple[Level, ...]
    tags: frozenset[str]
    everything: bool


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
    matches = matching_keys()
    wish = _wish(_levels(level, uids), [match.tag for match in matches])
    asked, offset = count_asked("limit"), count_asked("offset") or 0
    limit = MOST if asked is None else min(asked, MOST)
    query = Query(level, (*parents, *matches), limit=limit, offset=offset, counted=COUNTED & wish.tags)
    entries = service.archive.index.find(query) if limit else []
    warnings = list(_warnings(service, query, len(entries), asked))
    if not entries:
        response = Response(status=204, headers={"Cache-Control": "no-cache"})
    elif keep is None:
        response = xml_parts(_results(service, query, entries, wish))
    else:
        response = json_array(_results(service, query, entries, wish), None if warnings else keep)
    for text in warnings:
        response.headers.add("Warning", f"299 {service.base()}: {text}")
    return response


def _warnings(service: Service, query: Query, found: int, asked: int | None) -> Iterator[str]:
    """What the client should know beside the results (PS3.18 8.3.4.2, 8.3.4.4)."""
    if found == MOST and asked != MOST:
        remaining = service.archive.index.count(query) - query.offset - found
        if remaining > 0:
            yield f"There are {remaining} additional results that can be requested"
    if wants_fuzzy():
        yield LITERALLY


def wants_fuzzy() -> bool:
    """Whether the request asks for fuzzy matching, which is not done."""
    return (control("fuzzymatching") or ["false"])[-1].lower() == "true"


def tag_of(name: str) -> str:
    """The eight-digit tag of an attribute that is named by keyword or tag. Raises Refused."""
    if re.fullmatch(r"[0-9A-Fa-f]{8}", name):
        return name.upper()
    tag = tag_for_keyword(name)
    if tag is None:
        raise Refused(
            "an attribute is named by its keyword or the eight digits of its tag; one of the names is neither"
        )
    return f"{tag:08X}"


def matching_keys() -> tuple[Match | Within, ...]:
    """The matching keys of the request (PS3.18 8.3.4.1); those that name attributes of the same sequence have to match
    within one item. Raises Refused."""
    found: dict[tuple[str, ...], str] = {}
    for name, values in request.args.lists():
        if not is_key(name):
            continue
        path = tuple(tag_of(part) for part in name.split("."))
        if path in found or len(values) > 1:
            raise Refused(f"the attribute {'.'.join(path)} is given more than once")
        found[path] = values[0]
    return terms_of(found)


def terms_of(found: Mapping[tuple[str, ...], str]) -> tuple[Match | Within, ...]:
    """Keys by their path as terms. Raises Refused."""
    terms: list[Match | Within] = []
    for tag in dict.fromkeys(path[0] for path in found):
        below = {path[1:]: value for path, value in found.items() if path[0] == tag and len(path) > 1}
        vr = _vr_of(tag)
        if (tag,) in found and not (vr == "SQ" and not found[tag,]):
            terms.append(Match(tag, _alternatives(tag, found[tag,])))
        if below and vr != "SQ":
            raise Refused(f"the attribute {tag} is no sequence")
        if below:
            terms.append(Within(tag, terms_of(below)))
    return tuple(terms)


def _vr_of(tag: str) -> str:
    """The VR of a standard attribute. Raises Refused: without its creator, a private one cannot be known."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        raise Refused(f"this service cannot search for the attribute {tag}") from None


def is_key(name: str) -> bool:
    """Whether a parameter means an attribute: DICOM keywords begin with a capital, tags with a digit. Anything else,
    such as `_`, `access_token` or `X-Signature`, is a parameter we do not know and pass over."""
    return name.lower() not in _CONTROLS and bool(re.match(r"[A-Z][0-9A-Za-z.]*$|[0-9(]|[a-f][0-9A-Fa-f]{7}$", name))


def _alternatives(tag: str, value: str) -> tuple[str, ...]:
    if _vr_of(tag) != "UI":
        parts = tuple(part for part in value.split("\\") if part)
        if len(parts) > _MOST_ALTERNATIVES:
            raise Refused(f"a key has at most {_MOST_ALTERNATIVES} alternative values")
        return parts or ("",)
    uids = tuple(uid.strip() for uid in re.split(r"[,\\]", value) if uid.strip())
    if value and not (uids and all(is_uid(uid) for uid in uids)):
        raise Refused(f"{keyword_of(tag)} is searched for by UIDs")
    return uids or ("",)


def _wish(levels: tuple[Level, ...], keys: Iterable[str]) -> _Wish:
    """What `includefield` asks for; matching keys are always returned (PS3.18 10.6.3.3). Raises Refused."""
    tags, everything = fields_asked()
    # A private element is of no use without the element that says whose it is.
    creators = {f"{tag[:4]}00{tag[4:6]}" for tag in tags if int(tag[:4], 16) % 2 and tag[4:6] != "00"}
    return _Wish(levels, frozenset({*tags, *creators, *keys}), everything=everything)


def fields_asked() -> tuple[set[str], bool]:
    """The attributes that `includefield` names, and whether it asks for all. Raises Refused."""
    names = [name.strip() for value in control("includefield") for name in value.split(",")]
    tags = {tag_of(name.partition(".")[0]) for name in names if name and name.lower() != "all"}
    return tags, "all" in map(str.lower, names)


def control(name: str) -> list[str]:
    """The values of a parameter that is no attribute; its name is taken in any case."""
    return [value for key, values in request.args.lists() if key.lower() == name for value in values]


def count_asked(name: str) -> int | None:
    """The whole number that a parameter gives, if it is given. Raises Refused."""
    values = [value for value in control(name) if value]
    if not values:
        return None
    if len(set(values)) > 1 or not re.fullmatch(r"[0-9]{1,40}", values[0]):
        raise Refused(f"{name} is one whole number, 0 or more")
    return min(int(values[0]), _BIGGEST)


def _results(service: Service, query: Query, entries: Sequence[Entry], wish: _Wish) -> Iterator[bytes]:
    base = service.base()
    more = _not_remembered(service, query, entries, wish)
    for entry in entries:
        result = _result(base, entry, wish)
        result |= more.get(entry.sop_uid, {})
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
    result["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
    result["00081190"] = {"vr": "UR", "Value": [_retrieve_url(base, entry)]}
    return result


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
    missing = {tag for tag in wish.tags if any(tag not in entry.attributes for entry in entries)}
    if query.level != Level.INSTANCE or not missing:
        return {}
    found: dict[str, DicomJson] = {}
    for body in service.archive.index.metadata(query):
        metadata = json.loads(gzip.decompress(body))
        found[first_text(metadata, "00080018")] = {tag: metadata[tag] for tag in missing if tag in metadata}
    return found
