"""Makes sure that an object's character set can express what is going to be put into it (PS3.5 6.1.2)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .elements import decoded, texts
from .errors import CannotClean
from .report import place
from .tags import SPECIFIC_CHARACTER_SET
from .traverse import datasets_of, elements_of

_CHARACTER_SET = Tag(SPECIFIC_CHARACTER_SET)
_UTF_8 = "ISO_IR 192"
_DEFAULT = {"", "ISO_IR 6", "ISO 2022 IR 6"}
_CHARSET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_DELIMITERS = {0x5C, 0x5E, 0x3D}


def make_writable(header: Dataset, values: Iterable[str]) -> None:
    """Turn the whole object into UTF-8 if one of its character sets cannot express one of the values. Raises
    CannotClean where it says its characters otherwise than they are."""
    wanted = [value for value in values if not value.isascii()]
    sets = {tuple(texts(decoded(ds, _CHARACTER_SET, ()))) for ds in datasets_of(header) if _CHARACTER_SET in ds}
    own = set() if _CHARACTER_SET in header else {()}
    if all(_expresses(charset, value) for charset in sets | own for value in wanted):
        return
    for ds, tag, vr, path in elements_of(header):
        if vr in _CHARSET_VRS:
            values = texts(decoded(ds, tag, path))
            if any("\ufffd" in text for text in values):
                raise CannotClean(f"{place(path, tag)}: its text is not in the character set that is said")
            ds[tag] = DataElement(tag, vr, values[0] if len(values) == 1 else values or None)
    for ds in list(datasets_of(header)):
        if _CHARACTER_SET in ds:
            del ds[_CHARACTER_SET]
    header[_CHARACTER_SET] = DataElement(_CHARACTER_SET, "CS", _UTF_8)


def _expresses(charset: tuple[str, ...], value: str) -> bool:
    if set(charset) <= _DEFAULT or any(name not in python_encoding for name in charset):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = convert_encodings(list(charset))
        try:
            return decode_bytes(encode_string(value, encodings), encodings, _DELIMITERS) == value
        except (UnicodeError, LookupError):
            return False
