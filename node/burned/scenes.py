"""Cuts a sequence of frames where one no longer looks like the next: a cine can be shown in one picture, pages that
happen to be the frames of one object cannot, for what is written on one hides what is written on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .showing import Showing

IN_TIME, OF_PAGES = 0.75, 0.97
"""How alike (correlation) frames have to be to stay together. Those of cines are 0.84 and more, pages of text 0.2; but
pages that share what is around their text are alike as well: what is captured page by page has to be more so."""
_EVERY = 7
"""So many pixels are passed over for each that is looked at."""


def scenes_of(shown: Showing, numbers: Sequence[int], alike: float) -> Iterator[tuple[int, ...]]:
    """Those frames (counted from 0), in their order, those together that follow each other and are so much alike.
    Raises CannotClean for a frame that cannot be read."""
    scene = [numbers[0]]
    for number, (one, two) in zip(numbers[1:], pairwise(_some(shown, at) for at in numbers), strict=True):
        if _correlation(one, two) < alike:
            yield tuple(scene)
            scene = []
        scene.append(number)
    yield tuple(scene)


def _some(shown: Showing, number: int) -> npt.NDArray[np.float32]:
    """Some of its pixels, spread evenly, less their mean."""
    some = np.asarray(shown.grey(number).ravel()[::_EVERY], np.float32)
    return np.asarray(some - some.mean(), np.float32)


def _correlation(one: npt.NDArray[np.float32], two: npt.NDArray[np.float32]) -> float:
    """Of two frames; 1 where both are flat."""
    spread = float(np.sqrt(np.dot(one, one) * np.dot(two, two)))
    return float(np.dot(one, two)) / spread if spread else float(not one.any() and not two.any())
