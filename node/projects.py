"""Holds what is needed to clean for each project: its profile, its key, its list of patients, its rule about pixels,
its destinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, BinaryIO

from lethe.storage.crosswalk import Crosswalk, CrosswalkEntry, Kind, PatientList
from lethe.storage.files import FileStore
from lethe.storage.gatherings import NONE_WHOLE, WholeStudies
from lethe.storage.identities import Identity
from lethe.storage.rulebook import Rulebook
from lethe.storage.sealed import OriginalHeader

from .burned.devices import DeviceRules, rule_from
from .burned.review import Reviewed
from .choices import DocumentPolicy, Fill, PixelPolicy, ProfileName, UnknownPatients
from .config import Config
from .config import Project as ProjectConfig
from .deface import Defacer
from .deid.cleaned import Cleaned
from .deid.deidentify import PixelRule, pass_pixels, pass_through
from .deid.documents import DocumentRule, RewriteDocuments, refuse_documents
from .deid.errors import CannotClean
from .deid.faces import refuse_faces
from .deid.frames import FrameRule, leave_frames
from .deid.identity import who
from .deid.lanes import Deidentifier
from .deid.pixels import beside_frames
from .deid.profile import Profile
from .deid.pseudonyms import Pseudonyms, nobody
from .ffmpeg import Ffmpeg, is_installed
from .pdfreader import read_in_bounds
from .projectkeys import key_name, key_of, make_key

_WEEK = 7


@dataclass(frozen=True)
class Project:
    """One project, ready to work for one thread at a time. `profile` is None where objects pass through unchanged;
    `list_version` is the number of imports of its own list of patients."""

    name: str
    profile: Profile | None
    pseudonyms: Pseudonyms
    send_to: tuple[str, ...]
    document_rule: DocumentRule = refuse_documents
    defacer: Defacer | None = None
    films: Ffmpeg | None = None
    uid_root: str = ""
    whole_weeks: bool = False
    list_version: int = 0
    holds_unknown: bool = False
    keeps_originals: bool = True
    pixel_policy: PixelPolicy = PixelPolicy.AUTO
    fill: Fill = Fill.BACKGROUND
    text_finders: tuple[str, ...] = ()
    whole: WholeStudies = NONE_WHOLE
    device_rules: DeviceRules = DeviceRules()
    rules_version: int = 0
    """Which learned rules are among them; 0: none."""

    def clean(self, file: BinaryIO, reviewed: Reviewed | None = None) -> Cleaned:
        """The result for the object in an open Part 10 file, whose frames a person may have decided about. Raises
        CannotClean."""
        if self.profile is None:
            return pass_through(file)
        cleaned = (self._engine(reviewed) if reviewed else self._deidentifier).clean(file)
        if self.holds_unknown and not (cleaned.patients and all(map(self.pseudonyms.is_listed, cleaned.patients))):
            raise CannotClean(not_listed(self.name))
        return cleaned

    @cached_property
    def _deidentifier(self) -> Deidentifier:
        return self._engine()

    def _engine(self, reviewed: Reviewed | None = None) -> Deidentifier:
        assert self.profile is not None
        faces = self.defacer or refuse_faces
        pixels: tuple[PixelRule, FrameRule] = pass_pixels, leave_frames
        if self.pixel_policy != PixelPolicy.NONE:
            pixels = beside_frames, self._frame_cleaner(reviewed)
        return Deidentifier(self.profile, self.pseudonyms, pixels[0], self.document_rule, faces, pixels[1])

    def _frame_cleaner(self, reviewed: Reviewed | None) -> FrameRule:
        """What looks at frames. What it needs is loaded with the first that it looks at."""
        from .burned.engine import FrameCleaner

        assert self.profile is not None
        voter = self.profile.voter
        rules, films, options = self.device_rules, self.films, self.profile.applied
        return FrameCleaner(self.pixel_policy, self.fill, self.text_finders, rules, voter, reviewed, films, options)

    def header_before(self, cleaned: Cleaned) -> tuple[OriginalHeader | None, dict[str, Any]]:
        """The object's header as it came, if it is to be kept, and the receipt, which says whether it is."""
        if self.profile is None:  # it is what it was
            return None, cleaned.receipt
        encoded = cleaned.before() if self.keeps_originals else None
        if encoded is None:
            why = "too large to keep" if self.keeps_originals else "not kept"
            return None, cleaned.receipt | {"original_header": why}
        before = OriginalHeader(str(cleaned.source.transfer_syntax), encoded)
        return before, cleaned.receipt | {"original_header": "kept, encrypted"}

    @property
    def digest(self) -> str:
        """Stands for everything that decides what the result looks like."""
        profile = self.profile.digest if self.profile else "unchanged"
        step = f":{self.defacer.digest}" if self.defacer else ""
        step += ":weeks" if self.whole_weeks else ""
        if self.pixel_policy != PixelPolicy.NONE:
            step += ":".join(["", self.pixel_policy, self.fill, *self.text_finders])
        step += f":rules{self.rules_version}" if self.rules_version else ""
        return f"{profile}:{self.pseudonyms.key_id}:{self.uid_root}:{self.list_version}{step}"


class Projects(Mapping[str, Project]):
    """The configured projects by name. Each time one is asked for, it has the key and the list of patients of that
    moment; an object is cleaned with one and the same."""

    def __init__(
        self, config: Config, files: FileStore, crosswalk: Crosswalk | None, rulebook: Rulebook | None = None
    ) -> None:
        self._config = config
        self._configs = {project.name: project for project in config.projects}
        self._files = files
        self._crosswalk = crosswalk
        self._rulebook = rulebook
        self._ready: dict[str, tuple[object, Project]] = {}
        self._lists: dict[str, PatientList] = {}
        self._rules: tuple[tuple[int, int], DeviceRules] | None = None
        for name in self._configs:
            # With another key the same patients would get other pseudonyms than those that are out already.
            if crosswalk is None or not crosswalk.has_made(name):
                make_key(files, name)

    def __getitem__(self, name: str) -> Project:
        project = self._configs[name]
        patients, rules = self._patients(name), self._device_rules()
        state = (self._files.secret_version(key_name(name)), patients, rules[0])
        before, ready = self._ready.get(name, (None, None))
        if ready is None or before != state:
            ready = self._project(project, patients, rules)
            self._ready[name] = state, ready
        return ready

    def varied(self, name: str, **settings: Any) -> Project:
        """The project as it would be with other settings (`pixel_policy`, `fill`), for one who asks for just that."""
        project = replace(self._configs[name], **settings)
        return self._project(project, self._patients(name), self._device_rules())

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)

    def _patients(self, name: str) -> PatientList | None:
        if self._crosswalk is None:
            return None
        self._lists[name] = self._crosswalk.patients(name, self._lists.get(name))
        return self._lists[name]

    def _device_rules(self) -> tuple[tuple[int, int], DeviceRules]:
        version = self._rulebook.version() if self._rulebook else (0, 0)
        if self._rules is None or self._rules[0] != version:
            learned = self._rulebook.documents() if self._rulebook else []
            self._rules = version, _shipped().and_also(map(rule_from, learned))
        return self._rules

    def _project(
        self, project: ProjectConfig, patients: PatientList | None, rules: tuple[tuple[int, int], DeviceRules]
    ) -> Project:
        return Project(
            name=project.name,
            profile=Profile(project.options, project.text_voter) if project.profile == ProfileName.BASIC else None,
            pseudonyms=Pseudonyms(
                key_of(self._files, project.name),
                uid_root=project.uid_root,
                listed=patients.trial_id if patients else nobody,
                day_step=_WEEK if project.whole_weeks else 1,
            ),
            send_to=project.send_to,
            document_rule=_DOCUMENT_RULES[project.documents],
            defacer=self._defacer(project),
            films=Ffmpeg(self._files.incoming) if is_installed() else None,
            uid_root=project.uid_root,
            whole_weeks=project.whole_weeks,
            list_version=patients.version if patients else 0,
            holds_unknown=project.unknown_patients == UnknownPatients.HOLD,
            keeps_originals=project.keep_originals,
            pixel_policy=project.pixel_policy,
            fill=project.fill,
            text_finders=project.text_finders,
            whole=WholeStudies(self._config.whole_studies_to(project), project.complete_after),
            device_rules=rules[1],
            rules_version=rules[0][1] if rules[0][0] and project.pixel_policy != PixelPolicy.NONE else 0,
        )

    def _defacer(self, project: ProjectConfig) -> Defacer | None:
        step = self._config.step(project.deface)
        return Defacer(step.name, step.command, step.seconds, self._files.incoming) if step else None


def projects_of(
    config: Config, files: FileStore, crosswalk: Crosswalk | None = None, rulebook: Rulebook | None = None
) -> Projects:
    """The configured projects by name, each with its own key, made on first use and never again once pseudonyms were
    made with it. Without a crosswalk nobody is on a list and nothing was published before; without a rulebook no device
    rule is learned."""
    return Projects(config, files, crosswalk, rulebook)


def not_listed(project: str) -> str:
    """Why an object is held whose patient is not on the project's list."""
    return f"its patient is not on the list of project {project}; import it (lethe crosswalk import), then try again"


def crosswalk_of(cleaned: Cleaned) -> list[CrosswalkEntry]:
    """What became what in one object."""
    patients = cleaned.others | cleaned.patients
    kinds = {Kind.UID: cleaned.uids, Kind.PATIENT: patients, Kind.ACCESSION: cleaned.accessions}
    return [CrosswalkEntry(kind, old, new) for kind, pairs in kinds.items() for old, new in pairs.items()]


def identity_of(cleaned: Cleaned) -> Identity | None:
    """Who the patient of one object was, under the pseudonyms of study and patient; None where nothing was changed."""
    if cleaned.identity is None:
        return None
    known = cleaned.identity
    return Identity(cleaned.instance.study_uid, who(cleaned.header), known.attributes, known.dates, known.days)


@cache
def _shipped() -> DeviceRules:
    return DeviceRules.shipped()


_DOCUMENT_RULES: Mapping[DocumentPolicy, DocumentRule] = {
    DocumentPolicy.REFUSE: refuse_documents,
    DocumentPolicy.TEXT: RewriteDocuments(read_in_bounds),
}
