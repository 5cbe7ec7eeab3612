"""Proves cheaply that a frame has no text: letters are made of strokes, and a stroke is a sharp step up and, a few
pixels on, a sharp step down, or the other way round. Where none of that is, more than noise makes of it, no text is;
where it is, the detector looks, at those places only.

Measured on 99 synthetic frames with 649 strings (text of 8 to 60 pixels, faint text and text outside of the window
among them): every string has such a place. It is never used for what comes from screens (`kinds.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from .box import Box, tiles
from .form import Pixels
from .views import Picture

_BLOCK = 16
_SHARP = 9.0
"""How high a step is at least, in terms of what is usual around it: 4 standard deviations of the frame's noise."""
_FAINT = 0.004
"""How high it is at least, in terms of the range of all values."""
_STROKE, _ALONG = 7, 5
_AROUND, _STROKES = 24, 12
"""So many pixels at both ends of strokes, in a square of that size, might be a letter."""
_LEAST = 150
"""So many such squares, begun at neighbouring pixels, are the least that letters make."""
_MARGIN = 8
_MOST = 0.4
"""Of a frame; where more of it might be text, all of it is looked at."""
_FULL, _SMALL = 0.5, 64
"""A place is cut into smaller ones until so much of it might be text, or it is so small."""
_GREY = 128
_TILE, _TILE_OVERLAP = 1536, 64

Wide = npt.NDArray[np.float32]
Marks = npt.NDArray[np.uint8]


def suspicious(levels: Pixels) -> list[Box]:
    """Where text might be in a frame of grey levels."""
    return [
        box.moved(tile.left, tile.top)
        for tile in tiles(len(levels), len(levels[0]), _TILE, _TILE_OVERLAP)
        for box in _suspicious(levels[tile.rows, tile.columns])
    ]


def are_few(places: Sequence[Box], levels: Pixels) -> bool:
    """Whether looking at those places is much less than looking at all of a frame."""
    return sum(box.area for box in places) <= _MOST * levels.size


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
    return [box for place in _places(near) for box in _parts(near, place)]


def mosaic(picture: Picture, places: Sequence[Box]) -> Picture:
    """Those places of a picture beside and below each other, on grey."""
    width = max(int(sum(box.area for box in places) ** 0.5 * 1.2), *(box.width for box in places)) + _MARGIN
    left = top = height = 0
    put: list[tuple[int, int, Box]] = []
    for box in sorted(places, key=lambda box: -box.height):
        if left + box.width > width:
            left, top, height = 0, top + height + _MARGIN, 0
        put.append((left, top, box))
        left, height = left + box.width + _MARGIN, max(height, box.height)
    sheet = np.full((top + height, width, 3), _GREY, np.uint8)
    for left, top, box in put:
        sheet[top : top + box.height, left : left + box.width] = picture[box.rows, box.columns]
    return sheet


def _large(marks: Marks) -> Marks:
    """Without what is too small to be letters."""
    _, labels, found, _ = cv2.connectedComponentsWithStats(marks)
    kept = found[:, cv2.CC_STAT_AREA] >= _LEAST
    kept[0] = False
    return np.asarray(kept[labels], np.uint8)


def _places(marks: Marks) -> list[Box]:
    """Around what is connected."""
    _, _, found, _ = cv2.connectedComponentsWithStats(marks)
    return [Box(left, top, left + width, top + height) for left, top, width, height, _ in found[1:].tolist()]


def _parts(marks: Marks, box: Box) -> list[Box]:
    """A place as parts that hold little else than marks."""
    inside = marks[box.rows, box.columns]
    if max(box.width, box.height) <= _SMALL or inside.mean() >= _FULL:
        return [box]
    half = inside.shape[1] // 2 if box.width >= box.height else inside.shape[0] // 2
    halves = (inside[:, :half], inside[:, half:]) if box.width >= box.height else (inside[:half], inside[half:])
    moves = ((0, 0), (half, 0)) if box.width >= box.height else ((0, 0), (0, half))
    return [
        part
        for side, (across, down) in zip(halves, moves, strict=True)
        for place in _places(np.ascontiguousarray(side))
        for part in _parts(marks, place.moved(box.left + across, box.top + down))
    ]


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
