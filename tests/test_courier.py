"""Sending: one association for many, the peer's word is the state, and a peer that is away is waited for."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import numpy as np
import pydicom
import pytest
from builders import bundled, ct, saved
from dimse_wire import failing_network
from programs import free_port, wait_for
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from pynetdicom import AE, evt
from pynetdicom.events import Event

from lethe.dicomweb.dicomjson import describe
from lethe.node.config import Peer
from lethe.node.courier import Courier
from lethe.node.dimse.contexts import storage_classes, support_storage
from lethe.node.dimse.giving import Mover
from lethe.node.dimse.scu import Destination
from lethe.node.logs import start_logging
from lethe.node.windows import span_from
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.entries import CleanInstance
from lethe.storage.intake import Origin
from lethe.storage.jobs import Job, Stage, State
from lethe.storage.names import clean_name
from lethe.storage.queues import Breaker

Publish = Callable[..., str]


class Archiver:
    """A peer that stores what it gets and answers what the test says."""

    def __init__(
        self, port: int, *, classes: list[str] | None = None, syntaxes: dict[str, list[str]] | None = None
    ) -> None:
        self.port = port
        self.received: dict[str, bytes] = {}
        self.syntaxes_of: dict[str, str] = {}
        self.proposed: list[tuple[str, list[str]]] = []
        self.most_proposed = 0
        self.associations = 0
        self.answers: dict[str, list[int]] = {}
        self._ae = AE("ARCHIVE")
        if syntaxes is not None:
            for uid, accepted in syntaxes.items():
                self._ae.add_supported_context(uid, accepted)
        elif classes is None:
            support_storage(self._ae)
        else:
            for uid in classes:
                self._ae.add_supported_context(uid)
        self.on_store = self._store
        handlers = [(evt.EVT_C_STORE, lambda event: self.on_store(event)), (evt.EVT_ESTABLISHED, self._count)]
        self._server = self._ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)

    def _store(self, event: Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        answers = self.answers.get(uid, [])
        status = answers.pop(0) if answers else 0x0000
        if status == -1:
            event.assoc.abort()
            return 0x0110
        if status in (0x0000, 0xB000):
            self.syntaxes_of[uid] = str(event.context.transfer_syntax)
            self.received[uid] = event.encoded_dataset(include_meta=False)
        return status

    def _count(self, event: Event) -> None:
        self.associations += 1
        request: Any = event.assoc.requestor.primitive
        asked = request.presentation_context_definition_list
        self.proposed = [(str(one.abstract_syntax), [str(uid) for uid in one.transfer_syntax]) for one in asked]
        self.most_proposed = max(self.most_proposed, len(asked))

    def hang_up(self) -> None:
        for association in self._ae.active_associations:
            association.abort()

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
        archive.database.execute_sql("UPDATE destination SET next_attempt = 0")


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


def test_a_peer_that_is_away_is_told_by_us_and_not_by_its_library_too(
    archive: Archive, publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging("deliver", "DEBUG")
    publish(ct())
    assert courier(archive, free_port()).step()
    (told,) = capsys.readouterr().err.splitlines()
    assert " deliver: archive does not answer; trying again in " in told


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
        state = archive.queues.state("archive")
        assert (state.reason, state.breaker(time.time())) == ("archive does not answer", Breaker.OPEN)
        delays.append(round(state.next_attempt - max(job.updated for job in jobs)))
        assert not one.step(), "nothing is tried before it is time"
    assert delays == sorted(delays)
    assert delays[0] <= 2
    assert 60 < delays[-1] <= 300
    archiver = Archiver(port)
    try:
        due(archive)
        one.step()
        assert len(archiver.received) == 1, "one alone, to see whether it is back"
        assert archive.queues.state("archive").breaker(time.time()) == Breaker.CLOSED
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
        archive.database.execute_sql("UPDATE destination SET next_attempt = 0")
        one.step()
    assert archiver.received.keys() == others
    assert send_jobs(archive)[poison].state == State.READY


def flip(path: Path) -> None:
    """Another last byte, as a disk may give it back."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 300), flip])
def test_a_file_that_is_lost_or_changed_here_is_no_peer_that_is_away(
    archive: Archive, archiver: Archiver, publish: Publish, harm: Callable[[Path], None]
) -> None:
    harmed, other = publish(ct()), publish(ct())
    path = archive.files.path("clean", archive.index.instance(harmed).file)
    kept = path.read_bytes()
    harm(path)
    one = courier(archive, archiver.port)
    assert one.step()
    assert archiver.received.keys() == {other}
    assert archive.queues.state("archive").failures == 0
    job = send_jobs(archive)[harmed]
    assert job.state == State.QUARANTINED
    assert "clean" in job.reason
    path.write_bytes(kept)
    archive.release(job.id, Actor("somebody"))
    assert one.step()
    assert archiver.received.keys() == {harmed, other}


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


def test_a_peer_that_does_not_answer_keeps_nobody_from_stopping(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    for _ in range(3):
        publish(ct())
    answer, asked = Flag(), list[str]()

    def never_the_second(event: Event) -> int:
        asked.append(str(event.request.AffectedSOPInstanceUID))
        if len(asked) == 2:
            answer.wait(60)
        return 0x0000

    archiver.on_store = never_the_second
    stopping, one = Flag(), courier(archive, archiver.port)
    thread = Thread(target=one.run, args=(stopping,), daemon=True)
    thread.start()
    try:
        wait_for(lambda: len(asked) == 2, what="the second is sent")
        stopping.set()
        one.break_off()
        thread.join(30)
        assert not thread.is_alive()
    finally:
        answer.set()
    states = {job.subject: (job.state, job.attempts) for job in send_jobs(archive).values()}
    assert states.pop(asked[0]) == (State.DONE, 1)
    assert set(states.values()) == {(State.READY, 0)}
    assert archive.queues.state("archive").failures == 0


def test_a_peer_that_takes_the_call_and_says_nothing_is_a_peer_that_is_away(archive: Archive, publish: Publish) -> None:
    import socket

    publish(ct())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        one = courier(archive, silent.getsockname()[1])
        one._destination._ae.acse_timeout = 1
        one.step()
    assert {job.state for job in send_jobs(archive).values()} == {State.READY}
    assert archive.queues.state("archive").breaker(time.time()) == Breaker.OPEN


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


@pytest.mark.parametrize("how", ["cut", "hole", "deaf", "release"])
def test_what_did_not_arrive_is_not_called_sent_however_the_network_fails(
    archive: Archive, archiver: Archiver, publish: Publish, how: str
) -> None:
    uids = {publish(ct()) for _ in range(5)}
    with failing_network(archiver.port, after=1 << 30 if how == "release" else 100_000, how=how) as port:
        destination = Destination(Peer("archive", "ARCHIVE", "127.0.0.1", port), "LETHE", answer_seconds=2)
        Courier(archive, destination, "deliver-1", lambda: 0.0).step()
        destination.close()
    done = {uid for uid, job in send_jobs(archive).items() if job.state == State.DONE}
    assert done <= archiver.received.keys()
    assert len(done) == 5 if how == "release" else 0 < len(done) < 5
    for _ in range(2):
        due(archive)
        courier(archive, archiver.port).step()
    assert {job.state for job in send_jobs(archive).values()} == {State.DONE}
    assert archiver.received.keys() == uids


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


class Clock:
    def __init__(self) -> None:
        self.now = datetime.fromisoformat("2026-11-27T12:00").timestamp()  # a Friday, at noon by the clock on the wall

    def __call__(self) -> float:
        return self.now


def paced(archive: Archive, port: int, clock: Clock, **settings: Any) -> Courier:
    peer = Peer("archive", "ARCHIVE", "127.0.0.1", port, **settings)
    return Courier(archive, Destination(peer, "LETHE"), "deliver-1", lambda: 0.0, clock=clock)


def begun(archive: Archive) -> None:
    """What is waiting is ready at any time: the archive's own clock is another."""
    with archive.database.atomic():
        archive.database.execute_sql("UPDATE job SET ready_at = 0")


def test_a_paused_queue_sends_nothing_and_a_resumed_one_goes_on(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    uids = {publish(ct()) for _ in range(3)}
    archive.pause("archive", Actor("ann"))
    assert not courier(archive, archiver.port).step()
    assert {job.state for job in send_jobs(archive).values()} == {State.READY}
    assert {job.attempts for job in send_jobs(archive).values()} == {0}
    archive.resume("archive", Actor("ann"))
    assert courier(archive, archiver.port).step()
    assert archiver.received.keys() == uids


def test_a_pause_ends_what_was_begun_after_the_instance_under_way(
    archive: Archive, archiver: Archiver, publish: Publish, tmp_path: Path
) -> None:
    for _ in range(5):
        publish(ct())

    def pause_at_the_second(event: Event) -> int:
        archiver.received[str(event.request.AffectedSOPInstanceUID)] = b""
        if len(archiver.received) == 2:
            Archive(tmp_path / "data").pause("archive", Actor("ann"))  # as another process does
        return 0x0000

    archiver.on_store = pause_at_the_second
    one = courier(archive, archiver.port)
    one.step()
    assert len(archiver.received) == 2
    assert not one.step()
    states = [job.state for job in send_jobs(archive).values()]
    assert (states.count(State.DONE), states.count(State.READY)) == (2, 3)
    archive.resume("archive", Actor("ann"))
    one.step()
    assert len(archiver.received) == 5


def test_nothing_is_sent_outside_the_hours_of_a_destination(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    publish(ct())
    begun(archive)
    clock = Clock()
    one = paced(archive, archiver.port, clock, hours=(span_from("19:00-06:00"),), days=((4,),))
    assert not one.step()
    clock.now += 7 * 3600 - 1
    assert not one.step()
    clock.now += 1
    assert one.step()
    assert len(archiver.received) == 1


def test_a_rate_is_kept_without_holding_jobs(archive: Archive, archiver: Archiver, publish: Publish) -> None:
    for _ in range(5):
        publish(ct())
    begun(archive)
    clock = Clock()
    one = paced(archive, archiver.port, clock, instances_per_second=0.5)
    sent = []
    for _ in range(12):
        one.step()
        sent.append(len(archiver.received))
        clock.now += 0.5
    assert sent == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4], "one every two seconds, but for what a second may catch up"
    assert State.RUNNING not in {job.state for job in send_jobs(archive).values()}


def test_the_more_urgent_is_sent_first(archive: Archive, archiver: Archiver, publish: Publish) -> None:
    uids = [publish(ct()) for _ in range(3)]
    assert archive.put_first(archive.index.instance(uids[2]).study_uid, Actor("ann")) == 1
    clock = Clock()
    begun(archive)
    paced(archive, archiver.port, clock, instances_per_second=1.0).step()
    assert list(archiver.received) == [uids[2]]


# What a peer cannot take


CODECS = {
    "MR_small_RLE.dcm": "RLE",
    "MR_small_jp2klossless.dcm": "JPEG 2000",
    "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS",
    "SC_rgb_jpeg_gdcm.dcm": "JPEG Lossless",
    "SC_rgb_small_odd_jpeg.dcm": "JPEG Baseline",
    "image_dfl.dcm": "Deflated",
    "SC_rgb_rle_2frame.dcm": "RLE, two frames",
    "MR_small_bigendian.dcm": "Explicit VR Big Endian",
}


def limited(syntaxes: dict[str, list[str]]) -> Archiver:
    """A peer that takes these SOP Classes in these transfer syntaxes only."""
    return Archiver(free_port(), syntaxes=syntaxes)


def delivered_in(archive: Archive) -> dict[str, str]:
    """The transfer syntax of each delivery, by instance, as the trail says it."""
    entries = [one for one in archive.audit.entries() if one.action == "delivered"]
    return {one.subject: json.loads(one.detail)["transfer_syntax"] for one in entries}


@pytest.mark.parametrize("target", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("name", CODECS)
def test_what_a_peer_does_not_take_as_stored_is_sent_without_compression(
    archive: Archive, publish: Publish, name: str, target: str
) -> None:
    ds = bundled(name)
    uid = publish(ds)
    archiver = limited({ds.SOPClassUID: [target]})
    try:
        courier(archive, archiver.port).step()
    finally:
        archiver.stop()
    assert send_jobs(archive)[uid].state == State.DONE
    assert delivered_in(archive) == {uid: target}
    assert archiver.syntaxes_of == {uid: target}
    got = pydicom.dcmread(BytesIO(archiver.received[uid]), force=True)
    got.file_meta.TransferSyntaxUID = target
    assert got.SOPInstanceUID == uid
    tolerance = 2 if name == "SC_rgb_small_odd_jpeg.dcm" else 0
    before, after = (pydicom.pixels.pixel_array(one, raw=True).astype(int) for one in (ds, got))
    assert np.abs(before - after).max() <= tolerance
    assert not [path for path in archive.files.incoming().iterdir() if path.name != ".lock"]


def test_each_is_sent_as_stored_where_that_is_taken_and_others_of_its_class_decoded(
    archive: Archive, publish: Publish
) -> None:
    taken, refused, plain = bundled("MR_small_RLE.dcm"), bundled("MR_small_jp2klossless.dcm"), bundled("MR_small.dcm")
    for ds, uid in ((taken, "1.2.1"), (refused, "1.2.2"), (plain, "1.2.3")):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        publish(ds)
    archiver = limited({taken.SOPClassUID: [ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless]})
    try:
        courier(archive, archiver.port).step()
    finally:
        archiver.stop()
    assert archiver.syntaxes_of == {
        "1.2.1": RLELossless,
        "1.2.2": ExplicitVRLittleEndian,
        "1.2.3": ExplicitVRLittleEndian,
    }
    assert delivered_in(archive) == archiver.syntaxes_of
    assert archiver.associations == 1


def test_what_is_proposed_is_the_stored_syntax_alone_and_the_uncompressed_together(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    for name in ("MR_small_RLE.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "MR_small.dcm"):
        ds = bundled(name)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.{len(archive.jobs.find())}"
        publish(ds)
    courier(archive, archiver.port).step()
    mr, sc = bundled("MR_small.dcm").SOPClassUID, bundled("JPEG2000.dcm").SOPClassUID
    both = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    assert sorted(archiver.proposed) == sorted(
        [(mr, [RLELossless]), (mr, [ExplicitVRLittleEndian]), (mr, both), (sc, [JPEG2000]), (sc, both)]
    )


def test_what_cannot_be_decoded_is_undeliverable_with_the_reason(archive: Archive, publish: Publish) -> None:
    broken, whole = bundled("MR_small_RLE.dcm"), bundled("MR_small_jp2klossless.dcm")
    broken.SOPInstanceUID = broken.file_meta.MediaStorageSOPInstanceUID = "1.2.1"
    broken.PixelData = broken.PixelData[:200] + bytes(len(broken.PixelData) - 200)
    uids = [publish(broken), publish(whole)]
    archiver = limited({whole.SOPClassUID: [ExplicitVRLittleEndian]})
    try:
        courier(archive, archiver.port).step()
    finally:
        archiver.stop()
    jobs = send_jobs(archive)
    assert [jobs[uid].state for uid in uids] == [State.QUARANTINED, State.DONE]
    assert jobs["1.2.1"].reason.startswith(f"archive accepts no presentation context for {whole.SOPClassUID} in ")
    assert "cannot be written in another transfer syntax" in jobs["1.2.1"].reason


def test_more_encodings_than_fit_into_one_association_take_several(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    classes = storage_classes()[:70]
    for number, sop_class in enumerate(classes):
        ds = ct()
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}"
        publish(ds)
    one = courier(archive, archiver.port)
    while one.step():
        pass
    assert len(archiver.received) == 70
    assert archiver.most_proposed <= 128
    assert archiver.associations == 2


def test_batches_that_differ_share_one_association_once_it_fits_both(
    archive: Archive, archiver: Archiver, publish: Publish
) -> None:
    one = courier(archive, archiver.port)
    for _ in range(3):
        for ds in (ct(), bundled("JPEG2000.dcm")):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.{len(archive.jobs.find())}"
            publish(ds)
            assert one.step()
    assert len(archiver.received) == 6
    assert archiver.associations == 2


def test_a_peer_that_hangs_up_while_something_is_decoded_is_called_again(archive: Archive, publish: Publish) -> None:
    ds = bundled("MR_small_RLE.dcm")
    uid = publish(ds)
    archiver = limited({ds.SOPClassUID: [ExplicitVRLittleEndian]})
    try:
        with Destination(Peer("archive", "ARCHIVE", "127.0.0.1", archiver.port), "LETHE") as destination:
            context = (str(ds.SOPClassUID), str(RLELossless))
            destination.open([context])
            archiver.hang_up()
            assert destination._association is not None
            wait_for(lambda: not destination._association.is_established)  # type: ignore[union-attr]
            path = archive.files.path("clean", archive.index.instance(uid).file)
            assert destination.deliver(path, context).transfer_syntax == ExplicitVRLittleEndian
    finally:
        archiver.stop()
    assert archiver.associations == 2
