"""Describes a dataset in the DICOM JSON model (PS3.18 Annex F), whatever is in it: a value that breaks its VR's rules
is given as found or as null, never as invalid JSON and never as an exception."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import TEXT_VR_DELIMS

from lethe.storage.entries import DicomJson
from lethe.storage.errors import Refused

BULK = "bulk:/"
"""Begins every BulkDataURI as it is stored; what follows is the path below the service's root."""
PIXEL_TAGS = ("7FE00010", "7FE00008", "7FE00009")
BINARY = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""The VRs that are given as InlineBinary or BulkDataURI (PS3.18 F.2.7), with the bytes of one word."""

_INLINE_MOST = 1024
_REMEMBERED = 256
_DEEPEST = 128
_EXACT = 2**53
NUMBERS = {"FL": "f", "FD": "d", "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_GB_2312 = "\x1b$)A"
_TEXT_IN_CHARSET = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
_UNDIVIDED = {"LT", "ST", "UR", "UT"}
_TEXT = _TEXT_IN_CHARSET | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True)
class _Scope:
    """What an element's meaning depends on from the datasets around it."""

    encodings: Sequence[str]
    signed: bool
    path: str
    depth: int = 0


def describe(ds: Dataset, *, pixel_data_vr: str | None = None) -> DicomJson:
    """The attributes of a clean dataset, without group 0002 and group lengths, sorted by tag (PS3.18 F.2.2).

    For a header that was read up to its pixel data, `pixel_data_vr` says that there are some, and their stored VR (OF
    and OD: floating point).
    Large binary values and pixel data become a BulkDataURI that begins with `BULK`. `ds` is not changed. Raises Refused
    where sequences are nested deeper than any reader would follow.
    """
    top = _scope(ds, _Scope(("iso8859",), signed=False, path=""))
    uids = (_first_text(ds, tag) for tag in (0x0020000D, 0x0020000E, 0x00080018))
    study, series, instance = uids
    path = f"{BULK}studies/{study}/series/{series}/instances/{instance}/bulkdata/"
    described = _dataset(ds, replace(top, path=path))
    if pixel_data_vr is not None:
        tag = {"OF": "7FE00008", "OD": "7FE00009"}.get(pixel_data_vr, "7FE00010")
        described[tag] = {"vr": pixel_data_vr, "BulkDataURI": path + tag}
    return dict(sorted(described.items()))


def served(body: bytes, base: str) -> bytes:
    """DICOM JSON text as it is stored, made ready to be sent: its BulkDataURIs below the service's root `base`.

    The text that is looked for cannot be part of a value: there the quotation marks would be escaped.
    """
    return body.replace(b'"BulkDataURI":"' + BULK.encode(), b'"BulkDataURI":"' + base.encode() + b"/")


def _dataset(ds: Dataset, scope: _Scope) -> DicomJson:
    if scope.depth > _DEEPEST:
        raise Refused("its sequences are nested too deeply")
    described: DicomJson = {}
    for tag in sorted(ds.keys(), key=int):  # pydicom compares tags slowly
        if tag >> 16 not in (0x0000, 0x0002) and tag & 0xFFFF:
            described[f"{tag:08X}"] = _element(ds, tag, scope)
    return described


def _element(ds: Dataset, tag: BaseTag, scope: _Scope) -> dict[str, Any]:
    item = ds.get_item(tag, keep_deferred=True)
    vr = _vr(ds, tag, item, scope)
    if vr not in BINARY and item.value is None and isinstance(item, RawDataElement) and item.length:
        item = ds.get_item(tag)  # pydicom left it in the file
    if tag == 0x00080005:
        # The JSON itself is UTF-8, whatever the object was encoded in.
        return {"vr": "CS", "Value": ["ISO_IR 192"]}
    if vr == "SQ":
        return _sequence(tag, item, scope)
    if vr in BINARY:
        return _binary(tag, vr, item, scope)
    is_short = isinstance(item, RawDataElement) and isinstance(item.value, bytes) and len(item.value) <= _REMEMBERED
    if is_short and vr != "PN":  # whose values would be shared, and can be changed
        encodings = tuple(scope.encodings) if vr in _TEXT_IN_CHARSET else ()
        values = _remembered(item.value, vr, encodings, _order(item))
    else:
        values = _said(_values_of(item, vr, scope), vr)
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


@lru_cache(maxsize=8192)
def _remembered(value: bytes, vr: str, encodings: tuple[str, ...], order: str) -> tuple[Any, ...]:
    """What a short value says: most elements of an instance are as in the others of its series."""
    return _said(_from_bytes(value, vr, encodings, order), vr)


def _said(values: Iterable[Any], vr: str) -> tuple[Any, ...]:
    """The values as they are given; none where all are empty."""
    described = tuple(_value(vr, value) for value in values)
    return () if all(value is None or value == "" or value == {} for value in described) else described


def _vr(ds: Dataset, tag: BaseTag, item: Any, scope: _Scope) -> str:
    """The element's VR; where it was not transmitted, or as UN, the one the dictionary gives (PS3.5 6.2.2)."""
    vr = str(item.VR or "UN")
    if vr == "UN" and (not isinstance(item, RawDataElement) or item.length < 0xFFFF or item.VR is None):
        vr = _known_vr(ds, tag)
    if " or " in vr:
        vr = _decided_vr(vr, scope)
    return vr if vr in _TEXT or vr in NUMBERS or vr in BINARY or vr in ("SQ", "AT") else "UN"


def _known_vr(ds: Dataset, tag: BaseTag) -> str:
    try:
        if not tag.is_private:
            return dictionary_VR(tag)
        if tag.is_private_creator:
            return "LO"
        creator = _first_text(ds, tag.group << 16 | tag.element >> 8)
        return private_dictionary_VR(tag, creator) if creator else "UN"
    except KeyError:
        return "UN"


def _decided_vr(vr: str, scope: _Scope) -> str:
    """One of the VRs between which PS3.5 A.1 lets an implicit encoding decide by other attributes."""
    if "OW" in vr:
        return "OW"
    return "SS" if scope.signed else "US"


def _scope(ds: Dataset, around: _Scope) -> _Scope:
    encodings, signed = around.encodings, around.signed
    if 0x00080005 in ds:
        said = _values_of(ds.get_item(0x00080005, keep_deferred=True), "CS", around)
        names = [_trimmed(name) or "" for name in said]  # padded, each may be: pydicom knows no name with blanks
        try:
            encodings = convert_encodings(names)
        except (LookupError, AttributeError, TypeError, ValueError):
            encodings = ("iso8859",)
    if 0x00280103 in ds:
        signed = next(iter(_values_of(ds.get_item(0x00280103, keep_deferred=True), "US", around)), 0) == 1
    return replace(around, encodings=encodings, signed=signed)


def _sequence(tag: BaseTag, item: Any, scope: _Scope) -> dict[str, Any]:
    try:
        if isinstance(item, RawDataElement):
            item = convert_raw_data_element(item._replace(VR="SQ"), encoding=list(scope.encodings))
        items = list(item.value or ())
    except RecursionError:
        raise Refused("its sequences are nested too deeply") from None
    except Exception:  # a sequence pydicom cannot read has no items; what it raises then is not documented
        items = []
    described = []
    for number, nested in enumerate(items):
        if isinstance(nested, Dataset):
            within = _scope(nested, replace(scope, path=f"{scope.path}{tag:08X}/{number}/", depth=scope.depth + 1))
            described.append(_dataset(nested, within))
    return {"vr": "SQ", "Value": described} if described else {"vr": "SQ"}


def _binary(tag: BaseTag, vr: str, item: Any, scope: _Scope) -> dict[str, Any]:
    value = item.value
    if isinstance(value, (bytes, bytearray)) and len(value) <= _INLINE_MOST and f"{tag:08X}" not in PIXEL_TAGS:
        data = bytes(value) if _order(item) == "<" else swapped(bytes(value), BINARY[vr])
        return {"vr": vr, "InlineBinary": base64.b64encode(data).decode()} if data else {"vr": vr}
    if value is None or (isinstance(value, (bytes, bytearray, str, list)) and not len(value)):
        large = isinstance(item, RawDataElement) and item.length not in (0, 0xFFFFFFFF)
        return {"vr": vr, "BulkDataURI": f"{scope.path}{tag:08X}"} if large else {"vr": vr}
    return {"vr": vr, "BulkDataURI": f"{scope.path}{tag:08X}"}


def swapped(data: bytes, width: int) -> bytes:
    """The same words of so many bytes with the order of their bytes reversed; a rest that is no word stays."""
    if width == 1:
        return data
    whole = len(data) - len(data) % width
    turned = bytearray(data)
    for byte in range(width):
        turned[byte:whole:width] = data[width - 1 - byte : whole : width]
    return bytes(turned)


def _values_of(item: Any, vr: str, scope: _Scope) -> list[Any]:
    """The element's values as text, numbers or None."""
    value = item.value
    if isinstance(value, (bytes, bytearray)):
        return list(_from_bytes(bytes(value), vr, scope.encodings, _order(item)))
    if value is None:
        return []
    many = isinstance(value, Sequence) and not isinstance(value, str)
    return list(value) if many else [value]


def _order(item: Any) -> str:
    """In which order its bytes are, as `struct` has it."""
    little = not isinstance(item, RawDataElement) or item.is_little_endian or item.VR == "UN"
    return "<" if little else ">"


def _from_bytes(value: bytes, vr: str, encodings: Sequence[str], order: str) -> Iterator[Any]:
    if vr in NUMBERS:
        size = struct.calcsize(NUMBERS[vr])
        whole = len(value) - len(value) % size
        yield from struct.unpack(f"{order}{whole // size}{NUMBERS[vr]}", value[:whole])
    elif vr == "AT":
        for group, element in struct.iter_unpack(f"{order}HH", value[: len(value) - len(value) % 4]):
            yield group << 16 | element
    else:
        text = _decoded(value, encodings if vr in _TEXT_IN_CHARSET else ("iso8859",))
        yield from [text] if vr in _UNDIVIDED else text.split("\\")


def _decoded(value: bytes, encodings: Sequence[str]) -> str:
    try:
        text = decode_bytes(value, list(encodings), TEXT_VR_DELIMS)
        return text.replace(_GB_2312, "") if "iso_ir_58" in encodings else text  # pydicom leaves the escape in
    except (LookupError, UnicodeError):
        return value.decode("iso8859")


def _value(vr: str, value: Any) -> Any:
    """One value as PS3.18 Table F.2.3-1 wants it for its VR; None where it has none."""
    if value is None:
        return {} if vr == "PN" else None
    encode: Callable[[Any], Any] = _ENCODERS.get(vr) or (_text if vr in _UNDIVIDED else _trimmed)
    try:
        return encode(value)
    except (ValueError, TypeError, OverflowError, ArithmeticError, AttributeError):
        return _trimmed(value) or None


def _text(value: Any) -> str:
    return _clean(value).rstrip(" \0")


def _trimmed(value: Any) -> str | None:
    return _clean(value).strip(" \0") or None


def _clean(value: Any) -> str:
    # A lone surrogate is the one thing a Python string can hold and UTF-8 cannot.
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _name(value: Any) -> dict[str, str]:
    groups = (group.strip(" \0").rstrip("^ ") for group in _clean(value).split("="))
    return {key: group for key, group in zip(_PN_GROUPS, groups, strict=False) if group}


def _number(value: Any) -> int | float | str | None:
    """A number where a reader's double holds it exactly, otherwise its text (PS3.18 F.2.3 allows both for DS, IS)."""
    text = _clean(value).strip(" \0")
    if not _DECIMAL.fullmatch(text):
        return text or None
    if text.lstrip("+-").isdigit():
        return int(text) if abs(int(text)) <= _EXACT else text
    number = float(text)
    return number if math.isfinite(number) and Decimal(repr(number)) == Decimal(text) else text


def _integer(value: Any) -> int | str:
    number = int(value)
    return number if abs(number) <= _EXACT else str(number)


def _float(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "PN": _name,
    "AT": lambda value: f"{int(value):08X}",
    "DS": _number,
    "IS": _number,
    "FL": lambda value: _float(str(np.float32(value))),
    "FD": _float,
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV"), _integer),
}


def _first_text(ds: Dataset, tag: int) -> str:
    """The first value of an attribute whose VR is UI or LO."""
    if tag not in ds:
        return ""
    item: RawDataElement | DataElement = ds.get_item(tag, keep_deferred=True)
    values = _values_of(item, "UI", _Scope(("iso8859",), signed=False, path=""))
    return (_trimmed(values[0]) or "") if values else ""
