"""Tells whether stored attributes hold what a matching key asks for that no column answers: sequences, private
attributes, names by their groups, and whatever else the DICOM JSON of an instance has.

The database calls `holds` for each row, so it never raises; a key of the wrong form is found before, by `key_of`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR

from .dicomtimes import by_the_clock, instants, is_zoned
from .errors import Refused
from .matching import WILDCARD_VRS, asked_words, bounds, fold, keyword_of, lies_within, words_of
from .query import EMPTY, Match, Resembles, Within

Json = Mapping[str, Any]
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NUMERIC = {"DS", "IS", "FL", "FD", "US", "SS", "UL", "SL", "UV", "SV"}
_BINARY = {"OB", "OW", "OF", "OL", "OD", "OV", "UN"}
_DEEPEST = 16
_Test = Callable[[Any], bool]


def key_of(term: Match | Within) -> str:
    """A term as the text that `holds` takes. Raises Refused where a value has not the form that its VR wants."""
    _check(term)
    return json.dumps(_plain(term, 0), separators=(",", ":"))


def holds(stored: str | bytes, key: str, *_row: object) -> bool:
    """Whether attributes, as DICOM JSON or that compressed with gzip, meet the key. What follows only tells the
    database which tables to have read before it asks."""
    try:
        return _meets(json.loads(stored if isinstance(stored, str) else gzip.decompress(stored)), _parsed(key))
    except (ValueError, OSError, EOFError, TypeError, AttributeError, KeyError):
        return False


def is_open(term: Match | Within) -> bool:
    """Whether a term asks for nothing: universal matching (PS3.4 C.2.2.2.3), at every depth."""
    if isinstance(term, Within):
        return all(is_open(one) for one in term.terms)
    return not term.values or any(
        value == "" or (set(value) == {"*"} and _has_wildcards(term)) for value in term.values
    )


def _has_wildcards(term: Match) -> bool:
    """Whether `*` means anything for the VR (PS3.4 C.2.2.2.4); private attributes are taken for text."""
    try:
        return dictionary_VR(int(term.tag, 16)).partition(" or ")[0] in WILDCARD_VRS
    except (KeyError, ValueError):
        return True


def private_tag(attributes: Json, tag: str, creator: str) -> str:
    """Where a private attribute of that creator lies in these attributes, whose block may be another (PS3.5 7.8.1);
    empty where it is not there."""
    for block in range(0x10, 0x100):
        owner = attributes.get(f"{tag[:4]}00{block:02X}", {}).get("Value") or [""]
        if owner[0] == creator:
            return f"{tag[:4]}{block:02X}{tag[6:]}"
    return ""


def _plain(term: Match | Within, depth: int) -> list[Any]:
    if depth > _DEEPEST:
        raise Refused("sequences are searched through to a depth of sixteen")
    if isinstance(term, Match):
        return [term.tag, term.creator, list(term.values), None, isinstance(term, Resembles)]
    return [term.tag, term.creator, [], [_plain(one, depth + 1) for one in term.terms if not is_open(one)], False]


def _check(term: Match | Within) -> None:
    if isinstance(term, Within):
        for one in term.terms:
            _check(one)
        return
    try:
        vr = dictionary_VR(int(term.tag, 16)).partition(" or ")[0]
    except (KeyError, ValueError):
        return
    for value in term.values if not is_open(term) else ():
        _test(vr, value, keyword_of(term.tag))
        if isinstance(term, Resembles):
            _words_test(value)


@lru_cache(maxsize=256)
def _parsed(key: str) -> Any:
    return json.loads(key)


def _meets(attributes: Json, key: Any) -> bool:
    tag, creator, values, within, alike = key
    if creator:
        tag = private_tag(attributes, tag, creator)
    element = attributes.get(tag, {})
    found = element.get("Value") or []
    if within is not None:
        return any(all(_meets(item, one) for one in within) for item in found if isinstance(item, Mapping))
    if not found:
        return EMPTY in values
    for value in values:
        try:
            test = _words_test(value) if alike and element["vr"] == "PN" else _test(element["vr"], value, "")
        except Refused:
            continue
        if any(test(one) for one in found if one is not None):
            return True
    return False


@lru_cache(maxsize=4096)
def _test(vr: str, value: str, keyword: str) -> _Test:
    """What tells whether one stored value matches. Raises Refused."""
    if value == EMPTY:
        return lambda _stored: False
    if vr == "PN":
        return name_test(value)
    if vr in _NUMERIC:
        return _number_test(value, keyword)
    if vr in ("DA", "TM"):
        ends = bounds(vr, value, keyword)
        return lambda stored: lies_within(vr, str(stored), ends)
    if vr == "DT":
        first, last = instants(value, keyword)
        read = str if is_zoned(value) else by_the_clock
        return lambda stored: _overlaps(read(stored), first, last)
    if vr in _BINARY or vr == "SQ":
        raise Refused(f"{keyword} cannot be searched for by a value")
    if vr in WILDCARD_VRS and ("*" in value or "?" in value):
        pattern = _pattern(value)
        return lambda stored: bool(pattern.fullmatch(str(stored)))
    return lambda stored: str(stored) == value


def name_test(value: str) -> _Test:
    """A name in one group is looked for in each; in several, each group that is given must match its own."""
    groups = [_pattern(fold(group)) if group.strip(" ^*") else None for group in value.split("=")]
    if len(groups) == 1 and groups[0] is not None:
        only = groups[0]
        return lambda stored: any(only.fullmatch(fold(group)) for group in dict(stored).values())
    wanted = [(name, group) for name, group in zip(_GROUPS, groups, strict=False) if group is not None]
    return lambda stored: all(group.fullmatch(fold(dict(stored).get(name, ""))) for name, group in wanted)


@lru_cache(maxsize=256)
def _words_test(value: str) -> _Test:
    """Words of a name, in any order, as `matching.resemblance` has it for the column. Raises Refused."""
    wanted = [_pattern(f"{word}*") for word in asked_words(value)]

    def test(stored: Any) -> bool:
        words = [word for group in dict(stored).values() for word in words_of(group)]
        return bool(wanted) and all(any(one.fullmatch(word) for word in words) for one in wanted)

    return test


def _number_test(value: str, keyword: str) -> _Test:
    try:
        number = float(value)
    except ValueError:
        raise Refused(f"{keyword} is searched for by a number") from None
    return lambda stored: float(stored) == number


def _overlaps(stored: str, first: str, last: str) -> bool:
    """Whether a stored date-time, which may be as short as a year, lies in the range."""
    try:
        begins, ends = instants(stored, "")
    except Refused:
        return False
    return (not first or ends >= first) and (not last or begins <= last)


def _pattern(value: str) -> re.Pattern[str]:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", value))
    return re.compile("".join(parts), re.DOTALL)
