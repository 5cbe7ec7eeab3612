"""Covers boxes in the frames of a film, whose samples lie in three planes: light, and two of colour at half size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..choices import Fill
from .box import Box
from .fill import surroundings
from .film import Film
from .form import Pixels

_LIKE, _EVEN = 8, 24
"""Of 255: how far a picture may be from what it was on average, and a covered pixel from what it should be."""
_EDGE = 8
"""Pixels at the edge of a box into which an encoder may draw what is beside it."""


def planes_of(data: bytes, film: Film) -> list[Pixels]:
    """The planes of a frame. Not to be changed."""
    flat, sizes = np.frombuffer(data, np.dtype("<u2" if film.deep else "u1")), _sizes(film)
    edges = np.cumsum([0, *(rows * columns for rows, columns in sizes[:-1])])
    return [
        flat[edge : edge + rows * columns].reshape(rows, columns)
        for edge, (rows, columns) in zip(edges, sizes, strict=True)
    ]


def frame_bytes(film: Film) -> int:
    """How long a frame is."""
    return sum(rows * columns for rows, columns in _sizes(film)) * (2 if film.deep else 1)


def covered(data: bytes, film: Film, boxes: Sequence[Box], fill: Fill) -> bytes:
    """The frame with boxes filled, each by one colour."""
    planes = planes_of(data, film)
    filled = [plane.copy() for plane in planes]
    for box in boxes:
        for number, (plane, new) in enumerate(zip(planes, filled, strict=True)):
            part = _in_plane(box, number).within(plane.shape[1], plane.shape[0])
            new[part.rows, part.columns] = _value(plane, part, fill, number, 4 if film.deep else 1)
    return b"".join(plane.tobytes() for plane in filled)


def in_whole_colours(box: Box) -> Box:
    """What is covered for a box: four pixels share their colour, so it is grown to whole ones of these."""
    return Box(box.left & ~1, box.top & ~1, box.right + box.right % 2, box.bottom + box.bottom % 2)


def same_picture(found: Sequence[Pixels], expected: Sequence[Pixels], boxes: Sequence[Box]) -> bool:
    """Whether a frame that was encoded shows what it should: about the same everywhere, and nothing in its boxes."""
    depth = 4 if found[0].dtype.itemsize == 2 else 1
    away = [np.abs(one.astype(np.int32) - other) for one, other in zip(found, expected, strict=True)]
    if any(float(plane.mean()) > _LIKE * depth for plane in away):
        return False
    for box in boxes:
        inner = box.grown(-_EDGE, -_EDGE)
        if inner.width > 0 and inner.height > 0 and int(away[0][inner.rows, inner.columns].max()) > _EVEN * depth:
            return False
    return True


def _sizes(film: Film) -> list[tuple[int, int]]:
    half = ((film.rows + 1) // 2, (film.columns + 1) // 2)
    return [(film.rows, film.columns), half, half]


def _in_plane(box: Box, number: int) -> Box:
    """A box in that plane."""
    even = in_whole_colours(box)
    return even if number == 0 else Box(even.left // 2, even.top // 2, even.right // 2, even.bottom // 2)


def _value(plane: Pixels, part: Box, fill: Fill, number: int, depth: int) -> int:
    """What is usual around a box; with contrast, black or white."""
    around = surroundings(plane, part)
    middle = int(np.median(around)) if around.size else (16 if number == 0 else 128) * depth
    if fill is Fill.BACKGROUND and around.size:
        return middle
    if number:
        return 128 * depth
    return (16 if middle > 126 * depth else 235) * depth
