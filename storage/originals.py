"""Knows which originals are still needed, and removes one that is not."""

from __future__ import annotations

from typing import Any

from .database import transaction
from .files import FileStore
from .jobs import INTAKE, JobQueue


class Originals:
    """The files in `inbox/`, each needed as long as a job is to be done with it."""

    def __init__(self, database: Any, files: FileStore, jobs: JobQueue) -> None:
        self._database = database
        self._files = files
        self._jobs = jobs

    def needed(self) -> set[str]:
        """The names of all that are needed."""
        return {name for stage in INTAKE for name in self._jobs.unfinished(stage)}

    def is_needed(self, name: str) -> bool:
        """Whether that one is."""
        return any(self._jobs.is_unfinished(stage, name) for stage in INTAKE)

    def drop(self, name: str) -> bool:
        """Remove an original that every project has done with, in a transaction, so that none comes to need it
        meanwhile. False where it is still needed."""
        with transaction(self._database):
            if self.is_needed(name):
                return False
            self._files.remove("inbox", name)
        return True
