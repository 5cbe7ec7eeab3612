"""Removes files that no row mentions, which a crash left behind, and rows that have served their time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from .database import transaction
from .datafolder import DataFolder
from .jobs import Stage

_STALE = 3600.0
_REMEMBERED = 90 * 86_400.0


class Sweeping(DataFolder):
    """What keeps a data folder from filling with what nobody needs."""

    def sweep(self) -> int:
        """Remove what no row mentions: unfinished receptions, and files a crash left behind; and transactions of
        storage commitment that have been over for 90 days. Returns how many files went. Young files are left alone:
        their row may be on its way; not so originals whose row is there."""
        long_ago = self._clock() - _REMEMBERED
        self.commitments.forget(long_ago)
        self.promises.forget(long_ago)
        swept = self.files.sweep_incoming() + self.files.sweep_unfinished(self._clock() - _STALE)
        for name in set(self.files.names("inbox")) - self._originals.needed():
            swept += self._sweep_one("inbox", name, self._originals.is_needed) or self._sweep_known(name)
        for name in set(self.files.names("returns")) - self.jobs.unfinished(Stage.RETURN):
            swept += self._sweep_one("returns", name, lambda name: self.jobs.is_unfinished(Stage.RETURN, name))
        for name in set(self.files.names("clean")) - self.index.file_names():
            swept += self._sweep_one("clean", name, self.index.mentions)
        return swept

    def _sweep_known(self, name: str) -> bool:
        """Remove an original that came, and that every project has done with, however young: a crash kept that from
        whoever published or discarded it. Where it comes in again just now, `Intake` sees that it is gone."""
        with transaction(self.database):
            known = self.database.execute_sql("SELECT 1 FROM received WHERE name = ?", (name,)).fetchone()
            return known is not None and self.files.holds("inbox", name) and self._originals.drop(name)

    def _sweep_one(self, room: str, name: str, is_mentioned: Callable[[str], bool]) -> bool:
        with transaction(self.database), contextlib.suppress(FileNotFoundError):
            if self._clock() - self.files.modified(room, name) > _STALE and not is_mentioned(name):
                self.files.remove(room, name)
                return True
        return False
