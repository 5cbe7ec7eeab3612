"""A commit whose disk is waited for after it: others write meanwhile, and nobody is told of it before it is durable."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from syncing_by import SyncingBy, named

from lethe.storage import writeahead
from lethe.storage.audit import Actor, AuditTrail
from lethe.storage.database import open_database, transaction
from lethe.storage.errors import Unavailable
from lethe.storage.syncing import Syncing
from lethe.storage.writeahead import WriteAhead

NUMBERS = iter(range(1000))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    database = open_database(f"sqlite:///{tmp_path / 'lethe.db'}")
    yield database
    database.close()


def write(database: Any) -> None:
    AuditTrail(database).record(Actor("MODALITY"), "received")


def count(database: Any) -> int:
    return int(database.execute_sql("SELECT COUNT(*) FROM audit").fetchone()[0])


def level(database: Any) -> int:
    """How commits are synced now. Each time another text: a statement that is known says what it said before."""
    return int(database.execute_sql(f"PRAGMA synchronous -- {next(NUMBERS)}").fetchone()[0])


def test_what_was_written_is_durable_once_it_was_waited_for(database: Any) -> None:
    synced: list[str] = []
    log = WriteAhead(database, SyncingBy(lambda fd: synced.append(named(fd))).soon)
    with log.transaction() as written:
        write(database)
    written.wait()
    assert synced == [f"{database.database}-wal"]
    assert count(database) == 1


def test_only_such_transactions_leave_the_sync_for_later(database: Any) -> None:
    log, normal, full = WriteAhead(database, Syncing().soon), 1, 2
    for _ in range(3):
        with log.transaction() as written:
            assert level(database) == normal
        assert level(database) == full
        written.wait()
    with pytest.raises(ZeroDivisionError), log.transaction():
        raise ZeroDivisionError
    assert level(database) == full


def test_others_write_while_the_disk_is_waited_for(database: Any, tmp_path: Path) -> None:
    go_on = threading.Event()
    log = WriteAhead(database, SyncingBy(lambda _: go_on.wait(60)).soon)
    with log.transaction() as written:
        write(database)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(written.wait)
        other = open_database(f"sqlite:///{tmp_path / 'lethe.db'}")
        with transaction(other):
            write(other)
        assert count(other) == 2
        assert not waits.done()
        go_on.set()
        assert waits.result(60) is None
    other.close()


def test_everybody_who_waits_hears_of_a_failure(database: Any) -> None:
    failed: Future[None] = Future()
    log = WriteAhead(database, lambda descriptor: os.close(descriptor) or failed)  # type: ignore[arg-type, func-returns-value, return-value]
    with log.transaction() as written:
        write(database)
    with ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(written.wait) for _ in range(3)]
        failed.set_exception(OSError(errno.EIO, "the disk is broken"))
        assert [type(one.exception(60)) for one in waits] == [Unavailable] * 3


def test_what_failed_is_not_synced(database: Any) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    log = WriteAhead(database, lambda _: pytest.fail("nothing was written"))
    with pytest.raises(ZeroDivisionError), log.transaction():
        write(database)
        raise ZeroDivisionError
    assert count(database) == 0
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_without_a_log_to_be_had_it_is_synced_within_the_transaction(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def none_left(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("-wal"):
            raise OSError(errno.EMFILE, "too many open files")
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", none_left)
    log = WriteAhead(database, lambda _: pytest.fail("there is nothing to sync"))
    with log.transaction() as written:
        write(database)
        assert level(database) == 2
    written.wait()
    assert count(database) == 1


def test_nothing_is_told_where_it_cannot_be_known_to_be_durable(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(database):
        write(database)

    def none_left(path: Any, *arguments: Any, **options: Any) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(Unavailable, match="too many files are open"):
        list(AuditTrail(database).entries())


def test_of_a_database_under_another_name_all_is_synced_within(database: Any, tmp_path: Path) -> None:
    link = tmp_path / "other" / "lethe.db"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "lethe.db")
    linked = open_database(f"sqlite:///{link}")
    log = WriteAhead(linked, lambda _: pytest.fail("the log is not found beside the link"))
    with log.transaction() as written:
        write(linked)
        assert level(linked) == 2
    written.wait()
    assert [entry.action for entry in AuditTrail(linked).entries()] == ["received"]
    linked.close()


def test_what_the_disk_failed_to_take_of_the_log_is_written_once_more(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, synced, path = os.fsync, [], Path(f"{database.database}-wal")

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    def sync(descriptor: int) -> None:
        synced.append((named(descriptor), path.stat().st_mtime_ns > 0))
        real(descriptor)

    log = WriteAhead(database, SyncingBy(broken).soon)
    with log.transaction() as written:
        write(database)
    content = path.read_bytes()
    os.utime(path, (0, 0))
    monkeypatch.setattr(os, "fsync", sync)
    for _ in range(2):
        with pytest.raises(Unavailable):
            written.wait()
    assert synced == [(str(path), True)]
    assert path.read_bytes() == content
    assert count(database) == 1


def test_nothing_is_written_behind_what_the_disk_does_not_take(
    database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    def take(log: WriteAhead) -> None:
        with log.transaction() as written:
            write(database)
        written.wait()

    monkeypatch.setattr(writeahead, "_PATIENCE", 0.2)
    log = WriteAhead(database, SyncingBy(broken).soon)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", broken)
        for _ in range(3):
            with pytest.raises(Unavailable):
                take(log)
        other = sqlite3.connect(tmp_path / "lethe.db", timeout=0)  # as another process does
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        assert count(database) == 1
    log._mending.join(60)
    log._sync = Syncing().soon
    take(log)
    assert count(database) == 2
    assert level(database) == 2


def test_a_disk_that_fails_for_a_moment_is_waited_for(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = os.fsync, list[int]()

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    def sync(descriptor: int) -> None:
        tries.append(descriptor)
        if len(tries) < 4:
            broken(descriptor)
        real(descriptor)

    log = WriteAhead(database, SyncingBy(broken).soon)
    with log.transaction() as written:
        write(database)
    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(Unavailable):
        written.wait()
    assert len(tries) == 4
    with transaction(database):
        write(database)
    assert count(database) == 2


@pytest.mark.parametrize("denied", ["FULL", "NORMAL"])
def test_a_connection_never_stays_without_syncs(database: Any, denied: str) -> None:
    def authorize(action: int, name: str | None, value: str | None, *_: Any) -> int:
        refused = action == sqlite3.SQLITE_PRAGMA and name == "synchronous" and value == denied
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    database.connection().set_authorizer(authorize)
    log = WriteAhead(database, Syncing().soon)
    with log.transaction() as written:
        write(database)
    written.wait()
    assert level(database) == 2
    assert count(database) == 1


def test_an_entry_of_the_audit_trail_is_durable_before_it_is_told(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(database):
        write(database)
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(named(fd)))
    assert next(AuditTrail(database).entries()).action == "received"
    assert synced == [f"{database.database}-wal"]


def test_what_cannot_be_settled_is_not_told(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    with transaction(database):
        write(database)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Unavailable, match="its disk may be full or damaged"):
        AuditTrail(database).verify()
