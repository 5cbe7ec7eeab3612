"""Writes an object in another transfer syntax without losing anything, for a peer that does not take the stored one.

What is decoded is what the codestream holds; no colour is transformed, so nothing is rounded, and the object stays the
same instance under its SOP Instance UID (PS3.5 8.2, PS3.3 C.7.6.1.1.5). Whether it was once compressed with loss stays
in its header. Never more than one frame is in memory.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from struct import pack
from tempfile import TemporaryFile
from typing import IO, BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lethe.dicomweb.dicomjson import BINARY, swapped
from lethe.storage.errors import Refused

from ..burned.frames import open_frames
from ..burned.places import value_start
from ..burned.plans import plans_for
from ..burned.writing import NativeWriter
from ..deid.errors import CannotClean
from ..deid.part10 import Part10, deflated, encoded_header, file_meta, read_part10
from ..deid.pixeldata import PixelSpan

TARGETS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
"""What an object can be written in, the best first."""
_NATIVE = (*TARGETS, ExplicitVRBigEndian)
_PIXEL_DATA = 0x7FE00010
_CHUNK = 1 << 20


@contextmanager
def recoded(
    source: Path, accepted: Collection[str], folder: Path | None = None
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The object of a Part 10 file in a transfer syntax that is accepted: its UID, and the bytes of the file that it
    becomes, to be read within the block. Decoded frames wait in `folder`. Raises Refused, with the reason,
    where that cannot be done without loss."""
    target = next((syntax for syntax in TARGETS if syntax in accepted), None)
    if target is None:
        raise Refused("none of the transfer syntaxes that are accepted can be written here")
    try:
        with source.open("rb") as file, TemporaryFile(dir=folder) as decoded:
            found = read_part10(file)
            yield str(target), _written(_straight(found, decoded), target)
    except CannotClean as error:
        raise Refused(f"it cannot be written in another transfer syntax: {error}") from None


def _straight(source: Part10, decoded: IO[bytes]) -> Part10:
    """The object without compression and in little endian."""
    if source.transfer_syntax == ExplicitVRBigEndian:
        return replace(source, header=_turned(source.header))
    return source if source.transfer_syntax in _NATIVE else _decompressed(source, decoded)


def _decompressed(source: Part10, file: IO[bytes]) -> Part10:
    if source.pixels is None:
        return source
    frames = open_frames(source)
    plan = plans_for(frames, ())[-1]
    writer = NativeWriter(plan, source, frames.form, cast(BinaryIO, file))
    for number in range(len(frames)):
        writer.put(plan.encoded(frames, number, frames.raw(number)))
    return writer.finished()


def _written(source: Part10, target: UID) -> Iterator[bytes]:
    header = source.header
    yield file_meta(str(header.get("SOPClassUID", "")), str(header.get("SOPInstanceUID", "")), target)
    content = chain([encoded_header(header, target)], _pixels(source, target))
    yield from deflated(content) if target == DeflatedExplicitVRLittleEndian else content


def _pixels(source: Part10, target: UID) -> Iterator[bytes]:
    """The pixel data element, in little endian."""
    span = source.pixels
    if span is None:
        return
    start = value_start(span)
    length = span.end - start
    head = pack("<HH", span.tag >> 16, span.tag & 0xFFFF)
    if target != ImplicitVRLittleEndian:
        head += pack("<2sH", _vr(span).encode(), 0)
    yield head + pack("<L", length + length % 2)
    width = _word(source, span)
    source.data.seek(start)
    for at in range(0, length, _CHUNK):
        yield swapped(source.data.read(min(_CHUNK, length - at)), width)
    yield bytes(length % 2)


def _vr(span: PixelSpan) -> str:
    floating = {0x7FE00008: "OF", 0x7FE00009: "OD"}
    return floating.get(span.tag) or (span.vr if span.vr in ("OB", "OW") else "OW")


def _word(source: Part10, span: PixelSpan) -> int:
    """How many bytes change places where the source is in big endian; 1 where none do."""
    if span.order == "little":
        return 1
    if span.tag != _PIXEL_DATA:
        return BINARY[_vr(span)]
    bits = int(source.header.get("BitsAllocated", 0))
    return bits // 8 if bits > 8 else BINARY[_vr(span)]


def _turned(header: Dataset) -> Dataset:
    """A copy whose words of more than one byte are in little endian; pydicom does so for all but these."""
    turned = copy.deepcopy(header)
    for element in turned.iterall():
        if BINARY.get(element.VR, 1) > 1 and isinstance(element.value, bytes):
            element.value = swapped(element.value, BINARY[element.VR])
    return turned
