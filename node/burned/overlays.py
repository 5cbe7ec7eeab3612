"""Reads the overlays (60xx) of an object as pictures of 0 and 1 and takes boxes out of them (PS3.3 C.9.2).

Those with data of their own are redacted in the header. Retired ones live in bits of the pixels beside those stored:
they are read here, and `redacted(..., beside=...)` clears them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian

from lethe.node.deid.elements import decoded, raw_bytes, texts
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10

from .box import Box
from .form import MOST_FRAME_BYTES, Pixels, number_of
from .frames import Frames

_ROWS, _COLUMNS, _FRAMES, _ORIGIN, _FIRST = 0x0010, 0x0011, 0x0015, 0x0050, 0x0051
_BITS_ALLOCATED, _BIT_POSITION, _DATA = 0x0100, 0x0102, 0x3000


@dataclass(frozen=True)
class Overlay:
    """One overlay: its group, its size, how many frames it has, the frame of the image that its first belongs to
    (from 0), and where in the image its top left pixel lies. `bits` are its pixels if they are in the header; else it
    is the bit `position` of the image's words."""

    group: int
    rows: int
    columns: int
    frames: int
    first: int
    left: int
    top: int
    position: int
    bits: bytes | None

    @property
    def embedded(self) -> bool:
        """Whether it is in the pixel data."""
        return self.bits is None

    def picture(self, frame: int, image: Frames | None = None) -> Pixels:
        """One of its frames, counted from 0, as rows and columns of 0 and 1. Those of embedded ones are the image's."""
        if self.bits is None:
            if image is None:
                raise CannotClean("it has an overlay in its pixels, which cannot be read")
            raw = image.raw(frame)
            shown: Pixels = (raw >> raw.dtype.type(self.position) & raw.dtype.type(1)).astype(np.uint8)
            return shown
        size = self.rows * self.columns
        first, last = frame * size, (frame + 1) * size
        part = np.frombuffer(self.bits[first // 8 : -(-last // 8)], np.uint8)
        return np.unpackbits(part, bitorder="little")[first % 8 :][:size].reshape(self.rows, self.columns)

    def without(self, boxes: Mapping[int, Sequence[Box]]) -> bytes:
        """Its bits with those boxes empty, given for each of its frames in its own pixels."""
        assert self.bits is not None
        size, padded = self.rows * self.columns, np.unpackbits(np.frombuffer(self.bits, np.uint8), bitorder="little")
        pictures = padded[: size * self.frames].reshape(self.frames, self.rows, self.columns)
        for frame, some in boxes.items():
            for box in some:
                inside = box.within(self.columns, self.rows)
                pictures[frame, inside.rows, inside.columns] = 0
        padded[size * self.frames :] = 0
        return np.packbits(padded, bitorder="little").tobytes()


def overlays_of(source: Part10) -> list[Overlay]:
    """The overlays of an object. Raises CannotClean for one that cannot be read."""
    header = source.header
    groups = sorted({tag.group for tag in header.keys() if tag.group & 0xFF00 == 0x6000})  # noqa: SIM118 - would decode
    return [_overlay(source, group) for group in groups if group % 2 == 0 and _is_there(header, group)]


def redacted_overlays(source: Part10, boxes: Mapping[int, Mapping[int, Sequence[Box]]]) -> Dataset:
    """The header with boxes taken out of its overlays: for each group and frame of the overlay, in the overlay's own
    pixels. Raises CannotClean where one is in the pixels, or is not there."""
    found = {one.group: one for one in overlays_of(source)}
    if any(group not in found or found[group].embedded for group in boxes):
        raise CannotClean("a box is in an overlay that is not there, or is in the pixels")
    header = copy.deepcopy(source.header)
    for group, some in boxes.items():
        tag, overlay = Tag(group, _DATA), found[group]
        if any(not 0 <= frame < overlay.frames for frame in some):
            raise CannotClean("a box is in a frame of an overlay that is not there")
        vr = header.get_item(tag).VR or "OW"
        data = overlay.without(some)
        header.add_new(tag, vr if vr in ("OB", "OW") else "OW", _straight(data, source, vr))
    return header


def _is_there(header: Dataset, group: int) -> bool:
    """Whether the group is an overlay: it has data or says where in the pixels they are."""
    return Tag(group, _DATA) in header or Tag(group, _BITS_ALLOCATED) in header or Tag(group, _ROWS) in header


def _overlay(source: Part10, group: int) -> Overlay:
    header = source.header
    rows, columns = number_of(header, Tag(group, _ROWS), 0), number_of(header, Tag(group, _COLUMNS), 0)
    frames, first = number_of(header, Tag(group, _FRAMES), 1), number_of(header, Tag(group, _FIRST), 1)
    size = rows * columns * frames
    if not (rows and columns and frames and first) or size > 8 * MOST_FRAME_BYTES:
        raise CannotClean("an overlay (60xx) has no size, or is too large")
    tag = Tag(group, _DATA)
    bits: bytes | None = None
    if tag in header:
        element = header.get_item(tag)
        bits = _straight(raw_bytes(header, tag, ()), source, element.VR or "OW")
        if len(bits) < -(-size // 8):
            raise CannotClean("an overlay (60xx) is shorter than its rows and columns make it")
    position = number_of(header, Tag(group, _BIT_POSITION), 0)
    if bits is None and position >= number_of(header, "BitsAllocated", 0):
        raise CannotClean("an overlay (60xx) has no data and is not in the pixels")
    top, left = _origin(header, group)
    return Overlay(group, rows, columns, frames, first - 1, left, top, position, bits)


def _origin(header: Dataset, group: int) -> tuple[int, int]:
    """Row and column, from 0, of the image where the overlay begins; they may be outside of it."""
    tag = Tag(group, _ORIGIN)
    found = texts(decoded(header, tag, ())) if tag in header else []
    try:
        top, left = (int(one) - 1 for one in found) if found else (0, 0)
    except ValueError:
        raise CannotClean("an overlay's origin (60xx,0050) is not two numbers") from None
    return top, left


def _straight(data: bytes, source: Part10, vr: str) -> bytes:
    """Bytes in order, out of words of 16 bits in big endian, and the other way round."""
    if source.transfer_syntax != ExplicitVRBigEndian or vr != "OW" or len(data) % 2:
        return data
    return np.frombuffer(data, np.uint16).byteswap().tobytes()
