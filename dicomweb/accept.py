"""Chooses the media type of an answer from what the client accepts and what can be given (PS3.18 8.7, RFC 9110 12.5.1).

Pure. Parameters, their white space, quotation marks and q values are read as HTTP defines them; members nobody knows
are passed over, so that a browser's or a Java library's default header works.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TypeVar

MULTIPART = "multipart/related"
JSON_TYPES = ("application/dicom+json", "application/json")

T = TypeVar("T")

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf';\s*(?:({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+)))?\s*')
_RANGE = re.compile(rf"\s*({_TOKEN}/{_TOKEN}|\*)\s*")
_ALIASES = {
    "image/x-jls": "image/jls",
    "image/x-dicom-rle": "image/dicom-rle",
    "image/jpg": "image/jpeg",
    "*": "*/*",
}


class NotAcceptable(Exception):
    """Nothing the client accepts can be given; the message says what can. It never repeats what the client sent."""


class Packing(Enum):
    """How the payload is packed into the body."""

    SINGLE = "single"
    MULTIPART = "multipart"


@dataclass(frozen=True)
class MediaRange:
    """One member of an Accept header."""

    media_type: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0

    def __hash__(self) -> int:
        return hash((self.media_type, frozenset(self.parameters.items()), self.quality))


@dataclass(frozen=True, eq=False)
class Offer:
    """One way in which an answer can be given; every one is its own, so that choosing again is a look-up.

    `answers` are the values of the transfer-syntax parameter it satisfies, "" standing for none; left empty where
    transfer syntaxes do not matter. `also` are other names by which the media type may be asked for.
    """

    media_type: str
    packing: Packing = Packing.SINGLE
    transfer_syntax: str = ""
    answers: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()


JSON = Offer(JSON_TYPES[0], also=JSON_TYPES[1:])


@lru_cache(maxsize=256)
def parse(header: str) -> tuple[MediaRange, ...]:
    """The members of an Accept header; what is not a media range is left out."""
    ranges = []
    for member in _members(header):
        start = _RANGE.match(member)
        if start is None:
            continue
        parameters: dict[str, str] = {}
        position = start.end()
        while found := _PARAMETER.match(member, position):
            name, quoted, plain = found.groups()
            if name:
                parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            position = found.end()
        if position == len(member):
            quality = _quality(parameters.pop("q", "1"))
            ranges.append(MediaRange(_canonical(start.group(1)), _unfolded(parameters), quality))
    return tuple(ranges)


def _unfolded(parameters: dict[str, str]) -> dict[str, str]:
    """The parameters, where some clients have those of the parts within the quotation marks of `type`."""
    if ";" not in parameters.get("type", ""):
        return parameters
    return {name: value for one in parse(parameters["type"]) for name, value in one.parameters.items()} | {
        **parameters,
        "type": parameters["type"].partition(";")[0].rstrip(),
    }


def choose(ranges: Sequence[MediaRange], offers: Sequence[Offer]) -> Offer:
    """The offer the client likes best; among equals the one it names first, then the one offered first. Raises
    NotAcceptable."""
    return _chosen(tuple(ranges), tuple(offers))


def best_possible(ranges: Sequence[MediaRange], offers: Sequence[Offer], make: Callable[[Offer], T]) -> T:
    """What `make` makes of the offer the client likes best, or of the next one where it raises NotAcceptable. Raises
    that of the first where none can be made."""
    left, refused = list(offers), None
    while True:
        try:
            offer = choose(ranges, left)
        except NotAcceptable as error:
            raise refused or error from None
        try:
            return make(offer)
        except NotAcceptable as error:
            refused = refused or error
            left.remove(offer)


@lru_cache(maxsize=1024)
def _chosen(ranges: tuple[MediaRange, ...], offers: tuple[Offer, ...]) -> Offer:
    best: tuple[float, int] = (0.0, 0)
    chosen = None
    for offer in offers:
        matching = [(_weight(wanted), -place, wanted) for place, wanted in enumerate(ranges) if _accepts(wanted, offer)]
        if not matching:
            continue
        _, place, wanted = max(matching, key=lambda match: match[:2])
        if wanted.quality > 0 and (chosen is None or (wanted.quality, place) > best):
            best, chosen = (wanted.quality, place), offer
    if chosen is None:
        raise NotAcceptable(f"none of the accepted media types can be given; to be had: {_listed(offers)}")
    return chosen


def takes_anything(wanted: MediaRange) -> bool:
    """Whether the range leaves the media type of the payload open."""
    kind = wanted.parameters.get("type", "*/*") if wanted.media_type == MULTIPART else wanted.media_type
    return kind == "*/*"


def _accepts(wanted: MediaRange, offer: Offer) -> bool:
    asked_syntax = wanted.parameters.get("transfer-syntax", "")
    if offer.answers and asked_syntax not in offer.answers:
        return False
    if wanted.media_type == MULTIPART and offer.packing is Packing.MULTIPART:
        # The parts' type is compared as given: white space within the quotation marks makes another value.
        return _covers(_canonical(wanted.parameters.get("type", "*/*")), offer.media_type)
    if offer.packing is Packing.MULTIPART:
        return wanted.media_type in ("*/*", "multipart/*")
    return any(_covers(wanted.media_type, name) for name in (offer.media_type, *offer.also))


def _covers(pattern: str, media_type: str) -> bool:
    return pattern in ("*/*", media_type) or (pattern.endswith("/*") and media_type.startswith(pattern[:-1]))


def _weight(wanted: MediaRange) -> tuple[int, int, int]:
    """How specific a range is (RFC 9110 12.5.1)."""
    kind = wanted.parameters.get("type", "") if wanted.media_type == MULTIPART else wanted.media_type
    return (0 if wanted.media_type == "*/*" else 1, 2 - kind.count("*"), len(wanted.parameters))


def _canonical(media_type: str) -> str:
    lower = media_type.lower()
    return _ALIASES.get(lower, lower)


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 1.0


def _members(header: str) -> list[str]:
    """The header split at the commas that are outside quotation marks."""
    return [member.strip() for member in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+', header)]


def _listed(offers: Sequence[Offer]) -> str:
    names = dict.fromkeys(_written(offer) for offer in offers)
    return ", ".join(names) or "nothing"


def _written(offer: Offer) -> str:
    syntax = f"; transfer-syntax={offer.transfer_syntax}" if offer.transfer_syntax else ""
    if offer.packing is Packing.MULTIPART:
        return f'{MULTIPART}; type="{offer.media_type}"{syntax}'
    return f"{offer.media_type}{syntax}"
