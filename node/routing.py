"""Decides which projects an object goes to, by where it came from. Every route that matches applies."""

from __future__ import annotations

from collections.abc import Sequence

from lethe.storage.archive import Origin

from .config import Route


class Router:
    """The routes of a configuration."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)

    def projects_for(self, origin: Origin) -> tuple[str, ...]:
        """The names of the projects, each once; none means that the object is held."""
        matching = (route.project for route in self._routes if route.source in ("*", origin.source))
        return tuple(dict.fromkeys(matching))
