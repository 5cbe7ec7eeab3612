"""Looks for words in what a program computed and no screen shows as it is: segments, doses, maps of a parameter. What a
program took for a bone or a lesion may have been a name written into the image.

To cover a part of it would change a mask or a dose, so nothing is covered: where words can be read, a person decides.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from pydicom.dataset import Dataset

from .box import Box
from .form import Pixels
from .frames import Frames
from .islands import extent
from .looking import Eyes
from .proof import suspicious
from .showing import Shown
from .sights import alike
from .views import Picture, picture_of, plain_picture
from .whispers import whispers_in

_AROUND = 32
"""Pixels around what differs from the ground that are looked at with it."""
_LETTERS = 4
"""So many must be read in a frame: edges of a mask look like one or two."""
_COARSER = 4
_LOWEST = 5
"""Pixels of the shorter side in which a letter can stand."""


def words_in(frames: Frames, header: Dataset, eyes: Eyes) -> Iterator[tuple[tuple[int, ...], list[Box]]]:
    """The numbers of equal frames in which words can be read, and where. Raises CannotClean for a frame that cannot be
    decoded."""
    shown = Shown(frames, header)
    for numbers in alike(frames):
        values = frames.stored(numbers[0]) if frames.form.samples == 1 else shown.grey(numbers[0])
        part = _inked(values)
        boxes = _words(values[part.rows, part.columns], eyes) if min(part.width, part.height) >= _LOWEST else []
        if boxes := [box.moved(part.left, part.top) for box in boxes] or _whispered(values, eyes):
            yield numbers, boxes


def _inked(values: Pixels) -> Box:
    """Around all that differs from the first pixel, which is ground where there is any; empty where nothing does."""
    inner = extent(values != values[0, 0])
    return inner.grown(_AROUND, _AROUND).within(values.shape[1], values.shape[0]) if inner.area else inner


def _words(values: Pixels, eyes: Eyes) -> list[Box]:
    picture = picture_of(values)
    fine = picture[..., 2]
    coarse = cv2.resize(fine, None, fx=1 / _COARSER, fy=1 / _COARSER, interpolation=cv2.INTER_AREA)
    if not (suspicious(fine) or suspicious(np.asarray(coarse))) or eyes.gate.clears(picture):
        return []
    return enough_words(plain_picture(values), eyes)


def _whispered(values: Pixels, eyes: Eyes) -> list[Box]:
    """What is written in values that no picture of them all shows."""
    shown = whispers_in(values)
    return [box.moved(shown[1].left, shown[1].top) for box in enough_words(shown[0], eyes)] if shown else []


def enough_words(plain: Picture, eyes: Eyes) -> list[Box]:
    """What can be read in a picture, where all of it is as long as a word: noise and outlines are a letter or two."""
    found = eyes.words(plain)
    letters = sum(len(reading.text.replace(" ", "")) for reading in eyes.reader.read(plain, found))
    return found if letters >= _LETTERS else []
