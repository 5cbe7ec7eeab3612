"""Counts what is taken at this moment, over all processes of a node: a slot is a locked byte of a file, and free again
when its process is gone, however it went."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
from pathlib import Path

from .errors import Unavailable

_FLOCK = "hhqqi0q"
_ROOM = 1 << 16


class Slot:
    """One slot that is taken."""

    def __init__(self, slots: Slots, place: int) -> None:
        self._slots = slots
        self._place = place

    def give_back(self) -> None:
        """It is free again; more than once does no harm."""
        self._slots.free(self._place)


class Slots:
    """The slots of one data folder. Raises Unavailable where they cannot be opened, as on a disk that cannot be written
    to any more."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise Unavailable(f"{path.name} cannot be opened: {error.strerror}") from error
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def take(self, group: str, most: int) -> Slot | None:
        """One of the `most` slots of a group; None where all are taken."""
        start = _first(group)
        with self._lock:
            for place in range(start, start + min(most, _ROOM)):
                if place not in self._taken and self._set(fcntl.F_WRLCK, place):
                    self._taken.add(place)
                    return Slot(self, place)
        return None

    def is_taken(self, group: str) -> bool:
        """Whether anybody has the first slot of a group."""
        place = _first(group)
        with self._lock:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
            found = struct.unpack(_FLOCK, fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, asked))[0]
            return place in self._taken or found != fcntl.F_UNLCK  # a lock of our own is in nobody's way

    def free(self, place: int) -> None:
        """Give one back."""
        with self._lock:
            if place in self._taken:
                self._taken.discard(place)
                self._set(fcntl.F_UNLCK, place)

    def close(self) -> None:
        """Give all back."""
        with self._lock:
            self._taken.clear()
            os.close(self._descriptor)
            self._descriptor = -1

    def _set(self, kind: int, place: int) -> bool:
        """Lock or unlock a byte for this opened file, not for the process, which may have opened it twice."""
        if self._descriptor < 0:
            return False
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, place, 1, 0))
            return True
        except OSError:
            return False


def _first(group: str) -> int:
    """The place of the first slot of a group."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") * _ROOM
