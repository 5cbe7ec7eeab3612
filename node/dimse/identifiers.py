"""Writes the identifiers of responses: attributes in the DICOM JSON model as bytes of a data set (PS3.5 7), in a
character set that can express them, the requester's own if it can."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes, default_encoding, encode_string, python_encoding
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, PN_DELIMS

from lethe.dicomweb.dicomjson import BINARY, swapped
from lethe.dicomweb.elements import LONGEST_OF_SHORT
from lethe.storage.entries import DicomJson

UTF8 = "ISO_IR 192"
_NUMBERS = {"FL": "f", "FD": "d", "US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q"}
IN_CHARACTER_SET = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
"""The VRs whose values are written in the Specific Character Set (PS3.5 6.1.2.3)."""
_JIS = "shift_jis"
_LATIN_1 = re.compile("[\x80-\xff]")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True)
class _Form:
    """How values are encoded."""

    implicit: bool
    order: str
    encodings: Sequence[str]


def encoded(attributes: DicomJson, syntax: UID, asked: Sequence[str] = ()) -> bytes:
    """The data set of these attributes in an uncompressed transfer syntax. `asked` is the requester's Specific
    Character Set (0008,0005); where all is ASCII, none is named."""
    texts = [text for text in _texts(attributes) if not text.isascii()]
    sets = _character_sets(texts, asked) if texts else ()
    if sets:
        attributes = attributes | {"00080005": {"vr": "CS", "Value": list(sets)}}
    form = _Form(syntax.is_implicit_VR, "<" if syntax.is_little_endian else ">", _encodings(sets))
    return _data_set(attributes, form)


def _character_sets(texts: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    return tuple(asked) if asked and can_express(texts, asked) else (UTF8,)


def can_express(texts: Iterable[str], sets: Sequence[str]) -> bool:
    """Whether these character sets are known, may stand together, and have all that is in the texts."""
    try:
        encodings = _encodings(sets)
        return all(decode_bytes(_bytes(text, encodings), encodings, PN_DELIMS) == text for text in texts)
    except (LookupError, ValueError):
        return False


def encodings_of(sets: Sequence[str]) -> Sequence[str]:
    """How a request is to be read that names these character sets, known or not."""
    try:
        return _encodings(sets)
    except LookupError:
        return (default_encoding,)


def _encodings(sets: Sequence[str]) -> Sequence[str]:
    """Python's names of the character sets. Raises LookupError for one that is not known, and for several of which one
    has no code extensions (PS3.3 C.12.1.1.2)."""
    if not all(one in python_encoding for one in sets):
        raise LookupError("not a character set of the standard")
    if len(sets) > 1 and not all(one.startswith("ISO 2022 ") for one in sets if one):
        raise LookupError("not a character set that is one of several")
    return convert_encodings(list(sets)) if sets else (default_encoding,)


def _texts(attributes: DicomJson) -> Iterator[str]:
    for element in attributes.values():
        for value in element.get("Value", ()):
            if isinstance(value, Mapping) and element["vr"] == "SQ":
                yield from _texts(dict(value))
            elif isinstance(value, Mapping):
                yield from map(str, value.values())
            elif isinstance(value, str) and element["vr"] in IN_CHARACTER_SET:
                yield value


def _data_set(attributes: Mapping[str, Mapping[str, Any]], form: _Form) -> bytes:
    return b"".join(_element(tag, element, form) for tag, element in sorted(attributes.items()))


def _element(tag: str, element: Mapping[str, Any], form: _Form) -> bytes:
    vr = str(element["vr"])
    value = _value(vr, element, form)
    head = pack(f"{form.order}HH", int(tag[:4], 16), int(tag[4:], 16))
    if form.implicit:
        return head + pack(f"{form.order}L", len(value)) + value
    if vr not in EXPLICIT_VR_LENGTH_32 and len(value) > LONGEST_OF_SHORT:
        vr = "UN"  # PS3.5 6.2.2, note 6
    if vr in EXPLICIT_VR_LENGTH_32:
        return head + vr.encode() + pack(f"{form.order}HL", 0, len(value)) + value
    return head + vr.encode() + pack(f"{form.order}H", len(value)) + value


def _value(vr: str, element: Mapping[str, Any], form: _Form) -> bytes:
    if vr in BINARY:
        data = base64.b64decode(element.get("InlineBinary", ""))
        data += bytes(len(data) % 2)
        return data if form.order == "<" else swapped(data, BINARY[vr])
    values = element.get("Value", ())
    if vr == "SQ":
        return b"".join(_item(item, form) for item in values)
    if vr == "AT":
        return b"".join(pack(f"{form.order}HH", int(one[:4], 16), int(one[4:], 16)) for one in values if one)
    if vr in _NUMBERS:
        kind = float if vr in ("FL", "FD") else int
        return b"".join(pack(f"{form.order}{_NUMBERS[vr]}", kind(one)) for one in values if one is not None)
    texts = (_text(one) for one in values)
    if vr in IN_CHARACTER_SET:
        text = b"\\".join(_bytes(one, form.encodings) for one in texts)
    else:
        text = "\\".join(texts).encode("ascii", "replace")
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)


def _item(item: Mapping[str, Mapping[str, Any]], form: _Form) -> bytes:
    body = _data_set(item, form)
    return pack(f"{form.order}HHL", 0xFFFE, 0xE000, len(body)) + body


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "=".join(str(value.get(group, "")) for group in _GROUPS).rstrip("=")
    return "" if value is None else str(value)


def _bytes(text: str, encodings: Sequence[str]) -> bytes:
    """A text, each part between delimiters by itself: there, code extensions begin anew (PS3.5 6.1.2.5.3). Raises
    ValueError where the encodings cannot express it."""
    if text.isascii():
        return text.encode("ascii")
    if encodings[0] == default_encoding and _LATIN_1.search(text):
        raise ValueError("pydicom writes Latin-1 where ASCII is meant")
    if len(encodings) == 1 and encodings[0] != _JIS:  # by that name pydicom means JIS X 0201, and Python much more
        return text.encode(encodings[0])
    parts = re.split(r"([\^=\\\r\n\t\f])", text)
    return b"".join(encode_string(part, list(encodings)) for part in parts)
