"""Knows where the bytes of each frame lie: of native ones by counting bits, of encapsulated ones by their fragments.

Nothing is decoded here, and no more than one frame is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian

from lethe.node.deid.elements import raw_bytes
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import PixelSpan

from .form import MOST_FRAME_BYTES, Form

EXTENDED_OFFSETS, EXTENDED_LENGTHS = Tag("ExtendedOffsetTable"), Tag("ExtendedOffsetTableLengths")
_TOO_SHORT = "its pixel data are shorter than Rows, Columns, Bits Allocated and Number of Frames make them"
_TOO_LONG = "its pixel data go on after the last frame"
_UNCOUNTABLE = "its fragments cannot be told apart into Number of Frames (0028,0008) frames"
# What the first fragment of a frame begins with: JPEG and JPEG-LS, JPEG 2000.
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_RLE = "1.2.840.10008.1.2.5"
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_CHUNK = 1 << 20
_MOST_FRAGMENTS = 1 << 20


def value_start(span: PixelSpan) -> int:
    """Where the value of the pixel data element begins; every VR it can have has a length of four bytes."""
    return span.start + (12 if span.vr else 8)


@dataclass(frozen=True)
class Native:
    """Frames without compression. `samples` is how many samples are stored for two pixels of `halved` chroma or for one
    pixel; `swapped` says that bytes stand the other way round in words of 16 bits (PS3.5 A.3, big endian OW)."""

    data: BinaryIO
    start: int
    bits: int
    halved: bool
    swapped: bool
    big: bool

    def within(self, frame: int) -> tuple[int, int]:
        """The bytes of that frame, from and to, counted from the value's first; whole words where they are swapped."""
        first, last = frame * self.bits // 8, -(-(frame + 1) * self.bits // 8)
        return (first & ~1, last + last % 2) if self.swapped else (first, last)

    def read(self, frame: int) -> bytes:
        """Its bytes as they are in the file, with the bits of its neighbours in the same bytes."""
        first, last = self.within(frame)
        return read_at(self.data, self.start + first, last - first)


@dataclass(frozen=True)
class Fragment:
    """Bytes of an encapsulated frame, without the item's tag and length."""

    start: int
    length: int


@dataclass(frozen=True)
class Encapsulated:
    """Compressed frames, each of one fragment or more. `table` says whether there is a Basic Offset Table,
    `lies` whether it holds anything but where each frame begins."""

    data: BinaryIO
    frames: Sequence[Sequence[Fragment]]
    table: bool
    extended: bool
    lies: bool = False

    def read(self, frame: int) -> bytes:
        """The frame's fragments, joined."""
        return b"".join(read_at(self.data, one.start, one.length) for one in self.frames[frame])


def read_at(data: BinaryIO, start: int, length: int) -> bytes:
    """Bytes from a place in a file. Raises CannotClean where it ends before."""
    data.seek(start)
    found = data.read(length)
    if len(found) < length:
        raise CannotClean("the pixel data end before they should")
    return found


def native_places(source: Part10, span: PixelSpan, form: Form) -> Native:
    """Where the frames of native pixel data are. Raises CannotClean where there are fewer bytes, or more that say
    something."""
    start = value_start(span)
    length, pixels = span.end - start, form.rows * form.columns
    bits = pixels * form.samples * form.bits_allocated
    halved = False
    if form.photometric == "YBR_FULL_422" and _is_halved(source.data, start, length, bits * form.frames // 8):
        halved, bits = True, pixels * 2 * form.bits_allocated
        if form.columns % 2 or form.bits_allocated != 8:
            raise CannotClean("YBR_FULL_422 with an odd number of columns or more than 8 bits")
    needed = -(-bits * form.frames // 8)
    if length < needed:
        raise CannotClean(_TOO_SHORT)
    big = source.transfer_syntax == ExplicitVRBigEndian
    swapped = big and form.bits_allocated <= 8 and span.vr == "OW"
    _refuse_more(source.data, start + needed + (needed % 2 if swapped else 0), span.end)
    return Native(source.data, start, bits, halved, swapped, big)


def _is_halved(data: BinaryIO, start: int, length: int, whole: int) -> bool:
    """Whether two pixels share their chroma, as they should; many files have it for each pixel. In such a one the last
    third is not all zeros: those are what pads halved ones, and their text is only seen where they are read so."""
    if length < whole:
        return True
    pieces = range(whole // 3 * 2, length, _CHUNK)
    return not any(any(read_at(data, start + at, min(_CHUNK, length - at))) for at in pieces)


def _refuse_more(data: BinaryIO, start: int, end: int) -> None:
    """One byte pads an odd length; further ones may be anything that is nothing."""
    for at in range(start + 1, end, _CHUNK):
        if any(read_at(data, at, min(_CHUNK, end - at))):
            raise CannotClean(_TOO_LONG)


def encapsulated_places(source: Part10, span: PixelSpan, form: Form) -> Encapsulated:
    """Which fragments make each frame (PS3.5 A.4). Raises CannotClean where that cannot be known for certain."""
    table, fragments = _fragments(source.data, value_start(span), span.end)
    offsets = np.frombuffer(read_at(source.data, table.start, table.length // 4 * 4), "<u4").tolist()
    extended, lengths = _extended(source.header, EXTENDED_OFFSETS), _extended(source.header, EXTENDED_LENGTHS)
    frames: list[list[Fragment]] | None = None
    if extended:
        frames = _by_offsets(fragments, extended, form.frames)
        if frames is None or any(len(one) != 1 for one in frames) or len(lengths) != form.frames:
            raise CannotClean("its Extended Offset Table (7FE0,0001) does not fit its fragments")
        if any(not 0 <= one[0].length - length <= 1 for one, length in zip(frames, lengths, strict=True)):
            raise CannotClean("its Extended Offset Table Lengths (7FE0,0002) do not fit its fragments")
    elif offsets:
        frames = _by_offsets(fragments, offsets, form.frames)
    frames = frames or _counted(source, fragments, form)
    if any(sum(one.length for one in frame) > MOST_FRAME_BYTES for frame in frames):
        raise CannotClean(f"a frame is larger than {MOST_FRAME_BYTES >> 20} MiB")
    offers = [one[0].start - fragments[0].start for one in frames] if table.length and not extended else []
    lies = offsets != offers or table.length != 4 * len(offers)
    return Encapsulated(source.data, frames, table=bool(table.length), extended=bool(extended), lies=lies)


def whole_stream(source: Part10) -> Iterator[bytes]:
    """All fragments as one stream, in pieces: of a film, which is no frame by itself. Raises CannotClean."""
    span = source.pixels
    if span is None or not span.encapsulated:
        raise CannotClean("its pixel data are not encapsulated as its transfer syntax (0002,0010) says")
    for one in _fragments(source.data, value_start(span), span.end)[1]:
        for at in range(0, one.length, _CHUNK):
            yield read_at(source.data, one.start + at, min(_CHUNK, one.length - at))


def _fragments(data: BinaryIO, at: int, end: int) -> tuple[Fragment, list[Fragment]]:
    """The Basic Offset Table and the fragments behind it; that they are well-formed is known."""
    found = []
    while at < end - 8:
        length = int.from_bytes(read_at(data, at + 4, 4), "little")
        found.append(Fragment(at + 8, length))
        if len(found) > _MOST_FRAGMENTS:
            raise CannotClean("its pixel data are in too many fragments")
        at += 8 + length
    if len(found) < 2:
        raise CannotClean("its pixel data hold no frame")
    return found[0], found[1:]


def _extended(header: Dataset, tag: int) -> list[int]:
    raw = raw_bytes(header, Tag(tag), ()) if tag in header else b""
    return [int(one) for one in np.frombuffer(raw[: len(raw) // 8 * 8], "<u8")]


def _by_offsets(fragments: Sequence[Fragment], offsets: Sequence[int], count: int) -> list[list[Fragment]] | None:
    """The fragments of each frame by a table of where the first of each begins; None where the table is wrong."""
    base = fragments[0].start - 8
    places = {one.start - 8 - base: number for number, one in enumerate(fragments)}
    firsts = [places.get(offset, -1) for offset in offsets]
    if len(firsts) != count or firsts[0] != 0 or any(a >= b for a, b in pairwise(firsts)):
        return None
    return [list(fragments[a:b]) for a, b in zip(firsts, [*firsts[1:], len(fragments)], strict=True)]


def _counted(source: Part10, fragments: Sequence[Fragment], form: Form) -> list[list[Fragment]]:
    """The fragments of each frame without a table that helps."""
    if form.frames == 1:
        return [list(fragments)]
    if len(fragments) == form.frames:
        return [[one] for one in fragments]
    if str(source.transfer_syntax) in (_RLE, _DEFLATED_FRAMES):
        raise CannotClean(_UNCOUNTABLE)
    frames: list[list[Fragment]] = []
    for one in fragments:
        if read_at(source.data, one.start, min(one.length, 8)).startswith(_STARTS):
            frames.append([])
        if not frames:
            raise CannotClean(_UNCOUNTABLE)
        frames[-1].append(one)
    if len(frames) != form.frames:
        raise CannotClean(_UNCOUNTABLE)
    return frames
