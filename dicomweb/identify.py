"""Reads from a Part 10 file what it is: its UIDs and its transfer syntax, and nothing else of it.

No more than a fixed amount is read or inflated, whatever lengths the file claims.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_file_meta_info, read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from lethe.storage.entries import is_uid

_LAST = 0x0020000D
_TAGS = [BaseTag(0x00080005), BaseTag(0x00080016), BaseTag(0x00080018), BaseTag(_LAST)]
_LARGE = 4096
_INFLATED = 1 << 20


@dataclass(frozen=True)
class Identity:
    """What an object says it is; what it does not say, or not in the form of a UID, is empty."""

    sop_class: str
    sop_uid: str
    study_uid: str

    @property
    def is_complete(self) -> bool:
        """Whether it can be stored."""
        return bool(self.sop_class and self.sop_uid and self.study_uid)


NOTHING = Identity("", "", "")


def identify(path: Path) -> Identity:
    """What the file is; `NOTHING` where it is no Part 10 file, or cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return NOTHING
            file.seek(0)
            ds = _header(path, file)
        values = (
            str(ds.get(keyword, "")).strip(" \0") for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")
        )
        return Identity(*(value if is_uid(value) else "" for value in values))
    except Exception:  # whatever pydicom finds wrong with a file that anybody may have sent
        return NOTHING


def _header(path: Path, file: BinaryIO) -> Dataset:
    meta = read_file_meta_info(path)
    if not is_uid(str(meta.get("TransferSyntaxUID", ""))):
        return Dataset()
    if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        return _inflated(file, meta)
    return read_partial(file, _is_past, defer_size=_LARGE, specific_tags=list(_TAGS))


def _inflated(file: BinaryIO, meta: Dataset) -> Dataset:
    file.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(_INFLATED), _INFLATED)
    return read_dataset(BytesIO(plain), False, True, stop_when=_is_past, specific_tags=list(_TAGS))


def _is_past(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag > _LAST)
