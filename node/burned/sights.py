"""Looks at all frames of an object, as few times as that takes: equal frames once, a stretch of time in a few pictures,
the tiles of a slide one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from .box import Box
from .cine import Stretch, stretch_of
from .frames import Frames
from .looking import Eyes, Seen
from .showing import Shown
from .views import Grey, Picture, picture_of, plain_picture

_FEW = 2
"""So many different frames are looked at one by one."""
_FRAMES_A_STILL = 27
"""For every so many frames of a stretch, one is also looked at by itself."""
_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_CALM = 0.9


@dataclass(frozen=True)
class Sight:
    """What was seen in some frames (counted from 0) that were looked at together; `plain` shows them."""

    frames: tuple[int, ...]
    seen: Seen
    plain: Picture
    steady: Grey | None = None
    """1 where nothing moves, in a stretch of time."""

    def can_be_read(self, box: Box) -> bool:
        """Whether what stands in a box is the same in all frames."""
        return self.steady is None or float(np.mean(self.steady[box.rows, box.columns])) >= _CALM


def sights_of(frames: Frames, header: Dataset, eyes: Eyes) -> Iterator[Sight]:
    """All that is seen in an object. Raises CannotClean for a frame that cannot be read."""
    shown = Shown(frames, header)
    alike = _alike(frames)
    if len(alike) <= _FEW or str(header.get("SOPClassUID", "")) == _SLIDE:
        for numbers in alike:
            yield _still(shown, numbers, eyes)
        return
    stretch, every = stretch_of(shown), tuple(range(len(frames)))
    plain, steady = stretch.plain(), stretch.steady()
    yield Sight(every, eyes.look(stretch.pictures(), plain), plain, steady)
    for number in _singled_out(stretch, len(frames)):  # what is in one may as well be in others
        yield replace(_still(shown, (number,), eyes), frames=every, steady=steady)


def _still(shown: Shown, numbers: tuple[int, ...], eyes: Eyes) -> Sight:
    frame = shown.frame(numbers[0])
    plain = plain_picture(frame, inverted=shown.inverted)
    return Sight(numbers, eyes.look([picture_of(frame, inverted=shown.inverted)], plain), plain)


def _singled_out(stretch: Stretch, count: int) -> list[int]:
    """Frames of a long stretch that are worth a look of their own: the strangest, then others, evenly."""
    more = count // _FRAMES_A_STILL
    evenly = [round((at + 0.5) * count / more) for at in range(more)] if more else []
    return list(dict.fromkeys([stretch.strangest, *evenly]))[:more]


def _alike(frames: Frames) -> list[tuple[int, ...]]:
    """The numbers of the frames, those of equal ones together."""
    if len(frames) == 1:
        return [(0,)]
    groups: dict[bytes, list[int]] = {}
    for number in range(len(frames)):
        groups.setdefault(frames.digest(number), []).append(number)
    return [tuple(numbers) for numbers in groups.values()]
