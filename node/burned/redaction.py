"""Covers boxes in frames and writes the object's pixel data anew around them, in the form they came in.

Frames without boxes keep their bytes. What was written is read again and compared: inside the boxes nothing but the
filling, outside nothing else than before, or the object is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import Any, BinaryIO

from lethe.node.deid.errors import CannotClean
from lethe.node.deid.part10 import Part10
from lethe.node.deid.pixeldata import PixelSpan, copy_pixels

from ..choices import Fill
from .box import Box, without_covered
from .decoding import decode
from .encoding import CannotEncode
from .fill import filling
from .form import Form, Pixels
from .frames import Frames, open_frames, packed, stored_values
from .jpegblocks import bled, can_edit, filled, grown, is_flat
from .native import put_back
from .palette import lightness
from .places import Encapsulated, Native, value_start
from .plans import Plan, plans_for
from .writing import writer_of

Spool = Callable[[], BinaryIO]
Boxes = Mapping[int, Sequence[Box]]
_ROWS = 64


@dataclass(frozen=True)
class Redacted:
    """An object with covered boxes: `boxes` are those really covered, for each frame that has any; `notes` what was
    done, for the receipt."""

    source: Part10
    boxes: Mapping[int, Sequence[Box]]
    notes: Mapping[str, Any] = field(default_factory=dict)


def redacted(
    frames: Frames,
    source: Part10,
    boxes: Boxes,
    fill: Fill = Fill.BACKGROUND,
    spool: Spool = TemporaryFile,
    *,
    beside: Boxes = MappingProxyType({}),
) -> Redacted:
    """The object with those boxes covered; frames are counted from 0. `spool` gives an open temporary file, which the
    result needs. In the boxes of `beside` only the bits beside those stored are cleared. Raises CannotClean where its
    form cannot be held or the result is not as it should be."""
    covering, clearing = _wanted(frames.form, boxes), _wanted(frames.form, beside)
    if not covering and not clearing and isinstance(frames.places, Encapsulated) and frames.places.lies:
        return _tabled(frames, source, fill, spool)
    if not covering and not clearing:
        return Redacted(source, {}, _notes(frames, source, source, 0, "none"))
    palette = lightness(source.header, frames.form) if frames.form.photometric == "PALETTE COLOR" else None
    brush, wanted = Brush(fill, frames, palette, clearing), {**{frame: [] for frame in clearing}, **covering}
    if isinstance(frames.places, Native):
        return _native(frames, source, wanted, brush, spool)
    for plan in plans_for(frames, wanted):
        try:
            return _encapsulated(plan, source, wanted, brush, spool)
        except CannotEncode:
            continue
    raise CannotClean("a redacted frame cannot be encoded again")


def _tabled(frames: Frames, source: Part10, fill: Fill, spool: Spool) -> Redacted:
    """The same frames behind an offset table that says where they are, and nothing else."""
    form = frames.form
    plan = Plan("frames as they were, offset table anew", form.transfer_syntax, form.photometric)
    return _encapsulated(plan, source, {}, Brush(fill, frames, None, {}), spool)


@dataclass(frozen=True)
class Brush:
    """How boxes are filled in the frames of one object."""

    fill: Fill
    frames: Frames
    palette: Pixels | None
    beside: Mapping[int, Sequence[Box]]

    def values(self, stored: Pixels, frame: int, boxes: Sequence[Box]) -> list[Pixels]:
        """What each box of a frame is filled with."""
        form, colours = self.frames.form, self.frames.colours(frame)
        return [filling(stored, box, self.fill, form, colours, self.palette) for box in boxes]

    def covered(self, frame: int, boxes: Sequence[Box]) -> Pixels:
        """The words of a frame with its boxes filled, the bits beside those stored as well."""
        words, form = self.frames.raw(frame).copy(), self.frames.form
        for box in self.beside.get(frame, ()):
            words[box.rows, box.columns] = packed(stored_values(words[box.rows, box.columns], form), form)
        values = self.values(stored_values(words, form), frame, boxes)
        for box, value in zip(boxes, values, strict=True):
            words[box.rows, box.columns] = packed(value, form) if form.samples == 3 else packed(value, form)[0]
        return words


def _wanted(form: Form, boxes: Boxes) -> dict[int, list[Box]]:
    """The boxes as far as they are in a frame, without those that others cover."""
    if any(not 0 <= frame < form.frames for frame in boxes):
        raise CannotClean("a box is in a frame that is not there")
    inside = {frame: [box.within(form.columns, form.rows) for box in some] for frame, some in boxes.items()}
    return {frame: kept for frame, some in sorted(inside.items()) if (kept := without_covered(some))}


def _notes(frames: Frames, before: Part10, after: Part10, changed: int, encoder: str) -> dict[str, Any]:
    return {
        "frames": len(frames),
        "changed": changed,
        "encoder": encoder,
        "transfer_syntax_before": str(before.transfer_syntax),
        "transfer_syntax_after": str(after.transfer_syntax),
    }


def _native(frames: Frames, source: Part10, wanted: dict[int, list[Box]], brush: Brush, spool: Spool) -> Redacted:
    """The same element with other bits in the boxes."""
    assert source.pixels is not None and isinstance(frames.places, Native)
    form, places = frames.form, frames.places
    if places.halved:  # two pixels share their chroma
        wanted = {frame: without_covered(_even(box) for box in some) for frame, some in wanted.items()}
    file = spool()
    span, there = _copied(source, file), value_start(source.pixels) - source.pixels.start
    new = replace(places, data=file, start=there)
    for frame, some in wanted.items():
        put_back(file, brush.covered(frame, some), frame, new, form)
    after = replace(source, pixels=span, data=file, trailing=0)
    written = Frames(form, new)
    for frame, some in wanted.items():
        _refuse_difference(written.raw(frame), brush.covered(frame, some))
    return Redacted(after, wanted, _notes(frames, source, after, len(wanted), "native"))


def _copied(source: Part10, file: BinaryIO) -> PixelSpan:
    """Copy the pixel data element, as it will be written, to the beginning of a file."""
    span = source.pixels
    assert span is not None
    for chunk in copy_pixels(source.data, span):
        file.write(chunk)
    return replace(span, start=0, end=file.tell(), odd=())


def _even(box: Box) -> Box:
    return Box(box.left & ~1, box.top, box.right + box.right % 2, box.bottom)


def _refuse_difference(found: Pixels, expected: Pixels) -> None:
    """A few rows at a time, byte by byte: a number that is none equals nothing, itself included."""
    same = found.shape == expected.shape and all(
        found[at : at + _ROWS].tobytes() == expected[at : at + _ROWS].tobytes() for at in range(0, len(found), _ROWS)
    )
    if not same:
        raise CannotClean("a redacted frame, read again, is not what it should be")


def _encapsulated(
    plan: Plan, source: Part10, wanted: Mapping[int, Sequence[Box]], brush: Brush, spool: Spool
) -> Redacted:
    """The frames one after the other: those without boxes copied, unless the plan changes all. Raises CannotEncode."""
    frames, covered = brush.frames, dict(wanted)
    form, places = frames.form, frames.places
    assert isinstance(places, Encapsulated)
    writer, digests = writer_of(plan, source, form, places, spool()), {}
    for frame in range(len(frames)):
        boxes = wanted.get(frame, ())
        if frame not in wanted and not plan.every:
            writer.copy(frame)
            continue
        if plan.blocks:
            data, covered[frame] = _blocks(brush, frame, boxes)
        else:
            words = brush.covered(frame, boxes)
            data = plan.encoded(frames, frame, words)
            _refuse_difference(plan.decoded(frames, data), words)
        writer.put(data)
        digests[frame] = hashlib.sha256(data).digest()
    after = writer.finished()
    written = open_frames(after)
    for frame in range(len(frames)):
        expected = digests.get(frame) or hashlib.sha256(frames.encoded(frame)).digest()
        found = written.encoded(frame)
        if expected not in (hashlib.sha256(found).digest(), hashlib.sha256(found[:-1]).digest()):
            raise CannotClean("a frame, read again, is not what was written")
    return Redacted(after, covered, _notes(frames, source, after, len(wanted), plan.name))


def _blocks(brush: Brush, frame: int, boxes: Sequence[Box]) -> tuple[bytes, list[Box]]:
    """A JPEG with the blocks of its boxes filled, and what that covers. Raises CannotEncode."""
    frames = brush.frames
    stream, before = frames.stream(frame), frames.raw(frame)
    if not can_edit(stream):
        raise CannotEncode
    assert stream is not None
    wide = without_covered(grown(box, stream) for box in boxes)
    values = brush.values(stored_values(before, frames.form), frame, wide)
    try:
        data = filled(frames.encoded(frame), stream, wide, values)
    except OSError:  # coefficients that no table has a code for, or too many scans
        raise CannotEncode from None
    touched, (found, _) = without_covered(bled(box, stream) for box in wide), decode(data, frames.form)
    expected = before.copy()
    for box in touched:
        expected[box.rows, box.columns] = found[box.rows, box.columns]
    _refuse_difference(found, expected)
    if not all(is_flat(found, box, stream) for box in wide):
        raise CannotClean("a redacted JPEG frame, read again, is not empty in its boxes")
    return data, touched
