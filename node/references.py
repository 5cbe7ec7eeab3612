"""Finds names in the configuration that stand for nothing in it. It goes by what could be read of each section, so that
they are told together with what could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .config import Config, Peer, Project, Route, Step


@dataclass(frozen=True)
class Section:
    """What could be read of one section: its values by their field."""

    where: str
    kind: type
    values: Mapping[str, Any]


@dataclass(frozen=True)
class _Reference:
    """A key of one kind of section that names sections of another; of these are accepted those `having` a value."""

    kind: type
    key: str
    named: type
    heading: str
    having: str = "name"


_REFERENCES = (
    _Reference(Project, "deface", Step, "[[steps]]"),
    _Reference(Project, "send_to", Peer, "[[peers]]"),
    _Reference(Peer, "notify", Project, "[projects.NAME]"),
    _Reference(Route, "project", Project, "[projects.NAME]"),
    _Reference(Route, "send_to", Peer, "[[peers]] with identified = true", having="identified"),
)


def unknown_names(sections: Sequence[Section]) -> Iterator[str]:
    """One sentence for each name, in the order of the sections. Where the name of a section itself could not be read,
    nothing is said of names of its kind."""
    for section in sections:
        for reference in _REFERENCES:
            if section.kind is reference.kind:
                for mistake in _mistakes(section, reference, sections):
                    yield f"{section.where}: {mistake}"


def _mistakes(section: Section, reference: _Reference, sections: Sequence[Section]) -> Iterator[str]:
    named = _values(sections, reference.named)
    known = [values.get("name") for values in named]
    if None in known:
        return
    accepted = [values["name"] for values in named if values.get(reference.having)]
    value = section.values.get(reference.key) or ()
    said, names = ("=", [value]) if isinstance(value, str) else ("names", value)
    for name in names:
        if name not in known:
            told = ", ".join(accepted) or f"nothing, as there are no {reference.heading}"
            yield f"{reference.key} {said} {name!r}; accepted: {told}"


def _values(sections: Sequence[Section], kind: type) -> Sequence[Mapping[str, Any]]:
    """What could be read of all sections of a kind, or what stands for them where there are none."""
    found = [section.values for section in sections if section.kind is kind]
    return found or ([{"name": project.name} for project in Config.projects] if kind is Project else [])
