"""Is the seam to what looks at the frames of an object: it gives the object with clean frames, or refuses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .part10 import Part10
from .terms import TermBank


@dataclass(frozen=True)
class Looked:
    """An object whose frames may leave. `record` is what was done, for the receipt; None where nobody had to look.
    `overlays` are the groups (60xx) of the overlay planes that were cleaned."""

    source: Part10
    record: Mapping[str, Any] | None = field(default=None)
    overlays: frozenset[int] = frozenset()


FrameRule = Callable[[Part10, TermBank], Looked]
"""Given an object and what identifies its patient: the same, with frames that identify nobody. Raises CannotClean."""


def leave_frames(source: Part10, _terms: TermBank) -> Looked:
    """The rule of a project that does not look at frames: another rule refuses what may carry text."""
    return Looked(source)
