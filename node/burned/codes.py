"""Finds barcodes and the like, which name a patient to any machine: even patches of black and white, with many edges,
that are no text. Which kind of code it is, or whether one can read it, makes no difference."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .box import Box
from .islands import extent, islands
from .views import Grey, Picture

_STEEP = 90
"""By how many greys two pixels differ, with one between them, across the edge of a bar."""
_SIDE, _EDGES, _PURE, _NEARLY = 24, 0.2, 0.8, 0.25
"""In a square of that many pixels: what part of them is at edges, and what part is nearly as dark, or as light, as
anything in it, by that part of the difference."""
_CROWDED, _MANY, _STRAIGHT, _ASKEW = 0.44, 0.28, 0.8, 0.35
"""What part of a code is at edges; or fewer, if so many of them stand upright or lie, less than that part askew. Bone
and skin have as many edges here and there, which run any way."""
_LEAST, _SHARE = 200, 0.11
"""Edge pixels in a whole frame that may be a code, and what part of some block of it: a fourth of a crowded code."""
_LARGE = 4 * 10**6
"""Pixels of a frame in which no code is so small that it is lost at half the size."""


def codes_in(picture: Picture) -> list[Box]:
    """Where codes are in a picture of which all text that was found is covered."""
    if min(picture.shape[:2]) < _SIDE:
        return []
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    half = np.asarray(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    found = _codes(grey) if grey.size <= _LARGE else []
    twice = (Box(2 * box.left, 2 * box.top, 2 * box.right, 2 * box.bottom) for box in _codes(half))
    return [*found, *(box.within(grey.shape[1], grey.shape[0]) for box in twice)]


def _codes(grey: Grey) -> list[Box]:
    if min(grey.shape) < _SIDE:
        return []
    across, down = np.zeros(grey.shape, np.uint8), np.zeros(grey.shape, np.uint8)
    across[:, 1:-1] = cv2.absdiff(grey[:, 2:], grey[:, :-2])
    down[1:-1] = cv2.absdiff(grey[2:], grey[:-2])
    steps = np.maximum(across, down)
    edges = (steps >= _STEEP).astype(np.uint8)
    if cv2.countNonZero(edges) < _LEAST or _blocks(edges).max() < _SHARE:
        return []
    straight = edges & (np.minimum(across, down) < _ASKEW * steps)
    _, places = islands(_patches(grey, edges))
    boxes = [
        _edged(edges, Box(left, top, left + width, top + height).grown(_SIDE // 2, _SIDE // 2))
        for left, top, width, height, _ in places[1:].tolist()
    ]
    return [box.grown(1, 1) for box in boxes if _is_code(edges, straight, box)]


def _blocks(edges: Grey) -> NDArray[np.float32]:
    """What part of each block is edges."""
    sides = [max(side // _SIDE, 1) for side in edges.shape[::-1]]
    return np.asarray(cv2.resize(edges.astype(np.float32), sides, interpolation=cv2.INTER_AREA), np.float32)


def _patches(grey: Grey, edges: Grey) -> Grey:
    """1 in the middle of each square that may be part of a code."""
    square = np.ones((_SIDE, _SIDE), np.uint8)
    low = np.asarray(cv2.erode(grey, square), np.int16)
    span = np.asarray(cv2.dilate(grey, square), np.int16) - low
    above = grey - low
    pure = above <= np.float32(_NEARLY) * span  # of doubles, each would be as large as the frame
    pure |= above >= np.float32(1 - _NEARLY) * span
    marks = span >= 2 * _STEEP
    del low, span, above
    marks &= cv2.blur(edges.astype(np.float32), (_SIDE, _SIDE)) >= _EDGES
    marks &= cv2.blur(pure.astype(np.float32), (_SIDE, _SIDE)) >= _PURE
    return np.asarray(marks, np.uint8)


def _edged(edges: Grey, box: Box) -> Box:
    """What of a box has edges in it."""
    inner = box.within(edges.shape[1], edges.shape[0])
    return extent(edges[inner.rows, inner.columns]).moved(inner.left, inner.top)


def _is_code(edges: Grey, straight: Grey, box: Box) -> bool:
    if min(box.width, box.height) < _SIDE:
        return False
    at_edges = int(edges[box.rows, box.columns].sum())
    if at_edges >= _CROWDED * box.area:
        return True
    return at_edges >= _MANY * box.area and int(straight[box.rows, box.columns].sum()) >= _STRAIGHT * at_edges
