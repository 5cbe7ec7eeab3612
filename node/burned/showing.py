"""Shows the frames of an object: turns what is stored into grey levels or RGB, from which pictures are made."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from pydicom.dataset import Dataset

from lethe.node.deid.errors import CannotClean

from .form import Pixels
from .frames import Frames
from .palette import palette_colours
from .views import in_grey


class Showing(Protocol):
    """Frames that can be looked at, each as often as one likes; soonest one after the other."""

    inverted: bool

    def __len__(self) -> int: ...

    def frame(self, number: int) -> Pixels:
        """Grey levels of any number type, (rows, columns), or RGB, (rows, columns, 3). Raises CannotClean."""

    def grey(self, number: int) -> Pixels:
        """The frame in grey levels."""

    def has(self, number: int) -> bool:
        """Whether the frame is at hand, though a later one was asked for."""


class Shown:
    """An object's frames as they are looked at."""

    def __init__(self, frames: Frames, header: Dataset) -> None:
        self.frames = frames
        self.inverted = frames.form.photometric == "MONOCHROME1"
        self._header = header

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, number: int) -> Pixels:
        """Grey levels of any number type, (rows, columns), or RGB, (rows, columns, 3). Raises CannotClean."""
        stored, colours = self.frames.stored(number), self.frames.colours(number)
        if colours == "PALETTE":
            return self._palette[stored]
        if colours == "YBR":
            if stored.dtype != np.uint8:
                raise CannotClean("its YBR pixels have more than 8 bits a sample")
            return np.asarray(cv2.cvtColor(np.ascontiguousarray(stored[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB))
        return stored

    def grey(self, number: int) -> Pixels:
        """The frame in grey levels."""
        return in_grey(self.frame(number))

    def has(self, number: int) -> bool:
        """Whether the frame is at hand, though a later one was asked for."""
        return 0 <= number < len(self)

    def beneath(self, number: int) -> Pixels | None:
        """How far each index of a palette is from the first that has its colour: no screen tells the two apart. None
        where there is no palette, or all are the first."""
        if self.frames.colours(number) != "PALETTE":
            return None
        stored = self.frames.stored(number)
        away: Pixels = stored - self._first[stored]
        return away if away.any() else None

    @cached_property
    def _first(self) -> Pixels:
        """For each index, the first with the same colour."""
        _, first, same = np.unique(self._palette, axis=0, return_index=True, return_inverse=True)
        return np.asarray(first[same.ravel()], self.frames.form.dtype)

    @cached_property
    def _palette(self) -> Pixels:
        colours = palette_colours(self._header, self.frames.form)
        if colours is None:
            raise CannotClean("its palette cannot be read")
        return np.asarray(np.round(colours * 255), np.uint8)
