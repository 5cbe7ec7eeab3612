"""Reads what the identifier of a query or a retrieval asks for (PS3.4 C.4), as terms for the index.

Nothing is asked of a key but that it can be matched: a request that leaves out the unique keys of higher levels is
answered all the same, relationally, and a key of a lower level asks that there is such a series or instance.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.charset import decode_bytes
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS

from lethe.dicomweb.dicomjson import describe
from lethe.storage.computed import COUNTED
from lethe.storage.entries import COUNTS, PATIENT_TAGS, SEARCHABLE, DicomJson, level_of
from lethe.storage.errors import Refused
from lethe.storage.holding import is_open, private_tag
from lethe.storage.query import Level, Match, Within

from .identifiers import encodings_of
from .replies import WrongIdentifier

STUDY_ROOT: Mapping[str, Level] = {"STUDY": Level.STUDY, "SERIES": Level.SERIES, "IMAGE": Level.INSTANCE}
PATIENT_ROOT: Mapping[str, Level] = {"PATIENT": Level.PATIENT, **STUDY_ROOT}
"""The Query/Retrieve Levels of an information model (PS3.4 C.6)."""
UNIQUE_KEYS = {
    Level.PATIENT: "00100020",
    Level.STUDY: "0020000D",
    Level.SERIES: "0020000E",
    Level.INSTANCE: "00080018",
}
_LEVEL, _CHARACTER_SET = "00080052", "00080005"
_NOT_MATCHED = frozenset((_CHARACTER_SET, _LEVEL, "00080053", "00080054", "00080056", "00080201"))
AVAILABLE_SYNTAX = "00083002"
"""In which transfer syntax an instance is kept: told to who asks, and no key to search by."""
_HELD = ("Value", "InlineBinary")


@dataclass(frozen=True)
class Wanted:
    """What is asked for: a level, keys in the DICOM JSON model, and the character sets of the request."""

    level: Level
    keys: DicomJson
    character_sets: tuple[str, ...]


def wanted(identifier: Dataset, levels: Mapping[str, Level]) -> Wanted:
    """What an identifier asks for in an information model. Raises WrongIdentifier."""
    sets = sets_of(identifier)
    keys = _spelled(describe(identifier), encodings_of(sets))
    names = keys.pop(_LEVEL, {}).get("Value") or [""]
    keys.pop(_CHARACTER_SET, None)
    name = names[0]
    if len(names) > 1 or name not in levels:
        raise WrongIdentifier(f"Query/Retrieve Level (0008,0052) must be {', '.join(levels)}", _LEVEL)
    return Wanted(levels[name], keys, sets)


def sets_of(identifier: Dataset) -> tuple[str, ...]:
    """The character sets of a request."""
    sets = identifier.get("SpecificCharacterSet") or ()
    return tuple(str(one).strip(" \0") for one in ([sets] if isinstance(sets, str) else sets))


def _spelled(keys: DicomJson, encodings: Sequence[str]) -> DicomJson:
    """The keys with texts for private values of an encoding that has no VRs, which only the peer knows."""
    found: DicomJson = {}
    for tag, key in keys.items():
        found[tag] = key
        if key["vr"] == "SQ":
            found[tag] = {**key, "Value": [_spelled(item, encodings) for item in key.get("Value", ())]}
        elif key["vr"] == "UN" and "InlineBinary" in key and is_private(tag):
            text = decode_bytes(b64decode(key["InlineBinary"]), encodings, TEXT_VR_DELIMS).strip(" \0")
            if text.isprintable():
                found[tag] = {"vr": "LO", "Value": [one.strip(" ") for one in text.split("\\")]}
    return found


def demand_hierarchy(want: Wanted, levels: Mapping[str, Level]) -> None:
    """That there is one value for the unique key of each higher level (PS3.4 C.4.1.2.1). Raises WrongIdentifier."""
    for level in levels.values():
        key = want.keys.get(UNIQUE_KEYS[level], {})
        values = [_text(value) for value in key.get("Value", ())]
        if level < want.level and (len(values) != 1 or not values[0] or set(values[0]) & set("*?")):
            raise WrongIdentifier(
                f"one value is needed for the unique key of the level {level.name}", UNIQUE_KEYS[level]
            )


def terms_of(keys: DicomJson) -> tuple[Match | Within, ...]:
    """The conditions that the keys make. Raises Refused for a value that nothing can be compared with."""
    return tuple(_terms(keys))


def chosen(keys: DicomJson, known: Mapping[str, Any]) -> DicomJson:
    """Of the known attributes those that the keys name, empty where there is no value; so too within the items of a
    sequence, where the request has one with keys (PS3.4 C.2.2.2.6)."""
    found: DicomJson = {}
    for tag, key in keys.items():
        creator = creator_of(keys, tag)
        element = known.get(private_tag(known, tag, creator) if creator else tag, {})
        vr = str(element.get("vr") or key["vr"])
        within = (key.get("Value") or [{}])[0] if key["vr"] == "SQ" else {}
        if is_creator(tag):
            found[tag] = key
        elif vr == "SQ" and within:
            found[tag] = {"vr": vr, "Value": [chosen(within, item) for item in element.get("Value", ())]}
        else:
            found[tag] = {"vr": vr, **{name: element[name] for name in _HELD if name in element}}
    return found


def creator_of(keys: DicomJson, tag: str) -> str:
    """The private creator of a key, as the request has it; empty for what is not private or has none."""
    if not is_private(tag) or is_creator(tag):
        return ""
    return str((keys.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value") or [""])[0] or "")


def is_private(tag: str) -> bool:
    """Whether an eight-digit tag has an odd group."""
    return int(tag[3], 16) % 2 == 1


def is_creator(tag: str) -> bool:
    """Whether a private tag says whose a block is."""
    return is_private(tag) and tag[4:6] == "00" and tag[6:] >= "10"


def is_supported(tag: str, level: Level) -> bool:
    """Whether an entity of that level can have a value for the key at all (PS3.4 C.4.1.1.3.2 for optional keys)."""
    if tag in _NOT_MATCHED:
        return True
    if tag in COUNTED - COUNTS.keys():
        return True
    if level == Level.PATIENT:
        return tag in PATIENT_TAGS
    return level == Level.INSTANCE or (level_of(tag) <= level and not is_private(tag))


def _terms(keys: DicomJson) -> Iterator[Match | Within]:
    for tag, key in keys.items():
        if tag in _NOT_MATCHED or tag == AVAILABLE_SYNTAX or is_creator(tag):
            continue
        term = _term(keys, tag, key)
        if is_open(term):
            continue
        if tag in COUNTED and tag not in SEARCHABLE:
            raise Refused(f"({tag[:4]},{tag[4:]}) is counted, and cannot be searched for")
        yield term


def _term(keys: DicomJson, tag: str, key: Mapping[str, Any]) -> Match | Within:
    creator = creator_of(keys, tag)
    if key["vr"] == "SQ":
        return Within(tag, tuple(term for item in key.get("Value", ())[:1] for term in _terms(item)), creator)
    if key.keys() & {"InlineBinary", "BulkDataURI"}:
        raise Refused(f"({tag[:4]},{tag[4:]}) cannot be searched for by a value")
    return Match(tag, tuple(_text(value) for value in key.get("Value", ())), creator)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
        text = "=".join(groups).rstrip("=")
    else:
        text = "" if value is None else str(value)
    return "" if set(text) == {"*"} else text
