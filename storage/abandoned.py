"""Knows which processes that work on jobs are alive, and lets go what others had leased: the lock of a process is free
when it is gone, however it went."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from .datafolder import DataFolder
from .slots import Slots


class Abandoned(DataFolder):
    """What becomes of leases whose owner is gone."""

    _owned: Slots | None = None

    def announce(self, owner: str) -> None:
        """This process leases jobs under that name, for as long as it lives."""
        if self._owned is None:
            self._owned = Slots(self._owners)
        self._owned.take(owner, 1)

    def free_abandoned(self) -> int:
        """End the leases of all owners that are not there. Returns how many."""
        with closing(Slots(self._owners)) as slots:
            return sum(self.jobs.expire(owner) for owner in self.jobs.owners() if not slots.is_taken(owner))

    @property
    def _owners(self) -> Path:
        return self.folder / "owners.lock"
