"""Knows which studies are not complete yet, of those that a destination wants whole.

A gathering begins with the first object that comes in and ends when the study is sent; what comes later begins another,
and is sent as what was missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from peewee import Table

from .jobs import Stage, State

_COLUMNS = ("id", "project", "study", "source", "clean", "quiet", "last", "asked", "expected", "due")
_LOOK_AGAIN = 1.0
_UNDECIDED = """SELECT 1 FROM received JOIN job ON job.subject = received.name
    WHERE received.study = ? AND received.study <> '' AND job.stage = ? AND job.project = ? AND job.state IN (?, ?)
    LIMIT 1"""
_RECEIVED = "SELECT COUNT(DISTINCT uid_digest) FROM received WHERE study = ? AND study <> ''"


@dataclass(frozen=True)
class WholeStudies:
    """The destinations that want whole studies, and the seconds without a new object after which one is whole."""

    destinations: frozenset[str] = frozenset()
    quiet: float = 60.0


NONE_WHOLE = WholeStudies()


@dataclass(frozen=True)
class Gathering:
    """One study of which more may come. `study` is the SHA-256 of its original UID, `clean` its new UID once something
    of it is published; `last` when something came, `expected` how many its source said at `asked`, -1 for unknown."""

    id: int
    project: str
    study: str
    source: str
    clean: str
    quiet: float
    last: float
    asked: float
    expected: int
    due: float


class Gatherings:
    """The gatherings of one data folder. Changes are made inside the caller's transaction."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._table = Table("gathering", _COLUMNS, _database=database)
        self._received = Table("received", ("name", "source", "study"), _database=database)

    def arrived(self, project: str, study: str, source: str, quiet: float) -> int:
        """Something of a study came in, or is published late. Returns the gathering's number."""
        table, now = self._table, self._clock()
        row = {"project": project, "study": study, "source": source, "quiet": quiet, "last": now}
        row |= {"clean": "", "asked": 0.0, "expected": -1, "due": now + _LOOK_AGAIN}
        again = {table.last: now, table.quiet: quiet, table.due: now + _LOOK_AGAIN}
        insert = table.insert(row).on_conflict(conflict_target=[table.project, table.study], update=again)
        return int(next(iter(insert.returning(table.id).tuples().execute()))[0])

    def published(self, project: str, original: str, clean_study: str, quiet: float) -> int:
        """The gathering that a published object of the inbox belongs to; 0 where its study was not noted."""
        known = self._received
        for source, study in known.select(known.source, known.study).where(known.name == original).tuples():
            if study:
                table = self._table
                same = (table.project == project) & (table.study == study)
                found = [number for (number,) in table.select(table.id).where(same).tuples()]
                number = found[0] if found else self.arrived(project, study, source, quiet)
                table.update({table.clean: clean_study}).where(table.id == number).execute()
                return int(number)
        return 0

    def due(self, now: float, most: int = 50) -> list[Gathering]:
        """Those that it is time to look at, the most urgent first."""
        table = self._table
        rows = table.select().where(table.due <= now).order_by(table.due).limit(most).tuples()
        return [Gathering(*row) for row in rows]

    def of_study(self, clean_study: str) -> list[Gathering]:
        """Those of a clean study."""
        return [Gathering(*row) for row in self._table.select().where(self._table.clean == clean_study).tuples()]

    def received(self, gathering: Gathering) -> int:
        """How many different instances of the study have come in so far, whatever became of them."""
        return int(self._database.execute_sql(_RECEIVED, (gathering.study,)).fetchone()[0])

    def is_undecided(self, gathering: Gathering) -> bool:
        """Whether something of it is still to be cleaned."""
        parameters = (gathering.study, Stage.CLEAN, gathering.project, State.READY, State.RUNNING)
        return self._database.execute_sql(_UNDECIDED, parameters).fetchone() is not None

    def look_at(self, gathering: Gathering, due: float) -> None:
        """Look at it again then."""
        table = self._table
        table.update({table.due: due}).where(table.id == gathering.id).execute()

    def told(self, gathering: Gathering, expected: int, asked: float) -> None:
        """What its source said when it was asked how many instances there are; -1 for nothing."""
        table = self._table
        table.update({table.expected: expected, table.asked: asked}).where(table.id == gathering.id).execute()

    def end(self, gathering: Gathering) -> bool:
        """It is complete; False where something came meanwhile."""
        table = self._table
        same = (table.id == gathering.id) & (table.last == gathering.last)
        return bool(table.delete().where(same).execute())
