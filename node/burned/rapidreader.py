"""Reads lines with RapidOCR's recogniser, which onnxruntime runs."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .box import Box
from .crops import TALL, Crop, crop_of, turned, turns_of
from .greys import as_bytes
from .reader import Letter, Orientation, Picture, Reading
from .weights import CHANNELS, PICTURES, edition_of, network

_HEIGHT = 48
_SQUEEZED = 0.65
"""The recogniser reads lines as narrow as this just as well, in two thirds of the time."""
_STEP, _GREY = 16, 128
"""Lines are filled up with grey to a multiple of it."""
_WIDEST = 1600
_WELL_READ = 0.8
_REMEMBERED = 200
"""Lines; an object with a full screen has about half as many."""
_LONGEST = 8.0
_SHORT, _SHORT_MARGIN = 2.2, 24
"""One or two letters are not squeezed, and read better with more ground around them."""
_MODEL = "PP-OCRv6_rec_small.onnx"


class RapidReader:
    """RapidOCR's recogniser, run by onnxruntime in one thread."""

    def __init__(self) -> None:
        self._session = network(_MODEL)
        characters = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]
        self._known: dict[bytes, Reading] = {}

    @property
    def version(self) -> str:
        """Of the model and what runs it."""
        return edition_of(_MODEL)

    def read(self, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        """Upright first, tall boxes both ways up, and what is badly read upside down as well."""
        crops = [crop_of(picture, box) for box in boxes]
        tries = [(at, turn) for at, crop in enumerate(crops) for turn in turns_of(crop)]
        best = _best(tries, self._lines(_line(turned(crops[at], turn)) for at, turn in tries), {})
        again = [(at, Orientation.OVER) for at in best if _maybe_over(crops[at], best[at])]
        best = _best(again, self._lines(_line(turned(crops[at], turn)) for at, turn in again), best)
        return [best.get(at, Reading()) for at in range(len(boxes))]

    def _lines(self, given: Iterable[_Line]) -> list[Reading]:
        """What the lines say. What stays on a picture is read again for verification, and banners come again with the
        next object: of the latest, the readings are known."""
        lines = list(given)
        keys = [line.digest() for line in lines]
        read = {key: known for key in keys if (known := self._known.get(key)) is not None}
        fresh = {key: line for key, line in zip(keys, lines, strict=True) if key not in read}
        read |= zip(fresh, self._read(list(fresh.values())), strict=True)
        self._known = dict(islice((read | self._known).items(), _REMEMBERED))
        return [read[key] for key in keys]

    def _read(self, lines: Sequence[_Line]) -> list[Reading]:
        """Narrow ones first, so that those of a width go through the network together."""
        widths = [-(-line.width // _STEP) * _STEP for line in lines]
        readings: dict[int, Reading] = {}
        for width in sorted(set(widths)):
            members = [at for at, one in enumerate(widths) if one == width]
            batch = np.full((len(members), _HEIGHT, width, 1), _GREY, np.uint8)
            for place, at in enumerate(members):
                batch[place, :, : lines[at].width, 0] = as_bytes(lines[at].pixels * 2 - 1)
            answers = self._session.run(None, {PICTURES: np.repeat(batch, CHANNELS, axis=3)})[0]
            for at, answer in zip(members, answers, strict=True):
                readings[at] = _reading(self._letters(answer, lines[at], width), lines[at])
        return [readings[at] for at in range(len(lines))]

    def _letters(self, answer: NDArray[np.float32], line: _Line, width: int) -> Iterator[Letter]:
        """What the network says at each step, without repetitions and blanks between letters (CTC)."""
        best, sure = answer.argmax(axis=1), answer.max(axis=1)
        steps, at = len(best), 0
        while at < steps:
            end = at + 1
            while end < steps and best[end] == best[at]:
                end += 1
            if best[at]:
                middle = line.share((at + end) / 2 / steps * width)
                character = unicodedata.normalize("NFKC", self._characters[best[at]])
                yield from (Letter(one, float(sure[at:end].max()), middle) for one in character)
            at = end


def _maybe_over(crop: Crop, reading: Reading) -> bool:
    """Whether a line that was read badly may stand upside down; long ones are not technical either way."""
    height, width = crop.shape
    return reading.confidence < _WELL_READ and TALL * height < width <= _LONGEST * height


def _best(
    tries: Sequence[tuple[int, Orientation]], readings: Sequence[Reading], best: dict[int, Reading]
) -> dict[int, Reading]:
    """For each box the reading of which the engine is surest."""
    for (at, turn), reading in zip(tries, readings, strict=True):
        if at not in best or reading.confidence > best[at].confidence:
            best[at] = Reading(reading.letters, turn, reading.unread)
    return best


class _Line(NamedTuple):
    """A crop as the recogniser wants it: so high, and with a margin at both ends."""

    pixels: Crop
    margin: int

    @property
    def width(self) -> int:
        """With the margins."""
        return int(self.pixels.shape[1])

    def digest(self) -> bytes:
        """Of all that the network sees of it."""
        return hashlib.sha256(bytes((self.margin,)) + self.pixels.tobytes()).digest()

    def share(self, across: float) -> float:
        """Where a column of it lies in the box: 0 at its left edge, 1 at its right."""
        return min(max((across - self.margin) / (self.width - 2 * self.margin), 0.0), 1.0)


def _line(crop: Crop) -> _Line:
    height, width = crop.shape
    short = width < _SHORT * height
    wide = min(max(round(_HEIGHT * width / height * (1.0 if short else _SQUEEZED)), _STEP), _WIDEST)
    how = cv2.INTER_CUBIC if height < _HEIGHT else cv2.INTER_AREA
    line = np.asarray(cv2.resize(crop, (wide, _HEIGHT), interpolation=how), np.float32)
    if not short:
        return _Line(line, 0)
    return _Line(np.pad(line, ((0, 0), (_SHORT_MARGIN, _SHORT_MARGIN)), mode="edge"), _SHORT_MARGIN)


def _reading(letters: Iterable[Letter], line: _Line) -> Reading:
    read = tuple(_spaced(tuple(letters)))
    return Reading(read, unread=_unread(read, line))


_WIDE, _FEWEST = 3.0, 4


def _spaced(letters: Sequence[Letter]) -> Iterator[Letter]:
    """The letters with a blank where they stand as far apart as with two more between them; the network at times
    leaves it out."""
    apart = [two.at - one.at for one, two in pairwise(letters)]
    wide = _WIDE * sorted(apart)[len(apart) // 2] if len(letters) >= _FEWEST else 1.0
    for at, letter in enumerate(letters):
        before = letters[at - 1] if at else letter
        if letter.at - before.at > wide and " " not in (letter.character, before.character):
            yield Letter(" ", 1.0, (before.at + letter.at) / 2)
        yield letter


_REACH = 0.7
"""How far a letter accounts for ink to its left and right, in heights of the line as squeezed."""
_INKY = 0.45


def _unread(letters: Sequence[Letter], line: _Line) -> float:
    """The longest stretch that looks like the letters do but is not near one, in heights."""
    pixels = line.pixels[:, line.margin : line.width - line.margin]
    width, height = int(pixels.shape[1]), _HEIGHT * _SQUEEZED
    places = [letter.at * width for letter in letters if letter.character != " "]
    if not places:
        return width / height
    edges = np.abs(np.diff(pixels, axis=1, append=pixels[:, -1:])).mean(axis=0)
    columns = np.arange(width)[:, None]
    near = (np.abs(columns - np.asarray(places)[None]) <= _REACH * height).any(axis=1)
    inky: NDArray[np.bool_] = (edges > _INKY * edges[near].mean()) & ~near
    return _longest_run(inky) / height


def _longest_run(marked: NDArray[np.bool_]) -> int:
    """Of marked columns; a few others between them do not end it."""
    places: list[int] = np.flatnonzero(marked).tolist()
    longest, start, last = 0, -1, -1
    for at in places:
        if start < 0 or at - last > _STEP // 2:
            start = at
        last = at
        longest = max(longest, last - start + 1)
    return longest
