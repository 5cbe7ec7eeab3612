"""Reads the header of a DICOM file, knows where its pixel bytes lie, and writes a clean file around them (PS3.10).

The pixel data element is never decoded and never copied into memory: what leaves is, byte for byte, what came in.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from struct import pack, unpack
from typing import BinaryIO

from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_preamble
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from .elements import refuse_unreadable
from .errors import CannotClean
from .latin9 import know_latin_9
from .pixeldata import PIXEL_TAGS, PixelSpan, copy_pixels, find_pixels
from .registry import is_transfer_syntax
from .report import place

IMPLEMENTATION_CLASS_UID = "2.25.113519460427936543189211042586019326821"
IMPLEMENTATION_VERSION_NAME = "LETHE"
MOST_KEPT = 4 << 20
"""A header larger than this is not kept as it came."""
_CHUNK = 1 << 20
_MOST_INFLATED = 512 << 20
PIXELS_ELSEWHERE = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))


@dataclass(frozen=True)
class Layout:
    """How one object is encoded: its transfer syntax, where its pixel data lie in `data`, and how many bytes follow
    them (they are never passed on). `span` is where the header begins and ends in `data`."""

    transfer_syntax: UID
    pixels: PixelSpan | None
    data: BinaryIO
    trailing: int
    span: tuple[int, int]


@dataclass(frozen=True)
class Part10(Layout):
    """One object: its layout and its data set up to the pixel data."""

    header: Dataset


def read_part10(file: BinaryIO) -> Part10:
    """Read an object's header. Raises CannotClean for what is no DICOM file, cut short, encoded otherwise than it says,
    or too deeply nested."""
    try:
        transfer_syntax = _transfer_syntax(file)
        implicit, little = transfer_syntax == ImplicitVRLittleEndian, transfer_syntax != ExplicitVRBigEndian
        data = _inflated(file) if transfer_syntax == DeflatedExplicitVRLittleEndian else file
        up_to_pixel_data, begin = _UpToPixelData(data), data.tell()
        header = read_encoded(data, implicit=implicit, little=little, stop_when=up_to_pixel_data)
        start = data.tell()
        end = data.seek(0, 2)
        if start == end and 0 < end - up_to_pixel_data.next < 8:
            raise CannotClean("the file ends within an element")
        refuse_unreadable(header, ())
        layout = layout_from(data, (begin, start), end, transfer_syntax)
    except CannotClean:
        raise
    except Exception as error:
        if _went_too_deep(error):
            raise CannotClean("sequences are nested too deeply to be read") from None
        raise CannotClean(f"not readable as DICOM ({type(error).__name__})") from None
    return Part10(**vars(layout), header=header)


def _went_too_deep(error: BaseException | None) -> bool:
    """Whether a failure is one of nesting: pydicom makes others of it, depending on where it happens."""
    while error is not None and not isinstance(error, RecursionError):
        error = error.__context__
    return error is not None


def read_encoded(
    data: BinaryIO,
    *,
    implicit: bool,
    little: bool,
    stop_when: Callable[[BaseTag, str | None, int], bool] | None = None,
) -> Dataset:
    """Read a data set that is encoded like that. pydicom guesses by the first element, and takes a length that looks
    like a VR for one: raises CannotClean where it read another encoding, besides what pydicom raises."""
    know_latin_9()
    header = read_dataset(data, implicit, little, stop_when=stop_when)
    if header and header.original_encoding != (implicit, little):
        raise CannotClean("the data set is not encoded as its transfer syntax (0002,0010) says, or seems not to be")
    return header


def read_again(encoded: bytes, *, implicit: bool, little: bool) -> Dataset:
    """Read a result. Raises CannotClean where that is not possible for certain."""
    try:
        return read_encoded(BytesIO(encoded), implicit=implicit, little=little)
    except CannotClean:
        raise CannotClean("the result cannot be read again for certain") from None
    except Exception as error:
        raise CannotClean(f"the result cannot be read again ({type(error).__name__})") from None


def layout_from(data: BinaryIO, span: tuple[int, int], end: int, transfer_syntax: UID) -> Layout:
    """The layout of an object whose header has that span, and whose file ends at `end`. Raises CannotClean."""
    little = transfer_syntax != ExplicitVRBigEndian
    start = span[1]
    pixels = find_pixels(data, start, end, implicit=transfer_syntax == ImplicitVRLittleEndian, little=little)
    if pixels:
        _refuse_out_of_order(data, pixels.end, little=little)
    return Layout(transfer_syntax, pixels, data, end - (pixels.end if pixels else start), span)


def write_part10(body: bytes, source: Layout, sop_class: str, sop_uid: str) -> Iterator[bytes]:
    """The bytes of a clean file: new preamble and file meta, `body` (the encoded header), the source's pixel data as
    they are, nothing after them."""
    yield file_meta(sop_class, sop_uid, source.transfer_syntax)
    content = chain([body], copy_pixels(source.data, source.pixels) if source.pixels else ())
    yield from deflated(content) if source.transfer_syntax == DeflatedExplicitVRLittleEndian else content


def header_as_it_came(source: Layout) -> bytes | None:
    """The bytes of the data set up to its pixel data; None where they are more than is worth keeping."""
    begin, end = source.span
    if end - begin > MOST_KEPT:
        return None
    source.data.seek(begin)
    return source.data.read(end - begin)


def pixel_vr(source: Layout) -> str | None:
    """The VR of Pixel Data (7FE0,0010) as DICOM JSON names it: OB if encapsulated, as in the file if explicit, else OW
    (PS3.5 A.1). None where there are none, or they are floating point."""
    if source.pixels is None or source.pixels.tag != 0x7FE00010:
        return None
    if source.pixels.encapsulated:
        return "OB"
    return source.pixels.vr if source.pixels.vr in ("OB", "OW") else "OW"


def encoded_header(header: Dataset, transfer_syntax: str) -> bytes:
    """The data set up to its pixel data, encoded as its transfer syntax says. Raises CannotClean where it cannot be."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = transfer_syntax == ImplicitVRLittleEndian
    buffer.is_little_endian = transfer_syntax != ExplicitVRBigEndian
    try:
        write_dataset(buffer, header)
    except Exception as error:
        raise CannotClean(f"its elements cannot be written again ({type(error).__name__})") from None
    return buffer.getvalue()


def file_meta(sop_class: str, sop_uid: str, transfer_syntax: str) -> bytes:
    """Preamble and file meta information, written anew (PS3.10 7.1)."""
    elements = pack("<HH2sHLH", 2, 0x0001, b"OB", 0, 2, 0x0100)
    for element, uid in (
        (0x0002, sop_class),
        (0x0003, sop_uid),
        (0x0010, transfer_syntax),
        (0x0012, IMPLEMENTATION_CLASS_UID),
    ):
        value = uid.encode("ascii")
        value += bytes(len(value) % 2)
        elements += pack("<HH2sH", 2, element, b"UI", len(value)) + value
    name = IMPLEMENTATION_VERSION_NAME.encode("ascii")
    name += b" " * (len(name) % 2)
    elements += pack("<HH2sH", 2, 0x0013, b"SH", len(name)) + name
    return bytes(128) + b"DICM" + pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)) + elements


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
    if uid in PIXELS_ELSEWHERE:
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


def deflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A data set as it stands in a deflated file."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    for chunk in chunks:
        packed = deflate.compress(chunk)
        length += len(packed)
        yield packed
    packed = deflate.flush()
    # PS3.5 A.5: padded to even length with a NULL.
    yield packed + bytes((length + len(packed)) % 2)
