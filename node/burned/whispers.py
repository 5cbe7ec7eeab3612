"""Shows what is written in values so near to those around it that no look at the whole range shows it: a name one step
brighter than the air around a body. Whoever narrows the window reads it, and some objects say how narrow.

That takes an even ground: beside noise of some steps, letters of one step cannot be read. So what is looked at are
marks in an even area that rise from it by small steps alone; usual frames have none.
"""

from __future__ import annotations

import cv2
import numpy as np

from .box import Box
from .form import Pixels
from .islands import extent, islands
from .looking import Eyes
from .views import Picture

_NEAR = 0.004
"""What share of the range of values other looks show (`views.standing_out`); what is less is a whisper."""
_LEAST_RANGE = 300
"""Whole numbers that are fewer are all shown."""
_ANY_EVEN, _EVERY = 0.02, 8
"""What share of pixels are like the next one where there is any even ground; every so many rows tell."""
_SMALLEST, _LOWEST = 12, 5
"""Pixels of the least mark that may be a letter, and of its height."""
_INK, _MARGIN = 120, 24
"""So many pixels are the least that letters make, and so many more are looked at beside them."""
_AROUND = 41
"""In a square of that size, it is measured what is usual there."""
_EVEN = 50
"""How many of 255 pixels there are like all around them where the ground is even."""
_GREYS = 100
"""How far apart ground and text are shown, of 255 greys."""


def whispered_in(values: Pixels, eyes: Eyes) -> list[Box]:
    """What can be read of what is whispered in a frame of grey levels."""
    shown = whispers_in(values)
    if shown is None:
        return []
    picture, where = shown
    return [box.moved(where.left, where.top) for box in eyes.words(picture)]


def whispers_in(values: Pixels) -> tuple[Picture, Box] | None:
    """A part of a frame of grey levels, and where it lies; None where nothing is whispered."""
    near = _NEAR * _range(values)
    if not near or not _has_even_ground(values):
        return None
    wide = _wide(values)
    steps = cv2.subtract(cv2.dilate(wide, _SQUARE), cv2.erode(wide, _SQUARE))
    if not _has_small(steps, near):
        return None
    marks = _marks(steps, near)
    if np.count_nonzero(marks) < _INK:
        return None
    where = extent(marks).grown(_MARGIN, _MARGIN).within(values.shape[1], values.shape[0])
    part, step = (where.rows, where.columns), float(np.median(steps[marks]))
    return _raised(wide[part], marks[part] | (steps[part] == 0), marks[part], step), where


def _has_small(steps: Pixels, near: float) -> bool:
    """Whether there are enough small steps among pixels that are like all those around them: most frames have none, and
    need not be taken apart."""
    share = cv2.blur((steps == 0).astype(np.uint8) * 255, (_AROUND, _AROUND))
    return int(np.count_nonzero((steps > 0) & (steps <= near) & (share > _EVEN))) >= _INK


def _marks(steps: Pixels, near: float) -> Pixels:
    """What hangs together, and is even all around."""
    labels, found = islands((steps > 0).astype(np.uint8))
    loud = np.bincount(labels[steps > near], minlength=len(found)) > 0
    tall = np.minimum(found[:, cv2.CC_STAT_HEIGHT], found[:, cv2.CC_STAT_WIDTH] * 3) >= _LOWEST
    kept = ~loud & tall & (found[:, cv2.CC_STAT_AREA] >= _SMALLEST)
    kept[0] = False
    marks: Pixels = kept[labels]
    return marks


_SQUARE = np.ones((3, 3), np.uint8)
_COMPARED = (np.uint8, np.uint16, np.int16)
_NEIGHBOURS = np.ones((9, 9), np.uint8)


def _range(values: Pixels) -> float:
    """How far apart the values are, but for few; 0 where that is so little that all are shown."""
    some = values[::4, ::4]
    low, high = np.percentile(some[np.isfinite(some)] if some.dtype.kind == "f" else some, (0.5, 99.5))
    span = float(high) - float(low)
    return span if np.isfinite(span) and (values.dtype.kind == "f" or span >= _LEAST_RANGE) else 0.0


def _has_even_ground(values: Pixels) -> bool:
    some = values[::_EVERY]
    return float(np.mean(some[:, 1:] == some[:, :-1])) >= _ANY_EVEN


def _wide(values: Pixels) -> Pixels:
    """The values as OpenCV compares them, none of them rounded."""
    if values.dtype in _COMPARED:
        return values
    short = values.dtype in (np.int8, np.float16, np.float32)
    wide: Pixels = np.nan_to_num(values.astype(np.float32 if short else np.float64))
    return wide


def _raised(wide: Pixels, even: Pixels, marks: Pixels, step: float) -> Picture:
    """How far pixels are from what is usual around them, in and beside the marks."""
    share = cv2.blur(even.astype(np.float64), (_AROUND, _AROUND))
    usual = cv2.blur(np.where(even, wide, 0).astype(np.float64), (_AROUND, _AROUND)) / np.maximum(share, 1e-6)
    near = cv2.dilate(marks.astype(np.uint8), _NEIGHBOURS) > 0
    away = np.where(near & even, wide - usual, 0) * (_GREYS / step)
    return np.dstack([np.clip(away + 128, 0, 255).astype(np.uint8)] * 3)
