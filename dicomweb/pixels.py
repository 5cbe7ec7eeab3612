"""Reads single frames out of a stored file, as they are encoded there or decoded, one frame in memory at a time.

Decoded means native little endian with interleaved samples. The colour space stays what Photometric Interpretation says
(YBR is not turned into RGB), except where it belongs to the code: JPEG 2000 undoes YBR_RCT and YBR_ICT itself, and
YBR_FULL_422 comes out of a JPEG with full sampling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from pydicom.uid import UID

from lethe.storage.errors import NotFound

from . import codecs
from .fragments import Fragments, fragments
from .locate import Place, chunks, locate
from .shape import Shape
from .words import Array, words_of

IMAGE_TYPES = {
    **dict.fromkeys(("4.50", "4.51", "4.57", "4.70"), "image/jpeg"),
    **dict.fromkeys(("4.80", "4.81"), "image/jls"),
    **dict.fromkeys(("4.90", "4.91"), "image/jp2"),
    **dict.fromkeys(("4.92", "4.93"), "image/jpx"),
    **dict.fromkeys(("4.110", "4.111", "4.112"), "image/jxl"),
    **dict.fromkeys(("4.201", "4.202", "4.203"), "image/jphc"),
    "5": "image/dicom-rle",
}
"""The media type of each compressed transfer syntax, by what follows 1.2.840.10008.1.2 (PS3.18 Table 8.7.3-5)."""
VIDEO = ("1.2.840.10008.1.2.4.10", "1.2.840.10008.1.2.7.")


@dataclass(frozen=True)
class Layout:
    """What the frames of one file are like and where they lie; it holds as long as the file."""

    transfer_syntax: str
    shape: Shape
    place: Place
    fragments: Fragments | None

    @property
    def end(self) -> int:
        """Where the pixel data element ends."""
        return self.fragments.end if self.fragments else self.place.offset + (self.place.length or 0)

    def native(self, file: BinaryIO, number: int) -> Iterator[bytes]:
        """One frame of uncompressed pixel data, little endian. Raises NotFound where the data ends before."""
        shape, place = self.shape, self.place
        first, bits = (number - 1) * shape.native_bits, shape.native_bits
        start, stop = first // 8, -(-(first + bits) // 8)
        if place.length is None or stop > place.length:
            raise NotFound("the stored pixel data ends before that frame")
        word = 1 if place.little_endian else word_of(place, shape)
        data = chunks(file, place.offset, start, stop, word=word)
        return iter([_shifted(b"".join(data), first % 8, bits)]) if first % 8 or bits % 8 else data

    def encoded(self, file: BinaryIO, number: int) -> bytes:
        """One frame of encapsulated pixel data, its fragments joined. Raises NotFound where there is no such frame."""
        if self.fragments is None:
            raise NotFound("the stored pixel data has no such frame")
        return self.fragments.frame(file, number)

    def array(self, file: BinaryIO, number: int) -> Array:
        """One frame as words: rows, columns and, for colour, samples. Raises NotFound and NotAcceptable."""
        if self.fragments is not None:
            return codecs.decode(self.encoded(file, number), self.shape, self.transfer_syntax)
        return words_of(b"".join(self.native(file, number)), self.shape)

    @property
    def native_bytes(self) -> int:
        """How many bytes `native` gives."""
        return -(-self.shape.native_bits // 8)


def layout_in(file: BinaryIO, transfer_syntax: str, shape: Shape) -> Layout:
    """Where the frames of that shape lie in a file (a deflated one inflated). Raises NotFound."""
    place = locate(file, transfer_syntax, [shape.tag])
    if place.length is not None:
        return Layout(transfer_syntax, shape, place, None)
    extended = _value(file, transfer_syntax, 0x7FE00001)
    return Layout(transfer_syntax, shape, place, fragments(file, place.offset, shape.frames, extended))


def decoded_bytes(array: Array) -> bytes:
    """A decoded frame as little endian bytes."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def decoded_frame(layout: Layout, file: BinaryIO, number: int) -> bytes:
    """One frame, decoded. Raises NotAcceptable where the decoder cannot read it."""
    array = layout.array(file, number)
    if layout.shape.bits_allocated == 1:
        return np.packbits(array.ravel(), bitorder="little").tobytes()
    return decoded_bytes(array)


def image_type(transfer_syntax: str) -> str:
    """The media type of a frame in a compressed transfer syntax."""
    return IMAGE_TYPES.get(transfer_syntax.removeprefix("1.2.840.10008.1.2."), "application/octet-stream")


def is_video(transfer_syntax: str) -> bool:
    """Whether the pixel data is one stream that has no frames to be had singly."""
    return transfer_syntax.startswith(VIDEO)


def is_encapsulated(transfer_syntax: str) -> bool:
    """Whether the pixel data is a sequence of fragments (PS3.5 A.4)."""
    if transfer_syntax == codecs.DEFLATED_FRAMES:  # newer than pydicom
        return True
    syntax = UID(transfer_syntax)
    return not syntax.is_private and syntax.is_transfer_syntax and bool(syntax.is_encapsulated)


def word_of(place: Place, shape: Shape) -> int:
    """The bytes to turn in big endian pixel data: those of a sample, or of a 16-bit word that holds smaller ones."""
    if shape.bits_allocated >= 16:
        return shape.bits_allocated // 8
    return 2 if place.vr == "OW" else 1


def _shifted(data: bytes, skip: int, count: int) -> bytes:
    """`count` bits from bit `skip` on, packed again from a byte's lowest bit (PS3.5 8.1.1)."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[skip : skip + count]
    return np.packbits(bits, bitorder="little").tobytes()


def _value(file: BinaryIO, transfer_syntax: str, tag: int) -> bytes:
    try:
        place = locate(file, transfer_syntax, [tag])
    except NotFound:
        return b""
    return b"".join(chunks(file, place.offset, 0, place.length or 0))
