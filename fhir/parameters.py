"""Reads the parameters of a FHIR search: names, modifiers, alternatives, escapes, and those that shape the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote, unquote

from lethe.storage.query import Order, Place

from .outcome import invalid, unsupported

DEFAULT_COUNT = 20
GREATEST_COUNT = 100
_MOST_VALUES = 200
_PRESENTATION = ("_format", "_pretty", "_total")  # the total is always exact, which no wish for it can improve on
_TARGETS = {"endpoint": "Endpoint", "patient": "Patient", "subject": "Patient"}
_WHOLE_NUMBER = re.compile(r"[0-9]{1,15}")
_ORDERS = {
    "started": Order.STARTED,
    "-started": Order.STARTED_DESCENDING,
    "_lastUpdated": Order.OLDEST,
    "-_lastUpdated": Order.NEWEST,
}

Pairs = Sequence[tuple[str, str]]
"""Parameters as they came: names, repeated where they were, with their values."""


class Summary(StrEnum):
    """How much of each resource is wanted."""

    FALSE = "false"
    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"


@dataclass(frozen=True)
class Token:
    """A token `system|code`. `system` None leaves it open, an empty one asks that there be none; an empty `code` asks
    for any code of the system."""

    system: str | None
    code: str

    def is_of(self, system: str) -> bool:
        """Whether codes of that system can match."""
        return self.system is None or self.system == system


@dataclass(frozen=True)
class Criterion:
    """One parameter that selects. Any one of its values suffices; they are still escaped."""

    name: str
    modifier: str
    values: tuple[str, ...]

    def tokens(self) -> list[Token]:
        """The values as tokens. Raises Problem."""
        return [_token(value) for value in self.values]

    def texts(self) -> list[str]:
        """The values as plain text."""
        return [_unescaped(value) for value in self.values]


@dataclass(frozen=True)
class Shape:
    """How much of each resource is wanted: a summary, or these elements."""

    summary: Summary = Summary.FALSE
    elements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A search as understood. `used` are the parameters that were, without those that page; ignored ones are gone."""

    criteria: tuple[Criterion, ...] = ()
    count: int = DEFAULT_COUNT
    offset: int = 0
    after: Place = ()
    orders: tuple[Order, ...] = ()
    includes: frozenset[str] = frozenset()
    shape: Shape = Shape()
    used: tuple[tuple[str, str], ...] = ()

    @property
    def only_counts(self) -> bool:
        """Whether only the number of matches is wanted."""
        return self.count == 0 or self.shape.summary == Summary.COUNT


@dataclass(frozen=True)
class Vocabulary:
    """What can be asked of one resource type: parameters with their modifiers, `_include` values with the elements
    they follow, and `_sort` keys."""

    parameters: Mapping[str, frozenset[str]]
    includes: Mapping[str, str]
    sorts: frozenset[str]


class Handling(StrEnum):
    """What is to become of parameters nobody knows (the Prefer header)."""

    LENIENT = "lenient"
    STRICT = "strict"


def understand(pairs: Pairs, vocabulary: Vocabulary, handling: Handling) -> Asked:
    """The search that the parameters ask for. Raises Problem for what is wrong, and for what would change the result
    if it were ignored; strict handling also refuses what is unknown."""
    asked = Asked()
    for name, value in pairs:
        if not value.strip():
            continue
        understood = _understand_one(asked, name, value, vocabulary)
        if understood is not None:
            asked = understood
        elif handling == Handling.STRICT:
            raise unsupported(f"a parameter or value is not supported here; supported are {_supported(vocabulary)}")
    if sum(len(criterion.values) for criterion in asked.criteria) > _MOST_VALUES:
        raise invalid(f"a search has at most {_MOST_VALUES} values")
    return asked


def shape_of(pairs: Pairs) -> Shape:
    """What a read asks for by `_summary` and `_elements`. Raises Problem."""
    asked = Asked()
    for name, value in pairs:
        if name in ("_summary", "_elements") and value.strip():
            asked = _control(asked, name, value)
    if asked.shape.summary == Summary.COUNT:
        raise invalid("a single resource cannot be counted")
    return asked.shape


def _understand_one(asked: Asked, name: str, value: str, vocabulary: Vocabulary) -> Asked | None:
    """The search with one parameter more; None where it can be ignored."""
    if name in ("_count", "_offset"):
        return _paged(asked, name, value)
    if name == "_after":
        return replace(asked, after=_place(value))
    if name in ("_summary", "_elements"):
        return _using(_control(asked, name, value), name, value)
    if name in _PRESENTATION:
        return _using(asked, name, value)
    if name == "_sort":
        return _sorted(asked, value, vocabulary)
    if name in ("_include", "_include:iterate"):
        elements = _followed(vocabulary.includes, value)
        return _using(replace(asked, includes=asked.includes | elements), name, value) if elements else None
    base, modifier = _split_name(name)
    if base not in vocabulary.parameters:
        return None
    if modifier and modifier not in vocabulary.parameters[base]:
        raise unsupported("a modifier or chain in the search is not supported")
    values = tuple(part for part in _split(value, ",") if part.strip())
    criterion = Criterion(base, modifier, values)
    return _using(replace(asked, criteria=(*asked.criteria, criterion)), name, value) if values else asked


def _followed(includes: Mapping[str, str], value: str) -> frozenset[str]:
    """The elements that a value of `_include` follows: all, or one, which may name the type that it leads to."""
    if value == "*":
        return frozenset(includes.values())
    source, _, target = value.rpartition(":")
    return frozenset(
        element
        for known, element in includes.items()
        if known == value or (known == source and target == _TARGETS.get(element))
    )


def _using(asked: Asked, name: str, value: str) -> Asked:
    return replace(asked, used=(*asked.used, (name, value)))


def _paged(asked: Asked, name: str, value: str) -> Asked:
    if not _WHOLE_NUMBER.fullmatch(value):
        raise invalid(f"{name} is a whole number that is not negative")
    number = int(value)
    return replace(asked, count=min(number, GREATEST_COUNT)) if name == "_count" else replace(asked, offset=number)


def _control(asked: Asked, name: str, value: str) -> Asked:
    if name == "_elements":
        elements = tuple(part.strip() for part in value.split(",") if part.strip())
        return replace(asked, shape=replace(asked.shape, elements=elements))
    try:
        summary = Summary(value)
    except ValueError:
        raise invalid(f"_summary is one of {', '.join(Summary)}") from None
    return replace(asked, shape=replace(asked.shape, summary=summary))


def _sorted(asked: Asked, value: str, vocabulary: Vocabulary) -> Asked | None:
    """Sorted by these keys, one after another; where one of them is unknown, by none of them."""
    names = list(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    if not names or not vocabulary.sorts.issuperset(names):
        return None
    return _using(replace(asked, orders=tuple(_ORDERS[name] for name in names)), "_sort", ",".join(names))


def written(place: Place) -> str:
    """A place in an order as the value of a parameter, which `_after` gives back."""
    return ",".join(quote(text, safe="") for text in place)


def _place(value: str) -> Place:
    return tuple(unquote(part) for part in value.split(","))


def _split_name(name: str) -> tuple[str, str]:
    """Name and modifier; a chain such as patient.name counts as a modifier, for it may not be ignored either."""
    found = re.fullmatch(r"([^:.]*)(?:([:.])(.*))?", name, re.DOTALL)
    if found is None or found[2] is None:
        return name, ""
    return found[1], found[3] if found[2] == ":" and found[3] else "." + found[3]


def _token(value: str) -> Token:
    parts = [_unescaped(part).strip() for part in _split(value, "|")]
    if len(parts) > 2 or not any(parts):
        raise invalid("a token looks like code, system|code, |code or system|")
    return Token(None, parts[0]) if len(parts) == 1 else Token(parts[0], parts[1])


def _split(value: str, separator: str) -> list[str]:
    """The parts between separators that are not escaped."""
    return [
        part for part in re.findall(rf"(?:^|{re.escape(separator)})((?:\\.|[^\\{separator}]|\\$)*)", value, re.DOTALL)
    ]


def _unescaped(value: str) -> str:
    return re.sub(r"\\([,|$\\])", r"\1", value)


def _supported(vocabulary: Vocabulary) -> str:
    known: Iterable[str] = [*vocabulary.parameters, "_count", "_elements", "_format", "_pretty", "_summary"]
    more = ["_include"] * bool(vocabulary.includes) + ["_sort"] * bool(vocabulary.sorts)
    return ", ".join(sorted([*known, *more]))
