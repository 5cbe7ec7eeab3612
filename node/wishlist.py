"""Reads what is to be pulled from a peer: Study Instance UIDs, keys of a query, or a file of UIDs and Accession
Numbers. Mistakes are told by line number, never by value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import dictionary_VR, tag_for_keyword

from .errors import UserError

_UID = re.compile(r"[0-2](\.[0-9]+)+")  # PS3.5 9.1; leading zeros are wrong, and occur
_LIKE_NOTHING_ELSE = re.compile(r"[0-2](\.[0-9]+){3,}|2\.25\.[0-9]+")
"""A UID that is no Accession Number such as 1.5; below 2.25 (made from a UUID: PS3.5 B.2) a short one as well."""
_LONGEST_UID, _LONGEST_ACCESSION = 64, 16  # PS3.5 6.2
_KEYS = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
"""VRs of text, which is sent as it was typed, wildcards and ranges included."""


@dataclass(frozen=True)
class Wish:
    """One query: the attributes to match by keyword, and what to call it where it is told of."""

    name: str
    keys: Mapping[str, str]


def studies_wished(uids: Iterable[str]) -> list[Wish]:
    """One wish for each Study Instance UID. Raises UserError."""
    wishes = [Wish(f"study {number}", {"StudyInstanceUID": uid}) for number, uid in enumerate(uids, 1)]
    for wish in wishes:
        uid = wish.keys["StudyInstanceUID"]
        if len(uid) > _LONGEST_UID or not _UID.fullmatch(uid):
            raise UserError(f"{wish.name} is no Study Instance UID")
    return wishes


def query_wished(pairs: Iterable[str]) -> list[Wish]:
    """The wish for all that matches KEYWORD=VALUE pairs, each of them. Raises UserError."""
    keys: dict[str, str] = {}
    for pair in pairs:
        keyword, equals, value = pair.partition("=")
        if not equals or tag_for_keyword(keyword) is None or dictionary_VR(keyword) not in _KEYS:
            raise UserError("a query is made of KEYWORD=VALUE with keywords of DICOM, such as ModalitiesInStudy=CT")
        if keyword in keys or keyword in ("QueryRetrieveLevel", "SpecificCharacterSet"):
            raise UserError(f"{keyword} cannot be asked for, or is asked for twice")
        keys[keyword] = value.strip()
    if not any(value.strip("*") for value in keys.values()):
        raise UserError("a query needs at least one value, or it would move all that the peer has")
    return [Wish("the query", keys)]


def listed(path: Path) -> list[Wish]:
    """One wish for each line of a file, empty ones and those that begin with # left out. Raises UserError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: it is not in UTF-8") from None
    told = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    wishes = [_line(path, number, text) for number, text in told if text and not text.startswith("#")]
    if not wishes:
        raise UserError(f"{path}: there is nothing in it")
    return wishes


def _line(path: Path, number: int, text: str) -> Wish:
    if len(text) <= _LONGEST_UID and _LIKE_NOTHING_ELSE.fullmatch(text):
        return Wish(f"line {number}", {"StudyInstanceUID": text})
    if len(text) > _LONGEST_ACCESSION or re.search(r"[\x00-\x1f\x7f\\*?]", text):
        raise UserError(f"{path}: line {number} is neither a Study Instance UID nor an Accession Number")
    return Wish(f"line {number}", {"AccessionNumber": text})
