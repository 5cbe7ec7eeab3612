"""Turns config.toml into frozen values once, at start. Every mistake names file, section, key and what is accepted.

Below `node` nobody knows that configuration exists. Secrets never stand here: they come from the environment or from
the key files of the data folder.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from .deface import INPUT, OUTPUT
from .deid.presidio import Voter
from .deid.profile import Option
from .deid.pseudonyms import LONGEST_ROOT, UUID_ROOT


class ConfigError(Exception):
    """The configuration cannot be used; the message lists every mistake, one to a line."""


class AuthMode(StrEnum):
    """How a caller of the HTTP side proves who he is."""

    LOCAL = "local"
    NONE = "none"


class Ability(StrEnum):
    """What a peer may ask of us."""

    STORE = "store"
    FIND = "find"
    MOVE = "move"
    GET = "get"
    COMMIT = "commit"


class PixelPolicy(StrEnum):
    """What is done about text burned into pixels."""

    PHI = "phi"
    ALL = "all"
    REGIONS = "regions"
    NONE = "none"


class DocumentPolicy(StrEnum):
    """What is done about encapsulated documents."""

    REFUSE = "refuse"
    TEXT = "text"


class UnknownPatients(StrEnum):
    """What happens to a patient who is not on the project's own list."""

    PSEUDONYM = "pseudonym"
    HOLD = "hold"


class ProfileName(StrEnum):
    """Which profile cleans the header."""

    BASIC = "basic"
    NONE = "none"


def _key(help_text: str, read: Callable[[Any], Any], default: Any = MISSING) -> Any:
    metadata = {"help": help_text, "read": read}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a non-empty text")
    return value


def _ae_title(value: Any) -> str:
    """PS3.5 6.2: at most 16 characters of the default repertoire, no backslash, not only spaces."""
    if not isinstance(value, str) or not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", value) or not value.strip():
        raise ValueError("an AE title: 1 to 16 characters without backslash")
    return value.strip()


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(value)

    return read


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _choice(choices: type[StrEnum]) -> Callable[[Any], StrEnum]:
    def read(value: Any) -> StrEnum:
        try:
            return choices(value)
        except ValueError:
            raise ValueError("one of " + ", ".join(f'"{choice}"' for choice in choices)) from None

    return read


def _list_of(read_one: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read(value: Any) -> tuple[Any, ...]:
        try:
            if not isinstance(value, list):
                raise ValueError
            return tuple(read_one(one) for one in value)
        except ValueError as error:
            raise ValueError(f"a list, each {error or 'entry a text'}".replace("each one of", "each of")) from None

    return read


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", value):
        raise ValueError("a name of letters, digits, - and _ (at most 40)")
    return value


def _name_or_none(value: Any) -> str:
    return "" if value == "" else _name(value)


def _command(value: Any) -> tuple[str, ...]:
    accepted = f'a command as a list of texts, "{INPUT}" and "{OUTPUT}" among them'
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError(accepted)
    if value[0] in (INPUT, OUTPUT) or not {INPUT, OUTPUT} <= set(value):
        raise ValueError(accepted)
    return tuple(value)


def _uid_root(value: Any) -> str:
    """PS3.5 9.1: numbers without leading zeros, and ISO/IEC 8824: of the first two, 0 to 2 and, below 2, at most 39."""
    accepted = f'a UID root such as "1.2.826.0.1.3680043.10", at most {LONGEST_ROOT} characters'
    if not isinstance(value, str) or not re.fullmatch(r"[0-2](\.(0|[1-9][0-9]*))+", value) or len(value) > LONGEST_ROOT:
        raise ValueError(accepted)
    first, second, *_ = value.split(".")
    if (first != "2" and int(second) > 39) or f"{value}.".startswith("1.2.840.10008."):
        raise ValueError(f"{accepted}, that is your own")
    return value


def _log_level(value: Any) -> str:
    if value not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError('one of "DEBUG", "INFO", "WARNING", "ERROR"')
    return str(value)


def _public_url(value: Any) -> str:
    if not isinstance(value, str) or (value and not re.fullmatch(r"https?://[^\s?#]+", value)):
        raise ValueError('a URL such as "https://lethe.example.org", or ""')
    return value.rstrip("/")


@dataclass(frozen=True)
class Node:
    """[node]: the DICOM side and the data folder."""

    ae_title: str = _key("our AE title; callers must use it", _ae_title, "LETHE")
    host: str = _key("address to listen on; loopback until told otherwise", _text, "127.0.0.1")
    port: int = _key("DICOM port", _whole(1, 65535), 11112)
    data: str = _key("folder for database, files and keys", _text, "data")
    database: str = _key("database URL; empty means SQLite in the data folder", lambda value: str(value), "")
    workers: int = _key("processes that de-identify", _whole(1, 256), 2)
    trust_loopback: bool = _key("let any caller in from this machine itself", _yes_or_no, True)
    log_level: str = _key("how much is logged; never PHI, at any level", _log_level, "INFO")


@dataclass(frozen=True)
class Http:
    """[http]: portal, DICOMweb and FHIR."""

    host: str = _key("address to listen on", _text, "127.0.0.1")
    port: int = _key("HTTP port", _whole(1, 65535), 8080)
    public_url: str = _key(
        "what users type, if a proxy stands in front; empty: taken from the request", _public_url, ""
    )


@dataclass(frozen=True)
class Auth:
    """[auth]: who may use the HTTP side."""

    mode: AuthMode = _key("local accounts, or none (loopback only)", _choice(AuthMode), AuthMode.LOCAL)


@dataclass(frozen=True)
class Peer:
    """[[peers]]: who may call us and whom we can send to."""

    name: str = _key("how the rest of this file calls it", _name)
    ae_title: str = _key("its AE title", _ae_title)
    host: str = _key("its address or host name", _text)
    port: int = _key("its DICOM port", _whole(1, 65535))
    may: tuple[Ability, ...] = _key("what it may ask of us", _list_of(_choice(Ability)), tuple(Ability))
    identified: bool = _key("whether re-identified results (PHI) may be sent to it", _yes_or_no, False)


@dataclass(frozen=True)
class Project:
    """[projects.NAME]: one key, profile and list of destinations."""

    name: str
    profile: ProfileName = _key(
        '"basic" (PS3.15 Table E.1-1), or "none": pass objects through unchanged',
        _choice(ProfileName),
        ProfileName.BASIC,
    )
    options: tuple[Option, ...] = _key(
        "options of PS3.15 E.3 on top of the Basic Profile",
        _list_of(_choice(Option)),
        (Option.CLEAN_PIXEL_DATA, Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES),
    )
    pixel_policy: PixelPolicy = _key("what is done about burned-in text", _choice(PixelPolicy), PixelPolicy.PHI)
    documents: DocumentPolicy = _key(
        'encapsulated PDF and CDA: "text" makes them anew from their cleaned text, "refuse" holds them back',
        _choice(DocumentPolicy),
        DocumentPolicy.TEXT,
    )
    deface: str = _key('name of the step that removes faces; "": what may show one is held back', _name_or_none, "")
    text_voter: Voter = _key(
        'who besides our own rules says what is cut from free text: "none" or "presidio"', _choice(Voter), Voter.NONE
    )
    unknown_patients: UnknownPatients = _key(
        'who is not on the imported list gets a "pseudonym", or is put on "hold"',
        _choice(UnknownPatients),
        UnknownPatients.PSEUDONYM,
    )
    whole_weeks: bool = _key("move dates by whole weeks, so that weekdays stay", _yes_or_no, False)
    uid_root: str = _key('root of new UIDs; "2.25" makes them from UUIDs', _uid_root, UUID_ROOT)
    keep_originals: bool = _key(
        "keep each header as it came, encrypted, so that a receipt can show what stood there", _yes_or_no, True
    )
    send_to: tuple[str, ...] = _key("names of the peers that get the results", _list_of(_name), ())


@dataclass(frozen=True)
class Step:
    """[[steps]]: a command of the site's own that does one thing to an object."""

    name: str = _key("how a project calls it", _name)
    command: tuple[str, ...] = _key('the program and its arguments; "{in}" and "{out}" become files', _command)
    seconds: int = _key("how long it may take", _whole(1, 86400), 600)


@dataclass(frozen=True)
class Route:
    """[[routes]]: which sources go to which project. Every route that matches applies; where one of them
    re-identifies, only those that do."""

    source: str = _key('calling AE title, "stow" or "upload"; "*" is everywhere', _text)
    project: str = _key("name of a project", _name)
    reidentify: bool = _key(
        "put the originals back into results made elsewhere on the project's studies, instead of cleaning them",
        _yes_or_no,
        False,
    )
    send_to: tuple[str, ...] = _key(
        "with `reidentify`: names of the only peers that get them; each must say `identified = true`",
        _list_of(_name),
        (),
    )


@dataclass(frozen=True)
class Config:
    """The whole configuration. `folder` is what relative paths are relative to."""

    node: Node = Node()
    http: Http = Http()
    auth: Auth = Auth()
    peers: tuple[Peer, ...] = ()
    projects: tuple[Project, ...] = (Project("default"),)
    steps: tuple[Step, ...] = ()
    routes: tuple[Route, ...] = (Route("*", "default"),)
    folder: Path = Path()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / self.node.data

    def project(self, name: str) -> Project | None:
        """The project of that name."""
        return next((project for project in self.projects if project.name == name), None)

    def step(self, name: str) -> Step | None:
        """The step of that name."""
        return next((step for step in self.steps if step.name == name), None)

    def peer(self, name: str) -> Peer | None:
        """The peer of that name."""
        return next((peer for peer in self.peers if peer.name == name), None)


SECTIONS: Mapping[str, type] = {
    "node": Node,
    "http": Http,
    "auth": Auth,
    "peers": Peer,
    "projects": Project,
    "steps": Step,
    "routes": Route,
}


def keys(section: type) -> Iterator[tuple[str, Any]]:
    """The keys of a section as they are spelt in config.toml, with their dataclass field."""
    for one in fields(section):
        if "read" in one.metadata:
            yield ("from" if one.name == "source" else one.name), one


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
    config = _Reader(str(path), mistakes).config(raw, path.resolve().parent)
    if not mistakes:
        mistakes += (f"{path}: {mistake}" for mistake in _contradictions(config))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


class _Reader:
    """Reads sections and collects what is wrong with them."""

    def __init__(self, path: str, mistakes: list[str]) -> None:
        self._path = path
        self._mistakes = mistakes

    def config(self, raw: dict[str, Any], folder: Path) -> Config:
        for section in raw.keys() - SECTIONS.keys():
            self._wrong(f"[{section}]", "unknown section", ", ".join(f"[{known}]" for known in SECTIONS))
        values: dict[str, Any] = {"folder": folder}
        for name in ("node", "http", "auth"):
            values[name] = self._section(f"[{name}]", SECTIONS[name], raw.get(name, {}))
        for name in ("peers", "steps", "routes"):
            if name in raw:
                values[name] = self._tables(name, SECTIONS[name], raw[name])
        if "projects" in raw:
            values["projects"] = self._projects(raw["projects"])
        return Config(**{name: value for name, value in values.items() if value is not None})

    def _tables(self, name: str, section: type, raw: Any) -> tuple[Any, ...] | None:
        if not isinstance(raw, list):
            self._wrong(f"[{name}]", "not a list of tables", f"[[{name}]]")
            return None
        read = (self._section(f"[[{name}]] number {place}", section, one) for place, one in enumerate(raw, 1))
        return tuple(one for one in read if one is not None)

    def _projects(self, raw: Any) -> tuple[Any, ...] | None:
        if not isinstance(raw, dict) or not all(isinstance(one, dict) for one in raw.values()):
            self._wrong("[projects]", "not a table of projects", "[projects.NAME]")
            return None
        projects = []
        for name, one in raw.items():
            try:
                projects.append(self._section(f"[projects.{name}]", Project, one, name=_name(name)))
            except ValueError as error:
                self._wrong(f"[projects.{name}]", "not a project's name", str(error))
        return tuple(project for project in projects if project is not None)

    def _section(self, where: str, section: type, raw: Any, **given: Any) -> Any:
        if not isinstance(raw, dict):
            self._wrong(where, "not a table", where)
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
        return section(**values) if len(self._mistakes) == before else None

    def _wrong(self, where: str, what: str, accepted: str) -> None:
        self._mistakes.append(f"{self._path}: {where}: {what}; accepted: {accepted}")


def _contradictions(config: Config) -> Iterator[str]:
    peers = [peer.name for peer in config.peers]
    projects = [project.name for project in config.projects]
    for name in sorted({name for name in peers if peers.count(name) > 1}):
        yield f"[[peers]]: name = {name!r} stands twice; accepted: a name of its own for each peer"
    steps = [step.name for step in config.steps]
    for name in sorted({name for name in steps if steps.count(name) > 1}):
        yield f"[[steps]]: name = {name!r} stands twice; accepted: a name of its own for each step"
    for project in config.projects:
        yield from _deface_contradictions(project, steps)
        for destination in project.send_to:
            if destination not in peers:
                yield (
                    f"[projects.{project.name}]: send_to names {destination!r}; "
                    f"accepted: {', '.join(peers) or 'nothing, as there are no [[peers]]'}"
                )
        if project.profile == ProfileName.NONE and project.unknown_patients == UnknownPatients.HOLD:
            yield f'[projects.{project.name}]: unknown_patients = "hold"; accepted with profile = "none": "pseudonym"'
        if {Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES} <= set(project.options):
            yield (
                f"[projects.{project.name}]: options holds both ways to treat dates; accepted: one of "
                "retain-longitudinal-full-dates, retain-longitudinal-modified-dates"
            )
    for number, route in enumerate(config.routes, 1):
        if route.project not in projects:
            yield f"[[routes]] number {number}: project = {route.project!r}; accepted: {', '.join(projects)}"
        for mistake in _route_mistakes(route, config):
            yield f"[[routes]] number {number}: {mistake}"
    if config.node.database and not config.node.database.startswith("sqlite:///"):
        yield f"[node]: database = {config.node.database!r}; accepted: sqlite:///FILE (others are not supported yet)"
    if config.node.port == config.http.port and config.node.host == config.http.host:
        yield f"[http]: port = {config.http.port} is [node] port as well; accepted: another one"
    if config.auth.mode == AuthMode.NONE and not is_loopback(config.http.host):
        yield (
            f'[auth]: mode = "none" with [http] host = {config.http.host!r}; accepted: "local", '
            "or a loopback address such as 127.0.0.1"
        )


def _route_mistakes(route: Route, config: Config) -> Iterator[str]:
    """What is wrong with where re-identified objects come from and go to."""
    if not route.reidentify:
        if route.send_to:
            yield "send_to without reidentify = true; accepted: send_to in the project, which gets what is clean"
        return
    identified = ", ".join(peer.name for peer in config.peers if peer.identified)
    accepted = f"names of [[peers]] with identified = true ({identified or 'there are none'})"
    if route.source == "*":
        yield 'from = "*" with reidentify = true; accepted: the one source of the results, such as an AE title'
    if not route.send_to:
        yield f"reidentify = true needs send_to; accepted: {accepted}"
    for name in route.send_to:
        peer = config.peer(name)
        if peer is None or not peer.identified:
            yield f"send_to names {name!r}, which is not declared to get PHI; accepted: {accepted}"
    project = config.project(route.project)
    if project is not None and project.profile == ProfileName.NONE:
        yield 'reidentify = true for a project with profile = "none", which replaces nothing; accepted: "basic"'


_FACES = Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES


def _deface_contradictions(project: Project, steps: list[str]) -> Iterator[str]:
    where = f"[projects.{project.name}]: deface = {project.deface!r}"
    if project.deface and project.deface not in steps:
        yield f"{where}; accepted: {', '.join(steps) or 'nothing, as there are no [[steps]]'}"
    elif project.deface and (_FACES not in project.options or project.profile == ProfileName.NONE):
        yield f'{where} would not be run; accepted: profile = "basic" with the option {_FACES}'


def is_loopback(host: str) -> bool:
    """Whether the address or name is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
