"""Keeps account of how much is remembered, so that it can be forgotten in time."""

from __future__ import annotations

_LARGEST = 1 << 14
_OVERHEAD = 512


class Memory:
    """How many bytes are remembered, about."""

    def __init__(self) -> None:
        self.size = 0

    def takes(self, *parts: bytes) -> bool:
        """Whether something is small enough to be remembered; then it counts."""
        size = sum(map(len, parts))
        if size > 2 * _LARGEST:
            return False
        self.size += size + _OVERHEAD
        return True

    def note(self, size: int) -> None:
        """Count something that is remembered in any case."""
        self.size += size
