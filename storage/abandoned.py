"""Knows which processes that work on jobs are alive, and lets go what others had leased: the lock of a process is free
when it is gone, however it went."""

from __future__ import annotations

from .datafolder import DataFolder


class Abandoned(DataFolder):
    """What becomes of leases whose owner is gone."""

    def announce(self, owner: str) -> None:
        """This process leases jobs under that name, for as long as it lives."""
        self._owners.take(owner, 1)

    def free_abandoned(self) -> int:
        """End the leases of all owners that are not there. Returns how many."""
        return sum(self.jobs.expire(owner) for owner in self.jobs.owners() if not self._owners.is_taken(owner))
