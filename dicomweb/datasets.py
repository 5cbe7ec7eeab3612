"""Reads the one data set that the body of a request holds, as DICOM JSON or as XML (PS3.18 8.7.3.2): each attribute has
the VR of the standard, and values that can be what it says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from flask import request
from pydicom.datadict import dictionary_VR
from werkzeug.exceptions import UnsupportedMediaType

from lethe.storage.entries import DicomJson
from lethe.storage.errors import Refused

from . import accept, readxml
from .accept import JSON_TYPES, MULTIPART, MediaRange
from .nativexml import XML_TYPE
from .unpacking import Unpacker

_XML_TYPES = (XML_TYPE, "application/xml", "text/xml")
_LARGEST = 1 << 20
_DEEPEST = 16
_TAG = re.compile(r"[0-9A-F]{8}")
_VR = re.compile(r"[A-Z]{2}")
_WHOLE = {"IS", "SL", "SS", "SV", "UL", "US", "UV"}
_REAL = {"DS", "FD", "FL"}
_GROUPS = {"Alphabetic", "Ideographic", "Phonetic"}


def data_set_in_request() -> DicomJson:
    """The data set that the request brings; empty where it has no body. Raises Refused, UnsupportedMediaType."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType
    request.max_content_length = _LARGEST
    kind = next(iter(accept.parse(request.headers.get("Content-Type", ""))), MediaRange(""))
    body = request.get_data()
    if not body:
        return {}
    if kind.media_type in JSON_TYPES:
        return _checked(_of_json(body), 0)
    if kind.media_type in _XML_TYPES:
        return _checked(readxml.read(body), 0)
    parts = accept.parse(kind.parameters.get("type", ""))
    if kind.media_type == MULTIPART and parts and parts[0].media_type in (*JSON_TYPES, *_XML_TYPES):
        part = _only_part(body, kind.parameters.get("boundary", ""))
        of_json = parts[0].media_type in JSON_TYPES
        return _checked(_of_json(part) if of_json else readxml.read(part), 0)
    raise UnsupportedMediaType


def _of_json(body: bytes) -> Any:
    try:
        found = json.loads(body, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if isinstance(found, list):
        if len(found) != 1:
            raise Refused("the body holds one data set")
        found = found[0]
    return found


def _no_number(_name: str) -> float:
    raise ValueError("not a number of JSON")


def _only_part(body: bytes, boundary: str) -> bytes:
    if not boundary:
        raise Refused("the Content-Type names no boundary")
    pieces = iter((body, b""))
    parts = [b"".join(content) for _, content in Unpacker(lambda _size: next(pieces, b""), boundary).parts()]
    if len(parts) != 1:
        raise Refused("the body holds one data set")
    return parts[0]


def _checked(found: Any, depth: int) -> DicomJson:
    if depth > _DEEPEST:
        raise Refused("its sequences are nested too deeply")
    if not isinstance(found, Mapping):
        raise Refused("the body is no data set in the DICOM JSON model")
    checked: DicomJson = {}
    for name, told in found.items():
        tag = str(name).upper()
        if not _TAG.fullmatch(tag) or not isinstance(told, Mapping):
            raise Refused("the body is no data set in the DICOM JSON model")
        vr = _vr_of(tag, told.get("vr"))
        if "BulkDataURI" in told:
            raise Refused("a workitem has no bulk data")
        if "InlineBinary" in told:
            checked[tag] = {"vr": vr, "InlineBinary": str(told["InlineBinary"])}
            continue
        values = told.get("Value", [])
        if not isinstance(values, list):
            raise Refused("the values of an attribute are a list")
        kept = [_value(vr, value, depth) for value in values]
        checked[tag] = {"vr": vr, "Value": kept} if kept else {"vr": vr}
    return checked


def _vr_of(tag: str, told: Any) -> str:
    """That of the standard, where it knows just one: examples of PS3.18 itself have others."""
    try:
        known = dictionary_VR(tag)
    except KeyError:
        known = ""
    if len(known) == 2:
        return known
    if not isinstance(told, str) or not _VR.fullmatch(told):
        raise Refused("an attribute has no VR")
    return told


def _value(vr: str, value: Any, depth: int) -> Any:
    if vr == "SQ":
        return _checked(value or {}, depth + 1)
    if value is None:
        return None
    if vr == "PN":
        given = {"Alphabetic": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or not all(
            group in _GROUPS and isinstance(text, str) for group, text in given.items()
        ):
            raise Refused("a person's name is given by its groups")
        return dict(given)
    if vr in _WHOLE or vr in _REAL:
        return _number(vr, value)
    if not isinstance(value, str):
        raise Refused("a value is not of the kind that its attribute has")
    return value


def _number(vr: str, value: Any) -> Any:
    """As it was given, numbers in decimal texts included (PS3.18 F.2.3)."""
    kind = int if vr in _WHOLE else float
    try:
        if isinstance(value, bool) or (kind is int and float(value) != int(float(value))):
            raise ValueError
        if not math.isfinite(float(value)):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise Refused("a value is not of the kind that its attribute has") from None
    return value
