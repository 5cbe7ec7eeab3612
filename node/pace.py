"""Keeps a sender to a rate: so many instances a second, so many megabytes a second, whichever is less."""

from __future__ import annotations

_CREDIT = 1.0
"""Seconds of a rate that may be caught up with at once, so that waiting does not slow it down for good."""


class Pace:
    """One sender's rate; 0 is none. Times are seconds of any clock that goes forward."""

    def __init__(self, instances_per_second: float, megabytes_per_second: float) -> None:
        self._of_an_instance = 1 / instances_per_second if instances_per_second else 0.0
        self._of_a_byte = 1e-6 / megabytes_per_second if megabytes_per_second else 0.0
        self._free_at = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next may go."""
        return max(0.0, self._free_at - now)

    def sent(self, size: int, now: float) -> None:
        """One of so many bytes went."""
        cost = max(self._of_an_instance, size * self._of_a_byte)
        self._free_at = max(self._free_at, now - _CREDIT) + cost if cost else self._free_at

    def most(self, batch: int) -> int:
        """How many to take at once of a batch: no more than go in about a second."""
        if self._of_an_instance:
            batch = min(batch, int(1 / self._of_an_instance))
        return max(1, min(batch, 10) if self._of_a_byte else batch)
