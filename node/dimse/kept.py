"""Keeps what was made of some files, and makes it anew when one of them changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from ..errors import CertificateError

T = TypeVar("T")
log = logging.getLogger("lethe.dimse")

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Kept(Generic[T]):
    """What `make` makes of `files`. If it fails after a change, what was there before stays, and the log says why."""

    def __init__(self, files: Sequence[Path], make: Callable[[], T]) -> None:
        self._files = tuple(files)
        self._make = make
        self._lock = threading.Lock()
        self._stamp: _Stamp = ()
        self._made: T | None = None

    def current(self) -> T:
        """It, as the files are now or were when they were last good. Raises CertificateError if they never were."""
        with self._lock:
            stamp = tuple(_stamp_of(path) for path in self._files)
            if self._made is None:
                self._made, self._stamp = self._make(), stamp
            elif stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._made = self._make()
                    log.info("read again, as it has changed: %s", ", ".join(path.name for path in self._files))
                except CertificateError as error:
                    log.error("what was read before stays in use: %s", error)
            return self._made


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
