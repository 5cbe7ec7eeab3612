"""Finds where the value of one element lies in a Part 10 file, so that it can be sent from there and never has to be
held in memory. Reads element headers only (PS3.5 7.1, 7.5, A.4)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from lethe.storage.errors import NotFound

from .dicomjson import BINARY, swapped

CHUNK = 1 << 20
_UNDEFINED = 0xFFFFFFFF
_LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 256
_INFLATED = ExplicitVRLittleEndian.encode().ljust(len(DeflatedExplicitVRLittleEndian), b"\0")


@dataclass(frozen=True)
class Place:
    """Where a value is. `length` is None for encapsulated pixel data, which starts at its Basic Offset Table; `vr` is
    empty where the encoding does not transmit it."""

    offset: int
    length: int | None
    vr: str
    little_endian: bool

    @property
    def word(self) -> int:
        """The size of the words whose bytes have to be turned to make the value little endian; 1 for none."""
        return 1 if self.little_endian else BINARY.get(self.vr, 1)


@dataclass(frozen=True)
class _Encoding:
    implicit: bool
    order: str


_IMPLICIT = _Encoding(implicit=True, order="<")


def readable(file: BinaryIO, transfer_syntax: str) -> BinaryIO:
    """The file, positioned anywhere; a deflated one (PS3.5 A.5) as the explicit little endian file it stands for."""
    if transfer_syntax != DeflatedExplicitVRLittleEndian:
        return file
    with file:
        start = _dataset_start(file)
        file.seek(0)
        # The file meta information has to say so as well, in the same number of bytes.
        meta = file.read(start).replace(DeflatedExplicitVRLittleEndian.encode(), _INFLATED, 1)
        return io.BytesIO(meta + zlib.decompress(file.read(), -zlib.MAX_WBITS))


def locate(file: BinaryIO, transfer_syntax: str, path: Sequence[int]) -> Place:
    """Where the element at `path` is: tag, or tag, item number from 0, tag, and so on. Raises NotFound."""
    encoding = _encoding(UID(transfer_syntax))
    file.seek(_dataset_start(file))
    try:
        return _within(file, encoding, None, path)
    except (struct.error, RecursionError, EOFError):
        raise NotFound("the stored object ends before that element") from None


def chunks(file: BinaryIO, offset: int, start: int, stop: int, *, word: int = 1) -> Iterator[bytes]:
    """The bytes from `start` up to `stop` of a value that begins at `offset`, the bytes of each word turned round."""
    position = start - start % word
    while position < stop:
        file.seek(offset + position)
        data = swapped(file.read(min(CHUNK, stop - position + -stop % word)), word)
        if not data:
            raise EOFError("the file ends before the value does")
        yield data[max(0, start - position) : stop - position]
        position += len(data)


def cut(pieces: Iterable[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Of the bytes that come in pieces, those from `start` up to `stop`."""
    position = 0
    for piece in pieces:
        yield piece[max(0, start - position) : max(0, stop - position)]
        position += len(piece)


def _encoding(syntax: UID) -> _Encoding:
    """How element headers are written; for a private or unknown syntax as in all that were ever added to PS3.5."""
    if syntax.is_private or not syntax.is_transfer_syntax:
        return _Encoding(implicit=False, order="<")
    return _Encoding(bool(syntax.is_implicit_VR), "<" if syntax.is_little_endian else ">")


def _within(file: BinaryIO, encoding: _Encoding, end: int | None, path: Sequence[int]) -> Place:
    for tag, vr, length in _elements(file, encoding, end):
        if tag != path[0]:
            if tag > path[0]:
                break
            _skip(file, encoding, vr, length)
        elif len(path) == 1:
            return Place(file.tell(), None if length == _UNDEFINED else length, vr, encoding.order == "<")
        else:
            inner = _IMPLICIT if vr == "UN" else encoding
            ends = _enter_item(file, inner, length, path[1])
            return _within(file, inner, ends, path[2:])
    raise NotFound("there is no such element")


def _elements(file: BinaryIO, encoding: _Encoding, end: int | None) -> Iterator[tuple[int, str, int]]:
    """The headers of a dataset's elements; whoever takes one moves the file behind its value before the next."""
    while end is None or file.tell() < end:
        head = file.read(8)
        if len(head) < 8:
            return
        group, element = struct.unpack_from(f"{encoding.order}HH", head)
        tag = group << 16 | element
        if tag in (_ITEM_END, _SEQUENCE_END):
            return
        vr = "" if encoding.implicit else head[4:6].decode("latin-1")
        if encoding.implicit:
            (length,) = struct.unpack_from(f"{encoding.order}L", head, 4)
        elif vr in _LONG:
            (length,) = struct.unpack(f"{encoding.order}L", file.read(4))
        else:
            (length,) = struct.unpack_from(f"{encoding.order}H", head, 6)
        yield tag, vr, length


def _skip(file: BinaryIO, encoding: _Encoding, vr: str, length: int, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise EOFError
    if length != _UNDEFINED:
        file.seek(length, io.SEEK_CUR)
        return
    inner = _IMPLICIT if vr == "UN" else encoding
    while (size := _item(file, inner)) is not None:
        if size != _UNDEFINED:
            file.seek(size, io.SEEK_CUR)
            continue
        for _, nested_vr, nested in _elements(file, inner, None):
            _skip(file, inner, nested_vr, nested, depth + 1)


def _enter_item(file: BinaryIO, encoding: _Encoding, length: int, wanted: int) -> int | None:
    """Move to the first element of an item of the sequence that starts here; returns where the item ends, if known."""
    end = None if length == _UNDEFINED else file.tell() + length
    number = 0
    while end is None or file.tell() < end:
        size = _item(file, encoding)
        if size is None:
            break
        if number == wanted:
            return None if size == _UNDEFINED else file.tell() + size
        number += 1
        if size != _UNDEFINED:
            file.seek(size, io.SEEK_CUR)
            continue
        for _, vr, nested in _elements(file, encoding, None):
            _skip(file, encoding, vr, nested)
    raise NotFound("there is no such item")


def _item(file: BinaryIO, encoding: _Encoding) -> int | None:
    """The length of the item whose header is next; None at the end of the sequence."""
    group, element, length = struct.unpack(f"{encoding.order}HHL", file.read(8))
    return int(length) if group << 16 | element == _ITEM else None


def _dataset_start(file: BinaryIO) -> int:
    """Where the dataset begins: behind the preamble and the File Meta Information (PS3.10 7.1)."""
    file.seek(132)
    while True:
        start = file.tell()
        head = file.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            return start
        long = head[4:6].decode("latin-1") in _LONG
        (length,) = struct.unpack("<L", file.read(4)) if long else struct.unpack_from("<H", head, 6)
        file.seek(length, io.SEEK_CUR)
