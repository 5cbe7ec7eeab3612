"""Shows each de-identification of a study as a workitem, whose progress any UPS client can follow.

It is made when the first object of the study is queued, and tells nothing but what is clean: no UID before something of
the study is published, and then the new ones. All of it is read from the jobs now and then, so that an object costs
nothing more on its way.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from itertools import groupby

from lethe.storage.archive import Archive
from lethe.storage.cleanings import Cleaning, Result, Seen, Tally
from lethe.storage.entries import DicomJson
from lethe.storage.errors import NotFound, Unavailable
from lethe.storage.steprules import PROGRESS, REASON, StepState, code, element, moment

from .choices import ProfileName
from .config import Config
from .deid.profile import Option
from .deid.pseudonyms import Pseudonyms
from .projectkeys import key_name, key_of
from .routing import Router
from .studyuid import study_uid_of

log = logging.getLogger("lethe.progress")

_LOOK_AGAIN, _LATER = 1.0, 15.0
_TIDY_EVERY = 3600.0
_MOST_SEEN, _MOST_READ = 500, 100
"""Jobs that are looked at in one step, and headers that are read in it for those that have no result yet."""
_RARELY = 10
"""In how many steps it is looked once whether held objects have a project now."""
_WORK = ("110001", "DCM", "Image Processing")
_LABEL = "De-identification"
_NONE_CLEAN = "None of its objects could be proven clean; all are held back."
_NONE_LEFT = "All of its objects were discarded or deleted."


class Progress:
    """The workitems of the studies that are being cleaned."""

    def __init__(self, archive: Archive, config: Config, *, clock: Callable[[], float] = time.time) -> None:
        self._archive = archive
        self._config = config
        self._clock = clock
        self._router = Router(config)
        self._pseudonyms: dict[str, tuple[object, Pseudonyms]] = {}
        self._steps = 0
        self._passed = 0

    def step(self) -> bool:
        """Look at what came since the last time, and tell the workitems. Whether all of what came was looked at."""
        cleanings = self._archive.cleanings
        newest, seen = cleanings.newest(), cleanings.seen(_MOST_SEEN)
        routed = [] if self._steps % _RARELY else cleanings.routed(_MOST_SEEN)
        self._steps += 1
        studies = self._studies_of([*seen, *routed])
        complete = len(seen) < _MOST_SEEN and len(studies) == len(seen) + len(routed)
        passed = newest if complete else max((one.job for one, _ in studies[: len(seen)]), default=0)
        if studies or passed > self._passed:
            with self._archive.together():
                self._take(studies)
                cleanings.pass_jobs(passed)
            self._passed = passed
        self._tell(caught_up=complete)
        return complete

    def run(self, stopping: threading.Event) -> None:
        """Step until told to stop."""
        tidy_at = 0.0
        while not stopping.wait(_LOOK_AGAIN):
            try:
                self.step()
                if self._clock() >= tidy_at:
                    self._archive.tidy_worklist()
                    tidy_at = self._clock() + _TIDY_EVERY
            except Unavailable as error:
                log.warning("%s", error)
                stopping.wait(_LATER)
            except Exception as error:  # its words may quote what an object says
                log.error("the progress of studies could not be told (%s)", type(error).__name__)
        self._archive.close()

    def _studies_of(self, seen: Sequence[Seen]) -> list[tuple[Seen, str]]:
        """The jobs with the clean UIDs of their studies, as far as headers may be read for it; "" for none."""
        found, left = [], _MOST_READ
        for one in seen:
            study = one.study
            if one.project and not study:
                if not left:
                    break
                left -= 1
                study = self._study_in(one)
            found.append((one, study))
        return found

    def _study_in(self, one: Seen) -> str:
        """What the Study Instance UID of an object that waits will be."""
        project = self._config.project(one.project)
        uid = study_uid_of(self._archive.files.path("inbox", one.subject))
        if not uid or project is None:
            return ""
        if project.profile == ProfileName.NONE or Option.RETAIN_UIDS in project.options:
            return uid
        version = self._archive.files.secret_version(key_name(one.project))
        known, pseudonyms = self._pseudonyms.get(one.project, (None, None))
        if pseudonyms is None or known != version:
            pseudonyms = Pseudonyms(key_of(self._archive.files, one.project), uid_root=project.uid_root)
            self._pseudonyms[one.project] = version, pseudonyms
        return pseudonyms.uid(uid)

    def _take(self, studies: Sequence[tuple[Seen, str]]) -> None:
        cleanings = self._archive.cleanings
        belong: dict[tuple[str, str], list[Seen]] = {}
        for one, study in studies:
            if not one.project:
                cleanings.hold(one.job)
            elif not study:
                cleanings.leave(one.job)
            else:
                belong.setdefault((one.project, hashlib.sha256(study.encode()).hexdigest()), []).append(one)
        for (project, digest), jobs in belong.items():
            cleaning = cleanings.of_study(project, digest) or self._begin(jobs[0], digest)
            cleanings.join([one.job for one in jobs], cleaning, max(one.created for one in jobs))

    def _begin(self, one: Seen, digest: str) -> Cleaning:
        uid = f"2.25.{uuid.uuid4().int}"
        self._archive.begin_workitem(uid, self._workitem(one))
        return self._archive.cleanings.begin(one.project, digest, uid, one.created)

    def _workitem(self, one: Seen) -> DicomJson:
        title = self._config.node.ae_title
        return {
            "00741000": element("CS", StepState.SCHEDULED),
            "00741200": element("CS", "MEDIUM"),
            "00741204": element("LO", _LABEL),
            "00741202": element("LO", one.project[:64]),
            "00404005": element("DT", moment(one.created)),
            "00404041": element("CS", "READY"),
            "00404018": element("SQ", code(*_WORK)),
            "00404025": element("SQ", code(title, "99LETHE", title)),
        }

    def _tell(self, *, caught_up: bool) -> None:
        now = self._clock()
        news = []
        for cleaning, tally in self._archive.cleanings.going_on():
            over = caught_up and not tally.waiting and now >= cleaning.arrived + self._quiet(cleaning)
            told = f"{tally.clean} {tally.held_back} {tally.waiting} {tally.untouched < tally.waiting}"
            if over or told != cleaning.told:
                news.append((cleaning, tally, told, over))
        if news:
            with self._archive.together():
                for cleaning, tally, told, over in news:
                    self._advance(cleaning, tally, over=over)
                    self._archive.cleanings.note(cleaning, told)

    def _quiet(self, cleaning: Cleaning) -> float:
        """How long nothing may come, by what came last."""
        project = self._config.project(cleaning.project)
        if project is None:
            return 0.0
        try:
            last = self._archive.jobs.get(self._archive.cleanings.last_job(cleaning))
            return self._router.quiet_seconds(project, self._archive.arrival(last))
        except NotFound:  # it was deleted
            return project.complete_after

    def _advance(self, cleaning: Cleaning, tally: Tally, *, over: bool) -> None:
        cleanings = self._archive.cleanings
        results = cleanings.results(cleaning) if over else cleanings.results(cleaning, 1)
        changes = {PROGRESS: element("SQ", _progress(tally))}
        if results:
            changes |= {
                "0020000D": element("UI", results[0].study_uid),
                "00100020": element("LO", results[0].patient_id),
            }
        state = StepState.IN_PROGRESS if tally.untouched < tally.total else StepState.SCHEDULED
        if over and results:
            state = StepState.COMPLETED
            changes["00741216"] = element("SQ", self._performed(cleaning, results))
        elif over:
            state = StepState.CANCELED
            why = _NONE_CLEAN if tally.total else _NONE_LEFT
            changes[PROGRESS] = element("SQ", _progress(tally) | {REASON: element("LT", why)})
        self._archive.advance_workitem(cleaning.workitem, state, changes)
        if over:
            cleanings.end(cleaning)

    def _performed(self, cleaning: Cleaning, results: Sequence[Result]) -> DicomJson:
        title = self._config.node.ae_title
        started = self._archive.workitems.get(cleaning.workitem).attributes["00404005"]
        return {
            "00404028": element("SQ", code(title, "99LETHE", title)),
            "00404050": started,
            "00404051": element("DT", moment(self._clock())),
            "00404019": element("SQ", code(*_WORK)),
            "00404033": element("SQ", *_output(results)),
        }


def _progress(tally: Tally) -> DicomJson:
    done = tally.clean + tally.held_back
    held = f", {tally.held_back} held back" if tally.held_back else ""
    told = f"{tally.clean} of {tally.total} objects are clean{held}."
    return {
        "00741004": element("DS", 100 * done // tally.total if tally.total else 100),
        "00741006": element("ST", told),
    }


def _output(results: Sequence[Result]) -> list[DicomJson]:
    """The clean instances, series by series, and where they can be had (PS3.3 Table 10-3b): below the service's root,
    which who serves it puts before it."""
    found = []
    for series_uid, of_it in groupby(results, key=lambda one: one.series_uid):
        instances = list(of_it)
        study_uid = instances[0].study_uid
        url = f"studies/{study_uid}/series/{series_uid}"
        found.append(
            {
                "0040E020": element("CS", "DICOM"),
                "0020000D": element("UI", study_uid),
                "0020000E": element("UI", series_uid),
                "00081199": element(
                    "SQ",
                    *(
                        {"00081150": element("UI", one.sop_class), "00081155": element("UI", one.sop_uid)}
                        for one in instances
                    ),
                ),
                "0040E025": element("SQ", {"00081190": element("UR", url)}),
            }
        )
    return found
