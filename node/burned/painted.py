"""Shows what is painted over a grey picture: colours that its own tint does not explain. Words in yellow over bright
speckle, or over the vessels of a Doppler, are hardly lighter than what is around them and not much stronger in colour,
so that neither light nor colour by itself shows them; in what is left of the colour without the tint they are plain.

Pictures that are coloured all over, as photos are, are left to the other looks: they have no speckle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from .box import Box
from .islands import islands
from .views import Grey, Picture, Wide, standing_out

_PLANES = np.array([[1, -1, 0], [-0.5, -0.5, 1]], np.float32)
"""Red against green, blue against yellow; grey is 0 in both."""
_HALF, _SOME = 2, 3
_KNOTS, _FEWEST, _DARK = 8, 50, 48
"""For so many greys it is told how coloured pixels as light usually are, where there are so many of them; and which are
too dark to tell how much colours differ by themselves."""
_COLOURED, _NOISE = 16, 5
"""By how many of 255 levels a colour differs from the tint, and by how many times what is usual."""
_MANY_COLOURED = 13
"""By how much of 255 levels colours usually differ from the tint in a photo."""
_NEAR, _DENSE = 12, 10
"""Of a square of so many pixels, every second one, so many are coloured where something may be written."""
_BESIDE = np.ones((3, 3), np.uint8)
_LINES = np.ones((1, 25), np.uint8), np.ones((25, 1), np.uint8)
"""A banner is even, and its edge and those of a Doppler's box are straight; no letter is."""
_NEAR_BY = np.ones((5, 5), np.uint8)
"""Vessels beat: beside what was coloured, something may be in the next frame."""
_AROUND = 12
_LARGEST, _STRONGER = 200_000, (0, 48, 96)
"""Pixels of a place that is still worth it, and how strong the colours are of what is looked for in larger ones."""
_FULL = 1.2
"""How much larger the box around two may be than both are."""
_MOST = 0.35
"""What share of a frame is coloured at most, for it to be grey otherwise."""


def painted(colours: Picture, known: Sequence[Box], before: Grey | None = None) -> Iterator[tuple[Picture, Box]]:
    """Where in a frame something coloured is, outside of boxes that are known, and the picture of that place without
    the frame's own tint; small places first. What was coloured in frames before, as `blank` has it to begin with, is
    left out and added to."""
    half = np.ascontiguousarray(colours[::_HALF, ::_HALF])
    most, least = _extremes(half)
    if np.count_nonzero(cv2.subtract(most, least) > _COLOURED) < _DENSE:
        return
    planes = _in_planes(half)
    tint = _tint(planes, most)
    planes -= _of(tint, most)
    strength = _strength(planes)
    del planes  # as large as the frame itself, or twice that
    lit = most[::_SOME, ::_SOME] > _DARK
    usual = float(np.median(strength[::_SOME, ::_SOME][lit])) if lit.any() else 0.0
    if usual > _MANY_COLOURED:
        return
    marks = (strength > max(_COLOURED, _NOISE * usual)).astype(np.uint8)
    for box in known:
        half_box = Box(*(side // _HALF for side in box)).grown(2, 2).within(*marks.shape[::-1])
        marks[half_box.rows, half_box.columns] = 0
    if np.count_nonzero(marks) > _MOST * marks.size:
        return
    marks &= (cv2.morphologyEx(strength, cv2.MORPH_GRADIENT, _BESIDE) > _COLOURED).astype(np.uint8)
    for line in _LINES:
        marks &= 1 - np.asarray(cv2.morphologyEx(marks, cv2.MORPH_OPEN, line), np.uint8)
    if before is not None:
        fresh, marks = marks, marks & (1 - before)
        before |= np.asarray(cv2.dilate(fresh, _NEAR_BY), np.uint8)
    for place in sorted(_places(marks, strength), key=lambda one: one.area):
        part = np.ascontiguousarray(colours[place.rows, place.columns])
        away = _in_planes(part) - _of(tint, _extremes(part)[0])
        shown = (away[..., 0], away[..., 1], _strength(away))
        yield np.dstack([standing_out(np.ascontiguousarray(one)) for one in shown]), place


def blank(shape: tuple[int, ...]) -> Grey:
    """That in no frame of that shape anything was coloured."""
    return np.zeros((-(-shape[0] // _HALF), -(-shape[1] // _HALF)), np.uint8)


def _places(marks: Grey, strength: Wide) -> Iterator[Box]:
    """In pixels of the frame. What hangs together over much of it is told apart by colours that are stronger."""
    small = list[Box]()
    for least in _STRONGER:
        places = _dense(marks & (strength > least).astype(np.uint8))
        small += [one for one in places if one.area <= _LARGEST and not any(one.touches(other) for other in small)]
        if len(small) >= len(places):
            break
    yield from small


def _dense(marks: Grey) -> list[Box]:
    rows, columns = marks.shape
    dense = cv2.boxFilter(marks, cv2.CV_8U, (_NEAR, _NEAR), normalize=False, borderType=cv2.BORDER_CONSTANT)
    _, found = islands((dense >= _DENSE).astype(np.uint8))
    boxes = (Box(left, top, left + width, top + height) for left, top, width, height, _ in found[1:].tolist())
    wide = _merged([box.grown(_AROUND, _AROUND).within(columns, rows) for box in boxes])
    return [Box(*(_HALF * side for side in box)) for box in wide]


def _merged(boxes: Sequence[Box]) -> list[Box]:
    """Those that touch as one, unless that were mostly of what neither holds."""
    apart = list[Box]()
    for box in sorted(boxes):
        while near := next((other for other in apart if _belong(box, other)), None):
            apart.remove(near)
            box = box.around(near)
        apart.append(box)
    return apart


def _belong(one: Box, other: Box) -> bool:
    return one.touches(other) and one.around(other).area <= _FULL * (one.area + other.area)


def _extremes(colours: Picture) -> tuple[Grey, Grey]:
    """The most and the least of the three colours of each pixel."""
    red, green, blue = cv2.split(colours)
    return cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)  # type: ignore[return-value]


def _in_planes(colours: Picture) -> Wide:
    return np.asarray(cv2.transform(colours.astype(np.float32), _PLANES), np.float32)


def _strength(away: Wide) -> Wide:
    one, other = (np.abs(each, out=each) for each in map(np.asarray, cv2.split(away)))
    return np.asarray(cv2.max(one, other, one), np.float32)


def _tint(planes: Wide, light: Grey) -> Wide:
    """How coloured pixels usually are, by how light they are: 1 x 256 of both planes. A banner may be the most of what
    is as light as it: what is far from what holds for most of the greys is none of the tint."""
    some, step = planes[::_SOME, ::_SOME].reshape(-1, 2), 256 // _KNOTS
    of = light[::_SOME, ::_SOME].ravel() // step
    middles = step * (np.arange(_KNOTS) + 0.5)[:, None]
    members = (some[of == knot] for knot in range(_KNOTS))
    found = np.array([np.median(each, axis=0) if len(each) >= _FEWEST else (np.nan, np.nan) for each in members])
    told = ~np.isnan(found[:, 0])
    even = middles * (np.median((found / middles)[told], axis=0) if told.any() else np.zeros(2))
    knots = np.where(np.abs(found - even).max(axis=1, keepdims=True) < _COLOURED, found, even)
    places, ends = [0.0, *middles[:, 0], 255.0], (np.zeros(2), knots[-1] * (255 / middles[-1]))
    curve = np.array([ends[0], *knots, ends[1]])
    return np.dstack([np.interp(np.arange(256), places, curve[:, plane]) for plane in (0, 1)]).astype(np.float32)


def _of(tint: Wide, light: Grey) -> Wide:
    return np.asarray(cv2.LUT(cv2.merge([light, light]), tint), np.float32)
