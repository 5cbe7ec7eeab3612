"""Writes an object in another transfer syntax, frame by frame, so that never more than one is in memory.

Knows nothing of HTTP. The instance keeps its UID; a header tells of loss where there is some (PS3.3 C.7.6.1.1.5), and
of the colours as they have become. What follows the pixel data is kept, except signatures and padding, which no longer
hold.
"""

from __future__ import annotations

import copy
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from struct import pack
from typing import BinaryIO

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lethe.storage.errors import NotFound

from . import codecs
from .accept import NotAcceptable
from .dicomjson import BINARY, swapped
from .locate import chunks, locate
from .pixels import Layout, decoded_bytes, layout_in, word_of
from .shape import Shape, shape_in
from .words import Array

NATIVE = str(ExplicitVRLittleEndian)
TARGETS = (NATIVE, str(DeflatedExplicitVRLittleEndian), *codecs.ENCODED)
"""What an object can be had in over the web; implicit VR and big endian have no place there (PS3.18 8.7.3.4.2)."""
IMPLICIT = str(ImplicitVRLittleEndian)
"""Can be written as well, for a DIMSE peer that takes nothing else."""
UNCOMPRESSED = (NATIVE, str(DeflatedExplicitVRLittleEndian), str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian))
_TAGS = (0x7FE00010, 0x7FE00008, 0x7FE00009)
_OFFSET_TABLES = (0x7FE00001, 0x7FE00002)
_LONGEST = 0xFFFFFFFE
_LOSSY_METHOD = "ISO_10918_1"


@dataclass(frozen=True)
class Recoded:
    """A Part 10 file as it becomes: its pieces, which can be taken once, and its length, if that is known before."""

    pieces: Iterator[bytes]
    length: int | None


def can_recode(stored: str, target: str) -> bool:
    """Whether objects in the one transfer syntax can become the other, as far as that depends on the two alone."""
    return target in TARGETS and (stored in UNCOMPRESSED or codecs.can_decode(stored))


def recoded(file: BinaryIO, stored: str, target: str) -> Recoded:
    """The object of a Part 10 file that is stored in one transfer syntax (a deflated one inflated), in another. The
    file must stay open until the pieces are taken. Raises NotAcceptable where that is impossible."""
    if not can_recode(stored, NATIVE if target == IMPLICIT else target):
        raise NotAcceptable("it cannot be had in that transfer syntax")
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values
        header = dcmread(file, stop_before_pixels=True, force=True)
        if stored == ExplicitVRBigEndian:
            _turn(header)
        pixels = _pixels(file, stored, header)
        if pixels is None:
            return _assembled(target, _head(header, target), iter(()), 0, b"")
        tail = _tail(file, stored, pixels, target)
        write = _native if target in UNCOMPRESSED else _encoded
        return write(file, header, pixels, target, tail)


def _native(file: BinaryIO, header: Dataset, pixels: Layout, target: str, tail: bytes) -> Recoded:
    shape, place = pixels.shape, pixels.place
    if place.length is not None:
        length = place.length
        vr = place.vr or {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(shape.tag, "OW")
        word = 1 if place.little_endian else word_of(place, shape)
        body: Iterator[bytes] = chunks(file, place.offset, 0, length, word=word)
    else:
        length = -(-shape.decoded_bits * shape.frames // 8)
        vr = "OB" if shape.bits_allocated <= 8 else "OW"
        first = pixels.array(file, 1)
        _describe(header, shape, codecs.decoded_colours(shape))
        body = _joined(file, pixels, first)
    padded = length + length % 2
    if padded > _LONGEST:
        raise NotAcceptable("it is too long without compression; ask with transfer-syntax=*")
    element = _tag(shape.tag) + (b"" if target == IMPLICIT else vr.encode() + bytes(2)) + pack("<L", padded)
    body = _all(element, body, bytes(length % 2))
    return _assembled(target, _head(header, target), body, len(element) + padded, tail)


def _encoded(file: BinaryIO, header: Dataset, pixels: Layout, target: str, tail: bytes) -> Recoded:
    shape = pixels.shape
    if not codecs.encodable(shape, target) or (shape.native_bits != shape.decoded_bits and pixels.fragments is None):
        raise NotAcceptable("such an image cannot be had in that transfer syntax")
    decoded = replace(shape, photometric=codecs.decoded_colours(shape))
    first = codecs.encode(pixels.array(file, 1), decoded, target)
    _describe(header, shape, codecs.encoded_colours(shape, target))
    if target in codecs.DCT:
        _own_to_loss(header, shape.decoded_bytes / len(first))

    def items() -> Iterator[bytes]:
        yield _tag(shape.tag) + b"OB" + pack("<HL", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\0\0\0\0"
        for number in range(1, shape.frames + 1):
            data = first if number == 1 else codecs.encode(pixels.array(file, number), decoded, target)
            yield b"\xfe\xff\x00\xe0" + pack("<L", len(data) + len(data) % 2) + data + bytes(len(data) % 2)
        yield b"\xfe\xff\xdd\xe0\0\0\0\0"

    return _assembled(target, _head(header, target), items(), None, tail)


def _assembled(
    target: str, head: tuple[bytes, bytes], body: Iterator[bytes], length: int | None, tail: bytes
) -> Recoded:
    meta, header = head
    if target == DeflatedExplicitVRLittleEndian:
        return Recoded(_deflated(meta, _all(header, body, tail)), None)
    total = None if length is None else len(meta) + len(header) + length + len(tail)
    return Recoded(_all(meta + header, body, tail), total)


def _all(before: bytes, body: Iterable[bytes], after: bytes) -> Iterator[bytes]:
    yield before
    yield from body
    if after:
        yield after


def _deflated(meta: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield meta
    deflate, length = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0
    for piece in pieces:
        packed = deflate.compress(piece)
        length += len(packed)
        if packed:
            yield packed
    rest = deflate.flush()
    yield rest + bytes((length + len(rest)) % 2)


def _joined(file: BinaryIO, pixels: Layout, first: Array) -> Iterator[bytes]:
    """All frames, decoded; those of single bits follow each other without a gap (PS3.5 8.1.1)."""
    shape = pixels.shape
    left = np.zeros(0, np.uint8)
    for number in range(1, shape.frames + 1):
        array = first if number == 1 else pixels.array(file, number)
        if shape.bits_allocated != 1:
            yield decoded_bytes(array)
            continue
        bits = np.concatenate((left, array.ravel()))
        whole = len(bits) - len(bits) % 8
        left = bits[whole:]
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
    if len(left):
        yield np.packbits(left, bitorder="little").tobytes()


def _head(header: Dataset, target: str) -> tuple[bytes, bytes]:
    """Preamble and File Meta Information; and the data set up to the pixel data."""
    meta = copy.deepcopy(header.file_meta)
    meta.TransferSyntaxUID = UID(target)
    meta.FileMetaInformationGroupLength = 0
    out = DicomBytesIO()
    out.write((header.preamble or bytes(128)) + b"DICM")
    write_file_meta_info(out, meta, enforce_standard=False)
    for tag in [tag for tag in header.keys() if BaseTag(tag).element == 0 or tag in _OFFSET_TABLES]:  # noqa: SIM118
        del header[tag]
    return out.getvalue(), _written(header, target)


def _written(ds: Dataset, target: str) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, target == IMPLICIT
    write_dataset(out, ds)
    return out.getvalue()


def _describe(header: Dataset, shape: Shape, colours: str) -> None:
    header.PhotometricInterpretation = colours or "MONOCHROME2"
    if shape.samples > 1:
        header.PlanarConfiguration = 0


def _own_to_loss(header: Dataset, ratio: float) -> None:
    header.LossyImageCompression = "01"
    for keyword, value in (
        ("LossyImageCompressionRatio", f"{ratio:.4g}"),
        ("LossyImageCompressionMethod", _LOSSY_METHOD),
    ):
        before = header.get(keyword)
        values = [] if before in (None, "") else list(before) if not isinstance(before, (str, float)) else [before]
        setattr(header, keyword, [*values, value])


def _pixels(file: BinaryIO, stored: str, header: Dataset) -> Layout | None:
    for tag in _TAGS:
        try:
            locate(file, stored, [tag])
            shape = shape_in(header, tag)
        except NotFound:
            continue
        return layout_in(file, stored, shape)
    return None


def _tail(file: BinaryIO, stored: str, pixels: Layout, target: str) -> bytes:
    """The elements behind the pixel data that still hold."""
    file.seek(pixels.end)
    if len(file.read(8)) < 8:
        return b""
    file.seek(pixels.end)
    implicit, little = stored == ImplicitVRLittleEndian, stored != ExplicitVRBigEndian
    try:
        rest = read_dataset(file, implicit, little)
        if not little:
            _turn(rest)
        kept = Dataset()
        for tag in sorted(rest.keys()):
            if BaseTag(tag).group < 0xFFFA and tag > pixels.shape.tag and BaseTag(tag).element:
                kept[tag] = rest[tag]
        return _written(kept, target) if len(kept) else b""
    except Exception:  # trailing bytes that are no elements; pydicom raises what it likes
        return b""


def _turn(ds: Dataset) -> None:
    """Put words of more than one byte in little endian; pydicom does so for all but these."""
    for element in ds.iterall():
        width = BINARY.get(element.VR, 1)
        if width > 1 and isinstance(element.value, bytes):
            element.value = swapped(element.value, width)


def _tag(tag: int) -> bytes:
    return pack("<HH", tag >> 16, tag & 0xFFFF)
