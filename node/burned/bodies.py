"""Tells large boxes that hold parts of a body from those that hold large letters: lungs, the trace of a heart, the
spectrum of a Doppler, vessels, speckle. Of all of them a detector can be as sure as of text.

What can be read is text, and so is what is drawn, in whatever script: the ink of letters that large is even, and ends
sharply.
"""

from __future__ import annotations

import cv2
import numpy as np

from .box import Box
from .reader import Reading
from .views import Grey, Picture

READ_SURE = 0.6
"""How sure a reader is of what can be read."""
_TOWERING, _SURE_OF_LARGE, _LONG, _FEW = 0.13, 0.9, 4, 3
"""A few letters higher than that part of a frame are text only if read without any doubt: lungs are a doubtful 00, and
ribs CCCEC."""
_ACROSS, _LINE, _LARGE_LINE, _VARIED = 0.8, 8.0, 0.06, 5
"""How long, in terms of the frame and of its height, and how high, in terms of the frame, the trace of a heart is; and
how many different letters are read at least in a line of text of that size."""
_HIGH = 0.1
"""A box that is higher, in terms of the frame, holds letters whose strokes are so thick that their ink can be told."""
_RINGS = frozenset("0O")
"""What a single lung is taken for, not without doubt."""
_ROUND = frozenset("0OoQDC3698(). -")
"""What slices, and ribs, are taken for without a doubt where they fill the frame: such letters alone are then none."""
_EVEN, _SHARP = 0.025, 0.7
"""By how much ink differs from what is around each of its pixels, and how much of the step from ground to ink there is
within three pixels, both in terms of that step."""
_THICK, _SPECTRUM = 0.12, 0.6
"""What share of its box a body fills at least, without its edge, and how much of the frame a spectrum spans."""
_BESIDE = np.ones((3, 3), np.uint8)


def is_large(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a box in a frame of that shape may hold a part of a body, and is worth being read."""
    return min(box.width, box.height) > _HIGH * min(shape[:2]) or _spans(box, shape)


def is_body(box: Box, reading: Reading, shape: tuple[int, ...]) -> bool:
    """Whether a large box holds one ring and nothing else, or is as long as the frame and hardly a letter is seen in
    it."""
    if reading.confidence >= READ_SURE:
        return False
    ring = _towers(box, shape) and reading.text in _RINGS
    return ring or (_spans(box, shape) and len(set(reading.text)) < _VARIED)


def is_no_word(box: Box, reading: Reading, shape: tuple[int, ...]) -> bool:
    """Whether a large box shows a few letters, perhaps several times, of which none can be read."""
    return len(set(_letters(reading))) < _LONG and not is_read(reading, box, shape)


def is_read(reading: Reading, box: Box, shape: tuple[int, ...], *, enough: int = 1) -> bool:
    """Whether so many letters can be read in a box of a frame of that shape."""
    letters, towers = _letters(reading), _towers(box, shape)
    if towers and set(reading.text) <= _ROUND:
        return False
    few = len(letters) < _LONG or len(set(letters)) < _FEW
    sure = _SURE_OF_LARGE if towers and few else READ_SURE
    return len(letters) >= enough and reading.confidence >= sure


def _letters(reading: Reading) -> str:
    return reading.text.replace(" ", "")


def _towers(box: Box, shape: tuple[int, ...]) -> bool:
    return min(box.width, box.height) > _TOWERING * min(shape[:2])


def _spans(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a line of large letters would reach from one side of the frame to the other, or nearly."""
    across, high = (shape[1], box.height) if box.width >= box.height else (shape[0], box.width)
    long = max(box.width, box.height)
    return long >= _ACROSS * across and long >= _LINE * high and high >= _LARGE_LINE * min(shape[:2])


def is_drawn(picture: Picture, box: Box) -> bool:
    """Whether what is rarer in a box, the bright or the dark, may be ink: it is even and ends sharply, or there is too
    little of it to tell it from the speckle it is written on. A spectrum, which is as thin, spans the frame."""
    part = picture[box.rows, box.columns]
    grey: Grey = np.ascontiguousarray(part[..., int(cv2.meanStdDev(part)[1].argmax())])
    _, split = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    ink = np.asarray(split if 2 * np.count_nonzero(split) <= split.size else 1 - split, np.uint8)
    inner, edge = cv2.erode(ink, _BESIDE) > 0, cv2.morphologyEx(ink, cv2.MORPH_GRADIENT, _BESIDE) > 0
    across = picture.shape[1] if box.width >= box.height else picture.shape[0]
    if inner.mean() < _THICK and max(box.width, box.height) < _SPECTRUM * across:
        return True
    if not inner.any() or not edge.any():
        return True
    wide = grey.astype(np.float32)
    step = max(abs(float(wide[ink > 0].mean() - wide[ink == 0].mean())), 1.0)
    uneven = float(np.abs(wide - cv2.blur(wide, (3, 3)))[inner].mean()) / step
    sharp = float(np.median(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, _BESIDE)[edge])) / step
    return uneven <= _EVEN and sharp >= _SHARP
