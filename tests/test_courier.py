"""Sending: one association for many, the peer's word is the state, and a peer that is away is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pydicom
import pytest
from builders import bundled, ct, saved
from programs import free_port, wait_for
from pynetdicom import AE, evt
from pynetdicom.events import Event

from lethe.dicomweb.dicomjson import describe
from lethe.node.config import Peer
from lethe.node.courier import Courier
from lethe.node.dimse.contexts import support_storage
from lethe.node.dimse.scu import Destination, Mover
from lethe.storage.archive import Archive
from lethe.storage.entries import CleanInstance
from lethe.storage.intake import Origin
from lethe.storage.jobs import Job, Stage, State
from lethe.storage.names import clean_name

Publish = Callable[..., str]


class Archiver:
    """A peer that stores what it gets and answers what the test says."""

    def __init__(self, port: int, *, classes: list[str] | None = None) -> None:
        self.port = port
        self.received: dict[str, bytes] = {}
        self.associations = 0
        self.answers: dict[str, list[int]] = {}
        self._ae = AE("ARCHIVE")
        if classes is None:
            support_storage(self._ae)
        else:
            for uid in classes:
                self._ae.add_supported_context(uid)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ESTABLISHED, self._count)]
        self._server = self._ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _store(self, event: Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        answers = self.answers.get(uid, [])
        status = answers.pop(0) if answers else 0x0000
        if status == -1:
            event.assoc.abort()
            return 0x0110
        if status in (0x0000, 0xB000):
            self.received[uid] = event.encoded_dataset(include_meta=False)
        return status

    def _count(self, _event: Event) -> None:
        self.associations += 1

    def stop(self) -> None:
        self._ae.shutdown()


@pytest.fixture
def archiver() -> Iterator[Archiver]:
    archiver = Archiver(free_port())
    yield archiver
    archiver.stop()


@pytest.fixture
def publish(archive: Archive) -> Publish:
    """Publish a data set as if it were clean, for a destination; its SOP Instance UID."""
    incoming = archive.files.incoming()

    def publish(ds: pydicom.FileDataset, *destinations: str) -> str:
        content = saved(ds, incoming, "clean").read_bytes()
        archive.accept(incoming / "clean", str(ds.SOPInstanceUID), Origin("CT01"), ["default"])
        job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
        assert job is not None
        name = clean_name(job.subject, "default")
        instance = CleanInstance(describe(ds), ds.file_meta.TransferSyntaxUID, "default", name)
        archive.publish(job, [content], instance, destinations or ("archive",))
        return str(ds.SOPInstanceUID)

    return publish


def courier(archive: Archive, port: int, name: str = "archive") -> Courier:
    return Courier(archive, Destination(Peer(name, "ARCHIVE", "127.0.0.1", port), "LETHE"), "deliver-1", lambda: 0.0)


def send_jobs(archive: Archive) -> dict[str, Job]:
    return {job.subject: job for job in archive.jobs.find(stage=Stage.SEND)}


def due(archive: Archive) -> None:
    """Let the time pass that a job has to wait."""
    with archive.database.atomic():
        archive.database.execute_sql("UPDATE job SET ready_at = 0")


def test_one_association_carries_many_instances_of_many_kinds(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    sent = {publish(ds): ds for ds in [*(ct() for _ in range(12)), *compressed()]}
    one = courier(archive, archiver.port)
    while one.step():
        pass
    assert archiver.associations == 1
    assert archiver.received.keys() == sent.keys()
    assert {job.state for job in send_jobs(archive).values()} == {State.DONE}
    assert {job.reason for job in send_jobs(archive).values()} == {"0x0000"}


def compressed() -> Iterator[pydicom.FileDataset]:
    for name in ("JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"):
        yield bundled(name)


def test_the_transfer_syntax_is_negotiated_as_stored(archive: Archive, archiver: Archiver, publish: Publish) -> None:
    ds = bundled("JPEG2000.dcm")
    uid = publish(ds)
    courier(archive, archiver.port).step()
    content = archive.files.path("clean", archive.index.instance(uid).file).read_bytes()
    assert content.endswith(archiver.received[uid])


def test_a_warning_counts_as_delivered_and_is_shown(archive: Archive, archiver: Archiver, publish: Publish) -> None:
    uid = publish(ct())
    archiver.answers[uid] = [0xB000]
    courier(archive, archiver.port).step()
    job = send_jobs(archive)[uid]
    assert (job.state, job.reason) == (State.DONE, "0xB000")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0xA700, State.READY),
        (0x0110, State.READY),
        (0xA900, State.QUARANTINED),
        (0xC001, State.QUARANTINED),
        (0x0122, State.QUARANTINED),
    ],
)
def test_the_status_the_peer_answered_is_what_the_state_says(
    archive: Archive, archiver: Archiver, publish: Publish, status: int, state: State
) -> None:
    uid, other = publish(ct()), publish(ct())
    archiver.answers[uid] = [status]
    courier(archive, archiver.port).step()
    job = send_jobs(archive)[uid]
    assert (job.state, job.reason) == (state, f"archive answered 0x{status:04X}")
    assert send_jobs(archive)[other].state == State.DONE
    if state == State.READY:
        due(archive)
        courier(archive, archiver.port).step()
        assert send_jobs(archive)[uid].state == State.DONE


def test_a_context_the_peer_does_not_accept_is_said_and_the_others_go(archive: Archive, publish: Publish) -> None:
    archiver = Archiver(free_port(), classes=["1.2.840.10008.5.1.4.1.1.2"])
    try:
        uid, refused = publish(ct()), publish(bundled("rtplan.dcm"))
        courier(archive, archiver.port).step()
        jobs = send_jobs(archive)
        assert jobs[uid].state == State.DONE
        assert jobs[refused].state == State.QUARANTINED
        assert jobs[refused].reason.startswith(
            "archive accepts no presentation context for 1.2.840.10008.5.1.4.1.1.481.5"
        )
        assert archive.counts()["undeliverable"] == 1
    finally:
        archiver.stop()


def test_a_peer_that_accepts_none_of_the_contexts_is_not_away(archive: Archive, publish: Publish) -> None:
    archiver = Archiver(free_port(), classes=["1.2.840.10008.5.1.4.1.1.2"])
    try:
        refused = publish(bundled("rtplan.dcm"))
        one = courier(archive, archiver.port)
        one.step()
        assert send_jobs(archive)[refused].state == State.QUARANTINED
        uid = publish(ct())
        one.step()
        assert send_jobs(archive)[uid].state == State.DONE
    finally:
        archiver.stop()


def test_a_peer_that_is_away_is_waited_for_and_nothing_is_lost(archive: Archive, publish: Publish) -> None:
    port = free_port()
    uids = {publish(ct()) for _ in range(3)}
    one = courier(archive, port)
    delays = []
    for _ in range(20):
        due(archive)
        assert one.step()
        jobs = send_jobs(archive).values()
        assert {job.state for job in jobs} == {State.READY}
        assert {job.reason for job in jobs} == {"archive does not answer"}
        delays.append(min(job.ready_at - job.updated for job in jobs))
        assert not one.step(), "nothing is tried before it is time"
    assert delays == sorted(delays)
    assert delays[0] <= 2
    assert 60 < delays[-1] <= 300
    archiver = Archiver(port)
    try:
        due(archive)
        one.step()
        assert archiver.received.keys() == uids
    finally:
        archiver.stop()


def test_an_instance_the_peer_breaks_off_at_does_not_hold_the_others_back(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    poison = publish(ct())
    others = {publish(ct()) for _ in range(3)}
    archiver.answers[poison] = [-1] * 50
    one = courier(archive, archiver.port)
    for _ in range(4):
        archive.database.execute_sql("UPDATE job SET ready_at = 0 WHERE subject != ?", (poison,))
        one.step()
    assert archiver.received.keys() == others
    assert send_jobs(archive)[poison].state == State.READY


def test_a_dead_peer_blocks_no_other(archive: Archive, archiver: Archiver, publish: Publish) -> None:
    uids = {publish(ct(), "dead", "archive") for _ in range(3)}
    stopping = Flag()
    threads = [
        Thread(target=courier(archive, port, name).run, args=(stopping,))
        for name, port in (("dead", free_port()), ("archive", archiver.port))
    ]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: archiver.received.keys() == uids, seconds=20)
    finally:
        stopping.set()
        for thread in threads:
            thread.join(20)
    waiting = archive.jobs.destinations()
    assert waiting["archive"] == {State.DONE: 3}
    assert waiting["dead"] == {State.READY: 3}


def test_the_association_is_released_when_there_is_nothing_more_to_send(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    publish(ct())
    stopping = Flag()
    thread = Thread(target=courier(archive, archiver.port).run, args=(stopping,))
    thread.start()
    try:
        wait_for(lambda: archiver.received, seconds=10)
        wait_for(lambda: not archiver._ae.active_associations, seconds=10, what="released")
    finally:
        stopping.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_peer_that_takes_the_call_and_says_nothing_is_a_peer_that_is_away(archive: Archive, publish: Publish) -> None:
    import socket

    publish(ct())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        one = courier(archive, silent.getsockname()[1])
        one._destination._ae.acse_timeout = 1
        started = time.monotonic()
        one.step()
        assert time.monotonic() - started < 10
    assert {job.state for job in send_jobs(archive).values()} == {State.READY}


def test_what_is_delivered_is_written_down_together(
    archive: Archive, archiver: Archiver, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    together = archive.together

    @contextmanager
    def counted() -> Iterator[None]:
        with together():
            yield
        written.append(archive.counts()["delivered"])

    monkeypatch.setattr(archive, "together", counted)
    for _ in range(5):
        publish(ct())
    assert courier(archive, archiver.port).step()
    assert written == [5]


def test_what_was_delivered_before_the_peer_broke_off_is_written_down(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    uids = [publish(ct()) for _ in range(3)]
    archiver.answers[uids[1]] = [-1]
    assert courier(archive, archiver.port).step()
    assert [send_jobs(archive)[uid].state for uid in uids] == [State.DONE, State.READY, State.READY]


def test_who_moves_it_is_named_in_the_command(archiver: Archiver, tmp_path: Path) -> None:
    seen: list[tuple[object, object]] = []

    def look(event: Event) -> int:
        request = event.request
        seen.append((request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID))
        return 0x0000

    archiver._server.bind(evt.EVT_C_STORE, look)
    ds, context = ct(), ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    with Destination(Peer("archive", "ARCHIVE", "127.0.0.1", archiver.port), "LETHE") as destination:
        destination.open([context])
        assert destination.send(saved(ds, tmp_path), context, mover=Mover("VIEWER", 7)) == 0x0000
        assert destination.send(saved(ds, tmp_path), context) == 0x0000
    assert [(str(title).strip() if title else None, number) for title, number in seen] == [("VIEWER", 7), (None, None)]
