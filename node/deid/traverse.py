"""Visits every element of a data set at every depth, those within sequences that a file gives as UN included."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.values import convert_SQ

from .elements import Path, decoded, items, refuse_unreadable, vr_of

_ITEM = b"\xfe\xff\x00\xe0"


def elements_of(header: Dataset, path: Path = ()) -> Iterator[tuple[Dataset, BaseTag, str, Path]]:
    """Each element that is no sequence: the data set it stands in, tag, VR and place. It may be changed or deleted
    meanwhile. Raises CannotClean where something cannot be read."""
    refuse_unreadable(header, path)
    for tag in sorted(header.keys()):
        vr = _opened(header, tag)
        if vr == "SQ":
            for below, item in items(decoded(header, tag, path), path, int(tag)):
                yield from elements_of(item, below)
        else:
            yield header, tag, vr, path


def datasets_of(header: Dataset) -> Iterator[Dataset]:
    """The data set and every item in it. Raises CannotClean where something cannot be read."""
    yield header
    for tag in sorted(header.keys()):
        if _opened(header, tag) == "SQ":
            for _, item in items(decoded(header, tag, ()), (), int(tag)):
                yield from datasets_of(item)


def _opened(header: Dataset, tag: BaseTag) -> str:
    """The VR of an element; a sequence in the disguise of UN is put in its place (PS3.5 6.2.2: implicit VR little
    endian, whatever the transfer syntax)."""
    element = header.get_item(tag)
    if element.VR == "SQ":
        return "SQ"
    vr = str(element.VR or "UN") if tag.is_private else vr_of(header, tag)
    if not isinstance(element, RawDataElement) or element.VR not in (None, "UN"):
        return vr
    if vr in ("SQ", "UN") and (element.value or b"").startswith(_ITEM) and (element.VR == "UN" or vr == "UN"):
        hidden = _sequence(header, element)
        if hidden is not None:
            header[tag] = hidden
            return "SQ"
    return vr


def _sequence(header: Dataset, element: RawDataElement) -> DataElement | None:
    try:
        sequence = convert_SQ(element.value or b"", True, True, list(_encodings(header)))
        for item in sequence:
            refuse_unreadable(item, ())
    except Exception:
        return None
    return DataElement(element.tag, "SQ", sequence)


def _encodings(header: Dataset) -> list[str]:
    known = header.original_character_set
    return [known] if isinstance(known, str) else list(known)
