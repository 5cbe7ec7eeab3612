"""Says what can be read in boxes of a picture, what the recogniser thinks of each letter and where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .box import Box

Picture = NDArray[np.uint8]


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
