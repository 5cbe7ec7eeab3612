"""Turns config.toml into values once, at start. Every mistake names file, section, key and what is accepted."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from .config import SECTIONS, Config, Project, keys
from .contradictions import contradictions
from .errors import ConfigError
from .references import Section, unknown_names
from .settings import as_name


def load_config(path: Path, *, must_exist: bool = True) -> Config:
    """Read config.toml; its defaults where there is no file and `must_exist` is False. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"{path}: there is no such file") from None
        raw = {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    mistakes: list[str] = []
    reader = _Reader(str(path), mistakes)
    config = reader.config(raw, path.resolve().parent)
    told = [*unknown_names(reader.sections), *(() if mistakes else contradictions(config))]
    mistakes += (f"{path}: {mistake}" for mistake in told)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


class _Reader:
    """Reads sections and collects what is wrong with them. `sections` is what could be read of each."""

    def __init__(self, path: str, mistakes: list[str]) -> None:
        self._path = path
        self._mistakes = mistakes
        self.sections: list[Section] = []

    def config(self, raw: dict[str, Any], folder: Path) -> Config:
        for section in raw.keys() - SECTIONS.keys():
            self._wrong(f"[{section}]", "unknown section", ", ".join(f"[{known}]" for known in SECTIONS))
        values: dict[str, Any] = {"folder": folder}
        for name in ("node", "http", "auth", "redact", "worklist"):
            values[name] = self._section(f"[{name}]", SECTIONS[name], raw.get(name, {}))
        for name in ("peers", "steps", "routes"):
            if name in raw:
                values[name] = self._tables(name, SECTIONS[name], raw[name])
        if "projects" in raw:
            values["projects"] = self._projects(raw["projects"])
        return Config(**{name: value for name, value in values.items() if value is not None})

    def _tables(self, name: str, section: type, raw: Any) -> tuple[Any, ...] | None:
        if not isinstance(raw, list):
            self._unread(section, f"[{name}]", "not a list of tables", f"[[{name}]]")
            return None
        read = (self._section(f"[[{name}]] number {place}", section, one) for place, one in enumerate(raw, 1))
        return tuple(one for one in read if one is not None)

    def _projects(self, raw: Any) -> tuple[Any, ...] | None:
        if not isinstance(raw, dict) or not all(isinstance(one, dict) for one in raw.values()):
            self._unread(Project, "[projects]", "not a table of projects", "[projects.NAME]")
            return None
        projects = []
        for name, one in raw.items():
            try:
                projects.append(self._section(f"[projects.{name}]", Project, one, name=as_name(name)))
            except ValueError as error:
                self._unread(Project, f"[projects.{name}]", "not a project's name", str(error))
        return tuple(project for project in projects if project is not None)

    def _section(self, where: str, section: type, raw: Any, **given: Any) -> Any:
        if not isinstance(raw, dict):
            self._unread(section, where, "not a table", where)
            return None
        before = len(self._mistakes)
        known = dict(keys(section))
        for key in raw.keys() - known.keys():
            self._wrong(where, f"unknown key {key!r}", ", ".join(known))
        values = dict(given)
        for key, one in known.items():
            if key in raw:
                try:
                    values[one.name] = one.metadata["read"](raw[key])
                except ValueError as error:
                    self._wrong(where, f"{key} = {raw[key]!r} is not accepted", str(error))
            elif one.default is MISSING:
                self._wrong(where, f"{key} is missing", one.metadata["help"])
        self.sections.append(Section(where, section, values))
        return section(**values) if len(self._mistakes) == before else None

    def _unread(self, section: type, where: str, what: str, accepted: str) -> None:
        self._wrong(where, what, accepted)
        self.sections.append(Section(where, section, {}))

    def _wrong(self, where: str, what: str, accepted: str) -> None:
        self._mistakes.append(f"{self._path}: {where}: {what}; accepted: {accepted}")
