"""Reads the header of a DICOM file, knows where its pixel bytes lie, and writes a clean file around them (PS3.10).

The pixel data element is never decoded and never copied into memory: what leaves is, byte for byte, what came in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from struct import unpack
from typing import BinaryIO

from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_preamble
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from .elements import refuse_unreadable
from .errors import CannotClean
from .pixeldata import PIXEL_TAGS, PixelSpan, copy_pixels, find_pixels
from .registry import is_transfer_syntax
from .report import place

IMPLEMENTATION_CLASS_UID = "2.25.113519460427936543189211042586019326821"
IMPLEMENTATION_VERSION_NAME = "LETHE"
_CHUNK = 1 << 20
_MOST_INFLATED = 512 << 20
_PIXELS_ELSEWHERE = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))


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
    """Read an object's header. Raises CannotClean for what is no DICOM file, cut short, encoded otherwise than it says,
    or too deeply nested."""
    try:
        transfer_syntax = _transfer_syntax(file)
        implicit, little = transfer_syntax == ImplicitVRLittleEndian, transfer_syntax != ExplicitVRBigEndian
        data = _inflated(file) if transfer_syntax == DeflatedExplicitVRLittleEndian else file
        up_to_pixel_data = _UpToPixelData(data)
        header = read_dataset(data, implicit, little, stop_when=up_to_pixel_data)
        start = data.tell()
        end = data.seek(0, 2)
        if start == end and 0 < end - up_to_pixel_data.next < 8:
            raise CannotClean("the file ends within an element")
        refuse_unreadable(header, ())
        if header and header.original_encoding != (implicit, little):
            raise CannotClean("the data set is not encoded as its transfer syntax (0002,0010) says")
        pixels = find_pixels(data, start, end, implicit=implicit, little=little)
        if pixels:
            _refuse_out_of_order(data, pixels.end, little=little)
    except CannotClean:
        raise
    except RecursionError:
        raise CannotClean("sequences are nested too deeply to be read") from None
    except Exception as error:
        raise CannotClean(f"not readable as DICOM ({type(error).__name__})") from None
    return Part10(header, transfer_syntax, pixels, data, end - (pixels.end if pixels else start))


def write_part10(header: Dataset, body: bytes, source: Part10) -> Iterator[bytes]:
    """The bytes of a clean file: new preamble and file meta, `body` (the encoded header), the source's pixel data as
    they are, nothing after them."""
    yield _meta(header, source.transfer_syntax)
    content = chain([body], copy_pixels(source.data, source.pixels) if source.pixels else ())
    yield from _deflated(content) if source.transfer_syntax == DeflatedExplicitVRLittleEndian else content


def pixel_vr(source: Part10) -> str | None:
    """The VR of Pixel Data (7FE0,0010) as DICOM JSON names it: OB if encapsulated, as in the file if explicit, else OW
    (PS3.5 A.1). None where there are none, or they are floating point."""
    if source.pixels is None or source.pixels.tag != 0x7FE00010:
        return None
    if source.pixels.encapsulated:
        return "OB"
    return source.pixels.vr if source.pixels.vr in ("OB", "OW") else "OW"


def encoded_header(header: Dataset, source: Part10) -> bytes:
    """The data set up to its pixel data, encoded as the source was. Raises CannotClean where it cannot be written."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = source.transfer_syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = source.transfer_syntax != ExplicitVRBigEndian
    try:
        write_dataset(buffer, header)
    except Exception as error:
        raise CannotClean(f"its elements cannot be written again ({type(error).__name__})") from None
    return buffer.getvalue()


def _meta(header: Dataset, transfer_syntax: UID) -> bytes:
    """Preamble and file meta information, written anew (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    # As text first: a file may call them names or numbers.
    meta.MediaStorageSOPClassUID = UID(str(header.SOPClassUID))
    meta.MediaStorageSOPInstanceUID = UID(str(header.SOPInstanceUID))
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


class _UpToPixelData:
    """Tells pydicom where to stop. Raises CannotClean for a tag that comes twice, of which pydicom would keep one."""

    def __init__(self, data: BinaryIO) -> None:
        self._data = data
        self._seen: set[int] = set()
        self.next = 0
        """Where the element after the last one seen begins, if that can be known."""

    def __call__(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag in PIXEL_TAGS:
            return True
        if tag in self._seen:
            raise CannotClean(f"{place((), tag)}: the element is there twice")
        self._seen.add(tag)
        self.next = self._data.tell() + length
        return False


def _transfer_syntax(file: BinaryIO) -> UID:
    """Read preamble and file meta; the file stands at the data set afterwards."""
    read_preamble(file, False)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2)
    uid = str(meta.get("TransferSyntaxUID") or "")
    if not uid:
        raise CannotClean("the file meta information names no transfer syntax (0002,0010)")
    if not is_transfer_syntax(uid):
        raise CannotClean("its transfer syntax (0002,0010) is not one of the standard")
    if uid in _PIXELS_ELSEWHERE:
        raise CannotClean("its pixel data are not in it: a JPIP transfer syntax names a server that has them")
    return UID(uid)


def _refuse_out_of_order(data: BinaryIO, end: int, *, little: bool) -> None:
    """Padding, signatures and private elements of higher groups may follow the pixel data and are left out. An element
    that belongs before them, private or not, says that they are none, or would be lost with what it tells of the
    patient."""
    data.seek(end)
    group, element = unpack("<HH" if little else ">HH", data.read(4).ljust(4, b"\0"))
    if 0x0008 <= group <= 0x7FE0 and (group % 2 or dictionary_has_tag(group << 16 | element)):
        raise CannotClean(f"({group:04X},{element:04X}): the element comes after the pixel data, out of order")


def _inflated(file: BinaryIO) -> BinaryIO:
    """The data set of a deflated file (PS3.5 A.5). Raises CannotClean beyond what memory should hold."""
    inflate, data = zlib.decompressobj(-zlib.MAX_WBITS), BytesIO()
    while not inflate.eof:
        packed = inflate.unconsumed_tail or file.read(_CHUNK)
        if not packed:
            raise CannotClean("the deflated data set ends early")
        data.write(inflate.decompress(packed, _CHUNK))
        if data.tell() > _MOST_INFLATED:
            raise CannotClean(f"the deflated data set is larger than {_MOST_INFLATED >> 20} MiB")
    data.seek(0)
    return data


def _deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    for chunk in chunks:
        packed = deflate.compress(chunk)
        length += len(packed)
        yield packed
    packed = deflate.flush()
    # PS3.5 A.5: padded to even length with a NULL.
    yield packed + bytes((length + len(packed)) % 2)
