"""Tells a word of medicine by the parts it is made of, as "pancreaticojejunostomy" is of "pancreat", "jejun" and
"ostomy", so that the vocabulary need not hold them all."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_SHORTEST, _LONGEST = 6, 45
_LONGEST_PART = 16
_LONG_STEM, _LONG_ENDING = 4, 4
_LONG = 2
"""A long stem weighs as much as two short ones or a long ending, and so much is needed."""
_JOINTS = ("", "o", "i", "a", "eo", "io", "ic", "ico", "al")


def is_medical(low: str) -> bool:
    """Whether a word in lower case without accents is made of parts of medical words and of nothing else: some before,
    some stems, an ending. A single stem must have four letters, or the ending five: "costa" and "renal" are names as
    well, "costal" and "renography" are not."""
    if not _SHORTEST <= len(low) <= _LONGEST:
        return False
    before, within, after = _parts()
    places = {0}
    for _ in range(2):
        places |= {at + size for at in places for size in range(1, 9) if low[at : at + size] in before}
    todo, seen = [(at, 0) for at in places], set()
    while todo:
        at, weight = todo.pop()
        ending = low[at:]
        if ending in after and weight + (_LONG if len(ending) > _LONG_ENDING else 0) >= _LONG:
            return True
        for size in range(2, min(_LONGEST_PART, len(ending) - 1) + 1):
            if ending[:size] not in within:
                continue
            for joint in _JOINTS:
                if ending.startswith(joint, size):
                    state = (at + size + len(joint), min(_LONG, weight + (1 if size < _LONG_STEM else _LONG)))
                    if state not in seen:
                        seen.add(state)
                        todo.append(state)
    return False


@cache
def _parts() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    text = (files(__package__) / "table" / "morphemes.txt").read_text(encoding="utf-8")
    _, before, within, after = re.split(r"# before\n|# within\n|# after\n", text)
    return frozenset(before.split()), frozenset(within.split()), frozenset(one for one in after.split() if len(one) > 1)
