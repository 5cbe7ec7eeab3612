"""Writes an object while it comes in, and knows its digest when the last byte is there; nothing is read again. The disk
begins with it meanwhile, and what is left is synced from the last byte on, while others still look at what came."""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .digests import Hash
from .errors import Refused, StorageError, Unavailable
from .syncing import Sync

_NUMBERS = itertools.count()
_AT_A_TIME = 128 << 10
_TREE = 16 << 10
_WRITE_OUT = 2
"""SYNC_FILE_RANGE_WRITE of Linux, which Python does not have."""
_Made = tuple[Path, int]
"""A file and its descriptor, -1 where it could not be made."""
BeginSync = Callable[[int], Sync]
"""Begins to sync the file behind a descriptor, which is closed when that was waited for."""


class Arrived(NamedTuple):
    """A file of which all is there, the digest of its data set, and what ends once its bytes are durable."""

    path: Path
    digest: str
    syncing: Sync


class IncomingFiles:
    """Makes files in `incoming/`. One is kept ready: to make it can take as long as to fill it, and a peer waits."""

    def __init__(self, folder: Callable[[], Path], begin_digest: Callable[[], Hash], sync: BeginSync) -> None:
        self._folder = folder
        self._begin_digest = begin_digest
        self._sync = sync
        self._ready: list[_Made] = []

    def begin(self, meta: bytes, *, largest: int) -> IncomingFile:
        """A file for an object that begins to come, of which it holds the file meta information."""
        try:
            made = self._ready.pop()
        except IndexError:
            made = self._make()
        return IncomingFile(*made, meta, self._begin_digest(), self._sync, largest=largest)

    def prepare(self) -> None:
        """Make one that is wanted soon, if there is none."""
        if not self._ready:
            path, descriptor = self._make()
            if descriptor >= 0:  # else the next object tries anew
                self._ready.append((path, descriptor))

    def close(self) -> None:
        """Remove what is ready; more can be begun after that."""
        while self._ready:
            path, descriptor = self._ready.pop()
            os.close(descriptor)
            path.unlink(missing_ok=True)

    def _make(self) -> _Made:
        path = self._folder() / f"{os.getpid():x}-{next(_NUMBERS):x}"  # the folder is this process's own
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError:
            return path, -1


class IncomingFile:
    """One Part 10 file in `incoming/`. A failure to write is kept and told at the end: until then the rest has to be
    taken from the peer, and is not stored."""

    def __init__(
        self, path: Path, descriptor: int, meta: bytes, digest: Hash, sync: BeginSync, *, largest: int
    ) -> None:
        self.path = path
        self.size = 0
        self._begun = 0
        self._largest = largest
        self._digest = digest
        self._rest = bytearray()  # of which there is no digest yet
        self._descriptor = descriptor
        self._sync = sync
        self._syncing: Sync | None = None
        self._failure: StorageError | None = None
        self._is_here = True
        try:
            self._put(meta)
        except OSError:
            self._fail(Unavailable("the data folder cannot be written to, or its disk is full"))

    def write(self, data: bytes | memoryview, *, last: bool = False) -> None:
        """Add a piece of the data set; after its last one, the disk need not wait for its digest."""
        if self._failure is not None:
            return
        self.size += len(data)
        if self.size > self._largest:
            self._fail(Refused(f"it is larger than {self._largest >> 20} MB"))
            return
        try:
            self._put(data)
            if last:
                self._begin_to_sync()
        except OSError:
            self._fail(Unavailable("the data folder cannot be written to, or its disk is full"))
            return
        if not last and self.size - self._begun >= _AT_A_TIME:
            _begin_to_write_out(self._descriptor, self._begun, self.size - self._begun)
            self._begun = self.size
        self._hash(data)

    def _hash(self, data: bytes | memoryview) -> None:
        """Go on with the digest by whole trees of BLAKE3's: it takes half as long again for fragments as they come,
        which end within one."""
        missing = -len(self._rest) % _TREE
        self._rest += data[:missing]
        if len(self._rest) == _TREE:
            self._digest.update(self._rest)
            self._rest.clear()
        whole = missing + (len(data) - missing) // _TREE * _TREE
        if whole > missing:
            self._digest.update(data[missing:whole])
        self._rest += data[max(missing, whole) :]

    def complete(self) -> Arrived:
        """What is known once all is written. Raises what failed meanwhile."""
        if self._failure is not None:
            raise self._failure
        self._digest.update(self._rest)
        return Arrived(self.path, self._digest.hexdigest(), self._syncing or self._begin_to_sync())

    def taken_over(self) -> None:
        """It is no longer here."""
        self._is_here = False

    def discard(self) -> None:
        """Remove the file, if it was not taken over. One that cannot be is swept when this process is gone."""
        self._close()
        if self._is_here:
            with suppress(OSError):
                self.path.unlink()

    def _put(self, data: bytes | memoryview) -> None:
        """Write all of it: of what no longer fits on a disk, the system writes the beginning."""
        written = os.write(self._descriptor, data)
        while written < len(data):
            written += os.write(self._descriptor, data[written:])

    def _begin_to_sync(self) -> Sync:
        self._syncing, self._descriptor = self._sync(self._descriptor), -1
        return self._syncing

    def _fail(self, failure: StorageError) -> None:
        self._failure = failure
        self.discard()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _begin_to_write_out(descriptor: int, start: int, length: int) -> None:
    """Have the disk begin with that part of a file, without waiting for it; what comes of it, its sync tells."""
    if _sync_file_range is not None:
        _sync_file_range(descriptor, start, length, _WRITE_OUT)


_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
