"""Writers wait for each other in turn, over threads and processes."""

from __future__ import annotations

import os
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from lethe.storage.database import open_database, transaction
from lethe.storage.turn import Turn


def test_one_at_a_time_over_threads_and_open_files(tmp_path: Path) -> None:
    turns = [Turn(tmp_path / "turn"), Turn(tmp_path / "turn")]  # as two processes have it
    inside, most = 0, 0
    lock = threading.Lock()

    def write(turn: Turn) -> None:
        nonlocal inside, most
        for _ in range(20):
            with turn:
                with lock:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.0005)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=write, args=(turns[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == 1


def test_the_turn_of_a_process_that_dies_is_free(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "turn")
    child = os.fork()
    if child == 0:
        Turn(tmp_path / "turn").__enter__()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with turn:
        assert turn._locked()


def test_who_does_not_get_his_turn_goes_on(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("lethe.storage.turn._PATIENCE", 0.05)
    one, other = Turn(tmp_path / "turn"), Turn(tmp_path / "turn")
    with one, other:
        pass
    with one, one:  # another thread's turn of the same process, as far as the lock can tell
        pass


def test_who_cannot_have_a_turn_leaves_the_others_theirs(tmp_path: Path, monkeypatch) -> None:
    database = open_database(f"sqlite:///{tmp_path}/lethe.db")
    database.turn.close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())), limits[1]))
    spare = []
    try:
        with suppress(OSError):
            while True:
                spare.append(os.open(tmp_path, os.O_RDONLY))
        with transaction(database):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in spare:
            os.close(descriptor)
    assert not database.turn._lock.locked()
    database.close()


def test_who_is_interrupted_while_he_waits_leaves_the_others_their_turn(tmp_path: Path, monkeypatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    one, other = Turn(tmp_path / "turn"), Turn(tmp_path / "turn")
    monkeypatch.setattr("lethe.storage.turn.time.sleep", interrupted)
    with one, pytest.raises(KeyboardInterrupt), other:
        pass
    assert not other._lock.locked()
    with other:
        assert other._locked()


def test_a_transaction_within_another_is_part_of_its_turn(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/lethe.db")
    taken = []

    class Counted(Turn):
        def __enter__(self) -> None:
            taken.append(1)
            super().__enter__()

    database.turn = Counted(tmp_path / "turn")
    with transaction(database), transaction(database):
        pass
    assert len(taken) == 1
    database.close()


def test_a_closed_database_leaves_no_file_open(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/lethe.db")
    for _ in range(2):
        with transaction(database):
            database.execute_sql("DELETE FROM schema_version")
        assert files_below(tmp_path)
        database.close()
        assert not files_below(tmp_path)


def files_below(folder: Path) -> list[Path]:
    """The files of a folder that this process has open."""
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [where for where in opened if where.is_relative_to(folder)]


def test_who_cannot_open_its_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    (tmp_path / "turn").mkdir()
    turn = Turn(tmp_path / "turn")
    for _ in range(2):
        with turn:
            assert turn._lock.locked()
        assert not turn._lock.locked()
    turn.close()
