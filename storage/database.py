"""Opens the database a URL names and brings its schema up to date.

SQLite is the embedded default: write-ahead log, full sync, foreign keys. The statements keep to what PostgreSQL
understands as well, so that it can follow behind the same function.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from peewee import DatabaseError, SqliteDatabase, __exception_wrapper__

from .errors import Refused, Unavailable
from .holding import holds
from .schema import MIGRATIONS
from .turn import Turn

_PRAGMAS = {
    "busy_timeout": 30_000,
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 1,
    # 16 MB: UIDs are random, so in a large index each row has pages of its own, which are better written together.
    "wal_autocheckpoint": 4000,
}
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_CLOSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_SHUT = (
    "the database cannot be opened to write: it or its folder belongs to another account, or too many files are open"
)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class _Leaving:
    """Leaves a connection to be closed by others when its thread ends. On its own it stays open until the garbage
    collector comes round, for sqlite3 makes it part of a circle, and a thread for each association soon uses up the
    descriptors. To close it at once would crash a thread that Python has not made, such as granian's: sqlite3 takes and
    gives back the GIL over a function of ours, with which the state of a thread that is about to end goes twice."""

    def __init__(self, connection: sqlite3.Connection, left: deque[sqlite3.Connection]) -> None:
        self._connection, self._left = connection, left

    def __del__(self) -> None:
        self._left.append(self._connection)


class _Sqlite(SqliteDatabase):  # type: ignore[misc]  # peewee has no types
    """Says Unavailable where a statement failed for a reason that may pass, or a backup mends; leaves no connection
    behind."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(str(path), check_same_thread=False, **options)
        self._left: deque[sqlite3.Connection] = deque()
        self.turn = Turn(path.with_name(f"{path.name}-turn"))

    def _connect(self) -> sqlite3.Connection:
        self._close_left()
        with _passing_failures(), __exception_wrapper__:
            connection: sqlite3.Connection = super()._connect()
        connection.create_function("holds", -1, holds, deterministic=True)
        self._state.leaving = _Leaving(connection, self._left)
        return connection

    def close(self) -> bool:
        closed: bool = super().close()
        self._close_left()
        self.turn.close()
        return closed

    def _close_left(self) -> None:
        """Close the connections of threads that have ended."""
        with suppress(IndexError):
            while True:
                self._left.popleft().close()

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        try:
            return self.connection().execute(sql, params or ())  # peewee's own way takes longer than the statement
        except sqlite3.Error as error:
            with _passing_failures(), __exception_wrapper__:
                raise error

    def rollback(self) -> None:
        if self.connection().in_transaction:  # a full disk may have ended the transaction already
            super().rollback()


def open_database(url: str) -> Any:
    """The peewee database behind `url` (`sqlite:///relative/path` or `sqlite:////absolute/path`), schema up to date.

    Raises Refused for a URL of another kind and for a database a newer Lethe has written.
    """
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2:
        raise Refused(f"the database URL must look like sqlite:///path/lethe.db; {scheme!r} is not supported yet")
    path = Path(rest[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    _keep_from_others(path)
    database = _Sqlite(path, pragmas=_PRAGMAS)
    try:
        _migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _keep_from_others(path: Path) -> None:
    """Nobody but the node and its group reads the database, whoever may look into its folder: the audit trail names
    originals. SQLite gives what stands beside it the same mode. What cannot be opened is told by SQLite."""
    with suppress(OSError):
        path.touch(0o640)
    for one in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with suppress(OSError):
            mode = one.stat().st_mode
            if mode & 0o007:
                one.chmod(mode & 0o770)


@contextmanager
def transaction(database: Any) -> Iterator[None]:
    """A short transaction that takes the write lock at its start, so that what it reads stays true until it commits.

    Raises Unavailable where the lock is not to be had, the disk is full or the database damaged.
    """
    turn = nullcontext() if database.in_transaction() else database.turn
    with turn, _passing_failures(), database.atomic("IMMEDIATE"):
        yield


@contextmanager
def _passing_failures() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        cause = error
        while hasattr(cause, "orig"):  # peewee wraps what sqlite3 raised, sometimes twice
            cause = cause.orig
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # an extended code holds the primary one
        if code in _DAMAGED:
            raise Unavailable(
                'the database is damaged; see "If the database is damaged" in docs/operator.md'
            ) from error
        if code not in _PASSING:
            raise
        raise Unavailable(_SHUT if code in _CLOSED else "the database is busy or its disk is full") from error


def _migrate(database: Any) -> None:
    with transaction(database):
        database.execute_sql("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
        row = database.execute_sql("SELECT version FROM schema_version").fetchone()
        version = row[0] if row else 0
        if version > len(MIGRATIONS):
            raise Refused(f"the database has schema {version}, this Lethe knows {len(MIGRATIONS)}: use a newer Lethe")
        if version == len(MIGRATIONS):
            return
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                database.execute_sql(statement)
        database.execute_sql("DELETE FROM schema_version")
        database.execute_sql("INSERT INTO schema_version (version) VALUES (?)", (len(MIGRATIONS),))
