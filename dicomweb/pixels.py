"""Reads single frames out of a stored file, as they are encoded there or decoded, one frame in memory at a time.

Decoded means native little endian with interleaved samples. The colour space stays what Photometric Interpretation says
(YBR is not turned into RGB), except where it belongs to the code: JPEG 2000 undoes YBR_RCT and YBR_ICT itself, and
YBR_FULL_422 comes out of a JPEG with full sampling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from lethe.storage.entries import DicomJson, first_text
from lethe.storage.errors import NotFound

from .accept import NotAcceptable
from .dicomjson import PIXEL_TAGS
from .locate import Place, chunks, locate

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
_VIDEO = ("1.2.840.10008.1.2.4.10", "1.2.840.10008.1.2.7.")
# Chroma samples are shared by this many pixels in uncompressed data (PS3.3 C.7.6.3.1.2).
_BITS_PER_SAMPLED_PIXEL = {"YBR_FULL_422": 2.0, "YBR_PARTIAL_422": 2.0, "YBR_PARTIAL_420": 1.5}


@dataclass(frozen=True)
class Shape:
    """What the Image Pixel module says about the frames (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    frames: int
    photometric: str
    tag: int

    @property
    def native_bits(self) -> int:
        """How many bits a frame takes in uncompressed pixel data; frames of single bits are not padded."""
        per_pixel = _BITS_PER_SAMPLED_PIXEL.get(self.photometric, self.samples) if self.samples == 3 else self.samples
        return int(self.rows * self.columns * per_pixel * self.bits_allocated)

    @property
    def decoded_bytes(self) -> int:
        """How many bytes a frame takes once decoded."""
        return (self.rows * self.columns * self.samples * self.bits_allocated + 7) // 8


def shape_of(metadata: DicomJson) -> Shape:
    """The shape of an instance's frames. Raises NotFound where it has none."""
    tag = next((tag for tag in PIXEL_TAGS if "BulkDataURI" in metadata.get(tag, {})), None)
    rows, columns = _number(metadata, "00280010"), _number(metadata, "00280011")
    if tag is None or not rows or not columns:
        raise NotFound("the instance has no image")
    return Shape(
        rows=rows,
        columns=columns,
        samples=_number(metadata, "00280002") or 1,
        bits_allocated=_number(metadata, "00280100") or {"7FE00008": 32, "7FE00009": 64}.get(tag, 8),
        frames=_number(metadata, "00280008") or 1,
        photometric=first_text(metadata, "00280004"),
        tag=int(tag, 16),
    )


def image_type(transfer_syntax: str) -> str:
    """The media type of a frame in a compressed transfer syntax."""
    return IMAGE_TYPES.get(transfer_syntax.removeprefix("1.2.840.10008.1.2."), "application/octet-stream")


def is_video(transfer_syntax: str) -> bool:
    """Whether the pixel data is one stream that has no frames to be had singly."""
    return transfer_syntax.startswith(_VIDEO)


def is_encapsulated(transfer_syntax: str) -> bool:
    """Whether the pixel data is a sequence of fragments (PS3.5 A.4)."""
    syntax = UID(transfer_syntax)
    return not syntax.is_private and syntax.is_transfer_syntax and bool(syntax.is_encapsulated)


def can_decode(transfer_syntax: str) -> bool:
    """Whether a decoder for it is installed."""
    try:
        return get_decoder(UID(transfer_syntax)).is_available
    except NotImplementedError:
        return False


def native_frame(file: BinaryIO, place: Place, shape: Shape, number: int) -> Iterator[bytes]:
    """The bytes of one frame of uncompressed pixel data, little endian. Raises NotFound where the data ends before."""
    first, bits = (number - 1) * shape.native_bits, shape.native_bits
    start, stop = first // 8, -(-(first + bits) // 8)
    if place.length is None or stop > place.length:
        raise NotFound("the stored pixel data ends before that frame")
    word = 1 if place.little_endian else _word(place, shape)
    data = chunks(file, place.offset, start, stop, word=word)
    return iter([_shifted(b"".join(data), first % 8, bits)]) if first % 8 or bits % 8 else data


def native_frame_bytes(shape: Shape) -> int:
    """How many bytes `native_frame` gives."""
    return -(-shape.native_bits // 8)


def encoded_frame(file: BinaryIO, place: Place, shape: Shape, number: int, transfer_syntax: str) -> bytes:
    """One frame of encapsulated pixel data, its fragments joined. Raises NotFound where there is no such frame."""
    offsets = _extended_offsets(file, transfer_syntax)
    file.seek(place.offset)
    try:
        return get_frame(file, number - 1, number_of_frames=shape.frames, extended_offsets=offsets)
    except (ValueError, IndexError, EOFError):
        raise NotFound("the stored pixel data has no such frame") from None


def decoded_frame(file: BinaryIO, shape: Shape, number: int) -> bytes:
    """One frame, decoded. Raises NotAcceptable where the decoder cannot read it."""
    array = decoded_array(file, number, raw=True)
    if array.dtype.kind in "iu" and array.itemsize * 8 != shape.bits_allocated >= 8:
        array = array.astype(f"{array.dtype.kind}{shape.bits_allocated // 8}")
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(data) != shape.decoded_bytes:
        raise NotAcceptable("the stored frame does not have the size its attributes give; ask with transfer-syntax=*")
    return data


def decoded_array(file: BinaryIO, number: int, *, raw: bool) -> np.ndarray[Any, np.dtype[Any]]:
    """One frame as an array of rows, columns and, for colour, samples; `raw` leaves its colour space alone."""
    file.seek(0)
    try:
        return pixel_array(file, index=number - 1, raw=raw)
    except Exception as error:  # decoders raise whatever they like; what they say may quote the object
        reason = f"the stored frame cannot be decoded here ({type(error).__name__}); ask with transfer-syntax=*"
        raise NotAcceptable(reason) from None


def _number(metadata: DicomJson, tag: str) -> int:
    text = first_text(metadata, tag)
    return int(text) if text.isdigit() else 0


def _word(place: Place, shape: Shape) -> int:
    """The bytes to turn in big endian pixel data: those of a sample, or of a 16-bit word that holds smaller ones."""
    if shape.bits_allocated >= 16:
        return shape.bits_allocated // 8
    return 2 if place.vr == "OW" else 1


def _shifted(data: bytes, skip: int, count: int) -> bytes:
    """`count` bits from bit `skip` on, packed again from a byte's lowest bit (PS3.5 8.1.1)."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[skip : skip + count]
    return np.packbits(bits, bitorder="little").tobytes()


def _extended_offsets(file: BinaryIO, transfer_syntax: str) -> tuple[bytes, bytes] | None:
    """The Extended Offset Table and its lengths, where there are any (PS3.3 C.7.6.3.1.8)."""
    tables = []
    for tag in (0x7FE00001, 0x7FE00002):
        try:
            place = locate(file, transfer_syntax, [tag])
        except NotFound:
            return None
        tables.append(b"".join(chunks(file, place.offset, 0, place.length or 0)))
    return (tables[0], tables[1]) if tables[0] and len(tables[0]) == len(tables[1]) else None
