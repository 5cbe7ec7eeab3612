"""Makes a data set of attributes in the DICOM JSON model that says the same: their text is Unicode whatever Specific
Character Set says, an empty value among others is null, and numbers in text keep their digits (PS3.18 F.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydicom.dataset import Dataset

from lethe.storage.entries import DicomJson

_CHARSET = "00080005"
_UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
_FORMS = {
    "DS": re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"),
    "IS": re.compile(r"[+-]?[0-9]+"),
}


def dataset_of(attributes: Mapping[str, Any], bulk: Callable[[str, str, str], Any]) -> Dataset:
    """The data set; `bulk` gives the value of a tag and VR that is at a URI. Whatever is wrong with the attributes is
    an exception of pydicom's, or a ValueError."""
    # In the repertoire that was told, or in none, pydicom would write question marks.
    in_utf_8 = not json.dumps(attributes, ensure_ascii=False).isascii()
    model = _without(attributes, _CHARSET if in_utf_8 else "")
    ds = Dataset.from_json(model | {_CHARSET: _UTF_8} if in_utf_8 else model, bulk)
    _add_numbers(ds, attributes)
    return ds


def _without(attributes: Mapping[str, Any], left_out: str) -> DicomJson:
    """The attributes but for that one, at every depth, and for numbers in text, of which pydicom makes floats."""
    kept: DicomJson = {}
    for tag, told in attributes.items():
        values = told.get("Value")
        if tag == left_out or (told.get("vr") in _FORMS and values):
            continue
        if told.get("vr") == "SQ" and isinstance(values, list):
            told = {**told, "Value": [_without(item or {}, left_out) for item in values]}
        kept[tag] = dict(told)
    return kept


def _add_numbers(ds: Dataset, attributes: Mapping[str, Any]) -> None:
    for tag, told in attributes.items():
        values, vr = told.get("Value"), told.get("vr")
        if vr in _FORMS and values:
            ds.add_new(int(tag, 16), vr, "\\".join(_text(vr, value) for value in values))
        elif vr == "SQ" and values:
            for item, inside in zip(ds[int(tag, 16)].value, values, strict=True):
                _add_numbers(item, inside or {})


def _text(vr: str, value: Any) -> str:
    """A number as the text that it is in DICOM. Raises ValueError where it is none."""
    if value is None:
        return ""
    if vr == "IS" and isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value.strip() if isinstance(value, str) else repr(value)
    if text and not _FORMS[vr].fullmatch(text):
        raise ValueError("not a number")
    return text
