"""The database: migrations from empty, what is refused, and that a success would survive pulling the plug."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lethe.storage.database import open_database, transaction
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.schema import MIGRATIONS


@pytest.fixture
def database(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/lethe.db")
    yield database
    database.close()


def rows(database, sql):
    return database.execute_sql(sql).fetchall()


def test_an_empty_database_is_brought_up_to_date(database):
    names = {name for (name,) in rows(database, "SELECT name FROM sqlite_master")}
    assert {"received", "job", "study", "series", "instance", "audit", "person"} <= names
    assert rows(database, "SELECT version FROM schema_version") == [(len(MIGRATIONS),)]


def test_a_database_of_every_earlier_version_is_brought_up_to_date(tmp_path):
    for version in range(1, len(MIGRATIONS)):
        path = tmp_path / f"{version}.db"
        with sqlite3.connect(path) as old:
            for statements in MIGRATIONS[:version]:
                for statement in statements:
                    old.execute(statement)
            old.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
            old.execute("INSERT INTO schema_version VALUES (?)", (version,))
            old.execute("INSERT INTO person VALUES ('ann', '', 0, 'administrator')")
        old.close()
        database = open_database(f"sqlite:///{path}")
        assert rows(database, "SELECT version FROM schema_version") == [(len(MIGRATIONS),)]
        assert rows(database, "SELECT name FROM person") == [("ann",)]
        new = open_database(f"sqlite:///{tmp_path}/new{version}.db")
        schema = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        assert rows(database, schema) == rows(new, schema)
        database.close()
        new.close()


def test_nobody_else_reads_it_whoever_may_look_into_its_folder(tmp_path):
    tmp_path.chmod(0o755)
    old = tmp_path / "old.db"
    sqlite3.connect(old).execute("CREATE TABLE a (b)").connection.close()
    old.chmod(0o644)
    for path in (tmp_path / "new.db", old):
        database = open_database(f"sqlite:///{path}")
        beside = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
        assert [one.stat().st_mode & 0o777 for one in beside] == [0o640] * 3
        database.close()


def test_one_that_may_only_be_read_is_not_called_busy(tmp_path):
    path = tmp_path / "lethe.db"
    open_database(f"sqlite:///{path}").close()
    database = open_database(f"sqlite:///{path}")
    database.execute_sql("PRAGMA query_only = 1")  # as for a file that is not ours; whoever runs the tests may be root
    with pytest.raises(Unavailable, match="belongs to another account"), transaction(database):
        database.execute_sql("DELETE FROM person")
    database.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    broken = (*MIGRATIONS, ("CREATE TABLE half (a)", "CREATE TABLE half (a)"))
    monkeypatch.setattr("lethe.storage.database.MIGRATIONS", broken)
    with pytest.raises(Exception, match="half"):
        open_database(f"sqlite:///{tmp_path}/lethe.db")
    monkeypatch.undo()
    database = open_database(f"sqlite:///{tmp_path}/lethe.db")
    assert rows(database, "SELECT version FROM schema_version") == [(len(MIGRATIONS),)]
    assert rows(database, "SELECT name FROM sqlite_master WHERE name = 'half'") == []
    database.close()


def test_the_database_of_a_newer_lethe_is_refused(tmp_path, database):
    database.execute_sql("UPDATE schema_version SET version = version + 1")
    with pytest.raises(Refused, match="newer"):
        open_database(f"sqlite:///{tmp_path}/lethe.db")


@pytest.mark.parametrize(
    "url", ["", "lethe.db", "sqlite://", "sqlite:///", "sqlite://lethe.db", "postgresql:///lethe", "sqlite:lethe.db"]
)
def test_another_url_is_refused_with_an_example(url):
    with pytest.raises(Refused, match=r"sqlite:///path/lethe\.db"):
        open_database(url)


def test_a_relative_url_is_relative_and_its_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_database("sqlite:///some/folder/lethe.db").close()
    assert (tmp_path / "some/folder/lethe.db").exists()


def test_every_thread_has_its_own_durable_connection(database):
    found = []

    def look():
        values = [database.pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
        found.append((id(database.connection()), *values))
        database.close()

    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    (first, *settings), (second, *others) = found
    assert first != second
    assert settings == others == ["wal", 2, 1, 30_000]  # 2 is FULL


def test_a_row_without_its_parent_is_refused(database):
    with pytest.raises(Exception, match="FOREIGN KEY"):
        database.execute_sql(
            "INSERT INTO series (uid, study, modality, description, body_part, series_date, series_time, pps_date, "
            "pps_time, instances, attributes, updated) VALUES ('1', 99, '', '', '', '', '', '', '', 0, '', 0)"
        )


def test_several_processes_may_open_a_fresh_folder_at_once(tmp_path):
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                open_database(f"sqlite:///{tmp_path}/lethe.db").close()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8


def test_a_nested_transaction_that_fails_takes_back_its_own_part_only(database):
    insert = "INSERT INTO person VALUES (?, '', 0, '')"
    with transaction(database):
        database.execute_sql(insert, ("outer",))
        with pytest.raises(NotFound), transaction(database):
            database.execute_sql(insert, ("inner",))
            raise NotFound
    assert rows(database, "SELECT name FROM person") == [("outer",)]


def test_an_outer_transaction_that_fails_takes_back_everything(database):
    insert = "INSERT INTO person VALUES (?, '', 0, '')"
    with pytest.raises(Refused), transaction(database):
        with transaction(database):
            database.execute_sql(insert, ("inner",))
        raise Refused
    assert rows(database, "SELECT name FROM person") == []
    assert not database.in_transaction()


def test_a_transaction_has_the_write_lock_from_its_start(tmp_path, database):
    other = sqlite3.connect(tmp_path / "lethe.db", timeout=0)
    with transaction(database), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("INSERT INTO person VALUES ('other', '', 0, '')")
    other.close()


def test_a_lock_that_is_not_to_be_had_is_unavailable(tmp_path, database):
    database.pragma("busy_timeout", 1)
    other = sqlite3.connect(tmp_path / "lethe.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable), transaction(database):
        raise AssertionError("the lock was given")
    with pytest.raises(Unavailable):  # outside a transaction as well
        database.execute_sql("INSERT INTO person VALUES ('ann', '', 0, '')")
    other.execute("ROLLBACK")
    with transaction(database):
        database.execute_sql("INSERT INTO person VALUES ('ann', '', 0, '')")
    other.close()


def test_a_full_disk_is_unavailable_and_leaves_the_connection_usable(database):
    database.pragma("max_page_count", database.pragma("page_count"))
    with pytest.raises(Unavailable), transaction(database):
        for number in range(1000):
            database.execute_sql("INSERT INTO person VALUES (?, ?, 0, '')", (number, "x" * 1000))
    database.pragma("max_page_count", 1_000_000)
    with transaction(database):
        database.execute_sql("INSERT INTO person VALUES ('ann', '', 0, '')")
    assert rows(database, "SELECT name FROM person") == [("ann",)]


def test_a_mistake_in_a_statement_is_not_called_unavailable(database):
    with pytest.raises(Exception, match="no such table") as caught:
        database.execute_sql("SELECT * FROM nowhere")
    assert not isinstance(caught.value, Unavailable)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "lethe.db").mkdir()
    with pytest.raises(Unavailable):
        open_database(f"sqlite:///{tmp_path}/lethe.db")


def test_a_damaged_database_is_said_to_be_damaged(tmp_path, database):
    with transaction(database):
        for number in range(1000):
            database.execute_sql("INSERT INTO person VALUES (?, ?, 0, '')", (number, "x" * 1000))
    database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.close()
    path = tmp_path / "lethe.db"
    content = bytearray(path.read_bytes())
    content[4096 * 20 :] = bytes(len(content) - 4096 * 20)
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="damaged"):
        rows(database, "SELECT COUNT(password) FROM person WHERE password <> ''")
    database.close()
    path.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(Unavailable, match="damaged"):
        open_database(f"sqlite:///{path}")


def test_only_the_last_connection_outlives_its_thread(tmp_path, database):
    def descriptors():
        return sum("lethe.db" in str(entry.resolve()) for entry in Path("/proc/self/fd").iterdir())

    def read():
        rows(database, "SELECT 1 FROM job")

    def read_once():
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()

    read_once()
    after_one = descriptors()
    for _ in range(20):
        read_once()
    assert descriptors() <= after_one + 1  # SQLite keeps one for the next connection


def test_a_thread_that_python_has_not_made_may_end_with_its_connection_open(tmp_path):
    """As those of granian do, after half a minute without a request."""
    program = f"""
import ctypes
from lethe.storage.database import open_database

database = open_database("sqlite:///{tmp_path}/lethe.db")
libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]

@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def read(_):
    database.execute_sql("SELECT 1").fetchall()

for _ in range(20):
    assert libc.pthread_create(ctypes.byref(thread), None, read, None) == 0
    assert libc.pthread_join(thread, None) == 0
print("done")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
