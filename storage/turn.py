"""Lets the writers of a database, in all threads and processes, wait for each other.

SQLite does so too, with pauses that grow to 100 ms, while the commit that is waited for takes one or two. Who does not
get his turn in time goes on without it, and leaves it to SQLite to say that the database is busy.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

_PATIENCE = 20.0
_PAUSE = 0.0005


class Turn:
    """Held while somebody writes; free again when its process is gone, however it went."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = -1
        self._state = threading.local()

    def __enter__(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        self._state.held = self._lock.acquire(timeout=_PATIENCE)
        try:
            while self._state.held and not self._locked() and time.monotonic() < deadline:
                time.sleep(_PAUSE)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._state.held:
            try:
                if self._descriptor >= 0:
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            finally:
                self._lock.release()

    def close(self) -> None:
        """Give the file back, after whoever has the turn; who wants the next one opens it again."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _locked(self) -> bool:
        """Whether it is ours, or nobody can have it: without a descriptor left, or on a disk that cannot be written to,
        what is done ends as SQLite says, and the others must not wait for it."""
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True
