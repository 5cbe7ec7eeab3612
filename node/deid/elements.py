"""Reads single elements of a data set without changing how they will be written.

pydicom re-encodes what it has decoded and stored; an element that is only looked at must leave with the bytes it came
with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, repeater_has_tag
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from .errors import CannotClean
from .report import place

Path = tuple[tuple[int, int], ...]
TEXT_VRS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DEEPEST = 64


def is_standard(tag: BaseTag) -> bool:
    """Whether PS3.6 knows the tag, as pydicom's dictionary has it."""
    return dictionary_has_tag(tag) or repeater_has_tag(tag)


def vr_of(header: Dataset, tag: BaseTag) -> str:
    """The element's VR as in the file; where the file has none, or UN, the dictionary's, else UN."""
    vr = header.get_item(tag).VR
    if vr in (None, "UN"):
        try:
            return dictionary_VR(tag)
        except KeyError:
            return "UN"
    return str(vr)


def decoded(header: Dataset, tag: BaseTag, path: Path) -> DataElement:
    """The element, decoded; a sequence is stored back, so that what is done to its items lasts. Raises CannotClean."""
    element = header.get_item(tag)
    try:
        if isinstance(element, RawDataElement):
            element = convert_raw_data_element(element, encoding=header.original_character_set, ds=header)
            if element.VR == "SQ":
                header[tag] = element
        return element
    except RecursionError:
        raise CannotClean(f"{place(path, tag)}: nested too deeply to be read") from None
    except Exception as error:
        raise CannotClean(f"{place(path, tag)}: its value cannot be read ({type(error).__name__})") from None


def items(element: DataElement, path: Path, tag: int) -> Iterator[tuple[Path, Dataset]]:
    """The items of a sequence with their paths. Raises CannotClean beyond 64 levels."""
    if len(path) >= _DEEPEST:
        raise CannotClean(f"{place(path[:3], tag)}...: sequences are nested deeper than {_DEEPEST} levels")
    value = element.value
    if isinstance(value, Sequence):
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


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1").strip("\0 ")
    return str(value).strip("\0 ")
