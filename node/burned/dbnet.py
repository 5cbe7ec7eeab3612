"""Finds text with the detector (DBNet) whose weights RapidOCR ships in its wheel, run by onnxruntime.

The weights are what is used of RapidOCR. What it does around them loses text here: it drops what it cannot read, and
takes a cone of speckle for one large word.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .box import Box
from .finder import Found
from .greys import as_bytes
from .islands import islands
from .slant import Marks, pieces, thickness
from .views import Picture
from .weights import PICTURES, edition_of, network

_MODEL = "PP-OCRv6_det_small.onnx"
_STRIDE = 32
"""The network halves its input five times."""
_LIKELY, _CORE = 0.1, 0.4
"""How likely every pixel of a spot must be text, and within a huge spot."""
_SURE, _MEAN, _THIN = 0.6, 0.3, 4
"""How likely the most likely of them must be, how likely all together, and how many pixels thick a spot must be."""
_ALONG, _ACROSS = 0.9, 0.4
"""By what part of the height of a line of text its box grows at its ends and at its sides."""
_HUGE = 0.13
"""Of the shorter side of the frame: no line of text is that high."""
_CLEAR, _WIDE, _FULL = 0.8, 1.75, 0.6
"""How likely text a huge spot is if it is a word in huge letters, how much longer than high, and what part of its box
it fills. Slices and cones are nearly square."""
_AGAIN = (1.0, 0.5)
"""At which scales a huge spot is looked at again; noise that looks like text at one does not at the other."""
_ENOUGH_AGAIN, _COARSER = 400 * 400, 0.6
"""So many pixels of a spot are enough to tell, down to that part of the scale: a larger one is seen to be large."""
_MOST_AGAIN = 900 * 900
"""Pixels of a spot that are looked at again, or it is made smaller: the network takes 600 bytes for each."""
_MARGIN = 8

_GREYS = as_bytes(np.arange(256, dtype=np.float32) * (2 / 255) - 1)
"""As what the network is given each grey."""

Heat = npt.NDArray[np.float32]


class DbNet:
    """The detector; its weights are read when it is first used."""

    wants_one_grey = True

    @property
    def edition(self) -> str:
        """Names engine, model and versions."""
        return edition_of(_MODEL)

    def find(self, picture: Picture, scale: float) -> list[Found]:
        """Where text is, in pixels of the picture."""
        rows, columns = picture.shape[:2]
        huge = max(_HUGE * min(rows, columns), 16)
        return [Found(box.within(columns, rows), sure) for box, sure in self._looked(picture, scale, huge, _AGAIN)]

    def _looked(self, picture: Picture, scale: float, huge: float, again: tuple[float, ...]) -> Iterator[Found]:
        rows, columns = picture.shape[:2]
        heat = self._heat(picture, scale)
        down, across = rows / heat.shape[0], columns / heat.shape[1]
        for spot in _spots(heat, _LIKELY):
            if min(spot.box.width * across, spot.box.height * down) <= huge:
                yield Found(_text(spot.box, across, down), spot.sure)
                continue
            for core in _spots(heat[spot.box.rows, spot.box.columns], _CORE):
                inner = core.box.moved(spot.box.left, spot.box.top)
                if min(inner.width * across, inner.height * down) <= huge:
                    yield Found(_text(inner, across, down), core.sure)
                elif (thick := thickness(core.marks)) and thick * max(across, down) <= huge:
                    aside = round(thick * _ALONG) + 1
                    for piece in pieces(core.marks, thick):
                        box = piece.moved(inner.left, inner.top).grown(aside, aside)
                        yield Found(_enlarged(box, across, down), core.sure)
                else:
                    if not again or _may_be_a_word(core):  # and can be read
                        yield Found(_text(inner, across, down), sure=0.0)
                    if again:
                        yield from self._again(picture, _enlarged(inner, across, down), huge, again)

    def _again(self, picture: Picture, where: Box, huge: float, again: tuple[float, ...]) -> Iterator[Found]:
        """What is in a huge spot, seen by itself. What is huge at every scale stays so: most of it is no text."""
        rows, columns = picture.shape[:2]
        part = where.grown(_MARGIN, _MARGIN).within(columns, rows)
        enough, most = ((pixels / part.area) ** 0.5 for pixels in (_ENOUGH_AGAIN, _MOST_AGAIN))
        scale = min(again[0] * min(max(enough, _COARSER), 1.0), most)
        for box, sure in self._looked(picture[part.rows, part.columns], scale, huge, again[1:]):
            yield Found(box.moved(part.left, part.top), sure)

    def _heat(self, picture: Picture, scale: float) -> Heat:
        """How likely each pixel is part of text, 0 to 1, of the picture enlarged so that the network can take it."""
        sides = [max(round(side * scale / _STRIDE), 1) * _STRIDE for side in picture.shape[1::-1]]
        shrinks = sides[0] < picture.shape[1]
        resized = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        given = cv2.cvtColor(cv2.LUT(resized, _GREYS), cv2.COLOR_RGB2RGBA)
        heat: Heat = self._network.run(None, {PICTURES: given[None]})[0][0, 0]
        return heat

    @cached_property
    def _network(self) -> Any:
        return network(_MODEL)


class _Spot(NamedTuple):
    """Neighbouring pixels of a heat map: their box, how likely they are text, and which of the box they are."""

    box: Box
    sure: float
    marks: Marks


def _may_be_a_word(spot: _Spot) -> bool:
    short, long = sorted((spot.box.width, spot.box.height))
    return spot.sure >= _CLEAR and long >= _WIDE * short and float(spot.marks.mean()) >= _FULL


def _spots(heat: Heat, likely: float) -> list[_Spot]:
    """Where neighbouring pixels are likely, together and one of them surely, to be text."""
    sure = heat >= _SURE
    if not sure.any():
        return []
    labels, places = islands((heat > likely).astype(np.uint8))
    spots = []
    for label in np.flatnonzero(np.bincount(labels[sure])).tolist():
        left, top, width, height, area = places[label].tolist()
        box = Box(left, top, left + width, top + height)
        marks = labels[box.rows, box.columns] == label
        mean = float(heat[box.rows, box.columns][marks].sum()) / area
        if min(width, height) >= _THIN and mean >= _MEAN:
            spots.append(_Spot(box, mean, marks))
    return spots


def _text(spot: Box, across: float, down: float) -> Box:
    """The box of the text of which a spot is the middle, in pixels of the picture."""
    height = min(spot.width, spot.height)
    along, aside = round(height * _ALONG) + 1, round(height * _ACROSS) + 1
    grown = spot.grown(along, aside) if spot.width >= spot.height else spot.grown(aside, along)
    return _enlarged(grown, across, down)


def _enlarged(box: Box, across: float, down: float) -> Box:
    """The pixels of the picture that a box in its heat map stands for."""
    left, top = int(np.floor(box.left * across)), int(np.floor(box.top * down))
    return Box(left, top, int(np.ceil(box.right * across)), int(np.ceil(box.bottom * down)))
