"""Decides what is done with what came in, and for which projects. Every route that matches applies; where one of them
re-identifies, only those that do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lethe.storage.intake import Arrival, Handling, Plan, Planner
from lethe.storage.jobs import Stage

from .conditions import Condition, Facts, asked, conditions, of_arrival
from .config import Config, Project, Route
from .errors import UserError
from .headerfacts import STUDY, HeaderFacts
from .patterns import any_matches, is_exact

_ORIGINS = 1000
"""For which a plan is kept that is the same each time."""


class Router:
    """The routes of a configuration, with what its projects and peers say about what comes by them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._routes = [(route, conditions(route)) for route in config.routes]
        self._asked = {path for route in config.routes for path in asked(route)}
        if any(config.whole_studies_to(project) for project in config.projects):
            self._asked.add((STUDY,))
        self._asks_only_where_from = not self._asked and not any(route.window for route in config.routes)
        self._plan_from = lru_cache(_ORIGINS)(lambda origin: self._plan(Facts(origin, 0.0, HeaderFacts(Path(), ()))))

    @property
    def called(self) -> frozenset[str]:
        """The AE titles that routes spell out, by which we are called beside our own."""
        return frozenset(title for route in self._config.routes for title in route.called if is_exact(title))

    def plan(self, arrival: Arrival) -> Plan:
        """For which projects an object is cleaned or, as a result that comes back, re-identified; without a project it
        is held. Its header is read only where a route asks about it, or a destination wants whole studies."""
        if self._asks_only_where_from:
            return self._plan_from(arrival.origin)
        return self._plan(self._facts(arrival))

    def _plan(self, facts: Facts) -> Plan:
        routes, reason = self._matching(facts)
        if not routes:
            return Plan(handling=Handling(reason))
        projects = _once(route.project for route in routes)
        handling = Handling(reason, self._priorities(routes))
        if routes[0].reidentify:
            return Plan(projects, Stage.REIDENTIFY, handling)
        quiet = self._quiet(routes)
        study = facts.header.study_digest() if quiet else ""
        return Plan(projects, Stage.CLEAN, replace(handling, quiet=quiet, study=study))

    def destinations_for(self, arrival: Arrival, project: str) -> tuple[str, ...]:
        """Where a re-identified object that came like that goes, each once."""
        routes, _reason = self._matching(self._facts(arrival))
        wanted = (route for route in routes if route.reidentify and route.project == project)
        return _once(name for route in wanted for name in route.send_to)

    def title_into(self, project: str, source: str) -> str:
        """The AE title of ours under which all that comes from `source` goes into that project and no other, whatever
        is in it: our own or one that routes spell out. Raises UserError where there is none."""
        spelt = [title for route in self._config.routes if route.project == project for title in route.called]
        for title in _once((self._config.node.ae_title, *filter(is_exact, spelt))):
            routes = [route for route in self._config.routes if _may_come_by(route, source, title)]
            into = {(route.project, route.reidentify) for route in routes} == {(project, False)}
            if into and any(len(conditions(route)) == (2 if route.called else 1) for route in routes):
                return title
        raise UserError(
            f"no AE title of ours brings what {source} sends into the project {project} alone; add a route that does,"
            f' such as from = "{source}", called = "{project.upper()[:16]}", project = "{project}", and see that no'
            " route of another project matches that too"
        )

    def quiet_seconds(self, project: Project, arrival: Arrival) -> float:
        """How long nothing may come before the study of what came like that is complete. Its header may be gone by now:
        of routes that ask for more of that, the one that waits longest counts."""
        facts = Facts(arrival.origin, arrival.at, HeaderFacts(arrival.path, ()))
        routes = [one for one in self._config.routes if one.project == project.name and not one.reidentify]
        came_by = [one for one in routes if all(condition.holds(facts) for condition in of_arrival(one))]
        return max((one.complete_after for one in came_by), default=0.0) or project.complete_after

    def _facts(self, arrival: Arrival) -> Facts:
        return Facts(arrival.origin, arrival.at, HeaderFacts(arrival.path, self._asked))

    def _matching(self, facts: Facts) -> tuple[list[Route], str]:
        """The routes that apply or, if there is none, why."""
        met = [_met(of_it, facts) for _route, of_it in self._routes]
        matching = [route for (route, of_it), number in zip(self._routes, met, strict=True) if number == len(of_it)]
        if not matching:
            return [], self._why_none(met)
        # What came back is about a pseudonymous study: cleaned as well, it would be a patient of its own in the index.
        returning = [route for route in matching if route.reidentify]
        return returning or matching, ""

    def _why_none(self, met: list[int]) -> str:
        """The route that comes nearest, and what it asks for in vain."""
        nearest = max(range(len(met)), key=met.__getitem__, default=0)
        if not met or met[nearest] == 0:
            return "no route matches its source"
        about = self._routes[nearest][1][met[nearest]].about
        return f"no route matches; number {nearest + 1} does but for its {about}"

    def _priorities(self, routes: list[Route]) -> dict[str, int]:
        """By project: that of its most urgent route, of the project, of the most urgent of its destinations."""
        by_project: dict[str, int] = {}
        for name in {route.project for route in routes}:
            of_routes = max(route.priority for route in routes if route.project == name)
            project = self._config.project(name)
            by_project[name] = of_routes + (self._config.priority_of(project) if project else 0)
        return by_project

    def _quiet(self, routes: list[Route]) -> dict[str, float]:
        """By project that sends whole studies: how long nothing may come before one is complete."""
        quiet: dict[str, float] = {}
        for name in {route.project for route in routes}:
            project = self._config.project(name)
            if project and self._config.whole_studies_to(project):
                said = max(route.complete_after for route in routes if route.project == name)
                quiet[name] = said or project.complete_after
        return quiet


def always(*projects: str) -> Planner:
    """A plan for everything that comes: to be cleaned for these projects, or held."""
    plan = Plan(projects)
    return lambda _arrival: plan


def _met(of_it: list[Condition], facts: Facts) -> int:
    """How many conditions hold before the first that does not."""
    for number, condition in enumerate(of_it):
        if not condition.holds(facts):
            return number
    return len(of_it)


def _may_come_by(route: Route, source: str, title: str) -> bool:
    return any_matches(route.source, [source]) and (not route.called or any_matches(route.called, [title]))


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
