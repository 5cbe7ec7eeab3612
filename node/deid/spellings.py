"""Knows how else a name, a number or a day may be written: joined, parted, with initials, without zeros, day first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import permutations

from .folding import plain

_DIGITS = re.compile(r"\d+")
_LETTERS = re.compile(r"[^\W\d_]+")
_PARTS = re.compile(r"^[^A-Z]+|[A-Z][^A-Z]*")
_SHORTEST_SPLIT, _LONGEST_SPLIT, _LEAST_PART = 7, 40, 2
_SHORTEST_NUMBER, _SHORTEST_LOCAL = 5, 7
_MOST_DAYS = 1 << 12
_MONTHS = "january february march april may june july august september october november december".split()
# Letters that some write as two.
TWO_LETTERS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae", "ñ": "ny"})

Phrase = tuple[str, ...]


def with_initials(family: str, given: Sequence[str]) -> Iterator[str]:
    """Names as people have them in computers: the family name with one initial or all, before it or behind."""
    initials = "".join(one[0] for one in given if one)
    for some in {initials[:1], initials} - {""}:
        yield from (some + family, family + some)


def initials_of(given: Sequence[str]) -> Iterator[str]:
    """The initials of all parts of given names: "XiaoDong", "Xiao Dong" and "Xiao-Dong" give x and d."""
    for name in given:
        for word in _LETTERS.findall(name):
            parts = _PARTS.findall(word) if not word.isupper() else [word]
            yield from (plain(part)[:1] for part in parts)


def parted(word: str) -> Iterator[Phrase]:
    """A word in two, as at the end of a line or where somebody hears two words."""
    if _SHORTEST_SPLIT <= len(word) <= _LONGEST_SPLIT:
        yield from ((word[:at], word[at:]) for at in range(_LEAST_PART, len(word) - _LEAST_PART + 1))


def numbers_of(identifier: Sequence[str]) -> Iterator[str]:
    """The numbers in an identifier that may stand alone: without letters, leading zeros, or what dials a country."""
    groups = [number for part in identifier for number in _DIGITS.findall(part)]
    whole = "".join(groups)
    for number in (*groups, whole):
        yield from (one for one in {number, number.lstrip("0")} if len(one) >= _SHORTEST_NUMBER)
    if len(groups) > 2 and all(map(str.isdigit, identifier)):
        locals_ = ("".join(groups[at:]) for at in range(1, len(groups)))
        yield from (one for one in locals_ if len(one) >= _SHORTEST_LOCAL)


def contacts_of(value: str) -> Iterator[str]:
    """What of a mail or web address, or of a telephone number, tells by itself who it is: all but its scheme, and who
    the letters go to."""
    for address in re.split(r"[\s,;<>]+", value):
        without_scheme = re.sub(r"^[a-z]+:/*", "", address)
        if without_scheme != value:
            yield without_scheme
        name, at, _domain = without_scheme.partition("@")
        if at:
            yield name


@lru_cache(maxsize=_MOST_DAYS)
def numbers_of_day(day: str) -> frozenset[str]:
    """A day (YYYYMMDD) in digits in other orders, with two digits of the year, and counted through the year."""
    parts = day[:4], day[4:6], day[6:]
    orders = (*permutations(parts), *permutations((day[2:4], *parts[1:])))
    numbers = {"".join(order) for order in orders} - {day}
    try:
        return frozenset({*numbers, day[:4] + date(*map(int, parts)).strftime("%j")})
    except ValueError:
        return frozenset(numbers)


@lru_cache(maxsize=_MOST_DAYS)
def phrases_of_day(day: str) -> frozenset[Phrase]:
    """A day (YYYYMMDD) in several words."""
    year, month, date_ = day[:4], day[4:6], day[6:]
    name = _MONTHS[int(month) - 1]
    phrases: set[Phrase] = set()
    for a, b in ((month, date_), (month.lstrip("0"), date_.lstrip("0"))):
        phrases |= {(year, a, b), (a, b, year), (b, a, year)}  # "10.3-13" is rather part of a code than a day
        for word in (name, name[:3]):
            phrases |= {order for y in (year, year[2:]) for order in ((word, b, y), (b, word, y))}
    return frozenset(phrases)
