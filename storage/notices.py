"""Remembers of which studies a peer is still to be told that they can be retrieved here (PS3.4 Annex R)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .database import transaction

_CHANGED = """SELECT DISTINCT study.uid FROM study JOIN series ON series.study = study.id
    JOIN instance ON instance.series = series.id WHERE study.updated > ? AND instance.project IN ({})"""
_CONTENT = """SELECT series.uid, instance.sop_class, instance.uid FROM study JOIN series ON series.study = study.id
    JOIN instance ON instance.series = series.id WHERE study.uid = ? AND instance.project IN ({})
    ORDER BY series.id, instance.id"""


class Notice(NamedTuple):
    """A study a peer is to be told of; `ready_at` tells one notice from a later one about the same study."""

    study: str
    attempts: int
    ready_at: float


class Notices:
    """What is to be told, peer by peer."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def collect(self, peer: str, projects: Sequence[str], *, quiet: float) -> None:
        """Plan a notice of every study of these projects that changed since the last time, `quiet` seconds from now, so
        that a study is told of when its instances have come. The first time nothing is planned."""
        newest = self._database.execute_sql("SELECT MAX(updated) FROM study").fetchone()[0] or 0.0
        row = self._database.execute_sql("SELECT mark FROM notice_mark WHERE peer = ?", (peer,)).fetchone()
        if row is not None and newest <= row[0]:
            return
        with transaction(self._database):
            newest = self._database.execute_sql("SELECT MAX(updated) FROM study").fetchone()[0] or 0.0
            if row is not None:
                sql = _CHANGED.format(", ".join("?" * len(projects)))
                for (study,) in self._database.execute_sql(sql, (row[0], *projects)).fetchall():
                    self._set(peer, study, 0, self._clock() + quiet)
            sql = "INSERT INTO notice_mark VALUES (?, ?) ON CONFLICT (peer) DO UPDATE SET mark = excluded.mark"
            self._database.execute_sql(sql, (peer, newest))

    def due(self, peer: str) -> Notice | None:
        """The notice that has waited longest, if one is due."""
        sql = "SELECT study, attempts, ready_at FROM notice WHERE peer = ? AND ready_at <= ? ORDER BY ready_at LIMIT 1"
        row = self._database.execute_sql(sql, (peer, self._clock())).fetchone()
        return Notice(*row) if row else None

    def content(self, study: str, projects: Sequence[str]) -> list[tuple[str, str, str]]:
        """The instances of a study that are of these projects: Series Instance UID, SOP Class UID, SOP Instance UID."""
        sql = _CONTENT.format(", ".join("?" * len(projects)))
        return [tuple(row) for row in self._database.execute_sql(sql, (study, *projects)).fetchall()]

    def told(self, peer: str, notice: Notice) -> None:
        """The peer knows. If the study has changed meanwhile, the later notice stays."""
        sql = "DELETE FROM notice WHERE peer = ? AND study = ? AND ready_at = ?"
        self._database.execute_sql(sql, (peer, notice.study, notice.ready_at))

    def later(self, peer: str, notice: Notice, delay: float) -> None:
        """The peer could not be told."""
        self._set(peer, notice.study, notice.attempts + 1, self._clock() + delay)

    def waiting(self) -> int:
        """How many notices are still to be given."""
        return int(self._database.execute_sql("SELECT COUNT(*) FROM notice").fetchone()[0])

    def _set(self, peer: str, study: str, attempts: int, ready_at: float) -> None:
        sql = """INSERT INTO notice VALUES (?, ?, ?, ?) ON CONFLICT (peer, study)
            DO UPDATE SET attempts = excluded.attempts, ready_at = excluded.ready_at"""
        self._database.execute_sql(sql, (peer, study, attempts, ready_at))
