"""Compares a data set with the keys of a query as PS3.4 C.2.2.2 says, and gives back what the query asked for.

For sources that are data sets in memory; what is in the index is compared by the database (`storage/matching.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from lethe.storage.holding import name_test
from lethe.storage.matching import comparable, lies_within

# PS3.4 C.2.2.2, C.4.1.1.3.1: they say how the query is to be read; a worklist has no level, but some ask for one.
_NOT_KEYS = {0x00080005, 0x00080052, 0x00080201}
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_TEXT = {"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"}
_WILD = _TEXT - {"AS", "UI"}
_RANGES = {"DA", "TM", "DT"}
# Asked for, never compared: some modalities write 0 where they want to know a number.
_NOT_COMPARED = {"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "OB", "OD", "OF", "OL", "OV", "OW"}


def matches(ds: Dataset, keys: Dataset) -> bool:
    """Whether a data set has what every key wants; a sequence wants one item that has all that its own keys want."""
    return all(_matches(_counterpart(ds, keys, key.tag), key) for key in _keys(keys))


def answered(ds: Dataset, keys: Dataset) -> Dataset:
    """What the query wants to know of a data set, in its own structure; empty where it is not known."""
    answer = Dataset()
    for key in keys:
        if key.tag.element == 0 or key.tag.group in (0x0000, 0x0002) or key.tag == 0x00080005:
            continue
        if key.tag.is_private_creator:
            answer.add_new(key.tag, "LO", key.value)
            continue
        answer.add(_answer(_counterpart(ds, keys, key.tag), key))
    return answer


def _keys(keys: Dataset) -> Iterator[DataElement]:
    for key in keys:
        if key.tag.element == 0 or key.tag.group in (0x0000, 0x0002) or key.tag in _NOT_KEYS:
            continue
        if not key.tag.is_private_creator and key.VR not in _NOT_COMPARED:
            yield key


def _counterpart(ds: Dataset, keys: Dataset, tag: BaseTag) -> DataElement | None:
    """The element a key means; a private one by its creator, wherever that has its block."""
    if not tag.is_private:
        return ds.get(tag)
    creator = str(keys.get(Tag(tag.group, tag.element >> 8), DataElement(tag, "LO", "")).value or "")
    try:
        return ds[ds.private_block(tag.group, creator).get_tag(tag.element & 0xFF)] if creator else ds.get(tag)
    except KeyError:
        return None


def _matches(element: DataElement | None, key: DataElement) -> bool:
    if key.VR == "SQ":
        return _sequence_matches(element, key)
    wanted = [text for text in _texts(key) if text != ""]
    if not wanted or (key.VR in _WILD and any(set(text) == {"*"} for text in wanted)):
        return True
    present = _texts(element) if element is not None else []
    vr = "LO" if key.VR == "UN" else key.VR  # private, in an encoding without VRs
    return any(_one_matches(vr, value, want) for want in wanted for value in present)


def _sequence_matches(element: DataElement | None, key: DataElement) -> bool:
    """PS3.4 C.2.2.2.6; an item of keys that are all universal matches even where there is no item."""
    items = list(element.value or ()) if element is not None and element.VR == "SQ" else []
    wanted = list(key.value or ())
    return not wanted or any(matches(item, wanted[0]) for item in items or [Dataset()])


def _one_matches(vr: str, value: str, want: str) -> bool:
    if vr in _RANGES:
        return _in_range(vr, value, want)
    if vr == "PN":
        return name_test(want)(dict(zip(_GROUPS, value.split("="), strict=False)))
    if vr in _WILD:
        return _pattern(want).match(value) is not None
    return value == want


@lru_cache(maxsize=256)
def _pattern(want: str) -> re.Pattern[str]:
    return re.compile(translate(want.replace("[", "[[]")))


def _in_range(vr: str, value: str, want: str) -> bool:
    """Both ends included; a shorter form stands for all it is the beginning of."""
    low, dash, high = want.partition("-")
    if vr in ("DA", "TM"):
        low, high = (text.strip().replace(":", "").replace(".", "") for text in (low, high))
    if not dash:
        high = low
    if vr == "TM":
        return lies_within(vr, value, (comparable(vr, low), high and high + "\x7f"))
    value = value.replace(".", "") if vr == "DA" else value
    return value != "" and low <= value and (not high or value <= high + "\x7f")


def _texts(element: DataElement) -> list[str]:
    value: Any = element.value
    if value is None or value == "":
        return []
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace").split("\\")
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return [str(one).strip(" \0") for one in values]


def _answer(element: DataElement | None, key: DataElement) -> DataElement:
    if key.VR != "SQ":
        return (
            DataElement(key.tag, key.VR, None) if element is None else DataElement(key.tag, element.VR, element.value)
        )
    items = list(element.value or ()) if element is not None and element.VR == "SQ" else []
    wanted = list(key.value or ())
    if not wanted or not len(wanted[0]):
        return DataElement(key.tag, "SQ", items)
    of_interest = [item for item in items if matches(item, wanted[0])]
    return DataElement(key.tag, "SQ", [answered(item, wanted[0]) for item in of_interest])
