"""Knows which studies are being de-identified, and how far each is, by what its jobs say: nothing is written for an
object that the job itself does not tell, but to which study it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .jobs import State

# The plus keeps SQLite from the index by stage: the few jobs that are new are found by their numbers.
_SEEN = """SELECT job.id, job.project, job.subject, job.created, COALESCE(study.uid, '')
    FROM job LEFT JOIN instance ON instance.uid = job.result AND job.result <> ''
    LEFT JOIN series ON series.id = instance.series LEFT JOIN study ON study.id = series.study
    WHERE +job.stage = 'clean' AND """
_NEW = _SEEN + "job.id > (SELECT job FROM cleaning_mark) ORDER BY job.id LIMIT ?"  # noqa: S608 - ours
_ROUTED = _SEEN + "job.project <> '' AND job.id IN (SELECT job FROM cleaning_job WHERE cleaning = 0) LIMIT ?"  # noqa: S608
_COUNTS = """SELECT cleaning_job.cleaning, job.state, COUNT(*) FROM cleaning_job JOIN job ON job.id = cleaning_job.job
    WHERE cleaning_job.cleaning > 0 GROUP BY cleaning_job.cleaning, job.state"""
_RESULTS = """SELECT study.uid, study.patient_id, series.uid, instance.sop_class, instance.uid
    FROM cleaning_job JOIN job ON job.id = cleaning_job.job JOIN instance ON instance.uid = job.result
    JOIN series ON series.id = instance.series JOIN study ON study.id = series.study
    WHERE cleaning_job.cleaning = ? AND job.state = 'done' AND job.result <> ''
    ORDER BY series.id, instance.id LIMIT ?"""


@dataclass(frozen=True)
class Seen:
    """A CLEAN job that belongs to no study yet; `study` is the clean Study Instance UID if its result is published."""

    job: int
    project: str
    subject: str
    created: float
    study: str


@dataclass(frozen=True)
class Cleaning:
    """A study that is being de-identified for a project: the UID of its workitem, when the last of its objects came in,
    and what the workitem was last told."""

    id: int
    project: str
    study: str
    workitem: str
    arrived: float
    told: str


@dataclass(frozen=True)
class Tally:
    """How many of the objects of a study are clean, held back, and still to be done."""

    clean: int = 0
    held_back: int = 0
    waiting: int = 0
    untouched: int = 0
    """Of those that wait, how many nobody has begun with."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.clean + self.held_back + self.waiting


@dataclass(frozen=True)
class Result:
    """A clean instance that came of it."""

    study_uid: str
    patient_id: str
    series_uid: str
    sop_class: str
    sop_uid: str


class Cleanings:
    """The studies that are being de-identified in one data folder. Changes are made inside the caller's transaction."""

    def __init__(self, database: Any) -> None:
        self._database = database

    def newest(self) -> int:
        """The number of the last job there is."""
        return int(self._database.execute_sql("SELECT COALESCE(MAX(id), 0) FROM job").fetchone()[0])

    def seen(self, most: int) -> list[Seen]:
        """Jobs that came since the last one that was passed, in their order."""
        return [Seen(*row) for row in self._database.execute_sql(_NEW, (most,)).fetchall()]

    def routed(self, most: int) -> list[Seen]:
        """Jobs that were held, and have a project now."""
        return [Seen(*row) for row in self._database.execute_sql(_ROUTED, (most,)).fetchall()]

    def hold(self, job: int) -> None:
        """A job has no project yet."""
        self._assign(job, 0)

    def join(self, jobs: Sequence[int], cleaning: Cleaning, arrived: float) -> None:
        """Jobs belong to a study, of which the last came then."""
        for job in jobs:
            self._assign(job, cleaning.id)
        sql = "UPDATE cleaning SET arrived = MAX(arrived, ?) WHERE id = ?"
        self._database.execute_sql(sql, (arrived, cleaning.id))

    def leave(self, job: int) -> None:
        """A job belongs to no study that could be known."""
        self._database.execute_sql("DELETE FROM cleaning_job WHERE job = ?", (job,))

    def pass_jobs(self, job: int) -> None:
        """All jobs up to this one were looked at."""
        self._database.execute_sql("UPDATE cleaning_mark SET job = MAX(job, ?)", (job,))

    def of_study(self, project: str, study: str) -> Cleaning | None:
        """The one that is going on for that study."""
        sql = "SELECT id, project, study, workitem, arrived, told FROM cleaning WHERE project = ? AND study = ?"
        row = self._database.execute_sql(sql, (project, study)).fetchone()
        return Cleaning(*row) if row else None

    def begin(self, project: str, study: str, workitem: str, arrived: float) -> Cleaning:
        """One begins."""
        sql = "INSERT INTO cleaning (project, study, workitem, arrived, told) VALUES (?, ?, ?, ?, '') RETURNING id"
        ((number,),) = self._database.execute_sql(sql, (project, study, workitem, arrived)).fetchall()
        return Cleaning(number, project, study, workitem, arrived, "")

    def going_on(self) -> list[tuple[Cleaning, Tally]]:
        """All that are going on, and how far they are."""
        states: dict[int, dict[str, int]] = {}
        for number, state, count in self._database.execute_sql(_COUNTS).fetchall():
            states.setdefault(number, {})[state] = count
        sql = "SELECT id, project, study, workitem, arrived, told FROM cleaning ORDER BY id"
        rows = [Cleaning(*row) for row in self._database.execute_sql(sql).fetchall()]
        return [(one, _tally(states.get(one.id, {}))) for one in rows]

    def results(self, cleaning: Cleaning, most: int = -1) -> list[Result]:
        """The clean instances that came of it, by series; a negative number means all."""
        return [Result(*row) for row in self._database.execute_sql(_RESULTS, (cleaning.id, most)).fetchall()]

    def last_job(self, cleaning: Cleaning) -> int:
        """The number of the job that came last; 0 where there is none any more."""
        sql = "SELECT COALESCE(MAX(job), 0) FROM cleaning_job WHERE cleaning = ?"
        return int(self._database.execute_sql(sql, (cleaning.id,)).fetchone()[0])

    def note(self, cleaning: Cleaning, told: str) -> None:
        """What its workitem was told."""
        self._database.execute_sql("UPDATE cleaning SET told = ? WHERE id = ?", (told, cleaning.id))

    def end(self, cleaning: Cleaning) -> None:
        """It is over; what comes later begins another."""
        self._database.execute_sql("DELETE FROM cleaning_job WHERE cleaning = ?", (cleaning.id,))
        self._database.execute_sql("DELETE FROM cleaning WHERE id = ?", (cleaning.id,))

    def _assign(self, job: int, cleaning: int) -> None:
        sql = """INSERT INTO cleaning_job (job, cleaning) SELECT id, ? FROM job WHERE id = ?
            ON CONFLICT (job) DO UPDATE SET cleaning = excluded.cleaning"""
        self._database.execute_sql(sql, (cleaning, job))


def _tally(states: dict[str, int]) -> Tally:
    decided = {State.DONE, State.QUARANTINED, State.FAILED}
    return Tally(
        clean=states.get(State.DONE, 0),
        held_back=states.get(State.QUARANTINED, 0) + states.get(State.FAILED, 0),
        waiting=sum(count for state, count in states.items() if state not in decided),
        untouched=states.get(State.READY, 0),
    )
