"""Says what finds text in a picture."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from .box import Box
from .views import Picture


class Found(NamedTuple):
    """A box of what may be text, and how sure the engine is that it is, from 0 to 1; what it is not sure of counts only
    if it can be read."""

    box: Box
    sure: float = 1.0


class TextFinder(Protocol):
    """An engine that finds text. It is loaded once in a process, works in one thread, keeps nothing of what it sees.

    Another package can bring one: an entry point of the group `lethe.text_finders`, whose name the configuration uses,
    names a callable that takes nothing and gives one. A frame is shown to it as three looks in three channels
    (`views.py`), or in one grey if it has an attribute `wants_one_grey` that is true."""

    @property
    def edition(self) -> str:
        """Names engine, model and versions, for the receipt."""

    def find(self, picture: Picture, scale: float) -> list[Found]:
        """Where text is, upright or turned, the boxes a little larger than it. `scale` is by how much to enlarge the
        picture before looking, so that small text can be found."""
