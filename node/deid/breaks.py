"""Finds what names the patient where it is written over line breaks, or letter by letter, as documents do in narrow
columns and boxed forms."""

from __future__ import annotations

from collections.abc import Sequence

from .terms import TermBank

_MOST_PARTS = _LONGEST = 64
_LETTER_BY_LETTER = 6


def is_broken_over_lines(text: str, terms: TermBank) -> bool:
    """Whether a term stands in parts at line ends, or lines of one letter each spell what cannot be read as words."""
    lines = [words for line in text.splitlines() if (words := line.split())]
    return _spells(lines) or any(_joins(lines[at:], terms) for at in range(len(lines) - 1))


def _spells(lines: Sequence[Sequence[str]]) -> bool:
    """Whether many lines in a row hold one letter each, and not always the same few, as a column of sides does."""
    run: list[str] = []
    for words in lines:
        letter = "".join(words)
        run = [*run, letter.lower()] if len(letter) == 1 and letter.isalpha() else []
        if len(run) >= _LETTER_BY_LETTER and len(set(run)) > _LETTER_BY_LETTER // 2:
            return True
    return False


def _joins(lines: Sequence[Sequence[str]], terms: TermBank) -> bool:
    """Whether the last word of the first line makes a term with what begins the next ones."""
    joined = closed = lines[0][-1]
    for words in lines[1:_MOST_PARTS]:
        joined, closed = joined + words[0], closed.removesuffix("-") + words[0]
        if len(joined) > _LONGEST:
            return False
        if any(terms.finds(one) or _is_day(one, terms) for one in {joined, closed}):
            return True
        if len(words) > 1:
            return False
    return False


def _is_day(text: str, terms: TermBank) -> bool:
    if len(text) != 8 or not text.isdigit():
        return False
    return terms.is_day(text[4:] + text[2:4] + text[:2]) or terms.is_day(text[4:] + text[:4])
