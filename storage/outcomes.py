"""Tells what has become of originals so far, for a sender who waits to hear it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .datafolder import DataFolder
from .jobs import Stage, State

_PORTION = 500
_OUTCOMES = """SELECT job.subject, job.state, job.project, study.uid, series.uid, instance.uid
    FROM job LEFT JOIN instance ON instance.uid = job.result AND job.result <> ''
    LEFT JOIN series ON series.id = instance.series LEFT JOIN study ON study.id = series.study
    WHERE job.stage IN (?, 'clean') AND job.subject IN ({}) AND (job.stage = ? OR job.state = 'held') ORDER BY job.id"""


@dataclass(frozen=True)
class Outcome:
    """How one job about an original stands; the UIDs are those of the clean instance, if there is one."""

    state: State
    project: str
    study_uid: str
    series_uid: str
    sop_uid: str

    @property
    def is_open(self) -> bool:
        """Whether the job may still end by itself soon."""
        return self.state in (State.READY, State.RUNNING)


class Outcomes(DataFolder):
    """What a sender may know of what he sent: that, not why."""

    def outcomes(self, names: Collection[str], stage: Stage = Stage.CLEAN) -> dict[str, list[Outcome]]:
        """The jobs of that stage, and those that are held, about each of the originals of these names."""
        wanted = list(names)
        found: dict[str, list[Outcome]] = {name: [] for name in wanted}
        for start in range(0, len(wanted), _PORTION):
            page = wanted[start : start + _PORTION]
            sql = _OUTCOMES.format(", ".join("?" * len(page)))
            for subject, state, project, *uids in self.database.execute_sql(sql, (stage, *page, stage)).fetchall():
                found[subject].append(Outcome(State(state), project, *(uid or "" for uid in uids)))
        return found
