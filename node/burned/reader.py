"""Reads the text in boxes of a picture, with what the recogniser thinks of each letter and where it stands.

Two engines: RapidOCR's recogniser, whose model lies in that package, and Tesseract by way of Presidio's OCR class.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from importlib import metadata
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .box import Box
from .greys import as_bytes
from .weights import PICTURES, edition_of, network

Picture = NDArray[np.uint8]
Crop = NDArray[np.float32]


class Orientation(IntEnum):
    """By how many degrees the text is turned, against the clock."""

    UPRIGHT = 0
    UPWARDS = 90
    OVER = 180
    DOWNWARDS = 270


@dataclass(frozen=True)
class Letter:
    """One character as read: how sure it is (0 to 1) and where its middle stands, as a share of the line's length."""

    character: str
    sure: float
    at: float


@dataclass(frozen=True)
class Reading:
    """What stands in a box. `unread` is the longest stretch of ink, as a multiple of the line's height, that no letter
    accounts for; `cut`, that only the beginning was read."""

    letters: tuple[Letter, ...] = field(default=(), repr=False)  # never in a log
    orientation: Orientation = Orientation.UPRIGHT
    unread: float = 0.0
    cut: bool = False

    @property
    def text(self) -> str:
        """The letters as a line, blanks included."""
        return "".join(letter.character for letter in self.letters)

    @property
    def confidence(self) -> float:
        """The mean over the letters that are not blank; 0 where there are none."""
        sure = self._sure()
        return sum(sure) / len(sure) if sure else 0.0

    @property
    def doubt(self) -> float:
        """How sure the least sure letter is; 0 where there are none."""
        return min(self._sure(), default=0.0)

    def _sure(self) -> list[float]:
        return [letter.sure for letter in self.letters if letter.character != " "]


class Reader(Protocol):
    """Reads boxes; `version` tells its answers apart from those of another engine or model."""

    @property
    def version(self) -> str: ...

    def read(self, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        """One reading for each box of a grey (H, W) or colour (H, W, 3) picture."""


def reader_named(name: str) -> Reader:
    """The engine of that name, loaded once per process; raises KeyError for a name that is none."""
    engines: dict[str, Callable[[], Reader]] = {"rapidocr": _rapid, "tesseract": _tesseract}
    return engines[name]()


@cache
def _rapid() -> RapidReader:
    return RapidReader()


@cache
def _tesseract() -> TesseractReader:
    return TesseractReader()


_HEIGHT = 48
_SQUEEZED = 0.75
"""The recogniser reads lines as narrow as this just as well, in three quarters of the time."""
_STEP, _GREY = 16, 128
"""Lines are filled up with grey to a multiple of it."""
_WIDEST = 1600
_TALL = 1.4
_MAYBE_UPRIGHT = 2.6
_WELL_READ = 0.8
_LONGEST = 8.0
_SHORT, _SHORT_MARGIN = 2.2, 24
"""One or two letters are not squeezed, and read better with more ground around them."""
_FLATTEST, _GREYS = 8.0, 256
_MODEL = "PP-OCRv6_rec_small.onnx"


class RapidReader:
    """RapidOCR's recogniser, run by onnxruntime in one thread."""

    def __init__(self) -> None:
        self._session = network(_MODEL)
        characters = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = ["", *characters, " "]

    @property
    def version(self) -> str:
        """Of the model and what runs it."""
        return edition_of(_MODEL)

    def read(self, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        """Upright first, tall boxes both ways up, and what is badly read upside down as well."""
        crops = [_crop(picture, box) for box in boxes]
        tries = [(at, turn) for at, crop in enumerate(crops) for turn in _turns(crop)]
        best = _best(tries, self._lines(_line(_turned(crops[at], turn)) for at, turn in tries), {})
        again = [(at, Orientation.OVER) for at in best if _maybe_over(crops[at], best[at])]
        best = _best(again, self._lines(_line(_turned(crops[at], turn)) for at, turn in again), best)
        return [best.get(at, Reading()) for at in range(len(boxes))]

    def _lines(self, given: Iterable[_Line]) -> list[Reading]:
        """The lines, narrow ones first, so that those of a width go through the network together."""
        lines = list(given)
        widths = [-(-line.width // _STEP) * _STEP for line in lines]
        readings: dict[int, Reading] = {}
        for width in sorted(set(widths)):
            members = [at for at, one in enumerate(widths) if one == width]
            batch = np.full((len(members), _HEIGHT, width, 1), _GREY, np.uint8)
            for place, at in enumerate(members):
                batch[place, :, : lines[at].width, 0] = as_bytes(lines[at].pixels * 2 - 1)
            answers = self._session.run(None, {PICTURES: np.repeat(batch, 3, axis=3)})[0]
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


def _crop(picture: Picture, box: Box) -> Crop:
    """What is in a box, in grey from 0 to 1, stretched; of colours the channel in which the text stands out most."""
    rows, columns = picture.shape[:2]
    inside = box.within(columns, rows)
    part = picture[inside.rows, inside.columns]
    if min(part.shape[:2]) < 3:
        return np.zeros((0, 0), np.float32)
    if part.ndim == 3:
        part = part[..., int(cv2.meanStdDev(part)[1].argmax())]
    counts = np.bincount(part.ravel(), minlength=_GREYS).cumsum()
    low, high = np.searchsorted(counts, (0.01 * (part.size - 1), 0.99 * (part.size - 1)), side="right")
    stretched = ((np.arange(_GREYS) - low) / max(high - low, _FLATTEST)).clip(0, 1).astype(np.float32)
    return np.asarray(stretched[part], np.float32)


def _turns(crop: Crop) -> tuple[Orientation, ...]:
    height, width = crop.shape
    if not width:
        return ()
    if height < _TALL * width:
        return (Orientation.UPRIGHT,)
    standing = (Orientation.UPWARDS, Orientation.DOWNWARDS)
    return (Orientation.UPRIGHT, *standing) if height < _MAYBE_UPRIGHT * width else standing


def _turned(crop: Crop, turn: Orientation) -> Crop:
    """A crop turned so that its text is upright."""
    return np.ascontiguousarray(np.rot90(crop, -turn // 90))


def _maybe_over(crop: Crop, reading: Reading) -> bool:
    """Whether a line that was read badly may stand upside down; long ones are not technical either way."""
    height, width = crop.shape
    return reading.confidence < _WELL_READ and _TALL * height < width <= _LONGEST * height


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


_GAP = 24
_SHEET_LINE = 32


class TesseractReader:
    """Tesseract by way of Presidio's OCR class. All boxes are laid on one sheet, since each call is a process."""

    def __init__(self) -> None:
        from presidio_image_redactor import TesseractOCR

        self._ocr = TesseractOCR()

    @property
    def version(self) -> str:
        """Of the program and of Presidio's class."""
        import pytesseract

        return f"tesseract {pytesseract.get_tesseract_version()} presidio {metadata.version('presidio-image-redactor')}"

    def read(self, picture: Picture, boxes: Sequence[Box]) -> list[Reading]:
        """Dark on light, one below the other; tall boxes are read upwards."""
        crops = [_crop(picture, box) for box in boxes]
        turns = [_turns(crop)[:1] or (Orientation.UPRIGHT,) for crop in crops]
        lines = [_dark(_turned(crop, turn)) for crop, (turn,) in zip(crops, turns, strict=True)]
        if not lines:
            return []
        sheet, tops = _sheet(lines)
        words = self._words(sheet)
        return [
            Reading(tuple(_spelled(words, top, line.shape[1])), turn)
            for top, line, (turn,) in zip(tops, lines, turns, strict=True)
        ]

    def _words(self, sheet: Picture) -> list[tuple[str, float, Box]]:
        from PIL import Image

        found: dict[str, Any] = self._ocr.perform_ocr(Image.fromarray(sheet), config="--psm 6")
        keys = ("text", "conf", "left", "top", "width", "height")
        return [
            (str(text), float(conf) / 100, Box(left, top, left + width, top + height))
            for text, conf, left, top, width, height in zip(*(found[key] for key in keys), strict=True)
            if str(text).strip()
        ]


def _dark(crop: Crop) -> Crop:
    """A line of the sheet, dark on light."""
    if not crop.size:
        return np.ones((_SHEET_LINE, _SHEET_LINE), np.float32)
    height, width = crop.shape
    wide = min(max(round(_SHEET_LINE * width / height), 1), _WIDEST)
    line = np.asarray(cv2.resize(crop, (wide, _SHEET_LINE), interpolation=cv2.INTER_CUBIC), np.float32)
    return line if np.median(line) > 0.5 else 1 - line


def _sheet(lines: Sequence[Crop]) -> tuple[Picture, list[int]]:
    pitch = _SHEET_LINE + _GAP
    sheet = np.full((pitch * len(lines) + _GAP, max(line.shape[1] for line in lines) + 2 * _GAP), 255, np.uint8)
    tops = [_GAP + pitch * at for at in range(len(lines))]
    for top, line in zip(tops, lines, strict=True):
        sheet[top : top + _SHEET_LINE, _GAP : _GAP + line.shape[1]] = (line * 255).clip(0, 255)
    return sheet, tops


def _spelled(words: Sequence[tuple[str, float, Box]], top: int, width: int) -> Iterator[Letter]:
    """The words of one line of the sheet, letter by letter."""
    here = [one for one in words if top - _GAP / 2 <= (one[2].top + one[2].bottom) / 2 < top + _SHEET_LINE + _GAP / 2]
    for place, (text, sure, box) in enumerate(sorted(here, key=lambda one: one[2].left)):
        if place:
            yield Letter(" ", sure, (box.left - _GAP) / width)
        for at, character in enumerate(text):
            yield Letter(character, sure, (box.left - _GAP + box.width * (at + 0.5) / len(text)) / width)
