"""The receiver: who is let in, what is taken, and when it says success."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from builders import PHI, ct, saved
from dimse_wire import ABORT, ACCEPT, P_DATA, Wire, association_request, fragment, status_of, store_request
from programs import half_written, wait_for
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, Verification
from pynetdicom.transport import AddressInformation
from syncing_by import SyncingBy

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.admission import UNKNOWN_ADDRESS, UNKNOWN_CALLER, Admission
from lethe.node.dimse.contexts import storage_classes, transfer_syntaxes
from lethe.node.dimse.limits import Limits
from lethe.node.dimse.refusals import Refusals
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.dimse.transport import Connection
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.intake import Origin, Plan
from lethe.storage.jobs import Stage, State

CT, LITTLE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@pytest.fixture
def receiver(archive: Archive) -> Iterator[Receiver]:
    receiver = Receiver(
        archive,
        Admission("LETHE", [], trust_loopback=True),
        lambda arrival: Plan(() if arrival.origin.source == "LOST" else ("default",)),
    )
    yield receiver
    receiver.stop(0.5)


@pytest.fixture
def port(receiver: Receiver) -> int:
    return receiver.start("127.0.0.1", 0)


def peer(port: int, title: str = "LETHE") -> Peer:
    return Peer("lethe", title, "127.0.0.1", port)


def store(port: int, path: Path, *, caller: str = "CT01", context: tuple[str, str] = (CT, LITTLE)) -> int:
    with Destination(peer(port), caller) as destination:
        destination.open([context])
        return destination.send(path, context)


def test_an_object_is_sent_as_what_was_agreed_on_whatever_its_file_meta_information_says(
    port: int, tmp_path: Path
) -> None:
    ds = ct()
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    path = tmp_path / "named.dcm"
    ds.save_as(path, enforce_file_format=False)
    assert pydicom.dcmread(path).file_meta.MediaStorageSOPClassUID != CT
    assert store(port, path) == 0x0000


PRIVATE = "1.3.12.2.1107.5.9.1"  # of a vendor: "CSA Non-Image"


def test_private_classes_are_taken_where_they_are_listed(archive: Archive, tmp_path: Path) -> None:
    ds = ct(SOPClassUID=PRIVATE)
    ds.file_meta.MediaStorageSOPClassUID = PRIVATE
    path = saved(ds, tmp_path)
    for listed in ((), (PRIVATE,)):
        receiver = Receiver(archive, Admission("LETHE", [], trust_loopback=True), always("default"), private=listed)
        port = receiver.start("127.0.0.1", 0)
        try:
            if listed:
                assert store(port, path, context=(PRIVATE, LITTLE)) == 0x0000
            else:
                with pytest.raises(Refused):
                    store(port, path, context=(PRIVATE, LITTLE))
        finally:
            receiver.stop(0.5)
    assert [job.state for job in archive.jobs.find()] == [State.READY]


def test_the_titles_that_routes_name_are_answered_and_noted(archive: Archive) -> None:
    admission = Admission("LETHE", [], trust_loopback=True, also={"TRIAL"})
    planned = {"TRIAL": Plan(("trial",))}
    receiver = Receiver(archive, admission, lambda arrival: planned.get(arrival.origin.called, Plan()))
    port = receiver.start("127.0.0.1", 0)
    try:
        for title, expected in (("TRIAL", "trial"), ("LETHE", "")):
            ds = ct()
            path = saved(ds, archive.folder / "out")
            with Destination(peer(port, title), "CT01") as destination:
                destination.open([(CT, LITTLE)])
                assert destination.send(path, (CT, LITTLE)) == 0
            job = archive.jobs.find(limit=1)[0]
            assert (job.project, archive.origin(job).called) == (expected, title)
        with pytest.raises(Unavailable, match="rejected"):
            Destination(peer(port, "OTHER"), "CT01").echo()
    finally:
        receiver.stop(0.5)


def test_echo(port: int) -> None:
    assert Destination(peer(port), "ANYBODY").echo() == 0x0000


def test_a_stored_object_has_a_file_and_a_job_before_success_is_said(
    archive: Archive, port: int, tmp_path: Path
) -> None:
    path = saved(ct(), tmp_path)
    assert store(port, path) == 0x0000
    (job,) = archive.jobs.find()
    assert (job.stage, job.state, job.project) == (Stage.CLEAN, State.READY, "default")
    with archive.original(job) as file:
        stored = pydicom.dcmread(file)
    sent = pydicom.dcmread(path)
    assert stored == sent
    assert stored.file_meta.TransferSyntaxUID == LITTLE


def test_the_data_set_is_kept_byte_for_byte(archive: Archive, port: int, tmp_path: Path) -> None:
    path = Path(get_testdata_file("JPEG2000.dcm"))
    meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
    assert store(port, path, context=(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)) == 0x0000
    with archive.original(archive.jobs.find()[0]) as file:
        assert data_set(file.read()) == data_set(path.read_bytes())


def data_set(part10: bytes) -> bytes:
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def test_a_data_set_without_elements_is_sent_as_one_and_refused(archive: Archive, port: int, tmp_path: Path) -> None:
    path = saved(ct(), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - len(data_set(whole))])
    assert store(port, path) == 0xC000
    assert archive.counts()["received"] == 0


def test_the_same_object_again_is_accepted_and_not_done_twice(archive: Archive, port: int, tmp_path: Path) -> None:
    path = saved(ct(), tmp_path)
    assert [store(port, path), store(port, path, caller="CT02")] == [0x0000, 0x0000]
    assert len(archive.jobs.find()) == 1
    assert [entry.action for entry in archive.audit.newest(2)] == ["received-again", "received"]


def test_other_bytes_under_the_same_uid_are_kept_apart_and_told(archive: Archive, port: int, tmp_path: Path) -> None:
    uid = generate_uid()
    first, second = ct(SOPInstanceUID=uid), ct(SOPInstanceUID=uid, PatientID="ANOTHER-PATIENT")
    assert store(port, saved(first, tmp_path, "1.dcm")) == store(port, saved(second, tmp_path, "2.dcm")) == 0x0000
    jobs = archive.jobs.find()
    assert len({job.subject for job in jobs}) == 2
    assert archive.audit.newest(1)[0].action == "received-conflict"


def test_without_a_route_an_object_is_held(archive: Archive, port: int, tmp_path: Path) -> None:
    assert store(port, saved(ct(), tmp_path), caller="LOST") == 0x0000
    assert archive.counts()["held"] == 1


def test_another_called_ae_title_is_rejected(archive: Archive, port: int) -> None:
    with pytest.raises(Unavailable, match="rejected the association: it is not called WRONG"):
        Destination(peer(port, "WRONG"), "CT01").echo()
    entry = archive.audit.newest(1)[0]
    assert (entry.action, entry.actor) == ("association-rejected", "CT01@127.0.0.1")


def rejections(archive: Archive) -> list[tuple[str, str, int]]:
    """Whom the audit trail has as rejected, which title was called, and how many times more."""
    entries = (one.as_dict() for one in archive.audit.entries())
    rejected = [one for one in entries if one["action"] == "association-rejected"]
    return [(one["actor"], one["detail"].get("called", ""), one["detail"].get("times", 0)) for one in rejected]


def call(port: int, title: str, caller: str = "CT01") -> None:
    with pytest.raises(Unavailable, match="rejected the association"):
        Destination(peer(port, title), caller).echo()


def test_who_is_rejected_again_and_again_is_counted(archive: Archive) -> None:
    receiver = Receiver(archive, Admission("LETHE", [], trust_loopback=True), always("default"))
    port = receiver.start("127.0.0.1", 0)
    for _ in range(5):
        call(port, "WRONG")
    call(port, "OTHER")
    told = [("CT01@127.0.0.1", "WRONG", 0), ("CT01@127.0.0.1", "OTHER", 0)]
    assert rejections(archive) == told
    receiver.stop(0.5)
    assert rejections(archive) == [*told, ("CT01@127.0.0.1", "WRONG", 4)]


def test_titles_that_are_made_up_do_not_fill_the_audit_trail(archive: Archive) -> None:
    receiver = Receiver(archive, Admission("LETHE", [], trust_loopback=True), always("default"))
    port = receiver.start("127.0.0.1", 0)
    for number in range(20):
        call(port, "WRONG", f"MADE_UP_{number}")
    assert [actor for actor, _, _ in rejections(archive)] == [f"MADE_UP_{number}@127.0.0.1" for number in range(8)]
    receiver.stop(0.5)
    assert rejections(archive)[8:] == [("@127.0.0.1", "", 12)]


def test_the_number_of_rejections_is_told_when_the_interval_is_over(archive: Archive) -> None:
    refusals, caller = Refusals(archive, seconds=0.2), Actor("CT01", "192.0.2.7")
    for _ in range(3):
        refusals.note(caller, "association-rejected", {"called": "WRONG"})

    def told() -> int:
        return sum(times or 1 for _, _, times in rejections(archive))

    wait_for(lambda: told() == 3, what="it is told by itself")
    refusals.note(caller, "association-rejected", {"called": "WRONG"})  # in another interval: at once
    assert told() == 4
    refusals.tell()


def test_a_peer_stays_known_while_no_name_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, asked, ask = Origin("CT01", "127.0.0.1"), [], socket.getaddrinfo

    def answer(*where: Any) -> Any:
        asked.append(where)
        if len(asked) > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ask(*where)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr("lethe.node.dimse.admission._ADDRESSES_HOLD", 0.0)
    admission = Admission("LETHE", [Peer("ct", "CT01", "localhost", 104)], trust_loopback=False)
    assert [admission.rejection(caller, "LETHE") for _ in range(3)] == [None] * 3
    assert len(asked) == 3


def test_a_peer_whose_host_has_no_address_is_told_apart_from_a_stranger() -> None:
    admission = Admission("LETHE", [Peer("ct", "CT01", "ct.invalid", 104)], trust_loopback=False)
    rejected = [admission.rejection(Origin(title, "127.0.0.1"), "LETHE") for title in ("CT01", "CT02")]
    assert rejected == [UNKNOWN_ADDRESS, UNKNOWN_CALLER]


@pytest.mark.parametrize(
    ("caller", "may", "host", "let_in"),
    [
        ("CT01", (Ability.STORE,), "127.0.0.1", True),
        ("CT01", (Ability.STORE,), "localhost", True),
        ("CT02", (Ability.STORE,), "127.0.0.1", False),
        ("CT01", (Ability.FIND,), "127.0.0.1", True),
        ("CT01", (Ability.STORE,), "192.0.2.1", False),
    ],
)
def test_without_trust_in_loopback_only_peers_are_let_in(
    archive: Archive, caller: str, may: tuple[Ability, ...], host: str, let_in: bool
) -> None:
    known = Peer("ct", "CT01", host, 104, may)
    receiver = Receiver(archive, Admission("LETHE", [known], trust_loopback=False), always())
    port = receiver.start("127.0.0.1", 0)
    try:
        ae = AE(caller)
        association = ae.associate("127.0.0.1", port, [build_context(Verification)], ae_title="LETHE")
        assert association.is_established == let_in
        if let_in:
            association.release()
        else:
            with pytest.raises(Unavailable, match=f"it does not know our AE title {caller}"):
                Destination(peer(port), caller).echo()
            answer = association.acceptor.primitive
            assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
    finally:
        receiver.stop(0.5)


def test_a_peer_that_may_not_store_is_told_so_and_keeps_its_association(archive: Archive, tmp_path: Path) -> None:
    known = Peer("ct", "CT01", "127.0.0.1", 104, (Ability.FIND,))
    admission = Admission("LETHE", [known], trust_loopback=False)
    receiver = Receiver(archive, admission, always("default"))
    port = receiver.start("127.0.0.1", 0)
    try:
        with Destination(peer(port), "CT01") as destination:
            destination.open([(CT, LITTLE)])
            path = saved(ct(), tmp_path)
            assert [destination.send(path, (CT, LITTLE)) for _ in range(2)] == [0x0124, 0x0124]
    finally:
        receiver.stop(0.5)
    assert archive.counts()["received"] == 0


def test_every_storage_class_is_accepted_in_every_transfer_syntax(port: int) -> None:
    assert len(storage_classes()) > 180
    assert len(transfer_syntaxes()) > 40
    pairs = [(uid, syntax) for uid in storage_classes() for syntax in transfer_syntaxes()]
    for start in range(0, len(pairs), 8 * 128):  # one proposal in eight
        contexts = [build_context(*pair) for pair in pairs[start : start + 8 * 128 : 8]]
        association = AE("CT01").associate("127.0.0.1", port, contexts, ae_title="LETHE")
        assert len(association.accepted_contexts) == len(contexts)
        association.release()


def test_an_unknown_sop_class_is_refused_and_the_association_goes_on(port: int, tmp_path: Path) -> None:
    with Destination(peer(port), "CT01") as destination:
        destination.open([("1.2.3.4", LITTLE), (CT, LITTLE)])
        path = saved(ct(), tmp_path)
        with pytest.raises(Refused, match="no presentation context"):
            destination.send(path, ("1.2.3.4", LITTLE))
        assert destination.send(path, (CT, LITTLE)) == 0x0000


def test_a_sop_class_other_than_the_contexts_gets_a900_and_the_association_goes_on(
    archive: Archive, port: int, tmp_path: Path
) -> None:
    association = AE("CT01").associate("127.0.0.1", port, [build_context(CTImageStorage, LITTLE)], ae_title="LETHE")
    ds = ct()
    context = association.accepted_contexts[0]
    association._accepted_cx[context.context_id]._abstract_syntax = pydicom.uid.UID("31")
    ds.SOPClassUID = "31"
    assert association.send_c_store(ds).Status == 0xA900
    association._accepted_cx[context.context_id]._abstract_syntax = CTImageStorage
    assert association.send_c_store(ct()).Status == 0x0000
    association.release()
    assert archive.counts()["received"] == 1


def test_an_association_that_breaks_leaves_nothing_behind(archive: Archive, port: int, tmp_path: Path) -> None:
    association = AE("CT01").associate("127.0.0.1", port, [build_context(CTImageStorage, LITTLE)], ae_title="LETHE")
    original = association.dul.socket.send

    def broken(data: bytes) -> None:
        original(data[:2000])
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    association.dul.socket.send = broken
    association.send_c_store(ct())
    association.abort()
    time.sleep(0.3)
    assert archive.counts()["received"] == 0
    wait_for(
        lambda: not [path for path in (archive.folder / "incoming").rglob("*.dcm")], seconds=10, what="no file left"
    )


def test_rubbish_on_the_port_disturbs_nobody(port: int, tmp_path: Path) -> None:
    for rubbish in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        bytes(4096),
        b"\x01",
    ):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(rubbish)
            assert store(port, saved(ct(), tmp_path)) == 0x0000


def test_a_full_disk_is_said_as_out_of_resources(
    archive: Archive, receiver: Receiver, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(archive.files, "_syncing", SyncingBy(full))
        assert store(port, saved(ct(), tmp_path)) == 0xA700
    assert archive.counts()["received"] == 0
    assert store(port, saved(ct(), tmp_path)) == 0x0000


def test_many_associations_at_once_lose_and_double_nothing(archive: Archive, port: int, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    paths = [saved(ct(), tmp_path) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda path: store(port, path), paths)) == {0x0000}
    assert archive.counts()["received"] == len(archive.jobs.find()) == 24


def is_rejected(port: int) -> bool:
    try:
        Destination(peer(port), "CT02").echo()
    except Unavailable as error:
        return "rejected" in str(error)
    return False


def test_stopping_lets_a_running_association_end(archive: Archive, tmp_path: Path) -> None:
    from threading import Thread

    receiver = Receiver(archive, Admission("LETHE", [], trust_loopback=True), always("default"))
    port = receiver.start("127.0.0.1", 0)
    with Destination(peer(port), "CT01") as destination:
        destination.open([(CT, LITTLE)])
        stopping = Thread(target=receiver.stop)
        stopping.start()
        wait_for(lambda: is_rejected(port), what="nobody else is let in")
        assert destination.send(saved(ct(), tmp_path), (CT, LITTLE)) == 0x0000
    stopping.join(10)
    assert not stopping.is_alive()


def test_a_peer_that_sends_without_end_is_stopped_after_an_object(archive: Archive, tmp_path: Path) -> None:
    admission = Admission("LETHE", [], trust_loopback=True)
    receiver = Receiver(archive, admission, always("default"), limits=Limits(least_free=0, stop_seconds=0))
    port = receiver.start("127.0.0.1", 0)
    taken, path = 0, tmp_path / "next.dcm"
    stopping = threading.Thread(target=receiver.stop, args=(120,), daemon=True)
    with pytest.raises(Unavailable), Destination(peer(port), "CT01") as destination:
        destination.open([(CT, LITTLE)])
        while True:
            ds = ct()
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.save_as(path)
            assert destination.send(path, (CT, LITTLE)) == 0x0000
            taken += 1
            if taken == 3:
                stopping.start()
    stopping.join(30)
    assert not stopping.is_alive()
    assert archive.counts()["received"] == taken
    assert not half_written(archive.folder)


def test_what_has_begun_to_come_is_taken_before_the_association_ends(archive: Archive, tmp_path: Path) -> None:
    admission = Admission("LETHE", [], trust_loopback=True)
    receiver = Receiver(archive, admission, always("default"), limits=Limits(least_free=0, stop_seconds=0))
    port = receiver.start("127.0.0.1", 0)
    ds = ct()
    ds.save_as(tmp_path / "one.dcm")
    body = data_set((tmp_path / "one.dcm").read_bytes())
    with Wire(port) as idle, Wire(port) as busy:
        assert idle.associate()[0] == busy.associate()[0] == ACCEPT
        busy.send(fragment(store_request(ds.SOPInstanceUID), 3) + fragment(body[:100], 0))
        wait_for(lambda: half_written(archive.folder), what="it has begun")
        stopping = threading.Thread(target=receiver.stop, args=(120,), daemon=True)
        stopping.start()
        assert idle.read()[0] == ABORT
        busy.send(fragment(body[100:], 2))
        kind, answer = busy.read()
        assert (kind, status_of(answer)) == (P_DATA, 0x0000)
        assert busy.read()[0] == ABORT
    stopping.join(30)
    assert not stopping.is_alive()
    assert archive.counts()["received"] == 1


def test_who_has_not_asked_for_anything_is_hung_up_on_at_the_end(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(archive, Admission("LETHE", [], trust_loopback=True), always("default"))
    port = receiver.start("127.0.0.1", 0)
    silent = [Wire(port) for _ in range(5)]
    silent[0].send(association_request("CT01", "LETHE")[:40])
    wait_for(lambda: len(receiver._ae.active_associations) == len(silent), what="they are known")
    receiver.stop()
    assert [wire.read() for wire in silent] == [(0, b"")] * len(silent)
    assert not receiver._ae.active_associations
    assert not [record for record in caplog.records if record.exc_info]
    for wire in silent:
        wire.socket.close()


def test_no_phi_in_the_log_at_debug(port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="lethe"):
        ds = ct()
        store(port, saved(ds, tmp_path))
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("lethe"))
    assert ours
    assert not [value for value in (*PHI.values(), ds.SOPInstanceUID) if str(value) in ours]


def test_little_room_is_said_before_there_is_none(
    archive: Archive, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = saved(ct(), tmp_path), (CT, LITTLE)
    with Destination(peer(port), "CT01") as destination:
        destination.open([context])
        with monkeypatch.context() as patch:
            patch.setattr("lethe.node.dimse.limits.free_bytes", lambda _: 1 << 20)
            assert destination.send(path, context) == 0xA700
            with pytest.raises(Unavailable, match="rejected"):
                Destination(peer(port), "CT02").echo()
        assert archive.counts()["received"] == 0
        assert destination.send(path, context) == 0x0000
    assert Destination(peer(port), "CT02").echo() == 0x0000


def test_a_rejection_that_closes_the_connection_at_once_is_one(
    archive: Archive, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overtaken(threading.Event):
        """Is looked at again only after the peer's answer has come and the connection is closed."""

        def __init__(self, connection: Connection) -> None:
            super().__init__()
            self._connection = connection

        def wait(self, timeout: float | None = None) -> bool:
            ready = super().wait(timeout)
            wait_for(lambda: not self._connection._is_connected)
            return ready

    class Late(Connection):
        def __init__(self, assoc: Association, address: AddressInformation) -> None:
            super().__init__(assoc, address=address)
            self._ready = Overtaken(self)

    monkeypatch.setattr("lethe.node.dimse.calling.Connection", Late)
    with pytest.raises(Unavailable, match="rejected the association: it is not called OTHER"):
        Destination(peer(port, "OTHER"), "CT01").echo()
