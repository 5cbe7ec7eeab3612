"""Takes a line of text that stands at a slant apart into upright boxes along it, so that no box has to hold the whole
triangle below and above it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from .box import Box

_LONG, _FULL = 3.0, 0.65
"""How much longer than thick a line is at least, and what part of the rectangle around it, turned, it fills."""
_STEP = 1.5
"""How long a piece is, in terms of how thick the line is."""

Marks = npt.NDArray[np.bool_]


def thickness(marks: Marks) -> float | None:
    """How thick a slanted line is that those pixels make; None where they are no line."""
    area = np.count_nonzero(marks)
    if area > 2 / _LONG * marks.size:  # fuller than a line from corner to corner
        return None
    edges, _ = cv2.findContours(marks.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, sides, _ = cv2.minAreaRect(np.concatenate(edges))
    long, thick = max(sides) + 1, min(sides) + 1
    return thick if long >= _LONG * thick and area >= _FULL * long * thick else None


def pieces(marks: Marks, thick: float) -> Iterator[Box]:
    """Boxes that hold a line, one after the other along its longer side."""
    turned = marks.shape[0] > marks.shape[1]
    along = marks.T if turned else marks
    step = max(round(_STEP * thick), 1)
    for left in range(0, along.shape[1], step):
        rows = np.flatnonzero(along[:, left : left + step].any(axis=1))
        if len(rows):
            right = min(left + step, along.shape[1])
            top, bottom = int(rows[0]), int(rows[-1]) + 1
            yield Box(top, left, bottom, right) if turned else Box(left, top, right, bottom)
