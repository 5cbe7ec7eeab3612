"""Says whether a route matches what came in, and if not, what keeps it from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lethe.storage.intake import Origin

from .config import Route
from .headerfacts import MODALITY, SOP_CLASS, STATION, AttributePath, HeaderFacts, path_from
from .patterns import any_matches, any_matches_in_spirit, is_within
from .windows import wall_clock


@dataclass(frozen=True)
class Facts:
    """What a route may ask about: where an object came from, when in seconds since the epoch, its header."""

    origin: Origin
    at: float
    header: HeaderFacts

    @property
    def when(self) -> datetime:
        """When, by the clock on the wall."""
        return wall_clock(self.at)


@dataclass(frozen=True)
class Condition:
    """One key of a route: what it is about, in words that name nobody, and whether it holds."""

    about: str
    holds: Callable[[Facts], bool]


def conditions(route: Route) -> list[Condition]:
    """The conditions of a route, those that cost nothing first."""
    found = of_arrival(route)
    if route.sop_class:
        found.append(Condition("SOP Class", lambda facts: _is(route.sop_class, facts, (SOP_CLASS,))))
    if route.modality:
        found.append(Condition("modality", lambda facts: _is(route.modality, facts, (MODALITY,))))
    if route.station:
        found.append(Condition("station name", lambda facts: _is(route.station, facts, (STATION,))))
    return found + [_attribute(name, wanted) for name, wanted in route.where]


def of_arrival(route: Route) -> list[Condition]:
    """Those of its conditions for which no header is read."""
    found = [Condition("source", lambda facts: any_matches(route.source, [facts.origin.source]))]
    if route.called:
        found.append(Condition("called AE title", lambda facts: any_matches(route.called, [facts.origin.called])))
    if route.address:
        found.append(Condition("address", lambda facts: is_within(route.address, facts.origin.address)))
    if route.window:
        found.append(Condition("time of arrival", lambda facts: route.window.is_open(facts.when)))
    return found


def asked(route: Route) -> set[AttributePath]:
    """The attributes that a route asks about."""
    named = ((route.sop_class, SOP_CLASS), (route.modality, MODALITY), (route.station, STATION))
    return {(tag,) for wanted, tag in named if wanted} | {path_from(name) for name, _wanted in route.where}


def _attribute(name: str, wanted: tuple[str, ...]) -> Condition:
    path = path_from(name)
    return Condition(name, lambda facts: _is(wanted, facts, path))


def _is(wanted: tuple[str, ...], facts: Facts, path: AttributePath) -> bool:
    return any_matches_in_spirit(wanted, facts.header.values(path))
