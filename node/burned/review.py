"""Carries boxes between the engine and a person: what was found when an object was refused, and what he decided.

Both are numbers and our own words, never text from the picture, so that they can be stored and logged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..deid.errors import CannotClean
from .box import Box

_MOST_BOXES, _MOST_FRAMES, _LONGEST_SIDE = 2_000, 100_000, 1 << 20


class BadReview(ValueError):
    """What was sent is no decision. The message says what is accepted, and repeats nothing."""


@dataclass(frozen=True)
class Suspect:
    """A box that kept an object back: in which frame, counted from 0, or in all of them (None), and why in a code."""

    box: Box
    frame: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Found:
    """What was found in an object of that form when it was refused."""

    frames: int
    rows: int
    columns: int
    suspects: tuple[Suspect, ...] = ()

    def as_details(self) -> dict[str, Any]:
        """The same for the job; `found_in` reads it back."""
        boxes = [[one.frame, *one.box, one.why] for one in self.suspects[:_MOST_BOXES]]
        return {"frames": self.frames, "rows": self.rows, "columns": self.columns, "boxes": boxes}


class NotProven(CannotClean):
    """Frames could not be proven clean; a person who looks at them may decide."""

    def __init__(self, reason: str, found: Found) -> None:
        super().__init__(reason)
        self.found = found

    @property
    def details(self) -> dict[str, Any]:
        """What is kept beside the reason."""
        return self.found.as_details()


def found_in(details: Mapping[str, Any]) -> Found | None:
    """What the details of a job say was found; None where they say nothing of the kind."""
    try:
        suspects = tuple(Suspect(Box(*box), frame, str(why)) for frame, *box, why in details["boxes"])
        return Found(int(details["frames"]), int(details["rows"]), int(details["columns"]), suspects)
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Reviewed:
    """A person's decision about an object's frames: boxes to redact in all frames and in single ones (counted from 0),
    and whether all else that may look like text was seen and identifies nobody."""

    everywhere: tuple[Box, ...] = ()
    frames: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)
    accepts_rest: bool = False

    @property
    def has_boxes(self) -> bool:
        """Whether anything is to be redacted."""
        return bool(self.everywhere or self.frames)

    @property
    def boxes(self) -> int:
        """How many boxes there are."""
        return len(self.everywhere) + sum(map(len, self.frames.values()))

    @property
    def digest(self) -> str:
        """Stands for the decision: another one makes another result."""
        return hashlib.sha256(json.dumps(self.as_document(), sort_keys=True).encode()).hexdigest()[:16]

    def fits(self, frames: int, rows: int, columns: int) -> bool:
        """Whether all of it lies in an object of that form."""
        inside = all(box.within(columns, rows) == box for box in self._all())
        return inside and all(number < frames for number in self.frames)

    def as_document(self) -> dict[str, Any]:
        """The decision as JSON; `reviewed_from` reads it."""
        boxes: list[dict[str, Any]] = [{"frame": None, "box": list(box)} for box in self.everywhere]
        boxes += [{"frame": number, "box": list(box)} for number in sorted(self.frames) for box in self.frames[number]]
        return {"boxes": boxes, "accepts_rest": self.accepts_rest}

    def _all(self) -> Iterator[Box]:
        yield from self.everywhere
        for boxes in self.frames.values():
            yield from boxes


def reviewed_from(document: object) -> Reviewed:
    """The decision that a JSON document holds: {"boxes": [{"frame": null or a number from 0, "box": [left, top, right,
    bottom]}], "accepts_rest": true or false}. Raises BadReview."""
    if not isinstance(document, dict) or not document.keys() <= {"boxes", "accepts_rest"}:
        raise BadReview('a decision has "boxes" and "accepts_rest", and nothing else')
    accepts, boxes = document.get("accepts_rest", False), document.get("boxes", [])
    if not isinstance(accepts, bool):
        raise BadReview('"accepts_rest" is true or false')
    if not isinstance(boxes, list) or len(boxes) > _MOST_BOXES:
        raise BadReview(f'"boxes" is a list of at most {_MOST_BOXES}')
    everywhere: list[Box] = []
    frames: dict[int, list[Box]] = {}
    for one in boxes:
        if not isinstance(one, dict) or not one.keys() <= {"frame", "box"}:
            raise BadReview('each box is {"frame": null or a number from 0, "box": [left, top, right, bottom]}')
        number, box = one.get("frame"), _box(one.get("box"))
        if number is None:
            everywhere.append(box)
        elif type(number) is int and 0 <= number < _MOST_FRAMES:
            frames.setdefault(number, []).append(box)
        else:
            raise BadReview('"frame" is null for all frames, or a number from 0')
    return Reviewed(tuple(everywhere), {number: tuple(found) for number, found in frames.items()}, accepts)


def _box(value: object) -> Box:
    if isinstance(value, Sequence) and len(value) == 4 and all(type(edge) is int for edge in value):
        box = Box(*value)
        if 0 <= box.left < box.right <= _LONGEST_SIDE and 0 <= box.top < box.bottom <= _LONGEST_SIDE:
            return box
    raise BadReview('"box" is [left, top, right, bottom] in whole pixels, none of them empty')
