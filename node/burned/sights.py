"""Looks at all frames of an object, as few times as that takes: equal frames once, a stretch of time in a few pictures
and at a glance, pages and the tiles of a slide one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from pydicom.dataset import Dataset

from ..deid.pixels import SLIDE, screen_kind
from .box import Box
from .cine import Stretch, stretch_of
from .form import Pixels
from .frames import Frames
from .glances import Alike, changing, glanced, is_same_line, stays
from .looking import Eyes, Seen, needs_tiles
from .moving import beside, followed
from .painted import blank, painted
from .proof import suspicious
from .scenes import IN_TIME, OF_PAGES, scenes_of
from .showing import Showing, Shown
from .sight import Sight
from .tables import tables_of
from .tint import tint_of
from .views import Picture, Wide, picture_of, plain_picture
from .whispers import whispered_in

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""How the UIDs of all its SOP Classes begin."""
_FEW = 2
"""So many different frames are looked at one by one."""
_FRAMES_A_STILL = 27
"""For every so many frames of a stretch, one is also looked at by itself."""
_TRAIL = 0.13
"""What is higher than that part of a frame is no line of text."""


def sights_of(frames: Frames, header: Dataset, eyes: Eyes) -> Iterator[Sight]:
    """All that is seen in an object. Raises CannotClean for a frame that cannot be read."""
    shown, proves = Shown(frames, header), screen_kind(header) is None
    groups = alike(frames)
    yield from _beneath(shown, groups, eyes)
    yield from _by_tables(shown, groups, tables_of(header, frames.form), eyes)
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
            words = eyes.words(picture)
            yield Sight(numbers, Seen(tuple(words)), picture, engines=tuple(eyes.editions))


def _by_tables(
    shown: Shown, groups: Sequence[tuple[int, ...]], tables: Sequence[Pixels], eyes: Eyes
) -> Iterator[Sight]:
    """What is written in what tables of the object's own make of its frames."""
    for numbers in groups if tables else ():
        levels = shown.frames.stored(numbers[0])
        for table in tables:
            picture = plain_picture(table[levels.astype(np.int64) - shown.frames.form.lowest])
            words = eyes.words(picture)
            yield Sight(numbers, Seen(tuple(words)), picture, engines=tuple(eyes.editions))


def _cine(shown: Shown, scene: tuple[int, ...], fresh: Sequence[tuple[int, ...]], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in frames that are alike: in all together, and in each of a few that show more at a glance. Those
    that are equal, and came in no scene before, are together in `fresh`."""
    seen, moved, steady, mean = list[Box](), defaultdict[int, list[Box]](list), None, None
    for sight in in_time(shown, scene, eyes):
        yield sight
        steady, mean = sight.steady, sight.mean
        seen += _lines(sight)
        if sight.single is not None:
            moving = [box for box in sight.seen.boxes if not sight.can_be_read(box)]
            for other, boxes in followed(shown, sight.single, moving).items():
                moved[other] += boxes
                yield Sight((other,), Seen(tuple(boxes)), _plain(shown, other))
    assert steady is not None and mean is not None
    yield from glanced(
        shown,
        fresh,
        changing(steady, seen),
        eyes,
        mean=mean,
        known=lambda number: [*seen, *moved[number]],
        look=lambda numbers: _still(shown, numbers, eyes),
    )
    for sight in _painted_in(shown, fresh, seen, eyes):
        yield replace(sight, frames=scene, steady=steady, alone=partial(_plain, shown))


def _painted_in(shown: Shown, fresh: Sequence[Alike], seen: Sequence[Box], eyes: Eyes) -> Iterator[Sight]:
    """What is painted in some of the frames, where nothing was in those before them."""
    known, before = list(seen), None
    for numbers in fresh:
        frame = shown.frame(numbers[0])
        if frame.ndim != 3:
            return
        plain = plain_picture(frame)
        before = blank(plain.shape) if before is None else before
        if words := eyes.close_up(painted(plain, known, before), known):
            known += words
            yield Sight(numbers, Seen(tuple(words)), plain, single=numbers[0])


def in_film(shown: Showing, numbers: Sequence[int], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in a stretch of a film, which may be cut. Raises CannotClean for a frame that cannot be read."""
    return _in_scenes(shown, numbers, eyes, _run)


def in_film_again(shown: Showing, numbers: Sequence[int], eyes: Eyes) -> Iterator[Sight]:
    """The same in a film that was made of one looked at so: what moves was looked for there, frame by frame, and to do
    so again would find more in noise than was missed."""
    return _in_scenes(shown, numbers, eyes, in_time)


def _in_scenes(
    shown: Showing,
    numbers: Sequence[int],
    eyes: Eyes,
    look: Callable[[Showing, tuple[int, ...], Eyes], Iterator[Sight]],
) -> Iterator[Sight]:
    for scene in scenes_of(shown, numbers, IN_TIME):
        if len(scene) > _FEW:
            yield from look(shown, scene, eyes)
        else:
            yield from (_still(shown, (number,), eyes) for number in scene)


def _run(shown: Showing, scene: tuple[int, ...], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in frames of a film that are alike: in all together, and in each in which something moves or more is
    seen at a glance."""
    seen, begun, steady, mean = list[Box](), set[int](), None, None
    for sight in in_time(shown, scene, eyes):
        yield sight
        steady, mean = sight.steady, sight.mean
        if sight.single is None:
            seen += _lines(sight)
            continue
        still = [
            box for box in sight.seen.boxes if sight.can_be_read(box) or any(is_same_line(box, one) for one in seen)
        ]
        if len(still) < len(sight.seen.boxes):
            begun.add(sight.single)
        seen += still
    assert steady is not None and mean is not None
    yield from glanced(
        shown,
        [(number,) for number in scene],
        changing(steady, seen),
        eyes,
        mean=mean,
        known=lambda _: seen,
        look=lambda numbers: _passing(shown, numbers, eyes),
        begun=begun,
    )


def _lines(sight: Sight) -> list[Box]:
    """What was seen in a stretch of time, but for what is too high for a line and changes: where a line moves, or may
    come to, of which a part sticks out now and then."""
    highest = _TRAIL * min(sight.plain.shape[:2])
    return [box for box in sight.seen.boxes if min(box.width, box.height) < highest or sight.can_be_read(box)]


def _passing(shown: Showing, numbers: tuple[int, ...], eyes: Eyes) -> Sight:
    """What can be read in a frame of a film that is looked at for what moves; all else was seen in many of them."""
    sight = _still(shown, numbers, eyes)
    boxes = eyes.readable(sight.plain, [*sight.seen.boxes, *sight.seen.left])
    return replace(sight, seen=Seen(tuple(boxes)), passing=True)


def in_time(shown: Showing, numbers: tuple[int, ...], eyes: Eyes) -> Iterator[Sight]:
    """What is seen in frames that follow each other. Raises CannotClean for a frame that cannot be read."""
    stretch = stretch_of(shown, numbers)
    plain, steady, alone = stretch.plain(), stretch.steady(), partial(_plain, shown)
    seen = eyes.look(stretch.picture(), plain)
    sight = Sight(numbers, seen, plain, steady, stretch.mean, alone, engines=tuple(eyes.editions))
    passing = [box for box in seen.boxes if not sight.can_be_read(box)]
    more = eyes.further(stretch.what_passes, passing, plain.shape)
    more += [box for one in (stretch.high, stretch.low) for box in whispered_in(one.astype(np.int64), eyes)]
    yield replace(sight, seen=_and(seen, more))
    for number in _singled_out(stretch, numbers):  # what is in one may as well be in others
        one = _still(shown, (number,), eyes)
        if len(numbers) < _FRAMES_A_STILL:
            one = replace(one, seen=Seen(tuple(_news(one, shown.grey(number), stretch.mean, seen.boxes, eyes))))
        yield replace(one, frames=numbers, steady=steady, mean=stretch.mean, alone=alone, single=number)


def _news(one: Sight, grey: Pixels, mean: Wide, known: Sequence[Box], eyes: Eyes) -> list[Box]:
    """What can be read in a frame of a few that no picture of all of them shows, for it moves or is in that one."""
    boxes = [
        box
        for box in one.seen.boxes
        if not any(is_same_line(box, other) for other in known) and not stays(grey, mean, box)
    ]
    return eyes.readable(one.plain, boxes)


def _still(shown: Showing, numbers: tuple[int, ...], eyes: Eyes, *, proves: bool = False) -> Sight:
    frame = shown.frame(numbers[0])
    picture = picture_of(frame, inverted=shown.inverted)
    proves = proves and frame.ndim == 2
    whispered = whispered_in(frame, eyes) if frame.ndim == 2 else []
    if proves and eyes.gate.clears(picture):
        return Sight(numbers, Seen(tuple(whispered)), picture, engines=(eyes.gate.edition,))
    plain = plain_picture(frame, inverted=shown.inverted)
    if not proves:
        seen = eyes.look_at(picture, plain)
        seen = _and(_with_colours(frame, plain, seen, eyes), whispered)
        return Sight(numbers, seen, plain, engines=tuple(eyes.editions))
    seen = eyes.look_at(picture, plain, suspicious(frame) if needs_tiles(frame.shape) else None)
    return Sight(numbers, _and(seen, whispered), plain, engines=(eyes.gate.edition, *eyes.editions))


def _with_colours(frame: Pixels, plain: Picture, seen: Seen, eyes: Eyes) -> Seen:
    """The same, and what is written in colour alone or painted over a grey picture."""
    if frame.ndim != 3:
        return seen
    tint = tint_of(frame, seen.boxes)
    more = eyes.words(*tint) if tint else []
    known = [*seen.boxes, *more]
    more += eyes.close_up(painted(plain, known), known)
    return _and(seen, more)


def _and(seen: Seen, more: Sequence[Box]) -> Seen:
    """The same, and those boxes."""
    return replace(seen, first=(*seen.first, *more)) if more else seen


def _plain(shown: Showing, number: int) -> Picture:
    return plain_picture(shown.frame(number), inverted=shown.inverted)


def _singled_out(stretch: Stretch, numbers: tuple[int, ...]) -> list[int]:
    """Frames that are worth a look of their own: the strangest, then, in a long stretch, others, evenly."""
    count = len(numbers)
    more = max(count // _FRAMES_A_STILL, 1)
    evenly = [numbers[round((at + 0.5) * count / more)] for at in range(more)]
    return sorted(list(dict.fromkeys([stretch.strangest, *evenly]))[:more])


def alike(frames: Frames) -> list[tuple[int, ...]]:
    """The numbers of the frames, those of equal ones together."""
    if len(frames) == 1:
        return [(0,)]
    groups: dict[bytes, list[int]] = {}
    for number in range(len(frames)):
        groups.setdefault(frames.digest(number), []).append(number)
    return [tuple(numbers) for numbers in groups.values()]
