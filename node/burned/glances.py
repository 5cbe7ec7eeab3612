"""Looks at frames that are alike at a glance, a few of them together, and by itself at each that has what that finds
beside what is known; from there on to the next ones as long as something moves, for it is not seen in all of them at a
glance.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import cv2
import numpy as np

from .box import Box
from .form import Pixels
from .islands import extent
from .looking import Eyes, around
from .moving import beside
from .showing import Showing
from .sight import Sight
from .views import Grey, Picture, Wide, grey_picture, in_grey, plain_picture

Alike = tuple[int, ...]
"""The numbers of frames that are equal."""
_AT_ONCE = 3
"""So many frames of a cine are glanced at together: few enough for what is written on each to be seen as text."""
_LETTERS = 2
"""So many letters, as wide as the line is high, stick out of what is known where there is more."""
_SAME = 0.5
"""How much of two boxes is in both where they hold the same line, which has not moved."""
_HAS = 0.7
"""How far a frame is from what is usual where something was found, of how far that is which has it for sure."""
_STAYS = 0.5
"""How much of what stands in a box of a frame is usual in all of them, where it is no news."""


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

    def moves(sights: Sequence[Sight]) -> bool:
        return any(_moves(one, shown, mean, known(one.frames[0]), eyes) for one in sights)

    def seen(at: int, some: Sequence[Alike]) -> tuple[list[Sight], bool]:
        """What is seen in some frames of a group, and in all of it where something moves; whether it does."""
        looked.add(at)
        sights = [look(numbers) for numbers in some]
        if not moves(sights):
            return sights, False
        return [*sights, *(look(numbers) for numbers in groups[at] if numbers not in some)], True

    for at, few in enumerate(groups):
        before, begins = goes_on, any(numbers[0] in begun for numbers in few)
        some = few if before or begins else _with_more(shown, few, mean, known, eyes, where)
        sights, goes_on = seen(at, some) if some else ([], False)
        yield from sights
        back = at - 1
        while goes_on and not before and back >= 0 and back not in looked and shown.has(groups[back][0][0]):
            sights, on = seen(back, groups[back])
            yield from sights
            back = back - 1 if on else -1


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


def stays(grey: Pixels, mean: Wide, box: Box) -> bool:
    """Whether most of what stands in a box of a frame is there in what is usual, too."""
    one, usual = (part[box.rows, box.columns].astype(np.float32) for part in (grey, mean))
    one -= one.mean()
    return float((one * usual).sum()) >= _STAYS * float((one * one).sum())


def _with_more(
    shown: Showing,
    few: Sequence[Alike],
    mean: Wide,
    known: Callable[[int], Sequence[Box]],
    eyes: Eyes,
    where: Box,
) -> Sequence[Alike]:
    """Those of a few frames that show more than is known: all of them at a glance, then what of them is more than
    usual, for a name over speckle as bright is in that."""
    before = [box for numbers in few for box in known(numbers[0])]
    frames = [shown.frame(numbers[0]) for numbers in few]
    if more := eyes.glance(_together(frames, inverted=shown.inverted), before, where):
        return _having(few, frames, mean, more)
    if more := eyes.glance(_beyond_usual(frames, mean, inverted=shown.inverted), before, where):
        return _having(few, frames, mean, more)
    return ()


def _having(few: Sequence[Alike], frames: Sequence[Pixels], mean: Wide, boxes: Sequence[Box]) -> Sequence[Alike]:
    """Those frames that have what is in any of the boxes: in which it is as far from what is usual, or nearly so."""
    away = [[_away(grey, mean, box) for box in boxes] for grey in map(in_grey, frames)]
    most = np.max(away, axis=0)
    return [numbers for numbers, far in zip(few, away, strict=True) if (far >= _HAS * most).any()]


def _away(grey: Pixels, mean: Wide, box: Box) -> float:
    return float(np.sqrt(np.square(grey[box.rows, box.columns] - mean[box.rows, box.columns]).mean()))


def _beyond_usual(frames: Sequence[Pixels], mean: Wide, *, inverted: bool) -> Picture:
    way = -1 if inverted else 1
    most = np.max([way * (in_grey(one).astype(np.float32) - mean) for one in frames], axis=0)
    return np.dstack([grey_picture(most.clip(0))] * 3)


def _together(frames: Sequence[Pixels], *, inverted: bool) -> Picture:
    """A few frames in one picture: its colours are the highest values, the mean and the lowest."""
    plain = (plain_picture(one, inverted=inverted) for one in frames)
    greys = np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in plain])
    return np.dstack([greys.max(axis=0), greys.mean(axis=0, dtype=np.float32).astype(np.uint8), greys.min(axis=0)])


def _moves(sight: Sight, shown: Showing, mean: Wide, known: Sequence[Box], eyes: Eyes) -> bool:
    """Whether something can be read where nothing was known, or not all of it, and a frame beside has it as well: what
    was seen of many frames together is often a part of what moves through them. What stays where it is does not move,
    though it was not known."""
    number = sight.frames[0]
    grey = shown.grey(number)
    more = [
        box
        for box in sight.seen.boxes
        if not any(is_same_line(box, other) for other in known)
        or _beyond(box, known) > _LETTERS * min(box.width, box.height) ** 2
    ]
    news = eyes.readable(sight.plain, [box for box in more if not stays(grey, mean, box)])
    return bool(news) and bool(beside(_Unusual(shown, mean), number, news))


class _Unusual:
    """What of frames is not usual, in grey levels: without the body beneath, in which frames are alike."""

    def __init__(self, shown: Showing, mean: Wide) -> None:
        self._shown, self._mean = shown, mean

    def __len__(self) -> int:
        return len(self._shown)

    def grey(self, number: int) -> Wide:
        """Of one frame."""
        return np.asarray(self._shown.grey(number) - self._mean, np.float32)


def _beyond(box: Box, known: Sequence[Box]) -> int:
    """The pixels of a box that no other holds."""
    free = np.ones((box.height, box.width), np.bool_)
    for other in known:
        part = box.shared(other).moved(-box.left, -box.top)
        if part.area:
            free[part.rows, part.columns] = False
    return int(free.sum())
