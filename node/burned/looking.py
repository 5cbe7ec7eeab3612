"""Finds all text in a picture: looks once at what no window hides, then again, closer, at what a screen would show with
everything found the first time covered.

What only the second look finds, or a detector is not sure of, counts if the reader can make something of it: with the
text gone, a detector looks for it in noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from .beside import blocks_of
from .box import Box, tiles, without_covered
from .finder import Found, TextFinder
from .gate import Gate
from .reader import Reader
from .views import Picture, evened

_USUAL = 736 * 736
"""Pixels of a picture as the detector wants it, which costs the same whatever the frame's size."""
_MOST_ENLARGED = 3.0
_CLOSER = 1.1
_TILE, _OVERLAP = 1100, 96
"""Pixels of a large frame that are looked at together, and how many of them with the next: more than a line is high."""
_LEAST = 0.7
"""A frame that would have to be made smaller than this is looked at in tiles, or small text is lost."""
_SURE = 0.2
"""How sure finders must be, or else what they found has to be read."""
_SURE_BESIDE, _AROUND = 0.5, 1.6
"""How sure they must be beside other lines, and in how many heights of a line what is usual is measured there."""
_LAST_LOOKS = 3
"""How often what comes to light under what was covered is covered, too, before the object is refused for it."""
_KNOWN = 0.5
_READ_SURE, _READ_LETTERS = 0.6, 2


@dataclass(frozen=True)
class Seen:
    """What was found in a picture: at the first look, and by the second alone; `left` is what can still be read with
    all of it covered."""

    first: tuple[Box, ...]
    second: tuple[Box, ...] = ()
    left: tuple[Box, ...] = ()

    @property
    def boxes(self) -> list[Box]:
        """All of them."""
        return without_covered((*self.first, *self.second))


class Eyes:
    """Finders and reader that look together, and the gate that may spare them."""

    def __init__(self, finders: Sequence[TextFinder], reader: Reader, gate: Gate) -> None:
        self.finders = finders
        self.reader = reader
        self.gate = gate

    @property
    def editions(self) -> list[str]:
        """Names engines, models and versions."""
        return [*(finder.edition for finder in self.finders), self.reader.version]

    def look(self, picture: Picture, plain: Picture, places: Sequence[Box] | None = None) -> Seen:
        """What is found in the picture of one frame or of one stretch of time, and in `plain`, which shows the same as
        a screen would. Small text in a large frame is only looked for near `places`, if they are given."""
        found = self._found(picture, 1.0, places)
        doubtful = [one.box for one in found if one.sure < _SURE]
        read = [*self.readable(plain, doubtful), *self.readable(picture, doubtful)]
        first = without_covered([*(one.box for one in found if one.sure >= _SURE), *read])
        again = [one.box for one in self._found(covered(plain, first), _CLOSER, places)]
        second = self.readable(plain, [box for box in again if not _is_known(box, first)])
        first = without_covered([*first, *self._beside(plain, [*first, *second])])
        return self.with_the_rest(plain, Seen(tuple(first), tuple(second)))

    def _beside(self, plain: Picture, first: Sequence[Box]) -> list[Box]:
        """More lines of blocks of small text, seen closer, what is dark as plain as what is bright."""
        more = list[Box]()
        for block in blocks_of(first, max(_scale(plain), _LEAST), shape=plain.shape, most=_USUAL):
            part = evened(plain[block.where.rows, block.where.columns], round(_AROUND * block.height))
            seen = [
                one.box.moved(block.where.left, block.where.top)
                for one in self._finds(part, block.scale)
                if one.sure >= _SURE_BESIDE
            ]
            more += [
                box for box in seen if block.holds(box) and (block.reaches_further(box) or not _is_known(box, first))
            ]
        return more

    def with_the_rest(self, plain: Picture, seen: Seen) -> Seen:
        """The same, and what can still be read once all of it is covered, until nothing is left or it is too often."""
        latest = seen.second
        for _ in range(_LAST_LOOKS):
            latest = tuple(self._left(plain, seen, latest))
            if not latest:
                return seen
            seen = replace(seen, second=(*seen.second, *latest))
        return replace(seen, left=tuple(self._left(plain, seen, latest)))

    def _left(self, plain: Picture, seen: Seen, latest: Sequence[Box]) -> list[Box]:
        """What can still be read around the latest of what was found, once all of it is covered."""
        rows, columns = plain.shape[:2]
        shown, left = covered(plain, seen.boxes), list[Box]()
        for box in latest:
            part = box.grown(2 * box.height, 2 * box.height).within(columns, rows)
            for one in self._found(shown[part.rows, part.columns], _CLOSER):
                there = one.box.moved(part.left, part.top)
                left += [] if _is_known(there, seen.boxes) else [there]
        return self.readable(shown, left)

    def _found(self, picture: Picture, closer: float, places: Sequence[Box] | None = None) -> list[Found]:
        """What the finders find: in a large frame also in tiles, or small text would be too small."""
        rows, columns = picture.shape[:2]
        scale = _scale(picture) * closer
        found = self._finds(picture, scale)
        for tile in tiles(rows, columns, _TILE, _OVERLAP) if scale < _LEAST else ():
            if places is None or any(tile.touches(place) for place in places):
                part = np.ascontiguousarray(picture[tile.rows, tile.columns])
                found += [Found(box.moved(tile.left, tile.top), sure) for box, sure in self._finds(part, _LEAST)]
        return found

    def _finds(self, picture: Picture, scale: float) -> list[Found]:
        return [one for finder in self.finders for one in finder.find(picture, scale)]

    def readable(self, picture: Picture, boxes: Sequence[Box]) -> list[Box]:
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


def _scale(picture: Picture) -> float:
    """By how much a picture is enlarged, or made smaller, to be looked at as a whole."""
    rows, columns = picture.shape[:2]
    return min(sqrt(_USUAL / (rows * columns)), _MOST_ENLARGED)
