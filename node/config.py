"""Is the configuration as frozen values: its sections, and for each key what it means, how it is read and its default.

Below `node` nobody knows that configuration exists. Secrets never stand here: they come from the environment or from
the key files of the data folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from lethe.storage.demand import Demand

from .choices import (
    USUAL_ABILITIES,
    Ability,
    AuthMode,
    DocumentPolicy,
    Fill,
    PixelPolicy,
    Plain,
    ProfileName,
    Queries,
    Sending,
    TlsProfile,
    UnknownPatients,
)
from .deid.presidio import Voter
from .deid.profile import Option
from .deid.pseudonyms import UUID_ROOT
from .settings import (
    as_ae_title,
    as_attributes,
    as_certificate,
    as_choice,
    as_command,
    as_days,
    as_host,
    as_hours,
    as_list_of,
    as_log_level,
    as_name,
    as_name_or_none,
    as_network,
    as_number,
    as_one_or_list_of,
    as_origin,
    as_path_or_none,
    as_sop_class,
    as_text,
    as_truth,
    as_uid,
    as_uid_root,
    as_url,
    as_whole,
)
from .windows import Span, Window, window_of


def _key(help_text: str, read: Callable[[Any], Any], default: Any = MISSING, shown: str = "") -> Any:
    metadata = {"help": help_text, "read": read, "shown": shown}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Node:
    """[node]: the DICOM side and the data folder."""

    ae_title: str = _key("our AE title; callers must use it", as_ae_title, "LETHE")
    host: str = _key("address to listen on; loopback until told otherwise", as_host, "127.0.0.1")
    port: int = _key("DICOM port", as_whole(1, 65535), 11112)
    plain: Plain = _key(
        'who may come there without TLS: "anywhere", or only callers on "loopback"', as_choice(Plain), Plain.ANYWHERE
    )
    tls_port: int = _key("port for DICOM over TLS, such as 2762; 0: none", as_whole(0, 65535), 0)
    tls_certificate: str = _key("PEM file with our certificate, for callers and to call", as_path_or_none, "")
    tls_key: str = _key("PEM file with its private key, not encrypted", as_path_or_none, "")
    tls_ca: str = _key("PEM file with the CA certificates that vouch for peers", as_path_or_none, "")
    tls_crl: str = _key(
        "PEM file with a revocation list of each of these CAs and of those between; empty: revocation is not checked",
        as_path_or_none,
        "",
    )
    tls_profile: TlsProfile = _key(
        '"bcp195" (PS3.15 B.12), or "modified-bcp195" (B.13: stronger keys)', as_choice(TlsProfile), TlsProfile.BCP195
    )
    data: str = _key("folder for database, files and keys", as_text, "data")
    database: str = _key("database URL; empty means SQLite in the data folder", as_path_or_none, "")
    workers: int = _key("processes that de-identify", as_whole(1, 256), 2)
    receivers: int = _key("processes that receive, on the same port", as_whole(1, 64), 2)
    associations: int = _key("how many associations all peers together may have open to us", as_whole(1, 10_000), 100)
    longest_pdu: int = _key("bytes of the longest PDU that is taken", as_whole(4096, 1 << 20), 131_072)
    largest_object: int = _key("megabytes of the largest object that is taken", as_whole(1, 1 << 20), 8192)
    least_free: int = _key(
        "megabytes that must be free on the disk, or new associations are turned away", as_whole(0, 1 << 20), 512
    )
    request_seconds: int = _key("how long a caller may take to ask for its association", as_whole(1, 3600), 30)
    storage_classes: tuple[str, ...] = _key(
        "private SOP Classes that are received as well, by UID; no rule covers their objects, which are quarantined",
        as_list_of(as_uid),
        (),
    )
    idle_seconds: int = _key("how long a peer may say nothing, or stop within a message", as_whole(1, 86400), 60)
    answer_seconds: int = _key("how long we wait for the answer to a message of ours", as_whole(1, 86400), 60)
    stop_seconds: int = _key(
        "how long peers may go on when the node is told to stop; then each is hung up on, after the object it sends us",
        as_whole(0, 30),
        5,
    )
    trust_loopback: bool = _key("let any caller in from this machine itself", as_truth, True)
    most_results: int = _key("results that one C-FIND gets at most", as_whole(1, 1_000_000), 100_000)
    queries: Queries = _key(
        'whether unique keys of higher levels may be left out: "relational", or "hierarchical": only if negotiated',
        as_choice(Queries),
        Queries.RELATIONAL,
    )
    commit_days: int = _key("days after which what we cannot vouch for yet is reported as failed", as_whole(1, 365), 3)
    log_level: str = _key("how much is logged; never PHI, at any level", as_log_level, "INFO")


@dataclass(frozen=True)
class Http:
    """[http]: portal, DICOMweb and FHIR."""

    host: str = _key("address to listen on", as_host, "127.0.0.1")
    port: int = _key("HTTP port", as_whole(1, 65535), 8080)
    workers: int = _key("processes that answer", as_whole(1, 64), 2)
    events_port: int = _key("port for event reports of workitems, by WebSocket; 0: none", as_whole(0, 65535), 8081)
    stow_wait: int = _key("seconds that STOW-RS waits for clean instances, to say where they are", as_whole(0, 300), 10)
    stow_largest: int = _key("megabytes of the largest body that STOW-RS takes", as_whole(1, 1_000_000), 4096)
    audit_reads: int = _key(
        "seconds for which what one person reads of a study is one entry of the audit trail; 0: reads are not audited",
        as_whole(0, 3600),
        10,
    )
    public_url: str = _key("what users type, if a proxy stands in front; empty: taken from the request", as_url, "")
    cors_origins: tuple[str, ...] = _key(
        'origins whose pages may use DICOMweb and FHIR, such as "https://ohif.example.org"; "*": all',
        as_list_of(as_origin),
        (),
    )
    trusted_proxies: tuple[str, ...] = _key(
        "addresses or networks of proxies that say who asked them, and for which address (Forwarded, X-Forwarded-*)",
        as_list_of(as_network),
        (),
    )

    @property
    def portal(self) -> str:
        """What people type to see the portal."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}/"


@dataclass(frozen=True)
class Auth:
    """[auth]: who may use the HTTP side."""

    mode: AuthMode = _key("local accounts, or none (loopback only)", as_choice(AuthMode), AuthMode.LOCAL)


@dataclass(frozen=True)
class Peer:
    """[[peers]]: who may call us and whom we can send to."""

    name: str = _key("how the rest of this file calls it", as_name)
    ae_title: str = _key("its AE title", as_ae_title)
    host: str = _key("its address or host name", as_host)
    port: int = _key("its DICOM port", as_whole(1, 65535))
    may: tuple[Ability, ...] = _key("what it may ask of us", as_list_of(as_choice(Ability)), USUAL_ABILITIES)
    associations: int = _key("how many associations it may have open to us; 0: as many as all", as_whole(0, 10_000), 0)
    tls: bool = _key("it must come by TLS, and we send to it by TLS", as_truth, False)
    tls_ca: str = _key(
        "PEM file with the CA certificates that vouch for it; empty: those of [node]", as_path_or_none, ""
    )
    tls_certificates: tuple[str, ...] = _key(
        'its certificate by "sha256:..." or subject "CN=..."; none: it must name `host`', as_list_of(as_certificate), ()
    )
    identified: bool = _key("whether re-identified results (PHI) may be sent to it", as_truth, False)
    commits: bool = _key("ask it to commit what it was sent (Storage Commitment)", as_truth, False)
    notify: tuple[str, ...] = _key(
        "projects of which it is told what can be retrieved here (Instance Availability Notification)",
        as_list_of(as_name),
        (),
    )
    send: Sending = _key(
        'what it gets: each "instance" once it is clean, or a "study" once it is complete; what comes late follows',
        as_choice(Sending),
        Sending.INSTANCE,
    )
    count: bool = _key(
        "ask it (C-FIND) how many instances a study has that it sends us, to know when it is complete", as_truth, False
    )
    hours: tuple[Span, ...] = _key(
        'when it is sent to, such as "19:00-06:00"; none: always', as_one_or_list_of(as_hours), ()
    )
    days: tuple[tuple[int, ...], ...] = _key(
        'on which days those hours begin, such as "mon-fri"; none: every day', as_one_or_list_of(as_days), ()
    )
    instances_per_second: float = _key("most instances it is sent; 0: any number", as_number(0, 10_000), 0.0)
    megabytes_per_second: float = _key("most data it is sent; 0: any amount", as_number(0, 10_000), 0.0)
    priority: int = _key(
        "added to the priority of what goes to it; the higher is cleaned and sent first", as_whole(-9, 9), 0
    )

    @property
    def window(self) -> Window:
        """When it is sent to."""
        return window_of(self.hours, self.days)


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
    commit: Demand = _key(
        'when a sender is told that an instance is safe (Storage Commitment): "received" durably here, "published", or '
        '"delivered" to or "committed" by every destination',
        as_choice(Demand),
        Demand.RECEIVED,
    )
    complete_after: float = _key(
        "seconds without a new object after which a study is complete, for peers that get whole studies",
        as_number(1, 604_800),
        60.0,
    )
    priority: int = _key("added to the priority of what is in it", as_whole(-9, 9), 0)


@dataclass(frozen=True)
class Redact:
    """[redact]: what `/api/v1/redact` and `/api/v1/redact-batch` may be asked for."""

    roots: tuple[str, ...] = _key(
        "folders of this machine below which a batch may read and write; none: no batches", as_list_of(as_text), ()
    )
    largest: int = _key("megabytes of the largest file that can be sent to be redacted", as_whole(1, 4096), 1024)


@dataclass(frozen=True)
class Worklist:
    """[worklist]: what modalities are to do, for peers that may ask for it. It shows patients."""

    folder: str = _key("folder of DICOM worklist files (*.wl), its sub-folders included", as_path_or_none, "")
    table: str = _key(
        "CSV file in UTF-8 whose head names attributes by keyword, a scheduled step in each row",
        as_path_or_none,
        "",
    )


@dataclass(frozen=True)
class Step:
    """[[steps]]: a command of the site's own that does one thing to an object."""

    name: str = _key("how a project calls it", as_name)
    command: tuple[str, ...] = _key('the program and its arguments; "{in}" and "{out}" become files', as_command)
    seconds: int = _key("how long it may take", as_whole(1, 86400), 600)


@dataclass(frozen=True)
class Route:
    """[[routes]]: what goes to which project. A route matches where each of its keys does; every route that matches
    applies; where one of them re-identifies, only those that do."""

    source: tuple[str, ...] = _key(
        'calling AE title, "stow" or "upload"; "*" is everywhere', as_one_or_list_of(as_text)
    )
    project: str = _key("name of a project", as_name)
    called: tuple[str, ...] = _key(
        "AE title we were called by; those spelt out are answered beside our own", as_one_or_list_of(as_ae_title), ()
    )
    address: tuple[str, ...] = _key("IP address or network of the sender", as_one_or_list_of(as_network), ())
    modality: tuple[str, ...] = _key("Modality (0008,0060)", as_one_or_list_of(as_text), ())
    sop_class: tuple[str, ...] = _key("SOP Class: UID or keyword", as_one_or_list_of(as_sop_class), ())
    station: tuple[str, ...] = _key("Station Name (0008,1010)", as_one_or_list_of(as_text), ())
    where: tuple[tuple[str, tuple[str, ...]], ...] = _key(
        "any other attributes, by keyword or tag, with their values", as_attributes, (), "{}"
    )
    hours: tuple[Span, ...] = _key('when it came in, such as "07:00-19:00"', as_one_or_list_of(as_hours), ())
    days: tuple[tuple[int, ...], ...] = _key(
        'on which days those hours begin, such as "mon-fri"', as_one_or_list_of(as_days), ()
    )
    complete_after: float = _key("`complete_after` for what comes by it; 0: the project's", as_number(0, 604_800), 0.0)
    priority: int = _key("added to the priority of what comes by it", as_whole(-9, 9), 0)
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

    @property
    def window(self) -> Window:
        """When it matches."""
        return window_of(self.hours, self.days)


@dataclass(frozen=True)
class Config:
    """The whole configuration. `folder` is what relative paths are relative to."""

    node: Node = Node()
    http: Http = Http()
    auth: Auth = Auth()
    peers: tuple[Peer, ...] = ()
    projects: tuple[Project, ...] = (Project("default"),)
    redact: Redact = Redact()
    worklist: Worklist = Worklist()
    steps: tuple[Step, ...] = ()
    routes: tuple[Route, ...] = (Route(("*",), "default"),)
    folder: Path = Path()

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / self.node.data

    @property
    def database(self) -> str:
        """The URL of the database, its path absolute, from wherever we were started; empty: SQLite in the data
        folder."""
        scheme, separator, path = self.node.database.partition("///")
        return f"{scheme}{separator}{(self.folder / path).resolve()}" if path else ""

    def project(self, name: str) -> Project | None:
        """The project of that name."""
        return next((project for project in self.projects if project.name == name), None)

    def whole_studies_to(self, project: Project) -> frozenset[str]:
        """The destinations of a project that want whole studies."""
        return frozenset(
            peer.name for peer in self.peers if peer.send == Sending.STUDY and peer.name in project.send_to
        )

    def priority_of(self, project: Project) -> int:
        """How urgent what is in a project is, by it and the most urgent of its destinations."""
        return project.priority + max((peer.priority for peer in self.peers if peer.name in project.send_to), default=0)

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
    "worklist": Worklist,
    "steps": Step,
    "routes": Route,
}


def keys(section: type) -> Iterator[tuple[str, Any]]:
    """The keys of a section as they are spelt in config.toml, with their dataclass field."""
    for one in fields(section):
        if "read" in one.metadata:
            yield ("from" if one.name == "source" else one.name), one
