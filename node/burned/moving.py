"""Follows text that moves through a cine: what was found in one frame is searched near by in the next, and so on, both
ways in time. No picture of many frames shows such text, and each place of it is in one frame only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np

from .box import Box
from .form import Pixels
from .views import Wide

_ALIKE = 0.5
"""How alike (correlation) a place must be to be the same text."""
_FAR, _LEAST = 1.5, 16
"""How far text moves from a frame to the next: heights of its line, and pixels, whichever is more."""
_MISSED = 2
"""In so many frames in a row it may be unlike itself before it is lost."""
_MOST, _LONG = 4, 2
"""So many boxes are followed, the longest ones, and how much longer than high they are at least."""


class Greys(Protocol):
    """Frames in grey levels of any number type, (rows, columns)."""

    def __len__(self) -> int: ...

    def grey(self, number: int) -> Pixels:
        """One of them."""


def followed(shown: Greys, number: int, boxes: Sequence[Box]) -> dict[int, list[Box]]:
    """Where what is in the boxes of a frame is in others, by their numbers, as far as it moves at all."""
    trails = _trails(shown, number, boxes)
    found: dict[int, list[Box]] = {}
    for way in (range(number + 1, len(shown)), range(number - 1, -1, -1)) if trails else ():
        for frame, trail, box in _along(shown, way, trails):
            if box != trail.start:
                found.setdefault(frame, []).append(box)
    return found


def beside(shown: Greys, number: int, boxes: Sequence[Box]) -> dict[int, list[Box]]:
    """Where what is in the boxes of a frame is seen in the frames before and after it, by their numbers: what was cut
    short in one was perhaps found whole in the other."""
    found: dict[int, list[Box]] = {}
    trails = _trails(shown, number, boxes)
    for other in {number - 1, number + 1} & set(range(len(shown))) if trails else ():
        for frame, trail, box in _along(shown, (other,), trails):
            if not trail.missed:
                found.setdefault(frame, []).append(box)
    return found


def _trails(shown: Greys, number: int, boxes: Sequence[Box]) -> list[_Trail]:
    lines = sorted((box for box in boxes if _length(box) >= _LONG), key=_length, reverse=True)[:_MOST]
    grey = _grey(shown, number) if lines else np.zeros((0, 0), np.float32)
    return [_Trail(grey, box) for box in lines]


def _along(shown: Greys, way: Iterable[int], trails: Sequence[_Trail]) -> Iterator[tuple[int, _Trail, Box]]:
    going = list(trails)
    for trail in going:
        trail.begin()
    for frame in way:
        if not going:
            return
        grey = _grey(shown, frame)
        for trail in going:
            yield frame, trail, trail.next(grey)
        going = [trail for trail in going if trail.missed <= _MISSED]


class _Trail:
    """One text on its way."""

    def __init__(self, grey: Wide, start: Box) -> None:
        self.start = start
        self._looks = grey[start.rows, start.columns]
        self.begin()

    def begin(self) -> None:
        """Go back to where it was found."""
        self._at, self._step, self.missed = self.start, (0, 0), 0

    def next(self, grey: Wide) -> Box:
        """Where it is in the next frame; where it would be, if it went on as before, where it is not seen."""
        rows, columns = grey.shape
        ahead = self._at.moved(*self._step)
        reach = max(round(_FAR * min(self.start.width, self.start.height)), _LEAST)
        around = ahead.grown(reach, reach).within(columns, rows)
        alike, left, top = -1.0, 0, 0
        if around.width >= self.start.width and around.height >= self.start.height:
            scores = cv2.matchTemplate(grey[around.rows, around.columns], self._looks, cv2.TM_CCOEFF_NORMED)
            _, alike, _, (left, top) = cv2.minMaxLoc(scores)
        if alike >= _ALIKE:
            there = self.start.moved(around.left + left - self.start.left, around.top + top - self.start.top)
            self._step, self.missed = (there.left - self._at.left, there.top - self._at.top), 0
        else:
            there, self.missed = ahead, self.missed + 1
        self._at = there
        return there.within(columns, rows)


def _length(box: Box) -> float:
    return max(box.width, box.height) / max(min(box.width, box.height), 1)


def _grey(shown: Greys, number: int) -> Wide:
    return np.ascontiguousarray(shown.grey(number), np.float32)
