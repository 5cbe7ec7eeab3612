"""Proves that a grey frame has no text, at a small part of what a full look costs: a small network that `tools/gate`
taught to suspect text on the least sign suspects none.

It was taught with drawn pictures: text of 6 to 80 pixels in many scripts, faint, turned, at the edges, outside of any
window. It is never asked about screens. Without its own, unharmed weights it proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .islands import extent
from .views import Picture
from .weights import session

WEIGHTS = Path(__file__).parent / "table" / "gate.onnx"
_DIGEST = "f9c3a7e198172e15a19c4ea2adbf2375e5298e30b7c0375d80e011ec22405a9e"
"""Of the weights to which the next number belongs."""
_NONE, _SURE = -1.3, 2.0
"""How likely (as a logit) the most likely place may be text to be cleared at once, and from which on a full look is
taken at once."""
_SUSPECTED = -1.0
"""Between the two: the same when the network has seen that place inverted and mirrored as well. Noise that looks like
text once does not four times."""
_SMALLEST, _SMALL, _COARSE = 64, 400, 200
"""Pixels of the longer side: of what nothing is said about, of what is enlarged, of the coarsest picture looked at."""
_STRIP, _OVERLAP = 1024, 128
_CELL, _AROUND = 8, 9
"""Pixels of a side of a cell, and how many cells around one are more than the network heeds when it thinks of it."""

Heat = npt.NDArray[np.float32]


class Gate:
    """The network; its weights are read when it is first asked."""

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._weights = weights

    @property
    def edition(self) -> str:
        """Names the weights, for the receipt."""
        return f"lethe gate {_DIGEST[:12]}" if self._network else "no gate"

    def clears(self, picture: Picture) -> bool:
        """Whether there is proof that a picture, made by `picture_of`, has no text."""
        if self._network is None or min(picture.shape[:2]) < _SMALLEST:
            return False
        return all(self._clears(strip) for one in _sizes(picture) for strip in _strips(one))

    def _clears(self, part: Picture) -> bool:
        once = self._heat(part)
        highest = float(once.max())
        if not _NONE <= highest < _SURE:
            return highest < _NONE
        doubtful = extent(once >= _NONE)
        near = doubtful.grown(_AROUND, _AROUND).within(once.shape[1], once.shape[0])
        seen = part[near.top * _CELL : near.bottom * _CELL, near.left * _CELL : near.right * _CELL]
        more = self._heat(255 - seen), self._heat(seen[:, ::-1])[:, ::-1], self._heat(seen[::-1])[::-1]
        inner = doubtful.moved(-near.left, -near.top)
        again = [heat[inner.rows, inner.columns] for heat in more]
        return float(np.mean([once[doubtful.rows, doubtful.columns], *again], axis=0).max()) < _SUSPECTED

    def _heat(self, part: Picture) -> Heat:
        """How likely each cell is text."""
        batch = cv2.dnn.blobFromImage(np.ascontiguousarray(part), 2 / 255, mean=(127.5, 127.5, 127.5))
        assert self._network is not None
        heat: Heat = self._network.run(None, {"picture": batch})[0][0, 0]
        return heat

    @cached_property
    def _network(self) -> Any | None:
        if not self._weights.is_file():
            return None
        weights = self._weights.read_bytes()
        return session(weights) if sha256(weights).hexdigest() == _DIGEST else None


def _strips(picture: Picture) -> Iterator[Picture]:
    """Parts that fit into memory, their sides whole cells."""
    for top in range(0, max(len(picture) - _OVERLAP, 1), _STRIP):
        part = picture[top : top + _STRIP + _OVERLAP]
        rows, columns = (-side % _CELL for side in part.shape[:2])
        yield np.asarray(cv2.copyMakeBorder(part, 0, rows, 0, columns, cv2.BORDER_REPLICATE), np.uint8)


def _sizes(picture: Picture) -> Iterator[Picture]:
    """The picture from coarse, where it is cheap to see something, to fine."""
    rows, columns = picture.shape[:2]
    scale = 1.0 if max(rows, columns) >= _SMALL else 2.0
    scales = [scale]
    while max(rows, columns) * scale >= 2 * _COARSE and min(rows, columns) * scale >= 2 * _SMALLEST:
        scale /= 2
        scales.append(scale)
    for one in reversed(scales):
        way = cv2.INTER_AREA if one < 1 else cv2.INTER_LINEAR
        yield picture if one == 1 else cv2.resize(picture, None, fx=one, fy=one, interpolation=way)  # type: ignore[misc]
