"""Commits without holding other writers up while the disk is waited for.

SQLite waits for the disk before it gives back the lock that all who write need. Here it is waited for after that, and
at the same time as for the files that the rows are about. Others see what was written before it is durable. What they
write then stands behind it in the log, so it is durable before theirs; who only tells of it calls `settle` first.

Where the disk fails, what others wrote behind it would be lost with it: Linux takes what it could not write for
written, and the next sync says that all is well. SQLite, which else syncs before anybody sees what was written, has the
next transaction take the same place in the log. Here the log is written once more, before anybody else writes: a thread
takes the lock and keeps it until the disk has all of the log, however long that takes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from .database import transaction
from .errors import Unavailable
from .syncing import Sync

_WITHIN, _AFTER = "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"
_PATIENCE, _PAUSE = 5.0, 0.1
"""How long who hears of a failure waits for the disk, and how long there is between two tries."""
_PIECE = 1 << 20
_FAILED = "the database cannot be written to; its disk may be full or damaged, or too many files are open"


class Written:
    """What a transaction has written, while the log is synced; several may wait for it."""

    def __init__(self, failed: Callable[[], None]) -> None:
        self._sync: Sync | None = None
        self._failed = failed
        self._failure: BaseException | None = None
        self._joining = threading.Lock()

    def begin(self, sync: Sync) -> None:
        """It is durable when this ends; without, it was as the transaction ended."""
        self._sync = sync

    def wait(self) -> None:
        """Return once it is durable. Raises Unavailable; it can be seen then still, and may be gone after a crash."""
        with _failures(), self._joining:
            if self._sync is not None and self._failure is None:
                self._failure = self._sync.exception()
                if self._failure is not None:
                    self._failed()
            if self._failure is not None:
                raise self._failure


class WriteAhead:
    """Such transactions of one database; `sync` begins to sync what is behind a descriptor, and closes that."""

    def __init__(self, database: Any, sync: Callable[[int], Sync]) -> None:
        self._database, self._sync = database, sync
        self._mending, self._beginning = threading.Thread(), threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[Written]:
        """As `database.transaction`, but it need not be durable at the end of the block. Raises Unavailable."""
        if self._mending.is_alive():
            raise Unavailable(_FAILED)
        written = Written(self._failed)
        with ExitStack() as opened:
            # Opened before anything is written: of a write that failed, Linux tells whoever had the file open.
            descriptor = _log_if_any(self._database)
            if descriptor >= 0:
                opened.callback(os.close, descriptor)
            with self._synced_after() if descriptor >= 0 else nullcontext(), transaction(self._database):
                yield written
            opened.pop_all()
        if descriptor >= 0:
            written.begin(self._sync(descriptor))

    @contextmanager
    def _synced_after(self) -> Iterator[None]:
        """Not by statements that sqlite3 keeps prepared: these pragmas do what they do as they are prepared."""
        connection = self._database.connection()
        with suppress(sqlite3.Error):  # then it is synced within as well
            connection.executescript(_AFTER)
        try:
            yield
        finally:
            try:
                connection.executescript(_WITHIN)
            except (sqlite3.Error, MemoryError):  # what was written is written; the next one has a new connection
                self._database.close()

    def _failed(self) -> None:
        with self._beginning:
            if not self._mending.is_alive():
                self._mending = threading.Thread(target=self._write_again, daemon=True)
                self._mending.start()
        self._mending.join(_PATIENCE)

    def _write_again(self) -> None:
        """Give the disk once more what it may lack of the log, before anybody else writes."""
        is_whole = False
        while not is_whole:
            with suppress(Unavailable), transaction(self._database):
                while not (is_whole := _rewritten(self._database)):
                    time.sleep(_PAUSE)
        self._database.close()


def settle(database: Any) -> None:
    """Return once all that can be read now is durable. Raises Unavailable."""
    with _failures():
        try:
            descriptor = _log(database)
        except FileNotFoundError:  # under another name: then nothing is synced after its transaction
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _rewritten(database: Any) -> bool:
    """Write all of the log where it is, as the system has it in memory, and sync it; whether the disk took it. Who
    calls this holds the lock that all writers need, so that it stays as it is meanwhile."""
    try:
        descriptor, place = _log(database, os.O_RDWR), 0
        try:
            while piece := os.pread(descriptor, _PIECE, place):
                place += os.pwrite(descriptor, piece, place)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _log(database: Any, how: int = os.O_RDONLY) -> int:
    """The write-ahead log, open. Raises OSError."""
    database.connection()  # while one is open, the log is not removed
    return os.open(f"{database.database}-wal", how | os.O_CLOEXEC)


def _log_if_any(database: Any) -> int:
    """The same; -1 where that cannot be had: it is synced within the transaction then."""
    with suppress(OSError):
        return _log(database)
    return -1


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(_FAILED) from error
