"""Looks at frames that are alike at a glance, a few of them together, and by itself at each in which that finds more
than is known; from there on to the next ones as long as something moves, for it is not seen in all of them at a glance.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import cv2
import numpy as np

from .box import Box
from .islands import extent
from .looking import Eyes, around
from .showing import Showing
from .sight import Sight
from .views import Grey, Picture, Wide, grey_picture, plain_picture

Alike = tuple[int, ...]
"""The numbers of frames that are equal."""
_AT_ONCE = 3
"""So many frames of a cine are glanced at together: few enough for what is written on each to be seen as text."""
_LETTERS = 2
"""So many letters, as wide as the line is high, stick out of what is known where there is more."""
_SAME = 0.5
"""How much of two boxes is in both where they hold the same line, which has not moved."""


def glanced(
    shown: Showing,
    fresh: Sequence[Alike],
    where: Box,
    eyes: Eyes,
    *,
    mean: Wide,
    known: Callable[[int], Sequence[Box]],
    look: Callable[[Alike], Sight],
    begun: Collection[int] = (),
) -> Iterator[Sight]:
    """What is seen in those of the frames that show more than is known of each, as `look` sees it; only `where` it can
    be. `mean` is what is usual in all. In the frames of `begun` something was seen that moves. Raises CannotClean for a
    frame that cannot be read."""
    groups = [fresh[at : at + _AT_ONCE] for at in range(0, len(fresh) if where.area else 0, _AT_ONCE)]
    looked, goes_on = set[int](), False

    def seen(at: int) -> list[Sight]:
        looked.add(at)
        return [look(numbers) for numbers in groups[at]]

    def moves(sights: Sequence[Sight]) -> bool:
        return any(_moves(one, known(one.frames[0]), eyes) for one in sights)

    for at, few in enumerate(groups):
        beside = [box for numbers in few for box in known(numbers[0])]
        before, begins = goes_on, any(numbers[0] in begun for numbers in few)
        if not before and not begins and not any(eyes.glance(one, beside, where) for one in _shown(shown, few, mean)):
            continue
        sights = seen(at)
        yield from sights
        goes_on = moves(sights)
        back = at - 1
        while goes_on and not before and back >= 0 and back not in looked and shown.has(groups[back][0][0]):
            sights = seen(back)
            yield from sights
            back = back - 1 if moves(sights) else -1


def changing(steady: Grey, seen: Sequence[Box]) -> Box:
    """Around all that changes in frames that are alike, outside of what was seen; empty where nothing does."""
    changes = steady == 0
    for box in seen:
        changes[box.rows, box.columns] = False
    return around(extent(changes), steady.shape)


def is_same_line(one: Box, two: Box) -> bool:
    """Whether two boxes that were found in different frames hold a line that has not moved."""
    shared = one.shared(two).area
    return shared >= _SAME * (one.area + two.area - shared)


def _shown(shown: Showing, few: Sequence[Alike], mean: Wide) -> Iterator[Picture]:
    """A few frames in one picture, then what of them is more than usual: a name over speckle as bright is in that."""
    yield _together(shown, few)
    yield _beyond_usual(shown, few, mean)


def _beyond_usual(shown: Showing, few: Sequence[Alike], mean: Wide) -> Picture:
    way = -1 if shown.inverted else 1
    most = np.max([way * (shown.grey(numbers[0]).astype(np.float32) - mean) for numbers in few], axis=0)
    return np.dstack([grey_picture(most.clip(0))] * 3)


def _together(shown: Showing, few: Sequence[Alike]) -> Picture:
    """A few frames in one picture: its colours are the highest values, the mean and the lowest."""
    plain = (plain_picture(shown.frame(numbers[0]), inverted=shown.inverted) for numbers in few)
    greys = np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in plain])
    return np.dstack([greys.max(axis=0), greys.mean(axis=0, dtype=np.float32).astype(np.uint8), greys.min(axis=0)])


def _moves(sight: Sight, known: Sequence[Box], eyes: Eyes) -> bool:
    """Whether something can be read where nothing was known, or not all of it: what was seen of many frames together is
    often a part of what moves through them."""
    more = [
        box
        for box in sight.seen.boxes
        if not any(is_same_line(box, other) for other in known)
        or _beyond(box, known) > _LETTERS * min(box.width, box.height) ** 2
    ]
    return bool(eyes.readable(sight.plain, more))


def _beyond(box: Box, known: Sequence[Box]) -> int:
    """The pixels of a box that no other holds."""
    free = np.ones((box.height, box.width), np.bool_)
    for other in known:
        part = box.shared(other).moved(-box.left, -box.top)
        if part.area:
            free[part.rows, part.columns] = False
    return int(free.sum())
