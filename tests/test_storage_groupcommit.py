"""Those who come at the same time share a commit, and none fails by another's fault."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import ct, saved
from syncing_by import SyncingBy

from lethe.storage.archive import Archive
from lethe.storage.digests import BLAKE3
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.files import FileStore
from lethe.storage.groupcommit import GroupCommit
from lethe.storage.incoming import IncomingFiles
from lethe.storage.intake import Acceptance, Origin
from lethe.storage.slots import Slots
from lethe.storage.syncing import Syncing


def test_one_alone_is_committed_at_once() -> None:
    assert GroupCommit[int, int](lambda items: [item * 2 for item in items])(21) == 42


def test_those_who_come_during_a_commit_share_the_next() -> None:
    groups: list[list[int]] = []
    is_first, others_wait = threading.Event(), threading.Event()

    def commit(items: Sequence[int]) -> list[int]:
        groups.append(sorted(items))
        if len(groups) == 1:
            is_first.set()
            others_wait.wait(30)
        return [-item for item in items]

    together = GroupCommit[int, int](commit)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(together, 100)
        is_first.wait(30)
        rest = [pool.submit(together, number) for number in range(8)]
        while len(together._waiting) < 8:
            threading.Event().wait(0.01)
        others_wait.set()
        assert [one.result(30) for one in (first, *rest)] == [-100, *(-number for number in range(8))]
    assert groups == [[100], list(range(8))]


def test_a_group_is_tried_one_by_one_if_it_fails_together() -> None:
    def commit(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise Unavailable("three is not to be had")
        return list(items)

    together = GroupCommit[int, int](commit)
    with together._committing, ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(together, number) for number in range(5)]
        while len(together._waiting) < 5:
            threading.Event().wait(0.01)
        together._committing.release()
        outcomes = [one.exception(30) or one.result() for one in waiting]
        together._committing.acquire()
    assert [number for number in outcomes if isinstance(number, int)] == [0, 1, 2, 4]
    assert isinstance(outcomes[3], Unavailable)


def test_what_comes_at_once_is_accepted_once_each_and_the_chain_holds(archive: Archive, tmp_path: Path) -> None:
    same = saved(ct(), tmp_path, "same.dcm").read_bytes()
    barrier = threading.Barrier(12)

    def hand_in(number: int) -> Acceptance:
        path = archive.files.incoming() / f"{number}"
        path.write_bytes(same if number < 4 else saved(ct(), tmp_path, f"{number}.dcm").read_bytes())
        barrier.wait(60)
        try:
            return archive.accept(path, f"1.{max(number, 3)}", Origin("CT01"), ["default"])
        finally:
            archive.close()

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(hand_in, range(12)))
    assert outcomes.count(Acceptance.NEW) == 9
    assert outcomes.count(Acceptance.AGAIN) == 3
    assert len(archive.jobs.find()) == archive.counts()["received"] == 9
    assert archive.audit.verify().broken_at is None
    assert list(archive.verify()) == []


def incoming(folder: Path, syncing: Syncing | None = None) -> IncomingFiles:
    """Those that write into that folder."""
    files = FileStore(folder / "store", syncing)
    return IncomingFiles(lambda: folder / "in", BLAKE3.begin, files.sync_soon)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


def test_an_incoming_file_knows_its_digest_without_being_read(folder: Path) -> None:
    source = saved(ct(), folder)
    data = source.read_bytes()
    end = 144 + int.from_bytes(data[140:144], "little")
    file = incoming(folder).begin(data[:end], largest=1 << 30)
    for at in range(end, len(data), 5000):
        file.write(memoryview(data)[at : at + 5000], last=at + 5000 >= len(data))
    path, digest, syncing = file.complete()
    syncing.result()
    assert path.read_bytes() == data
    assert digest == BLAKE3.of(source)


@pytest.mark.parametrize("told", [True, False])
def test_an_incoming_file_is_synced_once_from_its_last_byte_on(folder: Path, told: bool) -> None:
    synced = list[tuple[Path, int]]()

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path, path.stat().st_size))

    files = incoming(folder, SyncingBy(sync))
    synced.clear()  # the folders of the store
    file = files.begin(b"meta", largest=1 << 30)
    for last in (False, False, told):
        assert not synced
        file.write(bytes(200_000), last=last)  # more than the disk is made to begin with
    path, _, syncing = file.complete()
    syncing.result()
    assert synced == [(path, 600_004)]
    assert str(path) not in {os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()}


def test_what_failed_is_told_at_the_end_also_where_it_cannot_be_removed(folder: Path) -> None:
    file = incoming(folder).begin(b"meta", largest=1000)
    (folder / "in").rename(folder / "elsewhere")
    (folder / "in").touch()  # nothing in it can be removed, as on a disk that the system has made read-only
    for last in (False, True):
        file.write(bytes(800), last=last)
    with pytest.raises(Refused):
        file.complete()
    file.discard()


def test_what_cannot_be_synced_early_is_not_taken_over(archive: Archive) -> None:
    broken = Future[None]()
    broken.set_exception(OSError(errno.EIO, "broken"))
    path = saved(ct(), archive.files.incoming())
    with pytest.raises(Unavailable):
        archive.accept(path, "1.2.3", Origin("CT01"), ["default"], syncing=broken)
    assert archive.counts()["received"] == 0
    assert not list(archive.files.names("inbox"))


def test_an_incoming_file_that_grows_too_large_is_gone_at_once_and_says_so_at_the_end(folder: Path) -> None:
    file = incoming(folder).begin(b"meta", largest=1000)
    for _ in range(3):
        file.write(bytes(600))
    assert list((folder / "in").iterdir()) == []
    with pytest.raises(Refused, match="larger"):
        file.complete()


def test_an_incoming_file_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    file = incoming(tmp_path).begin(b"meta", largest=1000)
    file.write(b"data", last=True)
    with pytest.raises(Unavailable):
        file.complete()


def test_a_file_is_kept_ready_and_is_used_and_goes_at_the_end(folder: Path) -> None:
    files = incoming(folder)
    files.prepare()
    files.prepare()
    (ready,) = (folder / "in").iterdir()
    file = files.begin(b"meta", largest=1000)
    file.write(b"data")
    assert file.complete().path == ready
    assert ready.read_bytes() == b"metadata"
    files.prepare()
    files.close()
    assert list((folder / "in").iterdir()) == [ready]


def test_a_file_that_could_not_be_made_ready_is_no_failure_later(tmp_path: Path) -> None:
    files = incoming(tmp_path)
    files.prepare()
    (tmp_path / "in").mkdir()
    assert files.begin(b"meta", largest=1000).complete().path.read_bytes() == b"meta"


def test_slots_are_counted_over_all_that_have_opened_them(tmp_path: Path) -> None:
    one, other = Slots(tmp_path / "slots"), Slots(tmp_path / "slots")
    first, second = one.take("all", 2), other.take("all", 2)
    assert first and second
    assert one.take("all", 2) is None
    assert other.take("all", 2) is None
    assert other.take("a peer", 1)
    first.give_back()
    assert other.take("all", 2)
    other.close()
    assert one.take("all", 2)
    one.close()
