"""Is what was seen in some frames of an object that were looked at together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .box import Box
from .looking import Seen
from .views import Grey, Picture, Wide

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
    mean: Wide | None = None
    """What is usual in a stretch of time, in the grey levels of its frames."""
    alone: Callable[[int], Picture] | None = None
    """Shows one of its frames, where they differ."""
    single: int | None = None
    """The one of its frames that was looked at by itself."""
    passing: bool = False
    """Whether it shows what moves: in the frames before and after, it is elsewhere."""
    engines: tuple[str, ...] = ()
    """The editions of what looked."""

    def can_be_read(self, box: Box) -> bool:
        """Whether what stands in a box is the same in all frames."""
        return self.steady is None or float(np.mean(self.steady[box.rows, box.columns])) >= _CALM
