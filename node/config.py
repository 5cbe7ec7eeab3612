"""Is the configuration as frozen values: its sections, and for each key what it means, how it is read and its default.

Below `node` nobody knows that configuration exists. Secrets never stand here: they come from the environment or from
the key files of the data folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from .choices import Ability, AuthMode, DocumentPolicy, Fill, PixelPolicy, ProfileName, UnknownPatients
from .deid.presidio import Voter
from .deid.profile import Option
from .deid.pseudonyms import UUID_ROOT
from .settings import (
    as_ae_title,
    as_choice,
    as_command,
    as_list_of,
    as_log_level,
    as_name,
    as_name_or_none,
    as_text,
    as_truth,
    as_uid_root,
    as_url,
    as_whole,
)


def _key(help_text: str, read: Callable[[Any], Any], default: Any = MISSING) -> Any:
    metadata = {"help": help_text, "read": read}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Node:
    """[node]: the DICOM side and the data folder."""

    ae_title: str = _key("our AE title; callers must use it", as_ae_title, "LETHE")
    host: str = _key("address to listen on; loopback until told otherwise", as_text, "127.0.0.1")
    port: int = _key("DICOM port", as_whole(1, 65535), 11112)
    data: str = _key("folder for database, files and keys", as_text, "data")
    database: str = _key("database URL; empty means SQLite in the data folder", lambda value: str(value), "")
    workers: int = _key("processes that de-identify", as_whole(1, 256), 2)
    trust_loopback: bool = _key("let any caller in from this machine itself", as_truth, True)
    log_level: str = _key("how much is logged; never PHI, at any level", as_log_level, "INFO")


@dataclass(frozen=True)
class Http:
    """[http]: portal, DICOMweb and FHIR."""

    host: str = _key("address to listen on", as_text, "127.0.0.1")
    port: int = _key("HTTP port", as_whole(1, 65535), 8080)
    workers: int = _key("processes that answer", as_whole(1, 64), 2)
    stow_wait: int = _key("seconds that STOW-RS waits for clean instances, to say where they are", as_whole(0, 300), 10)
    stow_largest: int = _key("megabytes of the largest body that STOW-RS takes", as_whole(1, 1_000_000), 4096)
    public_url: str = _key("what users type, if a proxy stands in front; empty: taken from the request", as_url, "")


@dataclass(frozen=True)
class Auth:
    """[auth]: who may use the HTTP side."""

    mode: AuthMode = _key("local accounts, or none (loopback only)", as_choice(AuthMode), AuthMode.LOCAL)


@dataclass(frozen=True)
class Peer:
    """[[peers]]: who may call us and whom we can send to."""

    name: str = _key("how the rest of this file calls it", as_name)
    ae_title: str = _key("its AE title", as_ae_title)
    host: str = _key("its address or host name", as_text)
    port: int = _key("its DICOM port", as_whole(1, 65535))
    may: tuple[Ability, ...] = _key("what it may ask of us", as_list_of(as_choice(Ability)), tuple(Ability))
    identified: bool = _key("whether re-identified results (PHI) may be sent to it", as_truth, False)


@dataclass(frozen=True)
class Project:
    """[projects.NAME]: one key, profile and list of destinations."""

    name: str
    profile: ProfileName = _key(
        '"basic" (PS3.15 Table E.1-1), or "none": pass objects through unchanged',
        as_choice(ProfileName),
        ProfileName.BASIC,
    )
    options: tuple[Option, ...] = _key(
        "options of PS3.15 E.3 on top of the Basic Profile",
        as_list_of(as_choice(Option)),
        (Option.CLEAN_PIXEL_DATA, Option.CLEAN_DESCRIPTORS, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES),
    )
    pixel_policy: PixelPolicy = _key(
        'burned-in text that is covered: "all", "phi" (what is not proven technical), "regions" (where devices write), '
        '"none", or "auto": "all" for ultrasound and captures of screens, "phi" for the rest',
        as_choice(PixelPolicy),
        PixelPolicy.AUTO,
    )
    fill: Fill = _key(
        'what covers burned-in text: "background", the colour around it, or "contrast", black or white',
        as_choice(Fill),
        Fill.BACKGROUND,
    )
    text_finders: tuple[str, ...] = _key(
        'what looks for burned-in text, one after another: "rapidocr", "tesseract" or both',
        as_list_of(as_name),
        ("rapidocr",),
    )
    documents: DocumentPolicy = _key(
        'encapsulated PDF and CDA: "text" makes them anew from their cleaned text, "refuse" holds them back',
        as_choice(DocumentPolicy),
        DocumentPolicy.TEXT,
    )
    deface: str = _key('name of the step that removes faces; "": what may show one is held back', as_name_or_none, "")
    text_voter: Voter = _key(
        'who besides our own rules says what is cut from free text: "none" or "presidio"', as_choice(Voter), Voter.NONE
    )
    unknown_patients: UnknownPatients = _key(
        'who is not on the imported list gets a "pseudonym", or is put on "hold"',
        as_choice(UnknownPatients),
        UnknownPatients.PSEUDONYM,
    )
    whole_weeks: bool = _key("move dates by whole weeks, so that weekdays stay", as_truth, False)
    uid_root: str = _key('root of new UIDs; "2.25" makes them from UUIDs', as_uid_root, UUID_ROOT)
    keep_originals: bool = _key(
        "keep each header as it came, encrypted, so that a receipt can show what stood there", as_truth, True
    )
    send_to: tuple[str, ...] = _key("names of the peers that get the results", as_list_of(as_name), ())


@dataclass(frozen=True)
class Redact:
    """[redact]: what `/api/v1/redact` and `/api/v1/redact-batch` may be asked for."""

    roots: tuple[str, ...] = _key(
        "folders of this machine below which a batch may read and write; none: no batches", as_list_of(as_text), ()
    )
    largest: int = _key("megabytes of the largest file that can be sent to be redacted", as_whole(1, 4096), 1024)


@dataclass(frozen=True)
class Step:
    """[[steps]]: a command of the site's own that does one thing to an object."""

    name: str = _key("how a project calls it", as_name)
    command: tuple[str, ...] = _key('the program and its arguments; "{in}" and "{out}" become files', as_command)
    seconds: int = _key("how long it may take", as_whole(1, 86400), 600)


@dataclass(frozen=True)
class Route:
    """[[routes]]: which sources go to which project. Every route that matches applies; where one of them
    re-identifies, only those that do."""

    source: str = _key('calling AE title, "stow" or "upload"; "*" is everywhere', as_text)
    project: str = _key("name of a project", as_name)
    reidentify: bool = _key(
        "put the originals back into results made elsewhere on the project's studies, instead of cleaning them",
        as_truth,
        False,
    )
    send_to: tuple[str, ...] = _key(
        "with `reidentify`: names of the only peers that get them; each must say `identified = true`",
        as_list_of(as_name),
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
    redact: Redact = Redact()
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
    "redact": Redact,
    "steps": Step,
    "routes": Route,
}


def keys(section: type) -> Iterator[tuple[str, Any]]:
    """The keys of a section as they are spelt in config.toml, with their dataclass field."""
    for one in fields(section):
        if "read" in one.metadata:
            yield ("from" if one.name == "source" else one.name), one
