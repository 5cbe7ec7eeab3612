"""Looks at all frames of an object, as few times as that takes: equal frames once, a stretch of time in a few pictures,
the tiles of a slide one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from pydicom.dataset import Dataset

from ..deid.pixels import SLIDE, screen_kind
from .box import Box
from .cine import Stretch, stretch_of
from .frames import Frames
from .looking import Eyes, Seen, needs_tiles
from .moving import followed
from .proof import suspicious
from .showing import Showing, Shown
from .views import Grey, Picture, picture_of, plain_picture

_FEW = 2
"""So many different frames are looked at one by one."""
_FRAMES_A_STILL = 27
"""For every so many frames of a stretch, one is also looked at by itself."""
_CALM = 0.995
"""Of the pixels of a box: a single digit that changes is more than the others."""


@dataclass(frozen=True)
class Sight:
    """What was seen in some frames (counted from 0) that were looked at together; `plain` shows them."""

    frames: tuple[int, ...]
    seen: Seen
    plain: Picture
    steady: Grey | None = None
    """1 where nothing moves, in a stretch of time."""
    alone: Callable[[int], Picture] | None = None
    """Shows one of its frames, where they differ."""
    single: int | None = None
    """The one of its frames that was looked at by itself."""
    engines: tuple[str, ...] = ()
    """The editions of what looked."""

    def can_be_read(self, box: Box) -> bool:
        """Whether what stands in a box is the same in all frames."""
        return self.steady is None or float(np.mean(self.steady[box.rows, box.columns])) >= _CALM


def sights_of(frames: Frames, header: Dataset, eyes: Eyes) -> Iterator[Sight]:
    """All that is seen in an object. Raises CannotClean for a frame that cannot be read."""
    shown = Shown(frames, header)
    alike = _alike(frames)
    if len(alike) <= _FEW or str(header.get("SOPClassUID", "")) == SLIDE:
        for numbers in alike:
            yield _still(shown, numbers, eyes, proves=screen_kind(header) is None)
        return
    for sight in in_time(shown, tuple(range(len(frames))), eyes):
        yield sight
        if sight.single is not None:
            moving = [box for box in sight.seen.boxes if not sight.can_be_read(box)]
            for other, boxes in followed(shown, sight.single, moving).items():
                yield Sight((other,), Seen(tuple(boxes)), _plain(shown, other))


def in_time(shown: Showing, numbers: tuple[int, ...], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in frames that follow each other. Raises CannotClean for a frame that cannot be read."""
    stretch = stretch_of(shown, numbers)
    plain, steady, alone = stretch.plain(), stretch.steady(), partial(_plain, shown)
    yield Sight(numbers, eyes.look(stretch.picture(), plain), plain, steady, alone, engines=tuple(eyes.editions))
    for number in _singled_out(stretch, numbers):  # what is in one may as well be in others
        yield replace(_still(shown, (number,), eyes), frames=numbers, steady=steady, alone=alone, single=number)


def _still(shown: Showing, numbers: tuple[int, ...], eyes: Eyes, *, proves: bool = False) -> Sight:
    frame = shown.frame(numbers[0])
    picture = picture_of(frame, inverted=shown.inverted)
    proves = proves and frame.ndim == 2
    if proves and eyes.gate.clears(picture):
        return Sight(numbers, Seen(()), picture, engines=(eyes.gate.edition,))
    plain = plain_picture(frame, inverted=shown.inverted)
    if not proves:
        return Sight(numbers, eyes.look(picture, plain), plain, engines=tuple(eyes.editions))
    seen = eyes.look(picture, plain, suspicious(frame) if needs_tiles(frame.shape) else None)
    return Sight(numbers, seen, plain, engines=(eyes.gate.edition, *eyes.editions))


def _plain(shown: Showing, number: int) -> Picture:
    return plain_picture(shown.frame(number), inverted=shown.inverted)


def _singled_out(stretch: Stretch, numbers: tuple[int, ...]) -> list[int]:
    """Frames of a long stretch that are worth a look of their own: the strangest, then others, evenly."""
    count = len(numbers)
    more = count // _FRAMES_A_STILL
    evenly = [numbers[round((at + 0.5) * count / more)] for at in range(more)] if more else []
    return sorted(list(dict.fromkeys([stretch.strangest, *evenly]))[:more])


def _alike(frames: Frames) -> list[tuple[int, ...]]:
    """The numbers of the frames, those of equal ones together."""
    if len(frames) == 1:
        return [(0,)]
    groups: dict[bytes, list[int]] = {}
    for number in range(len(frames)):
        groups.setdefault(frames.digest(number), []).append(number)
    return [tuple(numbers) for numbers in groups.values()]
