"""Commits without holding other writers up while the disk is waited for.

SQLite waits for the disk before it gives back the lock that all who write need. Here it is waited for after that, and
at the same time as for the files that the rows are about. Others see what was written before it is durable. What they
write then stands behind it in the log, so it is durable before theirs; who only tells of it calls `settle` first.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from .database import transaction
from .errors import Unavailable
from .syncing import Sync

_WITHIN, _AFTER = "PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"


class Written:
    """What a transaction has written, while the log is synced; several may wait for it."""

    def __init__(self) -> None:
        self._sync: Sync | None = None
        self._joining = threading.Lock()

    def begin(self, sync: Sync) -> None:
        """It is durable when this ends; without, it was as the transaction ended."""
        self._sync = sync

    def wait(self) -> None:
        """Return once it is durable. Raises Unavailable; it can be seen then still, and may be gone after a crash."""
        with _failures(), self._joining:
            if self._sync is not None:
                self._sync.result()


class WriteAhead:
    """Such transactions of one database; `sync` begins to sync what is behind a descriptor, and closes that."""

    def __init__(self, database: Any, sync: Callable[[int], Sync]) -> None:
        self._database, self._sync = database, sync

    @contextmanager
    def transaction(self) -> Iterator[Written]:
        """As `database.transaction`, but it need not be durable at the end of the block. Raises Unavailable."""
        written = Written()
        with ExitStack() as opened:
            # Opened before anything is written: of a write that failed, Linux tells whoever had the file open.
            descriptor = _log(self._database)
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
        connection.executescript(_AFTER)
        try:
            yield
        finally:
            connection.executescript(_WITHIN)


def settle(database: Any) -> None:
    """Return once all that can be read now is durable. Raises Unavailable."""
    if (descriptor := _log(database)) >= 0:
        with _failures():
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _log(database: Any) -> int:
    """The write-ahead log, open; -1 where that cannot be had: it is synced within the transaction then."""
    database.connection()  # while one is open, the log is not removed
    with suppress(OSError):
        return os.open(f"{database.database}-wal", os.O_RDONLY | os.O_CLOEXEC)
    return -1


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("the database cannot be written to; its disk may be full or damaged") from error
