"""Says of a compressed frame in which transfer syntax it is, and what its pixels are (PS3.18 Table 8.7.3-2 and -5)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lethe.storage.entries import DicomJson, is_uid
from lethe.storage.errors import Refused

from .accept import MediaRange
from .pixels import is_encapsulated

_HEAD = 1 << 16
_BY_TYPE = {
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.203",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "video/mpeg": "1.2.840.10008.1.2.4.100",
    "video/mpeg2": "1.2.840.10008.1.2.4.100",
    "video/mp4": "1.2.840.10008.1.2.4.102",
    "video/h265": "1.2.840.10008.1.2.4.107",
}
_JPEG = {0xC0: "1.2.840.10008.1.2.4.50", 0xC1: "1.2.840.10008.1.2.4.51", 0xC3: "1.2.840.10008.1.2.4.70"}
_LOSSY = (0xC0, 0xC1)
_JPEG_LS = 0xF7
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_NATIVE = ("", "application/octet-stream")
_NATIVE_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
"""Little endian frames are the same in all of these."""


def syntax_of(kind: MediaRange, path: Path) -> str:
    """The transfer syntax of pixel data that came as that media type. Raises Refused."""
    told = kind.parameters.get("transfer-syntax", "")
    if told:
        if told in _NATIVE_SYNTAXES:
            return str(ExplicitVRLittleEndian)
        if not is_uid(told) or not is_encapsulated(told):
            raise Refused("pixel data cannot be taken in the transfer syntax of a part")
        return told
    if kind.media_type in _NATIVE:
        return str(ExplicitVRLittleEndian)
    if kind.media_type == "image/jpeg":
        frame = _jpeg_frame(path)
        if frame is None or frame.marker not in _JPEG:
            raise Refused("this kind of JPEG has no transfer syntax")
        return _JPEG[frame.marker]
    if kind.media_type not in _BY_TYPE:
        raise Refused("that media type cannot be pixel data")
    return _BY_TYPE[kind.media_type]


def described(path: Path) -> DicomJson:
    """The Image Pixel attributes that a JPEG, JPEG-LS or JPEG 2000 codestream tells by itself; none of another."""
    frame = _jpeg_frame(path) or _jpeg2000_frame(path)
    return {} if frame is None else image_pixel(frame)


@dataclass(frozen=True)
class Frame:
    """What a picture says of its pixels."""

    rows: int
    columns: int
    bits: int
    colour: str
    signed: bool = False
    lossy: bool = False
    marker: int = 0


def image_pixel(frame: Frame) -> DicomJson:
    """The same as attributes of the Image Pixel module (PS3.3 C.7.6.3)."""
    samples, allocated = 1 if frame.colour == "MONOCHROME2" else 3, 8 if frame.bits <= 8 else 16
    numbers = {"00280002": samples, "00280010": frame.rows, "00280011": frame.columns, "00280100": allocated}
    numbers |= {"00280101": frame.bits, "00280102": frame.bits - 1, "00280103": int(frame.signed)}
    found: dict[str, Any] = {tag: {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
    found["00280004"] = {"vr": "CS", "Value": [frame.colour]}
    if samples > 1:
        found["00280006"] = {"vr": "US", "Value": [0]}
    if frame.lossy:
        found["00282110"] = {"vr": "CS", "Value": ["01"]}
    return found


def codestream_in(path: Path) -> tuple[int, int]:
    """Where in a JP2 file (ITU-T T.800 I.4) the codestream lies, which is all that DICOM takes of it (PS3.5 A.4.4); of
    any other file all of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0 if file.read(12) == _JP2 else size
        while at < size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            start = 16 if length == 1 else 8
            length = int.from_bytes(head[8:], "big") if length == 1 else length or size - at
            if kind == b"jp2c":
                return at + start, min(length, size - at) - start
            at += max(length, start)
    return 0, size


def _jpeg_frame(path: Path) -> Frame | None:
    """What the frame header of a JPEG (ITU-T T.81 B.2.2) or JPEG-LS (T.87 C.2.2) tells."""
    with path.open("rb") as file:
        if file.read(2) != b"\xff\xd8":
            return None
        while (head := file.read(4))[:1] == b"\xff" and len(head) == 4 and file.tell() < _HEAD * 16:
            marker, length = head[1], int.from_bytes(head[2:], "big")
            if marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
                frame = file.read(6)
                if len(frame) < 6 or (marker != _JPEG_LS and marker not in _JPEG):
                    return None
                rows, columns = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
                lossy = marker in _LOSSY
                colour = {1: "MONOCHROME2", 3: "YBR_FULL_422" if lossy else "RGB"}.get(frame[5])
                return Frame(rows, columns, frame[0], colour, lossy=lossy, marker=marker) if colour else None
            file.seek(length - 2, 1)
    return None


def _jpeg2000_frame(path: Path) -> Frame | None:
    """What the main header of a JPEG 2000 codestream tells (ITU-T T.800 A.5.1, A.6.1)."""
    start, _ = codestream_in(path)
    with path.open("rb") as file:
        file.seek(start)
        head = file.read(_HEAD)
    if head[:4] != b"\xff\x4f\xff\x51" or len(head) < 45:
        return None
    right, bottom, left, top = struct.unpack_from(">4L", head, 8)
    samples, depth = struct.unpack_from(">H", head, 40)[0], head[42]
    colour = {1: "MONOCHROME2", 3: _colour_of_jpeg2000(head)}.get(samples)
    if colour is None:
        return None
    return Frame(bottom - top, right - left, (depth & 0x7F) + 1, colour, signed=depth > 0x7F)


def _colour_of_jpeg2000(head: bytes) -> str:
    """By the transformations that its coding style names."""
    at = 2
    while at + 14 <= len(head) and head[at] == 0xFF:
        if head[at + 1] == 0x52:
            return "RGB" if not head[at + 8] else "YBR_RCT" if head[at + 13] else "YBR_ICT"
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return "RGB"
