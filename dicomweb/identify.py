"""Reads from a Part 10 file what it is: its UIDs and its transfer syntax, and whether its dates and numbers are some.

No more than the first megabytes are read or inflated, whatever lengths the file claims.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from lethe.storage.entries import is_uid
from lethe.storage.matching import is_of_form

_CHECKED = {
    **dict.fromkeys((0x00080020, 0x00080021, 0x00100030), "DA"),
    **dict.fromkeys((0x00080030, 0x00080031), "TM"),
    **dict.fromkeys((0x00200011, 0x00200013), "IS"),
}
"""What is searched for by a date, a time or a number, and cannot be found by what is none."""
_LAST = 0x00200013
_TAGS = [BaseTag(tag) for tag in (0x00080005, 0x00080016, 0x00080018, 0x0020000D, *_CHECKED)]
_HEAD = 8 << 20


@dataclass(frozen=True)
class Identity:
    """What an object says it is; what it does not say, or not in the form of a UID, is empty."""

    sop_class: str
    sop_uid: str
    study_uid: str
    is_odd: bool = field(default=False, kw_only=True)
    """Whether a date, time or number by which it would be searched for is none."""

    @property
    def is_complete(self) -> bool:
        """Whether it can be stored."""
        return bool(self.sop_class and self.sop_uid and self.study_uid)


NOTHING = Identity("", "", "")


def identify(path: Path) -> Identity:
    """What the file is; `NOTHING` where it is no Part 10 file, or cannot be read."""
    try:
        with path.open("rb") as file:
            head = BytesIO(file.read(_HEAD))
        if head.read(132)[128:] != b"DICM":
            return NOTHING
        ds = _data_set(head)
        values = (str(ds.get(name, "")).strip(" \0") for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"))
        return replace(Identity(*(value if is_uid(value) else "" for value in values)), is_odd=_is_odd(ds))
    except Exception:  # whatever pydicom finds wrong with a file that anybody may have sent
        return NOTHING


def _is_odd(ds: Dataset) -> bool:
    """Looks at the bytes, for pydicom would quote a value that is wrong in a warning."""
    raw = ((ds.get_item(tag), vr) for tag, vr in _CHECKED.items() if tag in ds)
    texts = ((bytes(one.value or b"").decode("latin-1").strip(" \0"), vr) for one, vr in raw if one is not None)
    return any(text and not is_of_form(vr, text) for text, vr in texts)


def _data_set(head: BytesIO) -> Dataset:
    """The attributes that are wanted, from the head of a file that is read up to its file meta information."""
    meta = read_dataset(head, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    if not is_uid(syntax):
        return Dataset()
    if syntax == DeflatedExplicitVRLittleEndian:
        head = BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(head.read(), _HEAD))
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    return read_dataset(head, implicit, little, stop_when=_is_past, specific_tags=list(_TAGS))


def _is_past(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag > _LAST)
