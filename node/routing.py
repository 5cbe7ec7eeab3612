"""Decides by where an object came from what is done with it, and for which projects. Every route that matches applies;
where one of them re-identifies, only those that do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage

from .config import Route


class Router:
    """The routes of a configuration."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    def stage_for(self, origin: Origin) -> Stage:
        """Whether what comes from there is cleaned or, as a result that comes back, re-identified."""
        return Stage.REIDENTIFY if any(route.reidentify for route in self._matching(origin)) else Stage.CLEAN

    def projects_for(self, origin: Origin) -> tuple[str, ...]:
        """The names of the projects, each once; none means that the object is held."""
        # What came back is about a pseudonymous study: cleaned as well, it would be a patient of its own in the index.
        reidentify = self.stage_for(origin) == Stage.REIDENTIFY
        return _once(route.project for route in self._matching(origin) if route.reidentify == reidentify)

    def destinations_for(self, origin: Origin, project: str) -> tuple[str, ...]:
        """Where re-identified objects from there go, each once."""
        routes = (one for one in self._matching(origin) if one.reidentify and one.project == project)
        return _once(name for route in routes for name in route.send_to)

    def _matching(self, origin: Origin) -> list[Route]:
        return [route for route in self._routes if route.source in ("*", origin.source)]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
