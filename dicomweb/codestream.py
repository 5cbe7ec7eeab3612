"""Says of a compressed frame in which transfer syntax it is, and what its pixels are (PS3.18 Table 8.7.3-2 and -5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian

from lethe.storage.entries import DicomJson, is_uid
from lethe.storage.errors import Refused

from .accept import MediaRange

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
_NATIVE = ("", "application/octet-stream")


def syntax_of(kind: MediaRange, path: Path) -> str:
    """The transfer syntax of pixel data that came as that media type. Raises Refused."""
    told = kind.parameters.get("transfer-syntax", "")
    if told:
        if not is_uid(told):
            raise Refused("the transfer syntax of a part is no UID")
        return told
    if kind.media_type in _NATIVE:
        return str(ExplicitVRLittleEndian)
    if kind.media_type == "image/jpeg":
        frame = _jpeg_frame(path)
        if frame is None or frame[0] not in _JPEG:
            raise Refused("this kind of JPEG has no transfer syntax")
        return _JPEG[frame[0]]
    if kind.media_type not in _BY_TYPE:
        raise Refused("that media type cannot be pixel data")
    return _BY_TYPE[kind.media_type]


def described(path: Path) -> DicomJson:
    """The Image Pixel attributes that a JPEG tells by itself; none of another codestream."""
    frame = _jpeg_frame(path)
    if frame is None or frame[0] not in _JPEG:
        return {}
    kind, bits, rows, columns, samples = frame
    colour = {1: "MONOCHROME2", 3: "YBR_FULL_422" if kind in _LOSSY else "RGB"}.get(samples, "")
    if not colour:
        return {}
    allocated = 8 if bits <= 8 else 16
    numbers = {"00280002": samples, "00280010": rows, "00280011": columns, "00280100": allocated, "00280101": bits}
    numbers |= {"00280102": bits - 1, "00280103": 0}
    found: dict[str, Any] = {tag: {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
    found["00280004"] = {"vr": "CS", "Value": [colour]}
    if samples > 1:
        found["00280006"] = {"vr": "US", "Value": [0]}
    if kind in _LOSSY:
        found["00282110"] = {"vr": "CS", "Value": ["01"]}
    return found


def _jpeg_frame(path: Path) -> tuple[int, int, int, int, int] | None:
    """Marker, precision, lines, samples per line and components of the frame header of a JPEG (ITU-T T.81 B.2.2)."""
    with path.open("rb") as file:
        if file.read(2) != b"\xff\xd8":
            return None
        while (head := file.read(4))[:1] == b"\xff" and len(head) == 4 and file.tell() < _HEAD * 16:
            marker, length = head[1], int.from_bytes(head[2:], "big")
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                frame = file.read(6)
                if len(frame) < 6:
                    return None
                rows, columns = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
                return marker, frame[0], rows, columns, frame[5]
            file.seek(length - 2, 1)
    return None
