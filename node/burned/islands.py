"""Says which marked pixels hang together, and which box holds them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .box import Box

Places = npt.NDArray[np.int64]
"""Numbers of rows or columns, in order."""


def islands(marks: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """By pixel the number of its island, 0 where nothing is marked; by number, what OpenCV says of each: left, top,
    width, height, area. Of its ways this one takes a third of the usual one's time."""
    _, labels, found, _ = cv2.connectedComponentsWithStatsWithAlgorithm(marks, 8, cv2.CV_32S, cv2.CCL_GRANA)
    return np.asarray(labels, np.int32), np.asarray(found, np.int32)


def extent(marks: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> Box:
    """The box that holds all marked pixels; empty where there are none."""
    return spanned(np.flatnonzero(marks.any(axis=1)), np.flatnonzero(marks.any(axis=0)))


def spanned(rows: Places, columns: Places) -> Box:
    """The box from the first of these rows and columns to the last; empty where there are none."""
    if not len(rows) or not len(columns):
        return Box(0, 0, 0, 0)
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
