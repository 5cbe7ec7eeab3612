"""Opens the database a URL names and brings its schema up to date.

SQLite is the embedded default: write-ahead log, full sync, foreign keys. The statements keep to what PostgreSQL
understands as well, so that it can follow behind the same function.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peewee import OperationalError, SqliteDatabase

from .errors import Refused, Unavailable
from .schema import MIGRATIONS

_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def open_database(url: str) -> Any:
    """The peewee database behind `url` (`sqlite:///relative/path` or `sqlite:////absolute/path`), schema up to date.

    Raises Refused for a URL of another kind and for a database a newer Lethe has written.
    """
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2:
        raise Refused(f"the database URL must look like sqlite:///path/lethe.db; {scheme!r} is not supported yet")
    path = Path(rest[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    database = SqliteDatabase(str(path), pragmas=_PRAGMAS)
    _migrate(database)
    return database


@contextmanager
def transaction(database: Any) -> Iterator[None]:
    """A short transaction that takes the write lock at its start, so that what it reads stays true until it commits.

    Raises Unavailable where the lock is not to be had, or the disk is full.
    """
    try:
        with database.atomic("IMMEDIATE"):
            yield
    except OperationalError as error:
        raise Unavailable("the database is busy or its disk is full") from error


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
