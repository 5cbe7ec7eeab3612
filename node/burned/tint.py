"""Shows colour without light, where something may be written in colour alone: as light as what is around it, or nearly,
so that no picture of how light pixels are shows it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from .box import Box
from .form import Pixels
from .proof import suspicious
from .views import Picture, in_grey, standing_out

_PLANES = np.array([[1, -1, 0], [-0.5, -0.5, 1], [0.15, -1.85, 1.7]], np.float32)
"""Red against green, blue against yellow, and both in one; grey is 0 in all."""
_LEAST = 0.01
"""Of the range of values: how far the colours of a frame differ at least, for it to be called coloured."""
_MORE = 2.0
"""How much more colour than light differs in a place, in which something is written in colour alone."""
_KNOWN = 0.5
_HALF = 2


def tint_of(colours: Pixels, known: Sequence[Box]) -> tuple[Picture, Box] | None:
    """The picture of a frame's colour, and around what in it something may be written; None where there are no strokes
    in it but in boxes that are known, and where light differs more."""
    if min(colours.shape[:2]) <= _HALF:
        return None
    narrow = colours if colours.dtype.itemsize < 4 else colours.astype(np.float32)
    half = np.asarray(cv2.resize(narrow, None, fx=1 / _HALF, fy=1 / _HALF, interpolation=cv2.INTER_AREA))
    both = _planes(half, _PLANES[2:])
    if np.ptp(both) <= _LEAST * max(float(half.max()), 1.0):
        return None
    light = in_grey(half)
    alone = [one for one in suspicious(both) if _spread(both, one) >= _MORE * _spread(light, one)]
    fresh = _unknown([_doubled(place) for place in alone], known)
    if not fresh:
        return None
    wide = _planes(colours, _PLANES)
    return np.dstack([standing_out(one) for one in np.moveaxis(wide, 2, 0)]), reduce(Box.around, fresh)


def _spread(values: Pixels, place: Box) -> float:
    return float(values[place.rows, place.columns].std())


def _doubled(box: Box) -> Box:
    return Box(*(_HALF * side for side in box))


def _unknown(places: Sequence[Box], known: Sequence[Box]) -> list[Box]:
    """Those of which others do not hold most."""
    return [place for place in places if sum(place.shared(box).area for box in known) < _KNOWN * place.area]


def _planes(colours: Pixels, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.transform(colours.astype(np.float32), weights), np.float32)
