"""Finds all text in a picture: looks once at what no window hides, then again, closer, at what a screen would show with
everything found the first time covered.

What only the second look finds, or a detector is not sure of, counts if the reader can make something of it: with the
text gone, a detector looks for it in noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from .beside import blocks_of, further_along, goes_on, is_line, reaches_further
from .bodies import is_body, is_drawn, is_large, is_no_word, is_read
from .box import Box, tiles, without_covered
from .codes import codes_in
from .finder import Found, TextFinder
from .gate import Gate
from .islands import Places, spanned
from .reader import Reader, Reading
from .views import Grey, Picture, evened, in_one

_USUAL = 736 * 736
"""Pixels of a picture as the detector wants it, which costs the same whatever the frame's size."""
_MOST_ENLARGED = 3.0
_CLOSER = 1.1
_GLANCE = 320 * 320
"""Pixels of a frame that is looked at because its neighbours hardly differ."""
_TILE, _OVERLAP = 1100, 96
"""Pixels of a large frame that are looked at together, and how many of them with the next: more than a line is high."""
_LEAST = 0.7
"""A frame that would have to be made smaller than this is looked at in tiles, or small text is lost."""
_SURE = 0.2
"""How sure finders must be, or else what they found has to be read."""
_TALL, _CERTAIN, _MARGIN = 0.05, 1.0, 12
"""What is higher than that part of a frame, is not certain for a finder and cannot be read, is looked at again, with so
many pixels around it and once its height."""
_SURE_BESIDE, _AROUND = 0.5, 1.6
"""How sure they must be beside other lines, and in how many heights of a line what is usual is measured there."""
_LARGE = 72
"""How high, in pixels as a finder has them, the box of a line may be to be seen as well as can be."""
_LAST_LOOKS = 3
"""How often what comes to light under what was covered is covered, too, before the object is refused for it."""
_CLOSE_UP, _MOST_CLOSE = 2.0, 0.4
"""By how much small places are enlarged, and what all of them may cost, in terms of a look at a whole frame."""
_KNOWN = 0.5
_EVEN, _EDGE = 2, 16
"""By how many greys the pixels of a row or column differ in which nothing is written, and how many more pixels beside
what is written are looked at."""
_HIGHEST, _AS_LARGE, _MOST_FURTHER = 0.075, 36, 0.4
"""How high the box of a line is, whose rest is looked for: at most, in terms of the frame, for vessels are higher, and
in pixels as a finder has them then; and what that may cost for all lines, in terms of a look at a whole frame."""
_READ_LETTERS = 2
_SPELT, _SPELT_SURE = 4, 0.4
"""So many different letters are a word in colour, however badly they are read, from that sureness on."""
_SURE_CLOSE = 0.4
"""How sure finders must be of what they see so large."""


@dataclass(frozen=True)
class Seen:
    """What was found in a picture: at the first look, and by the second alone; `left` is what can still be read with
    all of it covered."""

    first: tuple[Box, ...]
    second: tuple[Box, ...] = ()
    left: tuple[Box, ...] = ()

    @property
    def boxes(self) -> list[Box]:
        """All of them."""
        return without_covered((*self.first, *self.second))


class Eyes:
    """Finders and reader that look together, and the gate that may spare them."""

    def __init__(self, finders: Sequence[TextFinder], reader: Reader, gate: Gate) -> None:
        self.finders = finders
        self._by_grey = [finder for finder in finders if getattr(finder, "wants_one_grey", False)]
        self._by_looks = [finder for finder in finders if finder not in self._by_grey]
        self.reader = reader
        self.gate = gate

    @property
    def editions(self) -> list[str]:
        """Names engines, models and versions."""
        return [*(finder.edition for finder in self.finders), self.reader.version]

    def look_at(self, looks: Picture, plain: Picture, places: Sequence[Box] | None = None) -> Seen:
        """What is found in the picture of one frame, and in `plain`; its three looks become one, as some finders want
        to be shown them."""
        scale = _scale(looks.shape)
        found = self._found(looks, scale, places, self._by_looks)
        picture = in_one(looks)
        return self._seen([*found, *self._found(picture, scale, places, self._by_grey)], picture, plain, places)

    def look(self, picture: Picture, plain: Picture, places: Sequence[Box] | None = None) -> Seen:
        """What is found in the picture of a stretch of time, or of what is grey, and in `plain`, which shows the same
        as a screen would. Small text in a large frame is only looked for near `places`, if they are given."""
        return self._seen(self._found(picture, _scale(picture.shape), places, self.finders), picture, plain, places)

    def _seen(self, found: Sequence[Found], picture: Picture, plain: Picture, places: Sequence[Box] | None) -> Seen:
        likely = [one.box for one in found if one.sure >= _SURE]
        highest = _TALL * min(picture.shape[:2])
        tall = [box for box, sure in found if _SURE <= sure < _CERTAIN and min(box.width, box.height) > highest]
        read = self.readable(plain, tall)
        noise = [box for box in tall if box not in read and not self._is_seen_again(picture, plain, box)]
        sure = [box for box in likely if box not in noise]
        doubtful = [*noise, *(one.box for one in found if one.sure < _SURE)]
        read = self.readable(plain, doubtful)
        read += self.readable(picture, [box for box in doubtful if box not in read])
        bodies = self._bodies(plain, picture, sure)
        first = without_covered([*(box for box in sure if box not in bodies), *read])
        rest = covered(plain, first)
        if codes := codes_in(rest):
            first = without_covered([*first, *codes])
            rest = covered(plain, first)
        again = self._again(rest, places)
        second = self.readable(plain, [box for box in again if not _is_known(box, first)], lines=first)
        first = without_covered([*first, *self._beside(plain, [*first, *second])])
        return self.with_the_rest(plain, Seen(tuple(first), tuple(second)))

    def glance(self, plain: Picture, known: Sequence[Box], where: Box) -> list[Box]:
        """What can be read in a part of a frame beside what is known, as far as that is seen at a part of the cost."""
        rest = covered(plain, known)
        part = uneven(rest[where.rows, where.columns]).moved(where.left, where.top)
        scale = min(_scale(plain.shape), sqrt(_GLANCE / max(part.area, 1)))
        found = self._finds(rest[part.rows, part.columns], scale) if part.area else []
        boxes = [one.box.moved(part.left, part.top) for one in found if one.sure >= _SURE]
        return self.readable(plain, [box for box in boxes if not _is_known(box, known)])

    def words(self, picture: Picture, where: Box | None = None) -> list[Box]:
        """What can be read of what one look finds in a picture, or in a part of it."""
        where = where or Box(0, 0, picture.shape[1], picture.shape[0])
        scale, part = max(_scale(picture.shape), _LEAST), np.ascontiguousarray(picture[where.rows, where.columns])
        found = self._found(part, min(scale, _scale(part.shape)), None, self.finders)
        return self.readable(picture, [one.box.moved(where.left, where.top) for one in found])

    def close_up(self, places: Iterable[tuple[Picture, Box]], known: Sequence[Box]) -> list[Box]:
        """What can be read in pictures of small places, each seen as large as is worth it; the first ones are seen
        best. What is known is left out; what goes on where something is read need not be read itself."""
        left, words = _USUAL * _MOST_CLOSE, list[Box]()
        for picture, where in places:
            scale = min(sqrt(left / where.area), _CLOSE_UP)
            if scale < 1:
                return words
            left = max(left - where.area * scale * scale, 0)
            before = [box.moved(-where.left, -where.top) for box in known]
            sure = [one.box for one in self._finds(picture, scale) if one.sure >= _SURE_CLOSE]
            found = [box for box in sure if not _is_known(box, before)]
            readings = self.reader.read(picture, found) if found else []
            read = [box for box, one in zip(found, readings, strict=True) if _spells(one, box, picture.shape)]
            more = [box for box in found if box in read or any(goes_on(box, line) for line in read)]
            words += [box.moved(where.left, where.top) for box in more]
        return words

    def further(self, closer: Callable[[Box], Picture], lines: Sequence[Box], shape: tuple[int, ...]) -> list[Box]:
        """The whole of those lines that go on where they end, each seen by itself and `closer`, as that place is then
        shown: of one that is faint, a look at the whole frame may find a part."""
        left, whole, highest = _USUAL * _MOST_FURTHER, list[Box](), _HIGHEST * min(shape[:2])
        for line in sorted(filter(is_line, lines), key=lambda one: min(one.width, one.height)):
            where, high = further_along(line, shape), min(line.width, line.height)
            if high > highest:
                break
            scale = max(_AS_LARGE / high, _scale(shape))
            left -= where.area * scale * scale
            if left < 0:
                break
            boxes = [one.box for one in self._finds(closer(where), scale) if one.sure >= _SURE_CLOSE]
            there = [box.moved(where.left, where.top) for box in boxes]
            whole += [box for box in there if goes_on(box, line) and reaches_further(box, line)]
        return whole

    def _is_seen_again(self, picture: Picture, plain: Picture, box: Box) -> bool:
        """Whether there is still text in most of a box when that place is looked at by itself, inverted or else as a
        screen would show it: what is taken for text in speckle and bodies is, by one look, and is not by the next."""
        aside = min(box.width, box.height) + _MARGIN
        part = box.grown(aside, aside).within(picture.shape[1], picture.shape[0])
        here, scale = box.moved(-part.left, -part.top), _scale(picture.shape)
        looks = (255 - picture[part.rows, part.columns], plain[part.rows, part.columns])
        return any(_is_known(here, [one.box for one in _finds(self._by_grey, look, scale)]) for look in looks)

    def _again(self, rest: Picture, places: Sequence[Box] | None) -> list[Box]:
        """What is found closer, with all that was found covered: where the picture is then even, nothing is."""
        part, scale = uneven(rest), _scale(rest.shape) * _CLOSER
        if scale < _LEAST:
            return [one.box for one in self._found(rest, scale, places, self.finders)]
        found = self._finds(rest[part.rows, part.columns], scale) if part.area else []
        return [one.box.moved(part.left, part.top) for one in found]

    def _beside(self, plain: Picture, first: Sequence[Box]) -> list[Box]:
        """More lines of blocks of small text, seen closer, what is dark as plain as what is bright."""
        more = list[Box]()
        for block in blocks_of(first, max(_scale(plain.shape), _LEAST), shape=plain.shape, most=_USUAL):
            part = evened(plain[block.where.rows, block.where.columns], round(_AROUND * block.height))
            seen = [
                one.box.moved(block.where.left, block.where.top)
                for one in self._finds(part, block.scale)
                if one.sure >= _SURE_BESIDE
            ]
            more += [
                box for box in seen if block.holds(box) and (block.reaches_further(box) or not _is_known(box, first))
            ]
        return more

    def with_the_rest(self, plain: Picture, seen: Seen) -> Seen:
        """The same, and what can still be read once all of it is covered, until nothing is left or it is too often."""
        latest = seen.second
        for _ in range(_LAST_LOOKS):
            latest = tuple(self._left(plain, seen, latest))
            if not latest:
                return seen
            seen = replace(seen, second=(*seen.second, *latest))
        return replace(seen, left=tuple(self._left(plain, seen, latest)))

    def _left(self, plain: Picture, seen: Seen, latest: Sequence[Box]) -> list[Box]:
        """What can still be read around the latest of what was found, once all of it is covered."""
        rows, columns = plain.shape[:2]
        shown, left = covered(plain, seen.boxes), list[Box]()
        for box in latest:
            line = min(box.width, box.height)
            part = box.grown(2 * line, 2 * line).within(columns, rows)
            enough = max(_scale(plain.shape) * _CLOSER, _LARGE / line)
            shape = part.height, part.width
            at = min(_scale(shape) * _CLOSER, enough)
            for one in self._found(shown[part.rows, part.columns], at, None, self.finders):
                there = one.box.moved(part.left, part.top)
                left += [] if _is_known(there, seen.boxes) else [there]
        return self.readable(shown, left)

    def _found(
        self, picture: Picture, scale: float, places: Sequence[Box] | None, finders: Sequence[TextFinder]
    ) -> list[Found]:
        """What those finders find: in a large frame also in tiles, or small text would be too small."""
        rows, columns = picture.shape[:2]
        found = _finds(finders, picture, scale)
        for tile in tiles(rows, columns, _TILE, _OVERLAP) if scale < _LEAST else ():
            if places is None or any(tile.touches(place) for place in places):
                part = np.ascontiguousarray(picture[tile.rows, tile.columns])
                more = _finds(finders, part, _LEAST)
                found += [Found(box.moved(tile.left, tile.top), sure) for box, sure in more]
        return found

    def _finds(self, picture: Picture, scale: float) -> list[Found]:
        return _finds(self.finders, picture, scale)

    def _bodies(self, plain: Picture, picture: Picture, boxes: Sequence[Box]) -> list[Box]:
        """Those that hold a part of a body, in whichever of the pictures they are read."""
        large = [box for box in boxes if is_large(box, plain.shape)]
        if not large:
            return []
        read = [*zip(self.reader.read(plain, large), self.reader.read(picture, large), strict=True)]
        return [
            box
            for box, both in zip(large, read, strict=True)
            if all(is_body(box, one, plain.shape) for one in both)
            or (all(is_no_word(box, one, plain.shape) for one in both) and not is_drawn(plain, box))
        ]

    def readable(self, picture: Picture, boxes: Sequence[Box], *, lines: Sequence[Box] = ()) -> list[Box]:
        """Those in which something can be read: where one of the lines goes on, a single letter."""
        readings = self.reader.read(picture, boxes) if boxes else []
        return [
            box
            for box, reading in zip(boxes, readings, strict=True)
            if is_read(
                reading,
                box,
                picture.shape,
                enough=1 if any(goes_on(box, line) for line in lines) else _READ_LETTERS,
            )
        ]


def _spells(reading: Reading, box: Box, shape: tuple[int, ...]) -> bool:
    """Whether something can be read, or several letters are seen, if not for sure: vessels are one or two."""
    if is_read(reading, box, shape, enough=_READ_LETTERS):
        return True
    return len(set(reading.text.replace(" ", ""))) >= _SPELT and reading.confidence >= _SPELT_SURE


def covered(picture: Picture, boxes: Sequence[Box]) -> Picture:
    """The picture with boxes filled with what is usual around them."""
    rows, columns = picture.shape[:2]
    filled = picture.copy()
    for box in boxes:
        ring = box.grown(2, 2).within(columns, rows)
        around = [
            picture[ring.top : box.top, ring.columns],
            picture[box.bottom : ring.bottom, ring.columns],
            picture[box.rows, ring.left : box.left],
            picture[box.rows, box.right : ring.right],
        ]
        edge = np.concatenate([part.reshape(-1, picture.shape[2]) for part in around])
        filled[box.rows, box.columns] = np.median(edge, axis=0) if len(edge) else 0
    return filled


def uneven(picture: Picture) -> Box:
    """What is left of a picture without the rows and columns at its edges in which nothing is written; empty where
    nothing is anywhere."""
    colours = [np.ascontiguousarray(picture[..., one]) for one in range(picture.shape[2])]
    rows, columns = _written(colours, 1), _written(colours, 0)
    return around(spanned(rows, columns), picture.shape)


def around(box: Box, shape: tuple[int, ...]) -> Box:
    """The box and a few more pixels of a picture of that shape; an empty one stays empty."""
    return box.grown(_EDGE, _EDGE).within(shape[1], shape[0]) if box.area else box


def _finds(finders: Sequence[TextFinder], picture: Picture, scale: float) -> list[Found]:
    found = (one for finder in finders for one in finder.find(picture, scale))
    return [one for one in found if _is_uneven(picture, one.box)]


def _is_uneven(picture: Picture, box: Box) -> bool:
    """Whether anything can be written in a box; of what is flat a detector says as little as of what it never saw."""
    part = picture[box.rows, box.columns].reshape(-1, picture.shape[2])
    return bool(len(part)) and bool((np.ptp(part, axis=0) > _EVEN).any())


def _written(colours: Sequence[Grey], axis: int) -> Places:
    """The rows (1) or columns (0) in which pixels differ."""
    differ = [one.max(axis=axis).astype(np.int16) - one.min(axis=axis) for one in colours]
    return np.flatnonzero(np.max(differ, axis=0) > _EVEN)


def _is_known(box: Box, boxes: Sequence[Box]) -> bool:
    """Whether others hold most of a box."""
    return sum(box.shared(other).area for other in boxes) >= _KNOWN * box.area


def needs_tiles(shape: tuple[int, ...]) -> bool:
    """Whether frames of that shape are looked at in tiles."""
    return _scale(shape) < _LEAST


def _scale(shape: tuple[int, ...]) -> float:
    """By how much a picture is enlarged, or made smaller, to be looked at as a whole."""
    rows, columns = shape[:2]
    return min(sqrt(_USUAL / (rows * columns)), _MOST_ENLARGED)
