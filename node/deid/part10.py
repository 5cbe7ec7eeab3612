"""Reads the header of a DICOM file, knows where its pixel bytes lie, and writes a clean file around them (PS3.10).

The pixel data element is never decoded and never copied into memory: what leaves is, byte for byte, what came in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from .errors import CannotClean

IMPLEMENTATION_CLASS_UID = "2.25.113519460427936543189211042586019326821"
IMPLEMENTATION_VERSION_NAME = "LETHE"
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_CHUNK = 1 << 20
_MOST_INFLATED = 4 << 30


@dataclass(frozen=True)
class PixelSpan:
    """Where the pixel data element lies: tag, VR as in the file ("" in implicit VR) and byte offsets, its header
    included."""

    tag: int
    vr: str
    start: int
    end: int


@dataclass(frozen=True)
class Part10:
    """One object: the data set up to its pixel data, its transfer syntax, where its pixel data lie in `data`, and how
    many bytes follow them (they are never passed on)."""

    header: Dataset
    transfer_syntax: UID
    pixels: PixelSpan | None
    data: BinaryIO
    trailing: int


def read_part10(file: BinaryIO) -> Part10:
    """Read an object's header. Raises CannotClean for what is no DICOM file, truncated, or too deeply nested."""
    try:
        source = dcmread(file, stop_before_pixels=True)
        transfer_syntax = source.file_meta.get("TransferSyntaxUID")
        if not transfer_syntax:
            raise CannotClean("the file meta information names no transfer syntax (0002,0010)")
        header, data = Dataset(source), file
        if transfer_syntax == DeflatedExplicitVRLittleEndian:
            data = _inflated(file, source.file_meta)
            header = read_dataset(data, is_implicit_VR=False, is_little_endian=True, stop_when=_is_pixel_data)
        start = data.tell()
        end = data.seek(0, 2)
        _refuse_cut_short(header)
        little, implicit = transfer_syntax != "1.2.840.10008.1.2.2", _is_implicit(source, transfer_syntax)
        header.set_original_encoding(implicit, little, source.original_character_set)
        pixels = _pixel_span(data, start, end, implicit=implicit, little=little)
    except CannotClean:
        raise
    except RecursionError:
        raise CannotClean("sequences are nested too deeply to be read") from None
    except Exception as error:
        raise CannotClean(f"not readable as DICOM ({type(error).__name__})") from None
    return Part10(header, UID(transfer_syntax), pixels, data, end - (pixels.end if pixels else start))


def write_part10(header: Dataset, source: Part10) -> Iterator[bytes]:
    """The bytes of a clean file: new preamble and file meta, `header` in the source's encoding, its pixel data as they
    are, nothing after them."""
    body = encoded_header(header, source)
    yield _meta(header, source.transfer_syntax)
    if source.transfer_syntax == DeflatedExplicitVRLittleEndian:
        yield from _deflated([body, *pixel_chunks(source)])
        return
    yield body
    yield from pixel_chunks(source)


def pixel_chunks(source: Part10) -> Iterator[bytes]:
    """The pixel data element as it came in, in pieces of at most 1 MiB."""
    if source.pixels is None:
        return
    source.data.seek(source.pixels.start)
    left = source.pixels.end - source.pixels.start
    while left > 0:
        chunk = source.data.read(min(left, _CHUNK))
        if not chunk:
            raise CannotClean("the pixel data end before they should")
        left -= len(chunk)
        yield chunk


def pixel_vr(source: Part10) -> str | None:
    """The VR of Pixel Data (7FE0,0010) as DICOM JSON names it: OB if encapsulated, as in the file if explicit, else OW
    (PS3.5 A.1). None where there are none, or they are floating point."""
    if source.pixels is None or source.pixels.tag != 0x7FE00010:
        return None
    if source.transfer_syntax.is_encapsulated:
        return "OB"
    return source.pixels.vr if source.pixels.vr in ("OB", "OW") else "OW"


def encoded_header(header: Dataset, source: Part10) -> bytes:
    """The data set up to its pixel data, encoded as the source was."""
    implicit, little = source.header.original_encoding
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = bool(implicit), bool(little)
    write_dataset(buffer, header)
    return buffer.getvalue()


def _meta(header: Dataset, transfer_syntax: UID) -> bytes:
    """Preamble and file meta information, written anew (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def _refuse_cut_short(header: Dataset) -> None:
    """pydicom reads the last element of a truncated file with whatever bytes are left."""
    for tag in header.keys():  # noqa: SIM118 - iterating a Dataset decodes it
        element = header.get_item(tag)
        if isinstance(element, RawDataElement) and element.length not in (0xFFFFFFFF, len(element.value or b"")):
            raise CannotClean(f"the file ends within ({tag.group:04X},{tag.element:04X})")


def _is_implicit(source: Dataset, transfer_syntax: UID) -> bool:
    implicit = source.original_encoding[0]
    return bool(transfer_syntax == "1.2.840.10008.1.2" if implicit is None else implicit)


def _is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag in _PIXEL_TAGS


def _inflated(file: BinaryIO, meta: FileMetaDataset) -> BinaryIO:
    """The data set of a deflated file (PS3.5 A.5), after its file meta."""
    file.seek(132 + 12 + meta.FileMetaInformationGroupLength)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    data = BytesIO()
    while chunk := file.read(_CHUNK):
        data.write(inflate.decompress(chunk))
        if data.tell() > _MOST_INFLATED:
            raise CannotClean("the deflated data set is larger than 4 GiB")
    data.write(inflate.flush())
    data.seek(0)
    return data


def _deflated(chunks: list[bytes]) -> Iterator[bytes]:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    for chunk in chunks:
        packed = deflate.compress(chunk)
        length += len(packed)
        yield packed
    packed = deflate.flush()
    # PS3.5 A.5: padded to even length with a NULL.
    yield packed + bytes((length + len(packed)) % 2)


def _pixel_span(data: BinaryIO, start: int, end: int, *, implicit: bool, little: bool) -> PixelSpan | None:
    """Where the element at `start` lies, if it is pixel data. Raises CannotClean where it is longer than the file."""
    order = "little" if little else "big"

    def number(at: int, size: int) -> int:
        data.seek(at)
        raw = data.read(size)
        if len(raw) < size:
            raise CannotClean("the file ends within its pixel data")
        return int.from_bytes(raw, order)  # type: ignore[arg-type]

    if start >= end:
        return None
    tag = number(start, 2) << 16 | number(start + 2, 2)
    if tag not in _PIXEL_TAGS:
        raise CannotClean(f"the file ends within the element after ({tag >> 16:04X},{tag & 0xFFFF:04X})")
    data.seek(start + 4)
    vr = b"" if implicit else data.read(2)
    at = start + 4 if implicit else start + (8 if vr in _LONG_VRS else 6)
    size = 4 if implicit or vr in _LONG_VRS else 2
    length, at = number(at, size), at + size
    if length != 0xFFFFFFFF:
        if at + length > end:
            raise CannotClean("the file ends within its pixel data")
        return PixelSpan(tag, vr.decode("latin-1"), start, at + length)
    while True:
        item = number(at, 2) << 16 | number(at + 2, 2)
        length, at = number(at + 4, 4), at + 8
        if item == 0xFFFEE0DD:
            return PixelSpan(tag, vr.decode("latin-1"), start, at)
        if item != 0xFFFEE000 or at + length > end:
            raise CannotClean("the encapsulated pixel data are malformed or end early")
        at += length
