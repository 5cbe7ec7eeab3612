"""Keeps answers ready as they were sent last, compressed, each with the version of the index it tells of.

An answer is given again only while that version holds, so it is never older than the index. What is large is not kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator

_LARGEST = 2 << 20
_MOST = 64 << 20


class Ready:
    """Compressed bodies by what was asked, the least recently asked forgotten first. Any thread may use it."""

    def __init__(self, *, most: int = _MOST, largest: int = _LARGEST) -> None:
        self._most, self._largest = most, largest
        self._bodies: OrderedDict[Hashable, tuple[Hashable, bytes]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, asked: Hashable, version: Hashable) -> bytes | None:
        """The body that was kept for this question, if the version still holds."""
        with self._lock:
            kept = self._bodies.get(asked)
            if kept is None or kept[0] != version:
                return None
            self._bodies.move_to_end(asked)
            return kept[1]

    def keeping(self, asked: Hashable, version: Hashable, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces as they come; once all were taken, they are kept together, unless they are too large."""
        kept: list[bytes] | None = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if kept is not None:
                kept.append(piece)
            if size > self._largest:
                kept = None
            yield piece
        if kept is not None:
            self._keep(asked, version, b"".join(kept))

    def _keep(self, asked: Hashable, version: Hashable, body: bytes) -> None:
        with self._lock:
            self._forget(asked)
            self._bodies[asked] = (version, body)
            self._size += len(body)
            while self._size > self._most:
                self._forget(next(iter(self._bodies)))

    def _forget(self, asked: Hashable) -> None:
        kept = self._bodies.pop(asked, None)
        self._size -= len(kept[1]) if kept else 0
