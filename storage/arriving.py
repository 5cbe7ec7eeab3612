"""Remembers which originals have rows while their files are still being synced, so that a disk is waited for once.

The mark of an object is written with its rows and goes with a later transaction. Marks of a process that is gone say
which files a power cut may have torn: `recover` keeps what is whole and takes the rows of all else back. None of that
was acknowledged, for an object is acknowledged when its rows and its file are both synced.
"""

from __future__ import annotations

import itertools
import secrets
from contextlib import suppress
from typing import Any

from .audit import SYSTEM, AuditTrail
from .database import transaction
from .digests import Digests
from .files import FileStore
from .jobs import INTAKE, State

_STAGES = ", ".join(f"'{stage}'" for stage in INTAKE)


class Arriving:
    """The marks of all processes; those of this one are known by the name of its folder in `incoming/`."""

    def __init__(self, database: Any, files: FileStore, digests: Digests, audit: AuditTrail) -> None:
        self._database = database
        self._files = files
        self._digests = digests
        self._audit = audit
        self._synced: set[int] = set()
        self._first, self._numbers = secrets.randbits(62), itertools.count()  # other processes begin elsewhere

    def mark(self) -> int:
        """The number of a mark that is still to be written."""
        return (self._first + next(self._numbers)) % (1 << 62)

    def enter(self, mark: int, name: str) -> None:
        """Write it, inside the caller's transaction."""
        sql = "INSERT INTO arriving (id, name, owner) VALUES (?, ?, ?)"
        self._database.execute_sql(sql, (mark, name, self._files.incoming().name))

    def replace(self, name: str) -> None:
        """Forget all marks of a name whose file is durable, or has a new one, inside the caller's transaction."""
        self._database.execute_sql("DELETE FROM arriving WHERE name = ?", (name,))

    def synced(self, mark: int) -> None:
        """Its file is durable: the mark goes with the next transaction."""
        self._synced.add(mark)

    def sweep(self) -> set[int]:
        """Remove the marks of what was synced, inside the caller's transaction; `swept` takes them when it is done."""
        marks = set(self._synced)
        for mark in marks:
            self._database.execute_sql("DELETE FROM arriving WHERE id = ?", (mark,))
        return marks

    def swept(self, marks: set[int]) -> None:
        """They are gone for good."""
        self._synced -= marks

    def withdraw(self, mark: int, name: str) -> bool:
        """Take the rows of an object back whose file could not be synced. False where that came too late: a worker has
        it, or the same object came again and is durable."""
        with transaction(self._database):
            sql = f"SELECT 1 FROM job WHERE subject = ? AND stage IN ({_STAGES}) AND state = ?"  # noqa: S608 - ours
            if self._database.execute_sql(sql, (name, State.RUNNING)).fetchone():
                return False
            return self._undo(mark, name)

    def is_marked(self, name: str) -> bool:
        """Whether the file of that name may not be durable yet."""
        return self._database.execute_sql("SELECT 1 FROM arriving WHERE name = ?", (name,)).fetchone() is not None

    def make_durable(self, name: str) -> None:
        """Sync the file of an object that is still there, if it may not be durable yet."""
        if self.is_marked(name):
            with suppress(FileNotFoundError):  # just done with, and removed
                self._files.sync("inbox", name)

    def recover(self) -> int:
        """Look after what processes that are gone were receiving. Returns how many objects were taken back."""
        undone = 0
        rows = self._database.execute_sql("SELECT id, name, owner FROM arriving").fetchall()
        for mark, name, owner in rows:
            if self._files.is_receiving(owner):
                continue
            if self._is_whole(name):
                self._files.sync("inbox", name)
                with transaction(self._database):
                    self._database.execute_sql("DELETE FROM arriving WHERE id = ?", (mark,))
                continue
            with transaction(self._database):
                if self._undo(mark, name):
                    self._files.remove("inbox", name)
                    undone += 1
        return undone

    def _is_whole(self, name: str) -> bool:
        try:
            return self._digests.of(self._files.path("inbox", name)) == name
        except OSError:
            return False

    def _undo(self, mark: int, name: str) -> bool:
        """Remove the mark and what is still to be done, inside the caller's transaction; False where there is nothing
        of that."""
        database = self._database
        if not database.execute_sql("DELETE FROM arriving WHERE id = ?", (mark,)).rowcount:
            return False
        of_it = f"FROM job WHERE subject = ? AND stage IN ({_STAGES})"
        jobs = database.execute_sql(f"DELETE {of_it} AND state <> ?", (name, State.DONE)).rowcount
        if not jobs:
            return False
        if not database.execute_sql(f"SELECT 1 {of_it}", (name,)).fetchone():
            database.execute_sql("DELETE FROM received WHERE name = ?", (name,))
        self._audit.record(SYSTEM, "receiving-undone", name, {"jobs": jobs})
        return True
