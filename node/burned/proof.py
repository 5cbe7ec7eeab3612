"""Proves that a part of a large frame has no small text: letters are made of strokes, and a stroke is a sharp step up
and, a few pixels on, a sharp step down, or the other way round. Where none of that is, more than noise makes of it, no
text is. (Whole frames are cleared by the gate: noise and bone rarely have no stroke at all.)

Measured on 99 synthetic frames with 649 strings (text of 8 to 60 pixels, faint text and text outside of the window
among them), and on text of 10 to 20 pixels that is 4 to 10 times as strong as the noise around it: whatever the
detector finds has such a place. To look at such places alone was tried, and lost text that is found in whole frames.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .box import Box, tiles
from .form import Pixels
from .islands import islands
from .views import Wide

_BLOCK = 16
_SHARP = 5.0
"""How high a step is at least, in terms of what is usual around it: 2 standard deviations of the frame's noise."""
_FAINT = 0.001
"""How high it is at least, in terms of the range of all values."""
_STROKE, _ALONG = 7, 5
_AROUND, _STROKES = 24, 10
"""So many pixels at both ends of strokes, in a square of that size, might be a letter."""
_LEAST = 100
"""So many such squares, begun at neighbouring pixels, are the least that letters make."""
_MARGIN = 8
_TILE, _TILE_OVERLAP = 1536, 64

Marks = npt.NDArray[np.uint8]


def suspicious(levels: Pixels) -> list[Box]:
    """Where text might be in a frame of grey levels."""
    return [
        box.moved(tile.left, tile.top)
        for tile in tiles(len(levels), len(levels[0]), _TILE, _TILE_OVERLAP)
        for box in _suspicious(levels[tile.rows, tile.columns])
    ]


def _suspicious(levels: Pixels) -> list[Box]:
    rows, columns = levels.shape
    if min(rows, columns) < 4 * _BLOCK:
        return [Box(0, 0, columns, rows)]
    wide = levels.astype(np.float32)
    low, high = np.percentile(wide[::2, ::2], (0.5, 99.5))
    faint = max(float(high - low), 1.0) * _FAINT
    marks = _strokes(wide, faint) | _strokes(np.ascontiguousarray(wide.T), faint).T
    wider = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
    near = np.asarray(cv2.dilate(_large(marks), wider), np.uint8)
    _, found = islands(near)
    return [Box(left, top, left + width, top + height) for left, top, width, height, _ in found[1:].tolist()]


def _large(marks: Marks) -> Marks:
    """Without what is too small to be letters."""
    labels, found = islands(marks)
    kept = found[:, cv2.CC_STAT_AREA] >= _LEAST
    kept[0] = False
    return np.asarray(kept[labels], np.uint8)


def _strokes(wide: Wide, faint: float) -> Marks:
    """1 where, along the rows, there are enough ends of strokes."""
    even = cv2.blur(wide, (1, _ALONG))  # along a stroke noise evens out, and the stroke stays
    steps = np.diff(even, axis=1, append=even[:, -1:])
    least = cv2.resize(_usual(np.abs(steps)), wide.shape[::-1], interpolation=cv2.INTER_LINEAR) * _SHARP + faint
    up, down = (steps > least).astype(np.uint8), (steps < -least).astype(np.uint8)
    ahead, first = np.ones((1, _STROKE), np.uint8), (0, 0)
    down_ahead, up_ahead = (np.asarray(cv2.dilate(one, ahead, anchor=first), np.uint8) for one in (down, up))
    ends = (up & down_ahead) | (down & up_ahead)
    counts = cv2.boxFilter(ends.astype(np.float32), -1, (_AROUND, _AROUND), normalize=False)
    return np.asarray(counts >= _STROKES, np.uint8)


def _usual(sizes: Wide) -> Wide:
    """The median of each block, its neighbours' taken in."""
    rows, columns = sizes.shape[0] // _BLOCK, sizes.shape[1] // _BLOCK
    every_other = sizes[: rows * _BLOCK : 2, : columns * _BLOCK : 2]
    blocks = every_other.reshape(rows, _BLOCK // 2, columns, _BLOCK // 2).swapaxes(1, 2).reshape(rows, columns, -1)
    return np.asarray(cv2.blur(np.median(blocks, axis=2).astype(np.float32), (3, 3)))
