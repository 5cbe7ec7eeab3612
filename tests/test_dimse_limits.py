"""What a peer that is many, slow, large or hostile can do: nothing to the others, and nothing that stays."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from builders import ct, saved
from dimse_wire import (
    ABORT,
    ACCEPT,
    CT,
    LITTLE,
    P_DATA,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    Wire,
    association_request,
    failing_network,
    fragment,
    status_of,
    store_request,
)
from programs import half_written, wait_for
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom.transport import ThreadedAssociationServer

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.identity import ENOUGH, lacks_uids
from lethe.node.dimse.limits import Limits
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

CONTEXT = (CT, LITTLE)
Start = Callable[..., int]


@pytest.fixture
def start(archive: Archive) -> Iterator[Start]:
    """Starts receivers of the archive with given limits, and says their port."""
    receivers: list[Receiver] = []

    def start(peers: tuple[Peer, ...] = (), **limits: float) -> int:
        admission = Admission("LETHE", peers, trust_loopback=not peers)
        limited = Limits(**{"least_free": 0, **limits})  # type: ignore[arg-type]
        receivers.append(Receiver(archive, admission, always("default"), limits=limited))
        return receivers[-1].start("127.0.0.1", 0)

    yield start
    for receiver in receivers:
        receiver.stop(0.0)


def lethe(port: int) -> Peer:
    return Peer("lethe", "LETHE", "127.0.0.1", port)


def stores(port: int, folder: Path) -> bool:
    """Whether an orderly peer can store something now."""
    with Destination(lethe(port), "ORDERLY") as destination:
        destination.open([CONTEXT])
        return destination.send(saved(ct(), folder), CONTEXT) == 0x0000


def descriptors_open() -> int:
    """How many, without those that SQLite keeps for its next connections."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(entry.readlink()))
    return sum(not link.endswith(("lethe.db", "-wal", "-shm")) for link in links)


def nothing_is_left(archive: Archive) -> None:
    """Of what was not acknowledged, no file stays in `incoming/`."""
    wait_for(lambda: not half_written(archive.folder), what="no file is left")


# Many


def test_more_associations_than_allowed_are_turned_away_until_one_ends(start: Start) -> None:
    port = start(associations=2)
    with Wire(port) as first, Wire(port) as second, Wire(port) as third:
        assert first.associate()[0] == second.associate()[0] == ACCEPT
        kind, body = third.associate()
        assert (kind, tuple(body[1:])) == (REJECT, (2, 3, 2))  # transient, presentation, local limit exceeded
        first.send(RELEASE_RQ)
        assert first.read()[0] == RELEASE_RP

    def is_let_in() -> bool:
        with Wire(port) as again:
            return again.associate()[0] == ACCEPT

    wait_for(is_let_in, what="the place of the first is free")


def test_a_peer_has_a_limit_of_its_own(start: Start) -> None:
    may = (Ability.STORE,)
    one = Peer("one", "ONE", "127.0.0.1", 104, may, associations=1)
    two = Peer("two", "TWO", "127.0.0.1", 104, may)
    port = start((one, two))
    with Wire(port) as first, Wire(port) as second, Wire(port) as other:
        assert first.associate(caller="ONE")[0] == ACCEPT
        assert second.associate(caller="ONE") == (REJECT, bytes((0, 2, 3, 2)))
        assert other.associate(caller="TWO")[0] == ACCEPT


def test_receivers_of_one_folder_count_together(start: Start) -> None:
    one, other = start(associations=1), start(associations=1)
    with Wire(one) as first, Wire(other) as second:
        assert first.associate()[0] == ACCEPT
        assert second.associate()[0] == REJECT


def test_receivers_share_a_port_and_one_goes_on_without_the_other(archive: Archive, tmp_path: Path) -> None:
    admission = Admission("LETHE", (), trust_loopback=True)
    one, other = (Receiver(archive, admission, always("default"), limits=Limits(least_free=0)) for _ in range(2))
    port = one.start("127.0.0.1", 0, shared=True)
    assert other.start("127.0.0.1", port, shared=True) == port
    try:
        assert all(stores(port, tmp_path) for _ in range(8))
        one.stop(0.0)
        assert all(stores(port, tmp_path) for _ in range(4))
    finally:
        other.stop(0.0)
    assert archive.counts()["received"] == 12


def test_a_hundred_associations_at_once_leave_no_thread_and_no_descriptor(start: Start, tmp_path: Path) -> None:
    others = threading.active_count()
    port = start()
    assert stores(port, tmp_path)
    wait_for(
        lambda: threading.active_count() < others + 3, seconds=10, what="the threads of the association have ended"
    )
    threads, descriptors = threading.active_count(), descriptors_open()
    path = saved(ct(), tmp_path, "one.dcm")
    statuses: list[int] = []

    def store_twice() -> None:
        with Destination(lethe(port), "MANY") as destination:
            destination.open([CONTEXT])
            everyone_is_in.wait(60)
            statuses.extend(destination.send(path, CONTEXT) for _ in range(2))

    everyone_is_in = threading.Barrier(100)
    workers = [threading.Thread(target=store_twice) for _ in range(100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert statuses == [0x0000] * 200
    wait_for(lambda: threading.active_count() <= threads, what="the threads have ended")
    wait_for(lambda: descriptors_open() <= descriptors + 2, what="the descriptors are closed")


# Slow


def test_a_client_that_says_nothing_is_dropped(start: Start, tmp_path: Path) -> None:
    port = start(request_seconds=1)
    with Wire(port) as silent:
        assert stores(port, tmp_path)
        assert silent.read() == (0, b"")


def test_a_client_that_stops_within_its_request_is_dropped(start: Start, tmp_path: Path) -> None:
    port = start(request_seconds=1)
    with Wire(port) as slow:
        slow.send(association_request("SLOW", "LETHE")[:50])
        assert stores(port, tmp_path)
        assert slow.read() == (0, b"")


def test_a_crowd_that_says_nothing_keeps_nobody_out(start: Start, tmp_path: Path) -> None:
    port = start(request_seconds=60)
    crowd = [Wire(port) for _ in range(70)]
    assert crowd[0].read() == (0, b"")  # who waits longest goes first
    assert stores(port, tmp_path)
    for one in crowd:
        one.socket.close()


def test_a_peer_that_stops_within_a_data_set_is_dropped(archive: Archive, start: Start, tmp_path: Path) -> None:
    port = start(idle_seconds=1)
    with Wire(port) as slow:
        assert slow.associate()[0] == ACCEPT
        slow.send(fragment(store_request("1.2.3"), 3) + fragment(bytes(1000), 0)[:500])
        assert stores(port, tmp_path)
        assert slow.read()[0] in (0, ABORT)
    nothing_is_left(archive)


def test_an_association_that_is_not_used_is_aborted(start: Start) -> None:
    port = start(idle_seconds=1)
    with Wire(port) as idle:
        assert idle.associate()[0] == ACCEPT
        assert idle.read()[0] == ABORT


# Large


def test_an_object_larger_than_allowed_is_refused_and_the_association_goes_on(
    archive: Archive, start: Start, tmp_path: Path
) -> None:
    port = start(largest_object=1 << 20)
    large = ct()
    large.PixelData = bytes(2 << 20)
    with Destination(lethe(port), "CT01") as destination:
        destination.open([CONTEXT])
        assert destination.send(saved(large, tmp_path, "large.dcm"), CONTEXT) == 0xC000
        assert destination.send(saved(ct(), tmp_path, "small.dcm"), CONTEXT) == 0x0000
    nothing_is_left(archive)


def test_a_pdu_longer_than_was_offered_ends_the_association(start: Start, tmp_path: Path) -> None:
    port = start(longest_pdu=16384)
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
        wire.send(bytes((4, 0)) + (1 << 30).to_bytes(4, "big"))
        assert wire.read()[0] == ABORT
    assert stores(port, tmp_path)


# Hostile


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(fragment(bytes(10), 2), id="a data set without a command"),
        pytest.param(fragment(store_request("1.2.3"), 3) * 2, id="a command within a data set"),
        pytest.param(fragment(store_request("1.2.3"), 3) + fragment(bytes(9), 2, context=3), id="another context"),
        pytest.param(fragment(store_request("1.2.3"), 3, context=5), id="a context that was not proposed"),
        pytest.param(fragment(b"\xff" * 40, 3), id="a command that is none"),
        pytest.param(fragment(bytes(100), 1) * 700, id="a command without an end"),
        pytest.param(bytes((4, 0, 0, 0, 0, 6, 0, 0, 0xFF, 0xFF, 1, 3)), id="a value longer than its PDU"),
        pytest.param(bytes((4, 0, 0, 0, 0, 3, 0, 0, 0)), id="half a header"),
        pytest.param(association_request("AGAIN", "LETHE"), id="another request"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="HTTP"),
    ],
)
def test_what_breaks_the_protocol_ends_its_own_association_only(
    archive: Archive, start: Start, tmp_path: Path, rubbish: bytes
) -> None:
    port = start()
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
        wire.send(rubbish)
        assert wire.read()[0] == ABORT
    assert stores(port, tmp_path)
    nothing_is_left(archive)


def test_many_requests_before_the_first_answer_end_the_association(archive: Archive, start: Start) -> None:
    port = start(idle_seconds=1)
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
        asked = (fragment(store_request("1.2.3", number=n), 3) + fragment(bytes(8), 2) for n in range(500))
        kinds = {ABORT}
        try:
            wire.send(b"".join(asked))
            kinds = {kind for kind, _ in iter(wire.read, (0, b""))}
        except OSError:
            pass
        assert kinds <= {P_DATA, ABORT}
    nothing_is_left(archive)


def test_an_object_that_is_not_what_was_announced_is_refused(archive: Archive, start: Start, tmp_path: Path) -> None:
    port = start()
    data_set = saved(ct(), tmp_path).read_bytes()
    data_set = data_set[144 + int.from_bytes(data_set[140:144], "little") :]
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
        wire.send(fragment(store_request("1.2.3"), 3) + fragment(data_set, 2))
        kind, body = wire.read()
        assert (kind, status_of(body)) == (P_DATA, 0xA900)
        wire.send(RELEASE_RQ)
        assert wire.read()[0] == RELEASE_RP
    assert archive.counts()["received"] == 0
    nothing_is_left(archive)


def test_what_is_no_object_of_a_study_is_refused(archive: Archive, start: Start, tmp_path: Path) -> None:
    data_sets = [b"", b"\xff" * 100]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        for value in (None, ""):
            ds = ct(SOPInstanceUID="1.2.3")
            if value is None:
                del ds[keyword]
            else:
                ds[keyword].value = value
            encoded = BytesIO()
            ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
            ds.save_as(encoded)
            whole = encoded.getvalue()
            data_sets.append(whole[144 + int.from_bytes(whole[140:144], "little") :])
    with Wire(start()) as wire:
        assert wire.associate()[0] == ACCEPT
        for number, data_set in enumerate(data_sets):
            wire.send(fragment(store_request("1.2.3", number=number), 3))
            wire.send(b"".join(fragment(data_set[at : at + 16_000], 0) for at in range(0, len(data_set), 16_000)))
            wire.send(fragment(b"", 2))
            kind, body = wire.read()
            assert (kind, status_of(body)) == (P_DATA, 0xC000), number
    assert archive.counts()["received"] == 0
    nothing_is_left(archive)


@pytest.mark.parametrize(
    ("head", "syntax"),
    [
        pytest.param(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", "1.2.840.10008.1.2", id="another VR than was agreed on"),
        pytest.param(b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff", LITTLE, id="a sequence of no length first"),
        pytest.param(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100".ljust(ENOUGH, b"\0"), LITTLE, id="more to come"),
        pytest.param(b"", "1.2.840.10008.1.2.1.99", id="deflated"),
    ],
)
def test_what_is_not_sure_to_lack_a_uid_is_taken(head: bytes, syntax: str) -> None:
    assert not lacks_uids(head, syntax)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", LITTLE])
@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_bytes_that_look_like_the_tag_of_a_uid_are_not_it(keyword: str, syntax: str) -> None:
    ds = ct(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], PatientID="A" * 14)  # of 22 and of 14 bytes
    assert not lacks_uids(head_of(ds, syntax), syntax)
    del ds[keyword]
    assert lacks_uids(head_of(ds, syntax), syntax)


def head_of(ds: Dataset, syntax: str) -> bytes:
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = syntax == "1.2.840.10008.1.2", True
    write_dataset(encoded, Dataset(ds))
    return encoded.getvalue()[:ENOUGH]


# A network that fails


@pytest.mark.parametrize("how", ["cut", "hole", "deaf"])
def test_what_was_acknowledged_is_there_however_the_network_fails(
    archive: Archive, start: Start, tmp_path: Path, how: str
) -> None:
    port = start(idle_seconds=1)
    paths = [saved(ct(), tmp_path, f"{number}.dcm") for number in range(12)]
    acknowledged = 0
    with failing_network(port, after=5 * paths[0].stat().st_size, how=how) as broken:
        destination = Destination(lethe(broken), "CT01", answer_seconds=2)
        with pytest.raises(Unavailable), destination:
            destination.open([CONTEXT])
            for path in paths:
                acknowledged += destination.send(path, CONTEXT) == 0x0000
    nothing_is_left(archive)
    assert 0 < acknowledged <= archive.counts()["received"] <= acknowledged + 1
    assert list(archive.verify()) == []
    assert stores(port, tmp_path)


def test_a_connection_cut_at_release_loses_nothing(archive: Archive, start: Start, tmp_path: Path) -> None:
    port = start()
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
        ds = ct()
        data = saved(ds, tmp_path).read_bytes()
        data = data[144 + int.from_bytes(data[140:144], "little") :]
        wire.send(fragment(store_request(ds.SOPInstanceUID), 3) + fragment(data, 2))
        assert status_of(wire.read()[1]) == 0x0000
        wire.send(RELEASE_RQ[:7])
    assert archive.counts()["received"] == 1
    nothing_is_left(archive)


def test_the_file_says_who_sent_it(archive: Archive, start: Start, tmp_path: Path) -> None:
    assert stores(start(), tmp_path)
    with archive.original(archive.jobs.find()[0]) as file:
        meta = pydicom.dcmread(file, stop_before_pixels=True).file_meta
    assert meta.SourceApplicationEntityTitle == "ORDERLY"
    assert (meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) == CONTEXT


def test_a_process_without_descriptors_says_so_once_and_goes_on_when_it_has_some(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refused = iter(range(3))
    take = ThreadedAssociationServer.get_request

    def scarce(server: ThreadedAssociationServer) -> object:
        if next(refused, None) is not None:
            raise OSError(errno.EMFILE, "Too many open files")
        return take(server)

    monkeypatch.setattr(ThreadedAssociationServer, "get_request", scarce)
    monkeypatch.setattr("lethe.node.dimse.listener._PAUSE", 0.01)
    port = start()
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
    said = [record.getMessage() for record in caplog.records if "Too many open files" in record.getMessage()]
    assert said == ["no connection can be taken now: Too many open files"]


def test_a_connection_of_which_no_association_can_be_made_is_hung_up_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    port = start()
    with monkeypatch.context() as patch:
        patch.setattr("lethe.node.dimse.listener.Greeter._association", fail)
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            assert client.recv(1) == b""
    with Wire(port) as wire:
        assert wire.associate()[0] == ACCEPT
    assert "a connection from 127.0.0.1 cannot be served now: Too many open files" in caplog.text
    assert "Traceback" not in capsys.readouterr().err
