"""Reads single elements of a data set without changing how they will be written.

pydicom re-encodes what it has decoded and stored; an element that is only looked at must leave with the bytes it came
with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydicom.datadict import dictionary_has_tag, dictionary_VR, repeater_has_tag
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from .errors import CannotClean
from .report import place

Path = tuple[tuple[int, int], ...]
TEXT_VRS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_FORMATS = {
    "AS": re.compile(r"\d{1,4}[DWMY]?"),
    "DA": re.compile(r"\d{8}|\d{4}\.\d\d\.\d\d"),
    "DS": re.compile(r" *[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)? *"),
    "DT": re.compile(r"\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?"),
    "IS": re.compile(r" *[-+]?\d+(\.\d*)? *"),
    "TM": re.compile(r"\d\d(:?\d\d(:?\d\d(\.\d{1,6})?)?)?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
}
_CHARACTERS = TEXT_VRS | _FORMATS.keys()
BINARY_VRS = BULK_VRS | {"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}
WIDTHS = {"US": 2, "SS": 2, "AT": 4, "FL": 4, "OF": 4, "OL": 4, "SL": 4, "UL": 4}
WIDTHS |= dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8)
_DEEPEST = 64
_LONG = 0xFFFF
"""From this length on pydicom leaves a value of VR UN alone, even where the dictionary knows what it is."""


def is_standard(tag: BaseTag) -> bool:
    """Whether PS3.6 knows the tag as that of an attribute, which items and delimiters (FFFE,eeee) are not."""
    return tag.group != 0xFFFE and (dictionary_has_tag(tag) or repeater_has_tag(tag))


def vr_of(header: Dataset, tag: BaseTag) -> str:
    """The element's VR: the dictionary's, whatever the file says; the file's, or else UN, where the dictionary leaves a
    choice or does not know the tag."""
    in_file = header.get_item(tag).VR
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return str(in_file or "UN")
    choices = vr.split(" or ")
    return vr if len(choices) == 1 else in_file if in_file in choices else choices[-1]


def contradicts(header: Dataset, tag: BaseTag) -> bool:
    """Whether the file gives the element a VR of another kind (text, binary, sequence) than the standard, or a value
    that is no whole number of the VR's words, so that it cannot be known what its value is."""
    element, vr = header.get_item(tag), vr_of(header, tag)
    if element.value in (None, b"", ""):
        return False
    in_file = element.VR if element.VR not in (None, "UN") else vr
    if isinstance(element, RawDataElement) and len(element.value or b"") % WIDTHS.get(in_file, 1):
        return True
    return in_file != vr and not any(in_file in kind and vr in kind for kind in (_CHARACTERS, BINARY_VRS))


def is_well_formed(vr: str, text: str) -> bool:
    """Whether a value keeps to its VR's form (PS3.5 6.2), so that nothing else can hide in it; True for free text."""
    form = _FORMATS.get(vr)
    return form is None or form.fullmatch(text) is not None


def decoded(header: Dataset, tag: BaseTag, path: Path) -> DataElement:
    """The element, decoded; a sequence is stored back, so that what is done to its items lasts. Raises CannotClean."""
    element = header.get_item(tag)
    try:
        if isinstance(element, RawDataElement):
            if element.VR == "UN" and len(element.value or b"") >= _LONG:
                element = element._replace(VR=vr_of(header, tag))
            element = convert_raw_data_element(element, encoding=header.original_character_set, ds=header)
            if element.VR == "SQ":
                header[tag] = element
        return element
    except RecursionError:
        raise CannotClean(f"{place(path, tag)}: nested too deeply to be read") from None
    except Exception as error:
        raise CannotClean(f"{place(path, tag)}: its value cannot be read ({type(error).__name__})") from None


def raw_bytes(header: Dataset, tag: BaseTag, path: Path) -> bytes:
    """The element's value as it stands in the file, whatever its VR makes of it; empty where that is not known."""
    element = header.get_item(tag)
    value = element.value if isinstance(element, RawDataElement) else decoded(header, tag, path).value
    if element.VR == "US" and not isinstance(value, bytes):  # pydicom has read Pixel Representation by itself
        order: Literal["little", "big"] = "big" if header.original_encoding[1] is False else "little"
        numbers = [value] if isinstance(value, int) else value or ()
        return b"".join(int(number).to_bytes(2, order) for number in numbers)
    return value if isinstance(value, bytes) else b""


def telling(header: Dataset, tag: BaseTag, path: Path) -> list[str]:
    """The values of an attribute that may name somebody, as texts, whatever VR the file gives it."""
    found = texts(decoded(header, tag, path))
    if contradicts(header, tag):
        found += [text for part in raw_bytes(header, tag, path).split(b"\\") if (text := _text(part))]
    return found


def refuse_unreadable(header: Dataset, path: Path) -> None:
    """Raise CannotClean for a data set cut short, whose last element pydicom reads with whatever bytes are left, and
    for elements it cannot tell apart."""
    for tag in header.keys():  # noqa: SIM118 - iterating a Dataset decodes it
        try:
            element = header.get_item(tag)
        except Exception as error:
            raise CannotClean(f"{place(path, tag)}: the element cannot be read ({type(error).__name__})") from None
        if isinstance(element, RawDataElement) and element.length not in (0xFFFFFFFF, len(element.value or b"")):
            raise CannotClean(f"the file ends within {place(path, tag)}")


def items(element: DataElement, path: Path, tag: int) -> Iterator[tuple[Path, Dataset]]:
    """The items of a sequence with their paths. Raises CannotClean beyond 64 levels, and for what is no sequence."""
    if len(path) >= _DEEPEST:
        raise CannotClean(f"{place(path[:3], tag)}...: sequences are nested deeper than {_DEEPEST} levels")
    value = element.value
    if not isinstance(value, Sequence):
        if value in (None, b"", ""):
            return
        raise CannotClean(f"{place(path, tag)}: a sequence by the standard, and none in the file")
    for number, item in enumerate(value):
        yield (*path, (tag, number)), item


def texts(element: DataElement) -> list[str]:
    """The element's values as text, one by one; none for an empty element."""
    value: Any = element.value
    if value is None or isinstance(value, Sequence):
        return []
    values = [value] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else list(value)
    if element.VR == "PN" and not isinstance(value, str) and hasattr(value, "components"):
        values = [value]
    return [text for text in (_text(one) for one in values) if text]


def said(header: Dataset, attribute: BaseTag | str) -> list[str]:
    """The values of an attribute, named by tag or keyword, in this data set; none where it is absent. Raises
    CannotClean."""
    tag = Tag(attribute)
    return texts(decoded(header, tag, ())) if tag in header else []


def joined(values: list[str]) -> str:
    """Several values as one, as they stand in the file: the identity of an attribute that should have had one value."""
    return "\\".join(values)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1").strip("\0 ")
    return str(value).strip("\0 ")


def pad_odd_values(header: Dataset) -> None:
    """Give kept values of odd length the padding they lack (PS3.5 6.2); peers break off at such an object."""
    for tag in header.keys():  # noqa: SIM118 - iterating a Dataset decodes it
        element = header.get_item(tag)
        if isinstance(element, RawDataElement) and element.value and len(element.value) % 2:
            padding = b" " if vr_of(header, tag) in TEXT_VRS | {"DA", "DS", "DT", "IS", "TM"} else b"\0"
            header[tag] = element._replace(value=element.value + padding, length=len(element.value) + 1)
