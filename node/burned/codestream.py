"""Reads what a compressed frame says of itself, before anything is decoded: JPEG, JPEG-LS and JPEG 2000 headers.

A size that differs from the data set's is known before memory is asked for, and bytes behind the end of the image are
found, which no viewer shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import error as StructError
from struct import unpack_from

from lethe.node.deid.errors import CannotClean

BASELINE, EXTENDED, PROGRESSIVE, LOSSLESS, JPEG_LS, JPEG_2000 = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7, 0x4F
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {JPEG_LS}
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}
_HUFFMAN, _SCAN, _END, _RESTARTS, _APP0, _APP14, _COMMENT = 0xC4, 0xDA, 0xD9, 0xDD, 0xE0, 0xEE, 0xFE
_SIZE, _CODING, _TILE_PART = 0xFF51, 0xFF52, 0xFF90
# What is a marker among entropy coded bytes: no stuffed zero or, in JPEG-LS, bit, no restart.
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
NO_IMAGE = "a frame is not in the form that its transfer syntax (0002,0010) says"
_AFTER_END = "a frame has bytes after the end of its image"


@dataclass(frozen=True)
class Stream:
    """What a codestream says of its image. `process` is what kind it is; `colours` what JPEG markers say of its colour:
    "RGB", "YBR" or nothing; `sampling` each component's factors, across and down; `transformed` whether JPEG 2000 mixes
    its components, `reversible` whether without loss; `selection` the predictor or near value of its first scan."""

    process: int
    columns: int
    rows: int
    components: int
    precision: int
    signed: bool = False
    colours: str = ""
    sampling: tuple[tuple[int, int], ...] = ()
    transformed: bool = False
    reversible: bool = True
    order: int = 0
    selection: int = 0


def stream_of(data: bytes) -> Stream:
    """Read a JPEG family codestream's headers. Raises CannotClean for what is none, is broken or has a tail."""
    try:
        if data[:4] == b"\xff\x4f\xff\x51":
            return _jpeg_2000(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
    except (IndexError, StructError):
        pass
    raise CannotClean(NO_IMAGE)


def _jpeg(data: bytes) -> Stream:
    found: dict[str, object] = {}
    ids, adobe, jfif, at = b"", -1, False, 2
    for marker, at, length in _segments(data):
        body = data[at : at + length]
        if marker in _FRAMES:
            precision, rows, columns, components = unpack_from(">BHHB", body)
            ids = body[6::3][:components]
            factors = tuple((one >> 4, one & 15) for one in body[7::3][:components])
            if found or len(factors) != components:
                raise CannotClean(NO_IMAGE)
            found = {"process": marker, "columns": columns, "rows": rows, "components": components}
            found |= {"precision": precision, "sampling": factors}
        elif marker == _SCAN:
            found["selection"] = body[1 + 2 * body[0]]
        elif marker == _APP0 and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == _APP14 and body[:5] == b"Adobe":
            adobe = body[11]
    if "process" not in found or "selection" not in found:
        raise CannotClean(NO_IMAGE)
    end = _end_of_scans(data, at + length)
    if data[end:].strip(b"\0\xff"):
        raise CannotClean(_AFTER_END)
    colours = "YBR" if jfif or adobe == 1 else "RGB" if adobe == 0 or ids == b"RGB" else ""
    return Stream(colours=colours if found["components"] == 3 else "", **found)  # type: ignore[arg-type]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker, the place and the length of each segment's body, up to the first scan's header."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise CannotClean(NO_IMAGE)
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = unpack_from(">H", data, at + 2)
        if marker == _END or length < 2 or at + 2 + length > len(data):
            raise CannotClean(NO_IMAGE)
        yield marker, at + 4, length - 2
        at += 2 + length
        if marker == _SCAN:
            return


def _end_of_scans(data: bytes, at: int) -> int:
    """Where the image ends: behind the first EOI that stands in no segment."""
    while found := _MARKER.search(data, at):
        at = found.end()
        if data[at - 1] == _END:
            return at
        at += int(unpack_from(">H", data, at)[0])
    raise CannotClean("a frame's image ends early")


def _jpeg_2000(data: bytes) -> Stream:
    at, size, coding = 2, b"", b""
    while True:
        marker, length = unpack_from(">HH", data, at)
        if marker == _TILE_PART:
            break
        if marker >> 8 != 0xFF or length < 2:
            raise CannotClean(NO_IMAGE)
        body = data[at + 4 : at + 2 + length]
        size, coding = (body if marker == _SIZE else size), (body if marker == _CODING else coding)
        at += 2 + length
    _, right, bottom, left, top = unpack_from(">HLLLL", size)
    tile_width, tile_height, tile_left, tile_top, components = unpack_from(">LLLLH", size, 18)
    tiled = tile_left <= left < tile_left + tile_width and tile_top <= top < tile_top + tile_height
    if not tiled or len(size) != 36 + 3 * components:
        raise CannotClean(NO_IMAGE)
    depths = {size[36 + 3 * number] for number in range(components)}
    steps = tuple((size[37 + 3 * number], size[38 + 3 * number]) for number in range(components))
    if len(depths) != 1 or set(steps) != {(1, 1)}:
        raise CannotClean("a frame's components differ in size or depth")
    (depth,) = depths
    end = data.find(b"\xff\xd9", at)
    if end >= 0 and data[end + 2 :].strip(b"\0\xff"):
        raise CannotClean(_AFTER_END)
    return Stream(
        JPEG_2000,
        right - left,
        bottom - top,
        components,
        (depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        sampling=steps,
        transformed=bool(coding[4]),
        reversible=coding[9] == 1,
        order=coding[1],
    )


def colour_markers(data: bytes) -> bytes:
    """The JFIF and Adobe segments of a JPEG, without thumbnail: what a decoder knows its colours by."""
    kept = b""
    for marker, at, length in _segments(data):
        body = data[at : at + length]
        if marker == _APP0 and body[:5] == b"JFIF\0":
            kept += b"\xff\xe0\0\x10" + body[:12] + b"\0\0"
        elif marker == _APP14 and body[:5] == b"Adobe":
            kept += b"\xff\xee\0\x0e" + body[:12]
    return kept


def remarked(data: bytes, markers: bytes) -> bytes:
    """A JPEG or JPEG-LS with those segments instead of the applications' and comments it has."""
    kept, end = b"", 2
    for marker, at, length in _segments(data):
        end = at + length
        if marker != _COMMENT and not _APP0 <= marker < _APP0 + 16:
            kept += data[at - 4 : end]
    return data[:2] + markers + kept + data[end:]


def spliced(original: bytes, again: bytes) -> bytes:
    """The headers of the original JPEG, without comments, Huffman tables and restart intervals, before the Huffman
    tables and the one scan of the other, which has the same components in the same order."""
    kept, ids = b"", b""
    for marker, at, length in _segments(original):
        if marker in _FRAMES:
            ids = original[at + 6 : at + length : 3]
        if marker not in (_COMMENT, _SCAN, _HUFFMAN, _RESTARTS) and not _APP0 <= marker < _APP0 + 16:
            kept += original[at - 4 : at + length]
    end = 2
    for marker, at, length in _segments(again):
        end = at + length
        segment = bytearray(again[at - 4 : end])
        if marker == _SCAN:
            segment[5 : 5 + 2 * len(ids) : 2] = ids
        if marker in (_SCAN, _HUFFMAN, _RESTARTS):
            kept += segment
    return original[:2] + colour_markers(original) + kept + again[end:]
