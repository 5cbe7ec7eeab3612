"""Looks for words that are drawn with lines in an object without pixels (PS3.3 C.10.5): what somebody wrote by hand
over an image, as a presentation state keeps it. To leave some lines out would change what was meant, so where words can
be read the object is refused.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from lethe.node.deid.elements import decoded, joined, said
from lethe.node.deid.errors import CannotClean
from lethe.node.deid.traverse import elements_of

from .computed import enough_words
from .looking import Eyes

_GRAPHIC_DATA, _ANNOTATIONS, _CONTENT = 0x00700022, 0x00700001, 0x0040A730
_LEAST_LINES = 6
"""Fewer draw no word."""
_MOST_POINTS = 200_000
_SIDE, _MARGIN = 1000, 40

Line = npt.NDArray[np.float64]


def has_lines(header: Dataset) -> bool:
    """Whether enough is drawn in an object to be words. Raises CannotClean."""
    return (_ANNOTATIONS in header or _CONTENT in header) and len(list(_lines(header))) >= _LEAST_LINES


def refuse_drawn(header: Dataset, eyes: Eyes) -> None:
    """Raises CannotClean where words can be read in the lines of an object."""
    if enough_words(_picture(list(_lines(header))), eyes):
        raise CannotClean("words can be read in the lines that are drawn in it")


def _lines(header: Dataset) -> Iterator[Line]:
    points = 0
    for ds, tag, _vr, path in elements_of(header):
        if int(tag) != _GRAPHIC_DATA or joined(said(ds, "GraphicType")) not in ("POLYLINE", "INTERPOLATED"):
            continue
        values = np.asarray(decoded(ds, tag, path).value, np.float64).ravel()
        line = values[: len(values) // 2 * 2].reshape(-1, 2)
        points += len(line)
        if points > _MOST_POINTS or not np.isfinite(line).all():
            raise CannotClean("more is drawn in it than can be looked at")
        if len(line) > 1:
            yield line


def _picture(lines: list[Line]) -> npt.NDArray[np.uint8]:
    """Light lines on dark, as large as a detector sees them best."""
    low = np.min([line.min(axis=0) for line in lines], axis=0)
    high = np.max([line.max(axis=0) for line in lines], axis=0)
    scale = _SIDE / max(float((high - low).max()), 1e-6)
    columns, rows = ((high - low) * scale).astype(int) + 2 * _MARGIN
    picture = np.zeros((rows, columns, 3), np.uint8)
    drawn = [np.round((line - low) * scale + _MARGIN).astype(np.int32) for line in lines]
    cv2.polylines(picture, drawn, isClosed=False, color=(255, 255, 255), thickness=3, lineType=cv2.LINE_AA)
    return picture
