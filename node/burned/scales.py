"""Finds the numbers of a scale: a column, or a row, of three or more whose values grow evenly with where they stand;
and single digits far from all other text, as where the rest of a scale was not found.

No patient's number stands so; the proof is the picture's, not the grammar's, which never proves a bare number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import NamedTuple

from .box import Box

_NUMBER = re.compile(r"(?:\d|[1-9]\d)(?:[.,][05])?")
_FEWEST = 3
_APART = 1.3
"""How many heights of their boxes numbers are from one to the next; of lines of text it is one."""
_FAR, _LONGEST = 3.0, 2.2
"""How far around a digit, in lengths of its box, nothing else may stand for it to be alone, and how much longer than
wide that may be: so a digit and its tick are, and no two digits."""


class _Mark(NamedTuple):
    at: int
    value: float
    across: float
    along: float
    height: int


def scale_marks(boxes: Sequence[Box], texts: Sequence[str]) -> set[int]:
    """Which of the boxes hold numbers of a scale."""
    numbers = [
        (at, box, float(text.replace(",", ".")))
        for at, (box, text) in enumerate(zip(boxes, map(_digits, texts), strict=True))
        if _NUMBER.fullmatch(text)
    ]
    down = [
        _Mark(at, value, (box.left + box.right) / 2, (box.top + box.bottom) / 2, box.height)
        for at, box, value in numbers
    ]
    over = [_Mark(one.at, one.value, one.along, one.across, one.height) for one in down]
    return _evenly(down) | _evenly(over)


def lone_digits(boxes: Sequence[Box], texts: Sequence[str]) -> set[int]:
    """Which of the boxes hold one digit and nothing stands near."""
    return {
        at
        for at, (box, text) in enumerate(zip(boxes, texts, strict=True))
        if len(digits := _digits(text)) == 1 and digits.isdecimal() and _is_alone(box, boxes)
    }


def _is_alone(box: Box, boxes: Sequence[Box]) -> bool:
    short, long = sorted((box.width, box.height))
    around = box.grown(round(_FAR * long), round(_FAR * long))
    return long <= _LONGEST * short and sum(around.touches(other) for other in boxes) == 1


_TICKS = " -–—一_~|"


def _digits(text: str) -> str:
    """Without the tick beside it; a lone zero is often read as the letter."""
    stripped = text.strip(_TICKS)
    return "0" if stripped in ("O", "o") else stripped


def _evenly(marks: Sequence[_Mark]) -> set[int]:
    """Those that lie on a line of three or more, through two of them."""
    found: set[int] = set()
    for one, two in combinations(marks, 2):
        if one.value == two.value or not _aligned(one, two):
            continue
        step = (two.along - one.along) / (two.value - one.value)
        slack = max(2.0, 0.3 * min(one.height, two.height))
        line = [
            mark
            for mark in marks
            if _aligned(one, mark) and abs(one.along + step * (mark.value - one.value) - mark.along) <= slack
        ]
        if len(line) >= _FEWEST and _stand_apart(line):
            found |= {mark.at for mark in line}
    return found


def _stand_apart(marks: Sequence[_Mark]) -> bool:
    """Unlike lines of text one below the other."""
    places = sorted(marks, key=lambda mark: mark.along)
    height = median(mark.height for mark in marks)  # of boxes that reach past their digits, one more than the other
    return all(two.along - one.along >= _APART * height for one, two in pairwise(places))


def _aligned(one: _Mark, other: _Mark) -> bool:
    return abs(one.across - other.across) <= 0.8 * max(one.height, other.height)
