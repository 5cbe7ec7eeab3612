"""Is what the header says, as a recogniser may misread it: O for 0, l for 1, rn for m, a letter wrong or missing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lethe.node.deid.terms import TermBank, plain

_ALIKE = str.maketrans(
    {**dict.fromkeys("oqd", "0"), **dict.fromkeys("ilj|!", "1"), "s": "5", "b": "8", "z": "2", "g": "9"}
)
_TWO_AS_ONE = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_WORD = re.compile(r"[^\W_]+")
_SHORTEST = 3
_ONE_WRONG, _TWO_WRONG = 5, 9
"""From how many letters on one, and two, may be wrong."""


_LONG_NUMBER = 5


class Likeness:
    """The words of a header's bank, to be compared with what was read."""

    def __init__(self, terms: TermBank) -> None:
        self._terms = terms
        by_length: dict[int, set[str]] = {}
        for word in (*terms.words, *terms.days):
            for shape in _shapes(word):
                by_length.setdefault(len(shape), set()).add(shape)
        self._shapes = by_length
        digits = ("".join(filter(str.isdigit, word)) for word in terms.words)
        self._numbers = {number for number in digits if len(number) >= _LONG_NUMBER}

    def finds(self, text: str) -> bool:
        """Whether the text holds a term of the header, or what looks like one."""
        if self._terms.finds(text) or any(map(self._is_like, _candidates(text))):
            return True
        digits = "".join(filter(str.isdigit, text))  # "4711.99 ms" may be the patient's 471199
        return any(number in digits for number in self._numbers)

    def _is_like(self, word: str) -> bool:
        return len(word) >= _SHORTEST and any(map(self._is_near, _shapes(word)))

    def _is_near(self, shape: str) -> bool:
        size = len(shape)
        if shape in self._shapes.get(size, ()):
            return True
        wrong = 0 if size < _ONE_WRONG else 1 if size < _TWO_WRONG else 2
        near = (one for length in range(size - wrong, size + wrong + 1) for one in self._shapes.get(length, ()))
        return bool(wrong) and any(_is_within(shape, one, wrong) for one in near)


def _candidates(text: str) -> Iterable[str]:
    """The words, and all of them in a row."""
    words = _WORD.findall(plain(text))
    return {*words, "".join(words)}


def _shapes(word: str) -> set[str]:
    """The word with letters that look alike made the same, also where two letters look like one."""
    joined = word
    for two, one in _TWO_AS_ONE:
        joined = joined.replace(two, one)
    return {plain(one).translate(_ALIKE) for one in (word, joined)}


def _is_within(one: str, other: str, wrong: int) -> bool:
    """Whether so many letters put in, left out or changed make the one the other (Levenshtein's distance)."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for place, there in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != there))
        if min(row) > wrong:
            return False
    return row[-1] <= wrong
