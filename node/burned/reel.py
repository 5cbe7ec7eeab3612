"""Shows the frames of a film by number, though a film can only be run forward: it is run again, several times at once,
so that one who reads all frames four times, side by side, and one now and then, makes it start five times and not for
each. The latest ones are kept, for who goes back a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import TracebackType

import numpy as np

from lethe.node.deid.errors import CannotClean

from .film import Film, FilmTool
from .form import Pixels
from .looking import Eyes
from .sight import Sight
from .sights import in_film, in_film_again
from .views import in_grey

_RUNS = 5
_KEPT = 192 << 20
"""Bytes of the latest frames, in which what moves is looked for that was found in a later one: 30 of 1920 x 1080."""
LONGEST = 108
"""Frames that are looked at in one picture: four seconds, more or less. In longer ones text of a second fades."""


class Reel:
    """A film and how many frames it has."""

    inverted = False

    def __init__(self, tool: FilmTool, film: Film, count: int) -> None:
        self._tool, self._film, self._count = tool, film, count
        self._runs: list[_Run] = []
        self._latest: dict[int, Pixels] = {}

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Reel:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for run in self._runs:
            run.close()
        self._runs.clear()

    def frame(self, number: int) -> Pixels:
        """RGB, (rows, columns, 3). Raises CannotClean."""
        if number not in self._latest:
            data = self._run_before(number).frame(number)
            while len(self._latest) * len(data) > _KEPT - len(data) and self._latest:
                del self._latest[next(iter(self._latest))]
            self._latest[number] = np.frombuffer(data, np.uint8).reshape(self._film.rows, self._film.columns, 3)
        return self._latest[number]

    def grey(self, number: int) -> Pixels:
        """The frame in grey levels."""
        return in_grey(self.frame(number))

    def has(self, number: int) -> bool:
        """Whether the frame is at hand, though a later one was asked for."""
        return number in self._latest

    def _run_before(self, number: int) -> _Run:
        """The one that is nearest before a frame, or a new one instead of that which is least far."""
        fit = [run for run in self._runs if run.next <= number]
        if fit:
            return max(fit, key=lambda run: run.next)
        if len(self._runs) == _RUNS:
            least = min(self._runs, key=lambda run: run.next)
            self._runs.remove(least)
            least.close()
        self._runs.append(_Run(self._tool.frames(self._film, "rgb24")))
        return self._runs[-1]


class _Run:
    """A film while it runs; `next` is the frame that comes."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self.next = 0

    def frame(self, number: int) -> bytes:
        for data in self._frames:
            self.next += 1
            if self.next > number:
                return data
        raise CannotClean("video: its film, run again, has fewer frames than before")

    def close(self) -> None:
        close = getattr(self._frames, "close", None)
        if close:
            close()


def sights_of_film(reel: Reel, eyes: Eyes) -> Iterator[Sight]:
    """All that is seen in a film, stretch by stretch. Raises CannotClean."""
    for stretch in _stretches(reel):
        yield from in_film(reel, stretch, eyes)


def sights_of_made_film(reel: Reel, eyes: Eyes) -> Iterator[Sight]:
    """The same of one that was made of a film looked at so. Raises CannotClean."""
    for stretch in _stretches(reel):
        yield from in_film_again(reel, stretch, eyes)


def _stretches(reel: Reel) -> Iterator[range]:
    parts = -(-len(reel) // LONGEST)
    edges = [round(part * len(reel) / parts) for part in range(parts + 1)]
    return (range(first, last) for first, last in pairwise(edges))
