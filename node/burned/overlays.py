"""Cleans the overlay planes of an object (PS3.3 C.9.2, PS3.15 E.3.3): single bits over its image. What reads as
text in a plane goes, arrows and outlines stay. A plane that cannot be read for certain, or in which text is left, goes
as a whole.

A plane in unused bits of the pixel data, as it was allowed once (PS3.5 8.1.2), becomes one with data of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from lethe.node.deid.elements import raw_bytes, vr_of
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.terms import TermBank

from .box import Box
from .form import number_of
from .frames import Frames
from .views import Picture

Bits = NDArray[np.uint8]
Found = Callable[[Picture], Sequence[Box]]
"""Given the picture of a plane: the boxes whose text has to go."""
_GROUPS = range(0x6000, 0x6020, 2)
_ROWS, _COLUMNS, _FRAMES, _ALLOCATED, _POSITION, _DATA = 0x10, 0x11, 0x15, 0x100, 0x102, 0x3000
_MOST_PIXELS = 40 * 10**6
_MOST_FRAMES, _MOST_BYTES = 10_000, 256 << 20
_MOST_LOOKS = 64
"""Different frames of a plane; with more it is another cine, and goes."""
_ROUNDS = 3
_LEAST_ROW = 32
"""Bits that may pad it."""


@dataclass(frozen=True)
class Overlays:
    """An object whose overlays are clean: `kept` are the groups of those that stay, `notes` what was done, for the
    receipt."""

    source: Part10
    kept: frozenset[int]
    notes: dict[str, int]


def cleaned_overlays(source: Part10, frames: Frames | None, terms: TermBank, found: Found) -> Overlays:
    """The object with clean overlay planes, before its pixel data are changed. Nothing is raised for a plane: it is not
    among those kept."""
    groups = [group for group in _GROUPS if (group << 16 | _ROWS) in source.header]
    header, kept, covered = copy.deepcopy(source.header) if groups else source.header, set[int](), 0
    for group in groups:
        try:
            plane = _plane(source, frames, group)
            boxes = _clean(plane, found)
            _put(header, group, plane, source, terms)
        except CannotClean:
            continue
        kept.add(group)
        covered += boxes
    notes = {"kept": len(kept), "removed": len(groups) - len(kept), "covered": covered} if groups else {}
    return Overlays(replace(source, header=header), frozenset(kept), notes)


def _plane(source: Part10, frames: Frames | None, group: int) -> Bits:
    """A copy of a plane's bits: frames, rows, columns. Raises CannotClean."""
    header, base = source.header, group << 16
    rows, columns = number_of(header, base | _ROWS, 0), number_of(header, base | _COLUMNS, 0)
    count = number_of(header, base | _FRAMES, 1)
    if not (0 < rows * columns <= _MOST_PIXELS and 0 < count <= _MOST_FRAMES and rows * columns * count <= _MOST_BYTES):
        raise CannotClean("an overlay has no size, or is too large")
    if base | _DATA not in header:
        return _from_pixels(header, frames, group, (rows, columns))
    if number_of(header, base | _ALLOCATED, 1) != 1 or number_of(header, base | _POSITION, 0) != 0:
        raise CannotClean("an overlay is not one of single bits")
    data, needed = _swapped(raw_bytes(header, header.get_item(base | _DATA).tag, ()), source, group), rows * columns
    if len(data) * 8 < needed * count:
        raise CannotClean("an overlay is shorter than it says")
    if len(data) * 8 - needed * count >= max(columns, _LEAST_ROW):  # in rows of another length it may show other things
        raise CannotClean("an overlay has more rows than it says")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=needed * count)
    return bits.reshape(count, rows, columns)


def _from_pixels(header: Dataset, frames: Frames | None, group: int, shape: tuple[int, int]) -> Bits:
    """The bits beside those stored that a plane says are its own, one frame for each of the image."""
    form, position = frames.form if frames else None, number_of(header, group << 16 | _POSITION, 0)
    if frames is None or form is None or form.shape != shape or form.floating or form.bits_allocated == 1:
        raise CannotClean("an overlay has no bits")
    if position >= form.bits_allocated or form.shift <= position <= form.high_bit:
        raise CannotClean("an overlay has the bits of the image")
    if form.rows * form.columns * len(frames) > _MOST_BYTES:
        raise CannotClean("an overlay is too large")
    one = form.word.type(1)
    return np.stack([(frames.raw(at) >> form.word.type(position) & one).astype(np.uint8) for at in range(len(frames))])


def _clean(plane: Bits, found: Found) -> int:
    """Clear the text in a plane and count its boxes. Raises CannotClean where some is left."""
    covered, pictures = 0, _alike(plane)
    if len(pictures) > _MOST_LOOKS:
        raise CannotClean("an overlay changes too often")
    for numbers in pictures:
        for _ in range(_ROUNDS):
            boxes = found(_picture(plane[numbers[0]]))
            inked = [box for box in boxes if plane[numbers[0]][box.rows, box.columns].any()]
            if not inked:
                break
            covered += len(inked)
            for box in inked:
                plane[numbers, box.rows, box.columns] = 0
        else:
            raise CannotClean("text is left in an overlay")
    return covered


def _alike(plane: Bits) -> list[list[int]]:
    """The numbers of a plane's frames, those of equal ones together, without empty ones."""
    groups: dict[bytes, list[int]] = {}
    for number, frame in enumerate(plane):
        if frame.any():
            groups.setdefault(np.packbits(frame).tobytes(), []).append(number)
    return list(groups.values())


def _picture(frame: Bits) -> Picture:
    """Light on dark, as a screen shows it."""
    return np.dstack([frame * np.uint8(255)] * 3)


def _put(header: Dataset, group: int, plane: Bits, source: Part10, terms: TermBank) -> None:
    """Write a plane as one of single bits. Raises CannotClean where its bytes happen to spell a word."""
    data = np.packbits(plane.ravel(), bitorder="little").tobytes()
    data += bytes(len(data) % 2)
    if terms.in_bytes(data):
        raise CannotClean("the bits of an overlay spell a word of the header")
    base = group << 16
    for element, value in ((_ALLOCATED, 1), (_POSITION, 0)):
        if base | element in header:
            del header[base | element]
        header.add_new(base | element, "US", value)
    if len(plane) != number_of(header, base | _FRAMES, 1):
        header.add_new(base | _FRAMES, "IS", len(plane))
        header.add_new(base | 0x51, "US", 1)
    vr = _vr(source, group)
    if base | _DATA in header:
        del header[base | _DATA]
    header.add_new(base | _DATA, vr, _swapped(data, source, group))


def _vr(source: Part10, group: int) -> str:
    tag = group << 16 | _DATA
    if tag not in source.header:
        return "OW"
    return "OB" if vr_of(source.header, source.header.get_item(tag).tag) == "OB" else "OW"


def _swapped(data: bytes, source: Part10, group: int) -> bytes:
    """Big endian words hold the bits the other way round (PS3.5 A.3)."""
    if source.transfer_syntax != ExplicitVRBigEndian or _vr(source, group) == "OB":
        return data
    return np.frombuffer(data[: len(data) // 2 * 2], np.uint16).byteswap().tobytes()
