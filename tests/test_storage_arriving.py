"""Rows and file of an original are synced at once: acknowledged is what has both, and a power cut in between leaves
neither or both."""

import errno
import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from programs import wait_for
from syncing_by import SyncingBy, named
from test_storage_archive import ORIGIN, UID, forked, hand_in, inbox, part10

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable
from lethe.storage.files import Adoption
from lethe.storage.intake import Acceptance
from lethe.storage.jobs import Stage, State
from lethe.storage.syncing import Syncing


@pytest.fixture
def archive(tmp_path):
    archive = Archive(tmp_path / "data")
    yield archive
    archive.close()


class Disk:
    """Syncs nothing until it is told to, and then maybe fails."""

    def __init__(self, archive):
        self.go_on, self.error, self.waits, self.broken = threading.Event(), None, threading.Event(), ""
        self._sync, archive.files._syncing = archive.files._syncing.now, SyncingBy(self.sync)

    def sync(self, descriptor):
        self.waits.set()
        assert self.go_on.wait(60)
        if self.error and self.broken in named(descriptor):
            raise self.error
        self._sync(descriptor)


@pytest.fixture
def disk(archive):
    disk = Disk(archive)
    yield disk
    disk.go_on.set()


@pytest.fixture
def handed_in(archive, disk):
    """An object that has its rows while its file is being synced: what `accept` will answer."""

    def run():
        try:
            return hand_in(archive)
        finally:
            archive.close()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(run)
        wait_for(archive.jobs.find, what="the rows are written")
        yield answer
        disk.go_on.set()


def marks(archive):
    return archive.database.execute_sql("SELECT COUNT(*) FROM arriving").fetchone()[0]


def test_an_object_is_acknowledged_when_its_file_is_durable_as_well(archive, disk, handed_in):
    assert not handed_in.done()
    disk.go_on.set()
    assert handed_in.result(60) == Acceptance.NEW
    assert marks(archive) == 1
    hand_in(archive, part10(b"another"))
    assert marks(archive) == 1  # the first went with the rows of the second


def test_what_another_process_is_receiving_is_left_alone(archive, disk, handed_in):
    other = Archive(archive.folder)
    assert len(other.jobs.find()) == marks(other) == 1
    other.close()


@pytest.mark.parametrize("broken", ["inbox", "lethe.db-wal"])
def test_an_object_whose_file_or_rows_cannot_be_synced_is_taken_back(archive, disk, handed_in, broken):
    disk.error, disk.broken = OSError(errno.EIO, "the disk is broken"), broken
    disk.go_on.set()
    with pytest.raises(Unavailable):
        handed_in.result(60)
    assert (archive.jobs.find(), inbox(archive), marks(archive), archive.counts()["received"]) == ([], [], 0, 0)
    assert archive.audit.newest(1)[0].action == "receiving-undone"
    disk.error = None
    assert hand_in(archive) == Acceptance.NEW


def test_what_a_worker_has_begun_is_not_taken_from_it(archive, disk, handed_in):
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    disk.error = OSError(errno.EIO, "the disk is broken")
    disk.go_on.set()
    with pytest.raises(Unavailable):
        handed_in.result(60)
    assert archive.original(job).read() == part10()
    assert archive.jobs.find()[0].state == State.RUNNING


def test_what_came_again_and_is_durable_is_not_taken_back_with_what_failed(archive, disk, handed_in):
    blocked, archive.files._syncing = archive.files._syncing, Syncing()
    assert hand_in(archive) == Acceptance.AGAIN
    archive.files._syncing = blocked
    disk.error = OSError(errno.EIO, "the disk is broken")
    disk.go_on.set()
    with pytest.raises(Unavailable):
        handed_in.result(60)
    (job,) = archive.jobs.find()
    assert archive.original(job).read() == part10()


def test_what_comes_again_while_it_is_taken_back_is_not_taken_for_kept(archive, disk, handed_in, monkeypatch):
    committed, take_back = threading.Event(), Adoption.take_back

    def withdrawn(*_):
        disk.error = OSError(errno.EIO, "the disk is broken")
        disk.go_on.set()
        wait_for(lambda: marks(archive) == 0, what="its rows are gone, and its file not yet")
        disk.error = None
        return False

    monkeypatch.setattr(Adoption, "take_back", lambda self: committed.wait(60) and take_back(self))
    monkeypatch.setattr(archive, "_is_done", withdrawn)
    path = archive.files.incoming() / "the same"
    path.write_bytes(part10())
    with pytest.raises(Unavailable, match="must be sent once more"):
        archive.accept(path, UID, ORIGIN, ["default"])
    committed.set()
    with pytest.raises(Unavailable):
        handed_in.result(60)
    assert (archive.jobs.find(), inbox(archive), archive.counts()["received"]) == ([], [], 0)


def test_whoever_shares_a_commit_that_cannot_be_synced_hears_of_it(archive, disk):
    disk.error, disk.broken = OSError(errno.EIO, "the disk is broken"), "lethe.db-wal"
    disk.go_on.set()

    def run(number):
        path = archive.files.incoming() / f"object{number}"
        path.write_bytes(part10(b"%d" % number))
        try:
            archive.accept(path, f"5.{number}", ORIGIN, ["default"])
        finally:
            archive.close()

    with ThreadPoolExecutor(4) as pool:
        with archive._commit._committing:
            all_of_them = [pool.submit(run, number) for number in range(4)]
            wait_for(lambda: len(archive._commit._waiting) == 4, what="all of them wait")
        failures = [one.exception(60) for one in all_of_them]
    assert [type(one) for one in failures] == [Unavailable] * 4
    assert (archive.jobs.find(), inbox(archive), marks(archive), archive.counts()["received"]) == ([], [], 0, 0)


def test_a_commit_in_which_nothing_came_is_waited_for_as_well(archive, disk, monkeypatch):
    disk.go_on.set()
    hand_in(archive)  # its mark goes with the next commit
    disk.error, disk.broken = OSError(errno.EIO, "the disk is broken"), "lethe.db-wal"
    monkeypatch.setattr(archive, "_is_known", lambda name: True)
    monkeypatch.setattr(archive, "_is_done", lambda *_: True)
    with pytest.raises(Unavailable, match="the database cannot be written to"):
        hand_in(archive, part10(b"taken back"), uid="5.6")


def cut_while_it_syncs(folder, before=lambda: None):
    """A process that has written the rows of an object and waits for the disk is killed; `before` runs ahead of it."""

    def cut():
        archive = Archive(folder)
        disk = Disk(archive)
        before()
        threading.Thread(target=hand_in, args=(archive,), daemon=True).start()
        wait_for(archive.jobs.find, what="the rows are written")
        assert disk.waits.wait(60)
        os.kill(os.getpid(), signal.SIGKILL)

    Archive(folder).close()
    assert forked(cut) == -signal.SIGKILL


def test_an_object_whose_rows_a_power_cut_took_is_as_if_it_had_never_come(tmp_path):
    folder, kept = tmp_path / "data", tmp_path / "kept"
    cut_while_it_syncs(folder, before=lambda: shutil.copytree(folder, kept))
    for name in ("lethe.db", "lethe.db-wal", "lethe.db-shm"):
        shutil.copy(kept / name, folder / name)
    archive = Archive(folder)
    assert (archive.jobs.find(), marks(archive), len(inbox(archive))) == ([], 0, 1)
    assert hand_in(archive) == Acceptance.NEW
    assert len(archive.jobs.find()) == len(inbox(archive)) == archive.counts()["received"] == 1
    assert list(archive.verify()) == []
    archive.close()


@pytest.mark.parametrize("left", ["all", "half", "none"])
def test_a_power_cut_while_an_object_is_synced_leaves_all_of_it_or_nothing(tmp_path, left):
    folder = tmp_path / "data"
    cut_while_it_syncs(folder)
    (path,) = (path for path in (folder / "inbox").glob("*/*"))
    if left == "half":
        os.truncate(path, path.stat().st_size // 2)
    elif left == "none":
        path.unlink()
    archive = Archive(folder)
    assert marks(archive) == 0
    assert list(archive.verify()) == []
    assert len(archive.jobs.find()) == len(inbox(archive)) == archive.counts()["received"] == (left == "all")
    assert hand_in(archive) == (Acceptance.AGAIN if left == "all" else Acceptance.NEW)
    archive.close()
