"""Says what is looked for: one `Query` value, built by QIDO-RS, FHIR, the portal and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TypeAlias


class Level(IntEnum):
    """The levels of the Patient Root information model; those of the Study Root model begin with STUDY."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    INSTANCE = 3


class Order(StrEnum):
    """How results are sorted; every order ends in a unique key, so that pages are stable."""

    STORED = "stored"
    """By level's own number (series, instance), then by when it was first published."""
    NEWEST = "newest"
    """Latest change first."""
    OLDEST = "oldest"
    """Latest change last."""
    STARTED = "started"
    """By study date and time."""
    STARTED_DESCENDING = "-started"


EMPTY = '""'
"""The value of a `Match` that asks for an attribute without one (PS3.4 C.2.2.2.7)."""


@dataclass(frozen=True)
class Match:
    """One attribute must match at least one of `values`, each read as PS3.4 C.2.2.2 says for its VR: `*` and `?` in
    text, ranges `a-b` in dates and times, the empty value as universal matching. `creator` says whose a private
    attribute is, whatever block it lies in."""

    tag: str
    values: tuple[str, ...]
    creator: str = ""


@dataclass(frozen=True)
class Resembles(Match):
    """A person name has the words of one of `values`, or words that begin with them, in any order and without regard to
    case and accents: fuzzy semantic matching (PS3.4 C.2.2.2.1.1). Wildcards mean what they mean elsewhere."""


@dataclass(frozen=True)
class Within:
    """One item of a sequence must meet all `terms` (PS3.4 C.2.2.2.6); of none, any sequence does."""

    tag: str
    terms: tuple[Match | Within, ...]
    creator: str = ""


@dataclass(frozen=True)
class Moment:
    """A date and a time that are one point in time lie within the range from the beginning of both ranges to the end
    of both (PS3.4 C.2.2.2.5.2)."""

    date: Match
    time: Match


@dataclass(frozen=True)
class Equals:
    """One attribute is exactly one of `values`: no wildcards, no ranges; the empty value asks that it has none."""

    tag: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Changed:
    """The last change was at or after `since` and before `before`, in seconds since the epoch."""

    since: float = 0.0
    before: float = math.inf


@dataclass(frozen=True)
class AnyOf:
    """At least one of `terms` holds; of none, none does."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Not:
    """`term` does not hold; for a term of a lower level: there is no such series or instance."""

    term: Term


Place: TypeAlias = tuple[str, ...]
"""Where an entry stands in an order, as `Index.page` tells it: the values by which it is sorted."""

Term: TypeAlias = Match | Within | Moment | Equals | Changed | AnyOf | Not
"""One condition of a query."""

_MOMENTS = (("00080020", "00080030"), ("00080021", "00080031"), ("00400244", "00400245"))


def with_moments(terms: Sequence[Term]) -> tuple[Term, ...]:
    """The same, ranges of dates and of times that belong together being taken as one (PS3.4 C.2.2.2.5)."""
    ranges = {term.tag: term for term in terms if isinstance(term, Match) and len(term.values) == 1}
    ranges = {tag: term for tag, term in ranges.items() if "-" in term.values[0]}
    pairs = [(ranges[day], ranges[time]) for day, time in _MOMENTS if day in ranges and time in ranges]
    taken = {term for pair in pairs for term in pair}
    return (*(term for term in terms if term not in taken), *(Moment(day, time) for day, time in pairs))


@dataclass(frozen=True)
class Query:
    """What is looked for. All matches must hold; a match of a lower level asks that one such series or instance
    exists. `limit` None means all; `then` are orders among entries that are alike in `order`; `after` leaves out the
    studies at that place or before it, so that pages follow one another whatever came or went meanwhile; `counted`
    names attributes that are counted for each result, so only when wanted (`computed.py`)."""

    level: Level
    matches: tuple[Term, ...] = ()
    limit: int | None = None
    offset: int = 0
    order: Order = Order.STORED
    then: tuple[Order, ...] = ()
    after: Place = ()
    changed_since: float = 0.0
    counted: frozenset[str] = frozenset()
