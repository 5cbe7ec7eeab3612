"""Writes and reads file meta information (PS3.10 7.1): of what comes in, as it was negotiated; of what goes out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")  # PS3.5 7.1.2


def file_meta(*, sop_class: str, sop_instance: str, transfer_syntax: str, source: str) -> bytes:
    """Preamble, prefix and group 0002 of a Part 10 file; the data set follows."""
    elements = b"".join(
        (
            struct.pack("<HH2sHL", 2, 0x0001, b"OB", 0, 2) + b"\0\1",
            _uid(0x0002, sop_class),
            _uid(0x0003, sop_instance),
            _uid(0x0010, transfer_syntax),
            _uid(0x0012, PYNETDICOM_IMPLEMENTATION_UID),
            _element(0x0013, b"SH", PYNETDICOM_IMPLEMENTATION_VERSION.encode("ascii"), b" "),
            _element(0x0016, b"AE", source.encode("ascii", "replace")[:16], b" ") if source else b"",
        )
    )
    return bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


def _uid(element: int, uid: str) -> bytes:
    return _element(element, b"UI", uid.encode("ascii", "replace"), b"\0")


def _element(element: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    value += pad * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value


@dataclass(frozen=True)
class FileMeta:
    """What the file meta information of a file says, and where its data set begins."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    end: int


def read_file_meta(file: BinaryIO) -> FileMeta:
    """Read group 0002 of a Part 10 file, which is left at the first byte after it. Raises ValueError."""
    if file.read(132)[128:] != b"DICM":
        raise ValueError("not a Part 10 file")
    found: dict[int, str] = {}
    end = 132
    while (header := file.read(8))[:2] == b"\x02\x00":
        length, size = int.from_bytes(header[6:8], "little"), 8
        if header[4:6] in LONG_VRS:
            length, size = int.from_bytes(file.read(4), "little"), 12
        value = file.read(length)
        if len(value) < length:
            raise ValueError("the file meta information is cut off")
        found[int.from_bytes(header[2:4], "little")] = value.decode("ascii", "replace").strip(" \0")
        end += size + length
    file.seek(end)
    try:
        return FileMeta(found[0x0002], found[0x0003], found[0x0010], end)
    except KeyError:
        raise ValueError("the file meta information does not say what it is about") from None
