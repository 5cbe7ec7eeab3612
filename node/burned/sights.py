"""Looks at all frames of an object, as few times as that takes: equal frames once, a stretch of time in a few pictures
and at a glance, pages and the tiles of a slide one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from pydicom.dataset import Dataset

from ..deid.pixels import SLIDE, screen_kind
from .box import Box
from .cine import Stretch, stretch_of
from .form import Pixels
from .frames import Frames
from .islands import extent
from .looking import Eyes, Seen, around, needs_tiles
from .moving import beside, followed
from .proof import suspicious
from .scenes import IN_TIME, OF_PAGES, scenes_of
from .showing import Showing, Shown
from .tint import tint_of
from .views import Grey, Picture, picture_of, plain_picture

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""How the UIDs of all its SOP Classes begin."""
_FEW = 2
"""So many different frames are looked at one by one."""
_FRAMES_A_STILL = 27
"""For every so many frames of a stretch, one is also looked at by itself."""
_GLANCED_AT = 3
"""So many frames of a cine are glanced at together: few enough for what is written on each to be seen as text."""
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
    shown, proves = Shown(frames, header), screen_kind(header) is None
    groups = alike(frames)
    yield from _beneath(shown, groups, eyes)
    if len(groups) <= _FEW or str(header.get("SOPClassUID", "")) == SLIDE:
        for numbers in groups:
            yield _still(shown, numbers, eyes, proves=proves)
        return
    same = {number: numbers for numbers in groups for number in numbers}
    captured = str(header.get("SOPClassUID", "")).startswith(_SECONDARY_CAPTURE)
    for scene in scenes_of(shown, range(len(frames)), OF_PAGES if captured else IN_TIME):
        different = dict.fromkeys(same[number] for number in scene)
        fresh = [numbers for numbers in different if numbers[0] >= scene[0]]  # others came before
        if len(different) > _FEW:
            yield from _cine(shown, scene, fresh, eyes)
            continue
        for numbers in fresh:
            yield (sight := _still(shown, numbers, eyes, proves=proves))
            for other, boxes in beside(shown, numbers[0], sight.seen.boxes).items():
                yield Sight((other,), Seen(tuple(boxes)), _plain(shown, other))


def _beneath(shown: Shown, groups: Sequence[tuple[int, ...]], eyes: Eyes) -> Iterator[Sight]:
    """What is written in indices of a palette that have the same colour."""
    for numbers in groups:
        away = shown.beneath(numbers[0])
        if away is not None and suspicious(away):
            picture = plain_picture(away)
            words = eyes.words(picture, Box(0, 0, picture.shape[1], picture.shape[0]))
            yield Sight(numbers, Seen(tuple(words)), picture, engines=tuple(eyes.editions))


def _cine(shown: Shown, scene: tuple[int, ...], fresh: Sequence[tuple[int, ...]], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in frames that are alike: in all together, and in each of a few that show more at a glance. Those
    that are equal, and came in no scene before, are together in `fresh`."""
    seen, moved, steady = list[Box](), defaultdict[int, list[Box]](list), None
    for sight in in_time(shown, scene, eyes):
        yield sight
        steady = sight.steady
        seen += sight.seen.boxes
        if sight.single is not None:
            moving = [box for box in sight.seen.boxes if not sight.can_be_read(box)]
            for other, boxes in followed(shown, sight.single, moving).items():
                moved[other] += boxes
                yield Sight((other,), Seen(tuple(boxes)), _plain(shown, other))
    where = _changing(steady, seen)
    for at in range(0, len(fresh) if where.area else 0, _GLANCED_AT):
        few = fresh[at : at + _GLANCED_AT]
        known = [*seen, *(box for numbers in few for box in moved[numbers[0]])]
        if eyes.glance(_together(shown, few), known, where):
            for numbers in few:
                yield _still(shown, numbers, eyes)


def _together(shown: Shown, few: Sequence[tuple[int, ...]]) -> Picture:
    """A few frames in one picture: its colours are the highest values, the mean and the lowest."""
    greys = np.stack([cv2.cvtColor(_plain(shown, numbers[0]), cv2.COLOR_RGB2GRAY) for numbers in few])
    return np.dstack([greys.max(axis=0), greys.mean(axis=0, dtype=np.float32).astype(np.uint8), greys.min(axis=0)])


def _changing(steady: Grey | None, seen: Sequence[Box]) -> Box:
    """Around all that changes in frames that are alike, outside of what was seen; empty where nothing does."""
    assert steady is not None
    changes = steady == 0
    for box in seen:
        changes[box.rows, box.columns] = False
    return around(extent(changes), steady.shape)


def in_film(shown: Showing, numbers: Sequence[int], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in a stretch of a film, which may be cut. Raises CannotClean for a frame that cannot be read."""
    for scene in scenes_of(shown, numbers, IN_TIME):
        if len(scene) > _FEW:
            yield from in_time(shown, scene, eyes)
        else:
            yield from (_still(shown, (number,), eyes) for number in scene)


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
        seen = eyes.look(picture, plain)
        return Sight(numbers, _with_tint(frame, seen, eyes), plain, engines=tuple(eyes.editions))
    seen = eyes.look(picture, plain, suspicious(frame) if needs_tiles(frame.shape) else None)
    return Sight(numbers, seen, plain, engines=(eyes.gate.edition, *eyes.editions))


def _with_tint(frame: Pixels, seen: Seen, eyes: Eyes) -> Seen:
    """The same, and what is written in colour alone."""
    tint = tint_of(frame, seen.boxes) if frame.ndim == 3 else None
    more = eyes.words(*tint) if tint else []
    return replace(seen, first=(*seen.first, *more)) if more else seen


def _plain(shown: Showing, number: int) -> Picture:
    return plain_picture(shown.frame(number), inverted=shown.inverted)


def _singled_out(stretch: Stretch, numbers: tuple[int, ...]) -> list[int]:
    """Frames of a long stretch that are worth a look of their own: the strangest, then others, evenly."""
    count = len(numbers)
    more = count // _FRAMES_A_STILL
    evenly = [numbers[round((at + 0.5) * count / more)] for at in range(more)] if more else []
    return sorted(list(dict.fromkeys([stretch.strangest, *evenly]))[:more])


def alike(frames: Frames) -> list[tuple[int, ...]]:
    """The numbers of the frames, those of equal ones together."""
    if len(frames) == 1:
        return [(0,)]
    groups: dict[bytes, list[int]] = {}
    for number in range(len(frames)):
        groups.setdefault(frames.digest(number), []).append(number)
    return [tuple(numbers) for numbers in groups.values()]
