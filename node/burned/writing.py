"""Writes a pixel data element frame by frame, compressed (PS3.5 A.4) or not, and the header that fits it."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from struct import pack
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import PixelSpan

from .form import Form
from .places import EXTENDED_LENGTHS, EXTENDED_OFFSETS, Encapsulated, Fragment, read_at
from .plans import Plan, is_native, keeps_form

_UNDEFINED = 0xFFFFFFFF
_MOST_NATIVE = 0xFFFFFFFE
_TAG = b"\xe0\x7f\x10\x00"
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


class FrameWriter:
    """Compressed frames: each goes in as it was, or as bytes that become one fragment."""

    def __init__(self, plan: Plan, source: Part10, form: Form, places: Encapsulated, file: BinaryIO) -> None:
        self._plan, self._source, self._form, self._places, self._file = plan, source, form, places, file
        self._offsets: list[int] = []
        self._lengths: list[int] = []
        file.write(_TAG + pack("<2sHL", b"OB", 0, _UNDEFINED))
        self._table = file.tell()
        file.write(_item(bytes(4 * form.frames if places.table and not places.extended else 0)))
        self._base = file.tell()

    def copy(self, frame: int) -> None:
        """A frame with the fragments it has."""
        fragments = self._places.frames[frame]
        self._begin(sum(one.length for one in fragments))
        for one in fragments:
            self._write(one)

    def put(self, data: bytes) -> None:
        """A frame made anew."""
        self._begin(len(data))
        self._file.write(_item(data))

    def finished(self) -> Part10:
        """The object with what has been written."""
        file = self._file
        file.write(_END)
        span = PixelSpan(0x7FE00010, "OB", 0, file.tell(), "little", encapsulated=True)
        header = _header(self._plan, self._source, self._form)
        if self._places.extended:
            header = header if header is not self._source.header else copy.deepcopy(header)
            _set(header, EXTENDED_OFFSETS, "OV", pack(f"<{len(self._offsets)}Q", *self._offsets))
            _set(header, EXTENDED_LENGTHS, "OV", pack(f"<{len(self._lengths)}Q", *self._lengths))
        elif self._places.table:
            if self._offsets[-1] > _UNDEFINED:
                raise CannotClean("its compressed pixel data are too long for a Basic Offset Table")
            file.seek(self._table)
            file.write(_item(pack(f"<{len(self._offsets)}L", *self._offsets)))
        return replace(
            self._source,
            transfer_syntax=self._plan.transfer_syntax,
            header=header,
            pixels=span,
            data=file,
            trailing=0,
        )

    def _begin(self, length: int) -> None:
        self._offsets.append(self._file.tell() - self._base)
        self._lengths.append(length + length % 2)

    def _write(self, one: Fragment) -> None:
        self._file.write(_item(read_at(self._source.data, one.start, one.length)))


class NativeWriter:
    """The same frames without compression, one behind the other; those of single bits without a gap (PS3.5 8.1.1)."""

    def __init__(self, plan: Plan, source: Part10, form: Form, file: BinaryIO) -> None:
        self._plan, self._source, self._form, self._file = plan, source, form, file
        self._left = np.zeros(0, np.uint8)  # bits that do not fill a byte yet
        length = -(-form.frames * form.rows * form.columns * form.samples * form.bits_allocated // 8)
        if length > _MOST_NATIVE:
            raise CannotClean("its frames cannot be held without compression")
        self._vr = "OB" if form.bits_allocated <= 8 else "OW"
        file.write(_TAG + pack("<2sHL", self._vr.encode(), 0, length + length % 2))

    def copy(self, frame: int) -> None:
        """Never: every frame changes."""
        raise AssertionError(frame)

    def put(self, data: bytes) -> None:
        """A frame's samples; a byte for each single bit."""
        self._file.write(self._packed(data) if self._form.bits_allocated == 1 else data)

    def _packed(self, data: bytes) -> bytes:
        bits = np.concatenate((self._left, np.frombuffer(data, np.uint8)))
        whole = len(bits) - len(bits) % 8
        self._left = bits[whole:]
        return np.packbits(bits[:whole], bitorder="little").tobytes()

    def finished(self) -> Part10:
        """The object with what has been written."""
        self._file.write(np.packbits(self._left, bitorder="little").tobytes())
        self._file.write(bytes(self._file.tell() % 2))
        span = PixelSpan(0x7FE00010, self._vr, 0, self._file.tell(), "little")
        header = _header(self._plan, self._source, self._form)
        for tag in (EXTENDED_OFFSETS, EXTENDED_LENGTHS):
            with suppress(KeyError):
                del header[tag]
        syntax = ExplicitVRLittleEndian
        return replace(self._source, transfer_syntax=syntax, header=header, pixels=span, data=self._file, trailing=0)


def writer_of(
    plan: Plan, source: Part10, form: Form, places: Encapsulated, file: BinaryIO
) -> FrameWriter | NativeWriter:
    """What writes frames as the plan wants them."""
    if is_native(plan):
        return NativeWriter(plan, source, form, file)
    return FrameWriter(plan, source, form, places, file)


def _header(plan: Plan, source: Part10, form: Form) -> Dataset:
    """The source's, or a copy that says what has changed."""
    if keeps_form(plan, form):
        return source.header
    header = copy.deepcopy(source.header)
    header.PhotometricInterpretation = plan.photometric
    if form.samples == 3:
        header.PlanarConfiguration = 0
    return header


def _set(header: Dataset, tag: int, vr: str, value: bytes) -> None:
    header.add_new(tag, vr, value)


def _item(data: bytes) -> bytes:
    length = len(data) + len(data) % 2
    return _ITEM + pack("<L", length) + data.ljust(length, b"\0")
