"""Finds all text in a picture: looks once at what no window hides, then again, closer, at what a screen would show with
everything found the first time covered.

What only the second look finds counts if the reader can make something of it: with the text gone, a detector looks
for it in noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .box import Box, without_covered
from .finder import TextFinder
from .form import Pixels
from .proof import mosaic, suspicious
from .reader import Reader
from .views import Picture

_USUAL = 736 * 736
"""Pixels of a picture as the detector wants it, which costs the same whatever the frame's size."""
_MOST_ENLARGED = 3.0
_CLOSER = 1.1
_TILE, _OVERLAP = 1100, 96
"""Pixels of a large frame that are looked at together, and how many of them with the next: more than a line is high."""
_LEAST = 0.7
"""A frame that would have to be made smaller than this is looked at in tiles, or small text is lost."""
_KNOWN = 0.5
_READ_SURE, _READ_LETTERS = 0.6, 2


@dataclass(frozen=True)
class Seen:
    """What was found in a picture: at the first look, and by the second alone."""

    first: tuple[Box, ...]
    second: tuple[Box, ...] = ()

    @property
    def boxes(self) -> list[Box]:
        """All of them."""
        return without_covered((*self.first, *self.second))


class Eyes:
    """Finders and reader that look together."""

    def __init__(self, finders: Sequence[TextFinder], reader: Reader) -> None:
        self.finders = finders
        self.reader = reader

    @property
    def editions(self) -> list[str]:
        """Names engines, models and versions."""
        return [*(finder.edition for finder in self.finders), self.reader.version]

    def look(self, picture: Picture, plain: Picture) -> Seen:
        """What is found in the picture of one frame or of one stretch of time, and in `plain`, which shows the same as
        a screen would."""
        first = without_covered(self._found(picture, 1.0))
        again = self._found(covered(plain, first), _CLOSER)
        return Seen(tuple(first), tuple(self._supported(plain, [box for box in again if not _is_known(box, first)])))

    def is_blank(self, levels: Pixels, picture: Picture) -> bool:
        """Whether a frame of grey levels certainly has no text, as far as that can be told without looking at all of
        its picture."""
        places = suspicious(levels)
        return places is not None and (not places or not self._found(mosaic(picture, places), 1.0, picture.shape[:2]))

    def left(self, plain: Picture, seen: Seen) -> list[Box]:
        """What can still be read around that which only the second look found, once all that was found is covered."""
        rows, columns = plain.shape[:2]
        shown, left = covered(plain, seen.boxes), list[Box]()
        for box in seen.second:
            part = box.grown(2 * box.height, 2 * box.height).within(columns, rows)
            for one in self._found(shown[part.rows, part.columns], _CLOSER):
                there = one.moved(part.left, part.top)
                left += [] if _is_known(there, seen.boxes) else [there]
        return self._supported(shown, left)

    def _found(self, picture: Picture, closer: float, of: tuple[int, int] | None = None) -> list[Box]:
        """What the finders find, in a picture that is enlarged as a frame `of` that many rows and columns would be."""
        rows, columns = picture.shape[:2]
        whole = of or (rows, columns)
        scale = max(min((_USUAL / (whole[0] * whole[1])) ** 0.5, _MOST_ENLARGED) * closer, _LEAST if of else 0.0)
        parts = [Box(0, 0, columns, rows)]
        if scale < _LEAST:
            parts += _tiles(rows, columns)
        return [
            box.moved(part.left, part.top)
            for part in parts
            for finder in self.finders
            for box in finder.find(
                np.ascontiguousarray(picture[part.rows, part.columns]), scale if part == parts[0] else _LEAST
            )
        ]

    def _supported(self, picture: Picture, boxes: Sequence[Box]) -> list[Box]:
        """Those in which something can be read."""
        readings = self.reader.read(picture, boxes) if boxes else []
        return [
            box
            for box, reading in zip(boxes, readings, strict=True)
            if reading.confidence >= _READ_SURE and len(reading.text.replace(" ", "")) >= _READ_LETTERS
        ]


def covered(picture: Picture, boxes: Sequence[Box]) -> Picture:
    """The picture with boxes filled with what is usual around them."""
    rows, columns = picture.shape[:2]
    filled = picture.copy()
    for box in boxes:
        ring = box.grown(2, 2).within(columns, rows)
        around = [
            picture[ring.top : box.top, ring.columns],
            picture[box.bottom : ring.bottom, ring.columns],
            picture[box.rows, ring.left : box.left],
            picture[box.rows, box.right : ring.right],
        ]
        edge = np.concatenate([part.reshape(-1, picture.shape[2]) for part in around])
        filled[box.rows, box.columns] = np.median(edge, axis=0) if len(edge) else 0
    return filled


def _is_known(box: Box, boxes: Sequence[Box]) -> bool:
    """Whether others hold most of a box."""
    return sum(box.shared(other).area for other in boxes) >= _KNOWN * box.area


def _tiles(rows: int, columns: int) -> list[Box]:
    """A large frame in parts that overlap."""
    step = _TILE - _OVERLAP
    return [
        Box(left, top, left + _TILE, top + _TILE).within(columns, rows)
        for top in range(0, max(rows - _OVERLAP, 1), step)
        for left in range(0, max(columns - _OVERLAP, 1), step)
    ]
