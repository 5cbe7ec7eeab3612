"""Finds the pixel data element in a file and copies it: never decoded, never in memory as a whole, byte for byte.

One thing is put right: a value of odd length, which PS3.5 7.1.1 and A.4 forbid and peers break off at, gets the NULL it
lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from .errors import CannotClean

PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
# PS3.5 8.1.2, 8.2; implicit VR names none, and archives that did not know the tag have written UN.
_PIXEL_VRS = (b"", b"OB", b"OW", b"OF", b"OD", b"UN")
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Length:
    """A length field: where it stands, its size in bytes and what it says."""

    at: int
    size: int
    value: int

    @property
    def end(self) -> int:
        """Where the value ends that it is the length of."""
        return self.at + self.size + self.value


@dataclass(frozen=True)
class PixelSpan:
    """Where the pixel data element lies: tag, VR as in the file ("" in implicit VR), byte offsets, its header included,
    whether it is a sequence of fragments, and its odd lengths."""

    tag: int
    vr: str
    start: int
    end: int
    order: Literal["little", "big"]
    encapsulated: bool = False
    odd: tuple[Length, ...] = ()


class _Reader:
    """Reads numbers at places in a file. Raises CannotClean beyond its end."""

    def __init__(self, data: BinaryIO, order: Literal["little", "big"]) -> None:
        self._data = data
        self._order: Literal["little", "big"] = order

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.take(at, size), self._order)

    def tag(self, at: int) -> int:
        return self.number(at, 2) << 16 | self.number(at + 2, 2)

    def take(self, at: int, size: int) -> bytes:
        self._data.seek(at)
        raw = self._data.read(size)
        if len(raw) < size:
            raise CannotClean("the file ends within an element")
        return raw


def find_pixels(data: BinaryIO, start: int, end: int, *, implicit: bool, little: bool) -> PixelSpan | None:
    """Where the element at `start` lies, if it is pixel data; None at the end of the file. Raises CannotClean where
    something else is there, or where it is longer than the file."""
    if start >= end:
        return None
    order: Literal["little", "big"] = "little" if little else "big"
    reader = _Reader(data, order)
    tag = reader.tag(start)
    if tag not in PIXEL_TAGS:
        raise CannotClean(f"({tag >> 16:04X},{tag & 0xFFFF:04X}): the data set ends before it, and the file does not")
    vr = b"" if implicit else reader.take(start + 4, 2)
    if vr not in _PIXEL_VRS:
        raise CannotClean("its pixel data have a VR that pixel data cannot have")
    at = start + 4 if implicit else start + (8 if vr in _LONG_VRS else 6)
    size = 4 if implicit or vr in _LONG_VRS else 2
    length = Length(at, size, reader.number(at, size))
    if length.value == _UNDEFINED:
        if vr == b"UN":
            raise CannotClean("its pixel data are of unknown VR and length")
        return _fragments(reader, PixelSpan(tag, vr.decode("latin-1"), start, at + size, order), end)
    if length.end > end:
        raise CannotClean("the file ends within its pixel data")
    odd = (length,) if length.value % 2 else ()
    return PixelSpan(tag, vr.decode("latin-1"), start, length.end, order, odd=odd)


def copy_pixels(data: BinaryIO, span: PixelSpan) -> Iterator[bytes]:
    """The element as it came in, in pieces of at most 1 MiB, odd values padded."""
    at = span.start
    for length in span.odd:
        yield from _copy(data, at, length.at)
        yield (length.value + 1).to_bytes(length.size, span.order)
        yield from _copy(data, length.at + length.size, length.end)
        yield b"\0"
        at = length.end
    yield from _copy(data, at, span.end)


def _fragments(reader: _Reader, span: PixelSpan, end: int) -> PixelSpan:
    """The span of encapsulated pixel data (PS3.5 A.4): items up to the sequence delimiter."""
    at, odd = span.end, []
    while (item := reader.tag(at)) != _END:
        length = Length(at + 4, 4, reader.number(at + 4, 4))
        if item != _ITEM or length.end > end:
            raise CannotClean("the encapsulated pixel data are malformed or end early")
        if length.value % 2:
            odd.append(length)
        at = length.end
    reader.take(at, 8)
    return PixelSpan(span.tag, span.vr, span.start, at + 8, span.order, encapsulated=True, odd=tuple(odd))


def _copy(data: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    data.seek(start)
    while start < stop:
        chunk = data.read(min(stop - start, _CHUNK))
        if not chunk:
            raise CannotClean("the pixel data end before they should")
        start += len(chunk)
        yield chunk
