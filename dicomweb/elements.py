"""Writes elements whose values are in files of their own, explicit little endian (PS3.5 7.1.2, A.4), without holding
one in memory; and reads a value that is to be held."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydicom.filebase import DicomFileLike
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from lethe.storage.errors import Refused

from .dicomjson import BINARY, NUMBERS

_PIECE = 1 << 20
_TEXT = {"DS", "IS", "LT", "ST", "UC", "UR", "UT"}
IN_BULK = {*BINARY, *NUMBERS, *_TEXT}
"""The VRs whose values may be apart (PS3.18 F.2.2)."""
LONGEST_OF_SHORT = 0xFFFE
"""The longest value of a VR that has two bytes for its length (PS3.5 7.1.2)."""


def write_value(out: DicomFileLike, tag: int, vr: str, files: Sequence[Path]) -> None:
    """The element with that value, which may be in several pieces. Raises Refused where its VR has no such length."""
    size = sum(path.stat().st_size for path in files)
    _write_head(out, tag, vr, size + size % 2)
    for path in files:
        _copy(path, out)
    out.write((b" " if vr in _TEXT else b"\0") * (size % 2))


def write_frames(out: DicomFileLike, tag: int, files: Iterable[Path]) -> None:
    """Encapsulated pixel data with an empty offset table, one fragment for each file."""
    _write_head(out, tag, "OB", 0xFFFFFFFF)
    out.write(b"\xfe\xff\x00\xe0" + bytes(4))
    for path in files:
        size = path.stat().st_size
        out.write(b"\xfe\xff\x00\xe0" + (size + size % 2).to_bytes(4, "little"))
        _copy(path, out)
        out.write(bytes(size % 2))
    out.write(b"\xfe\xff\xdd\xe0" + bytes(4))


def value_of(vr: str, data: bytes) -> Any:
    """The value that these bytes are, as pydicom takes it. Raises Refused."""
    if vr in _TEXT:
        return data.decode("utf-8", "replace").rstrip(" \0")
    if vr not in NUMBERS:
        return data
    try:
        return [number for (number,) in struct.iter_unpack(f"<{NUMBERS[vr]}", data)]
    except struct.error:
        raise Refused("bulk data are no whole number of values") from None


def _write_head(out: DicomFileLike, tag: int, vr: str, length: int) -> None:
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode("ascii")
    if vr in EXPLICIT_VR_LENGTH_32:
        out.write(head + bytes(2) + length.to_bytes(4, "little"))
    elif length > LONGEST_OF_SHORT:
        raise Refused("bulk data are longer than an element of that VR can be")
    else:
        out.write(head + length.to_bytes(2, "little"))


def _copy(path: Path, out: DicomFileLike) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, out, _PIECE)
