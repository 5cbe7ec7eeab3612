"""A disk that is full, for real: what is said at the watermark and in the middle of an object, and how it recovers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import ct, saved
from dimse_wire import ACCEPT, CT, LITTLE, REJECT, Wire
from programs import half_written, wait_for
from pydicom.dataset import FileDataset

from lethe.node.choices import AuthMode
from lethe.node.config import Auth, Config, Http, Node, Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.limits import Limits
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.routing import always
from lethe.node.site import build_app
from lethe.storage.archive import Archive

CONTEXT = (CT, LITTLE)
MEGABYTE = 1 << 20
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A file system of its own, in memory."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    with mounted(tmp_path / "disk", "size=24m") as place:
        yield place


@pytest.fixture
def archive(disk: Path) -> Iterator[Archive]:
    one = Archive(disk / "data")
    yield one
    one.close()


def listening(archive: Archive, least_free: int) -> tuple[Receiver, int]:
    limits = Limits(least_free=least_free)
    receiver = Receiver(archive, Admission("LETHE", (), trust_loopback=True), always("default"), limits=limits)
    return receiver, receiver.start("127.0.0.1", 0)


def destination(port: int) -> Destination:
    one = Destination(Peer("lethe", "LETHE", "127.0.0.1", port), "CT01")
    one.open([CONTEXT])
    return one


def large(megabytes: int) -> FileDataset:
    return ct(Rows=1024, Columns=512 * megabytes, PixelData=os.urandom(megabytes * MEGABYTE))


def filled(disk: Path, left: int) -> Path:
    """A file that leaves only so many bytes free."""
    path = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    path.write_bytes(bytes(free - left))
    return path


def associated(port: int) -> tuple[int, bytes]:
    with Wire(port) as wire:
        return wire.associate()


def nothing_half_written(archive: Archive) -> None:
    wait_for(lambda: not half_written(archive.folder), what="no file is left")
    assert list(archive.verify()) == []


def test_a_disk_that_fills_up_is_said_at_the_watermark_and_within_an_object(
    archive: Archive, disk: Path, tmp_path: Path
) -> None:
    receiver, port = listening(archive, 4 * MEGABYTE)
    small, too_large = saved(ct(), tmp_path), saved(large(8), tmp_path)
    try:
        with destination(port) as running:
            filler = filled(disk, 6 * MEGABYTE)
            assert (
                running.send(too_large, CONTEXT) == OUT_OF_RESOURCES
            )  # in the middle: there was room at its beginning
            nothing_half_written(archive)
            assert running.send(small, CONTEXT) == SUCCESS
            filler.unlink()
            filler = filled(disk, 3 * MEGABYTE)
            assert running.send(saved(ct(), tmp_path), CONTEXT) == OUT_OF_RESOURCES
            kind, body = associated(port)
            assert (kind, tuple(body[1:4])) == (REJECT, (2, 3, 1))  # transient, presentation, temporary congestion
            filler.unlink()
            assert associated(port)[0] == ACCEPT
            assert running.send(too_large, CONTEXT) == SUCCESS
        assert archive.counts()["received"] == 2
        nothing_half_written(archive)
    finally:
        receiver.stop(0.5)


def test_a_disk_without_a_watermark_is_full_when_it_is(archive: Archive, disk: Path, tmp_path: Path) -> None:
    receiver, port = listening(archive, 0)
    try:
        with destination(port) as running:
            filler = filled(disk, 0)
            for _ in range(3):
                assert running.send(saved(ct(), tmp_path), CONTEXT) == OUT_OF_RESOURCES
            assert archive.counts()["received"] == 0
            nothing_half_written(archive)
            filler.unlink()
            filled(disk, 64 << 10)  # the object fits, what the database writes of it does not
            path = saved(ct(), tmp_path)
            statuses = [running.send(path, CONTEXT) for _ in range(20)]
            assert set(statuses) <= {SUCCESS, OUT_OF_RESOURCES}
            (disk / "filler").unlink()
            assert running.send(saved(ct(), tmp_path), CONTEXT) == SUCCESS
            assert archive.counts()["received"] == 1 + (SUCCESS in statuses)
        nothing_half_written(archive)
    finally:
        receiver.stop(0.5)


def test_who_turns_associations_away_is_not_ready(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=200m") as disk:
        archive = Archive(disk / "data")
        receiver, port = listening(archive, 100 * MEGABYTE)
        config = Config(auth=Auth(AuthMode.NONE), node=Node(least_free=100))
        web = build_app(config, archive).test_client()
        try:
            assert (associated(port)[0], web.get("/readyz").status_code) == (ACCEPT, 200)
            filler = filled(disk, 99 * MEGABYTE)
            answer = web.get("/readyz")
            assert (associated(port)[0], answer.status_code) == (REJECT, 503)
            assert answer.get_json()["reason"] == "the disk of the data folder is filling up"
            filler.unlink()
            assert (associated(port)[0], web.get("/readyz").status_code) == (ACCEPT, 200)
        finally:
            receiver.stop(0.5)
            archive.close()


def test_a_disk_that_has_no_room_for_more_files_is_full(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=200m,nr_inodes=1200") as disk:
        archive = Archive(disk / "data")
        receiver, port = listening(archive, 4 * MEGABYTE)
        config = Config(auth=Auth(AuthMode.NONE), http=Http(stow_wait=0), node=Node(least_free=4))
        web = build_app(config, archive).test_client()
        content = saved(ct(), tmp_path).read_bytes()
        try:
            assert associated(port)[0] == ACCEPT
            assert web.get("/readyz").status_code == 200
            fillers = [disk / str(number) for number in range(os.statvfs(disk).f_favail)]
            for filler in fillers:
                filler.touch()
            assert associated(port)[0] == REJECT
            assert web.get("/readyz").get_json()["reason"] == "the data folder is full"
            answer = web.post("/dicom-web/studies", data=content, content_type="application/dicom")
            assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
            for filler in fillers:
                filler.unlink()
            assert associated(port)[0] == ACCEPT
            assert web.post("/dicom-web/studies", data=content, content_type="application/dicom").status_code == 202
            assert archive.counts()["received"] == 1
        finally:
            receiver.stop(0.5)
            archive.close()
