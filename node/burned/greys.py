"""Says which bytes stand for the numbers from -1 to 1 that a network is given."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MIDDLE, STEP = 128, 2 / 255
"""Which byte is 0, and by how much the next one is more."""


def as_bytes(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The nearest bytes, rounded as they were when the networks were measured: half a grey decides whether a faint edge
    is taken for text."""
    return np.asarray((np.rint(numbers / np.float32(STEP)) + MIDDLE).clip(0, 255), np.uint8)
