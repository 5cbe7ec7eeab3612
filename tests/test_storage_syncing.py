"""Syncs that go on while their writer does."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import threading
import time
from pathlib import Path

import pytest

from lethe.storage import syncing
from lethe.storage.syncing import Syncing


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_a_file_and_a_folder_are_synced_and_their_descriptors_closed(tmp_path: Path) -> None:
    before = descriptors()
    begun = []
    for path in (tmp_path / "file", tmp_path):
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_WRONLY | os.O_CREAT)
        begun.append(Syncing().soon(descriptor))
    for sync in begun:
        sync.result()
        assert sync.exception() is None
    assert descriptors() == before


@pytest.mark.parametrize("threads_left", [True, False])
def test_what_cannot_be_synced_says_so_each_time_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, threads_left: bool
) -> None:
    if not threads_left:
        monkeypatch.setattr(syncing, "_create", lambda *_: errno.EAGAIN)
    before = descriptors()
    pipe = os.pipe()  # which fsync(2) refuses
    sync = Syncing().soon(pipe[0])
    os.close(pipe[1])
    for _ in range(2):
        assert isinstance(sync.exception(), OSError)
        with pytest.raises(OSError):
            sync.result()
    assert descriptors() == before


def test_without_a_thread_to_be_had_it_is_synced_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    synced = []
    monkeypatch.setattr(syncing, "_create", lambda *_: errno.EAGAIN)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    before = descriptors()
    sync = Syncing().soon(os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT))
    assert synced == [tmp_path / "file"]
    sync.result()
    assert sync.exception() is None
    assert descriptors() == before


def test_what_nobody_waits_for_leaves_nothing(tmp_path: Path) -> None:
    gc.collect()
    before, running = descriptors(), threads()
    for number in range(200):
        descriptor = os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, bytes(10_000))
        Syncing().soon(descriptor)
    while threads() > running:  # the system may show them a little longer
        os.sched_yield()
    assert descriptors() == before


def test_a_sync_that_nobody_waits_for_is_not_one_of_what_is_opened_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced = []
    is_synced = threading.Event()

    @ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)
    def fsync(descriptor: int) -> int:  # of a thread that the system lets wait for a CPU
        time.sleep(0.1)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        is_synced.set()
        return 0

    monkeypatch.setattr(syncing, "_FSYNC", ctypes.cast(fsync, ctypes.c_void_p))
    Syncing().soon(os.open(tmp_path / "refused", os.O_WRONLY | os.O_CREAT))
    with (tmp_path / "next").open("w"):
        assert is_synced.wait(30)
    assert synced == [tmp_path / "refused"]
