"""Shows a stretch of time in one picture, so that text in many frames is looked for once.

Text that stays is plain in the mean, in which all that moves fades; text that comes and goes is in the highest values,
or, where they do not show it, in how far a pixel ever was from its mean, in terms of how far it usually is. With that
goes how far a few frames in a row are together: what is in one frame shows in the former, what is faint in the latter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from .box import Box
from .showing import Showing
from .views import Grey, Picture, Wide, grey_picture, standing_out


@dataclass(frozen=True)
class Stretch:
    """What a stretch of frames has in common, pixel by pixel, and how far it is apart. `strangest` is the frame that
    is the least like the mean."""

    mean: Wide
    high: Wide
    low: Wide
    strange: Wide
    passing: Wide
    """The furthest that a few frames in a row are together from the mean."""
    strangest: int
    inverted: bool

    def picture(self) -> Picture:
        """What a detector looks at."""
        passing = cv2.addWeighted(grey_picture(self.strange), 0.5, grey_picture(self.passing), 0.5, 0)
        look = np.dstack([standing_out(self.mean), grey_picture(self.high), passing])
        return 255 - look if self.inverted else look

    def what_passes(self, where: Box) -> Picture:
        """What stands in a place in a few frames that follow each other: noise is seldom far off in all of them."""
        return np.dstack([standing_out(self.passing[where.rows, where.columns])] * 3)

    def plain(self) -> Picture:
        """The same as a screen would show it, its three colours being high, mean and low."""
        look = np.dstack([grey_picture(one) for one in (self.high, self.mean, self.low)])
        return 255 - look if self.inverted else look

    def steady(self) -> Grey:
        """1 where a pixel never changes much; what is written there can be read in the mean."""
        span = max(float(self.high.max() - self.low.min()), 1.0)
        return (self.high - self.low <= _STEADY * span).astype(np.uint8)


_STEADY = 0.1
_IN_A_ROW = 3
"""So many frames are taken together: a name that comes is hardly ever there for less."""


def stretch_of(shown: Showing, numbers: Sequence[int]) -> Stretch:
    """Those frames of an object, which are read twice and one by one."""
    count = len(numbers)
    total = high = low = None
    for grey in _greys(shown, numbers):
        total = grey.astype(np.float64) if total is None else total + grey
        high = grey if high is None else np.maximum(high, grey)
        low = grey if low is None else np.minimum(low, grey)
    assert total is not None and high is not None and low is not None
    mean = (total / count).astype(np.float32)
    furthest, usual, passing = np.zeros_like(mean), np.zeros_like(mean), np.zeros_like(mean)
    distances, last = [], deque[Wide](maxlen=_IN_A_ROW)
    for grey in _greys(shown, numbers):
        grey -= mean
        last.append(grey)
        if len(last) == min(_IN_A_ROW, count):
            np.maximum(passing, np.abs(reduce(np.add, last)), out=passing)
        away = np.abs(grey)
        np.maximum(furthest, away, out=furthest)
        usual += away
        distances.append(float(away.mean()))
    usual /= count
    faint = max(float(high.max() - low.min()), 1.0) * 0.01
    strange = furthest / (usual + faint)
    return Stretch(mean, high, low, strange, passing, numbers[int(np.argmax(distances))], shown.inverted)


def _greys(shown: Showing, numbers: Sequence[int]) -> Iterator[Wide]:
    for number in numbers:
        yield shown.grey(number).astype(np.float32)
