"""C-MOVE and C-GET: DCMTK's movescu and getscu with its storescp, and pynetdicom where they cannot say it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomweb_archive import publish
from programs import dcmtk, free_port, need, running, wait_for
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.events import Event
from query_peer import PATIENT_GET, PATIENT_MOVE, STUDY_GET, STUDY_MOVE, answering, asking, identifier

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.contexts import transfer_syntaxes
from lethe.node.dimse.replies import Asked
from lethe.storage.archive import Archive
from lethe.storage.digests import BLAKE3
from lethe.storage.entries import Entry
from lethe.storage.query import Level, Query

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
SC = "1.2.840.10008.5.1.4.1.1.7"
STUDY, SERIES = "1.2.3", "1.2.3.4"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """One study of two series: three CT, one MR, and one SC in JPEG 2000 with loss."""
    archive = Archive(tmp_path_factory.mktemp("retrieve") / "data")
    one = {"StudyInstanceUID": STUDY, "PatientID": "P1"}
    for number in (1, 2, 3):
        publish(archive, "CT_small.dcm", SeriesInstanceUID=SERIES, SOPInstanceUID=f"1.2.3.4.{number}", **one)
    publish(archive, "MR_small.dcm", SeriesInstanceUID="1.2.3.5", SOPInstanceUID="1.2.3.5.1", **one)
    publish(archive, "JPEG2000.dcm", SeriesInstanceUID="1.2.3.6", SOPInstanceUID="1.2.3.6.1", **one)
    publish(archive, "MR_small.dcm", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1", SOPInstanceUID="1.2.9.1.1")
    yield archive
    archive.close()


def entries(archive: Archive) -> dict[str, Entry]:
    return {entry.sop_uid: entry for entry in archive.index.stream(Query(Level.INSTANCE))}


def is_the_same(archive: Archive, path: Path) -> bool:
    """Whether a received file is the clean one, byte for byte after the file meta information."""
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
    return BLAKE3.of(path) == BLAKE3.of(archive.files.path("clean", entries(archive)[uid].file))


def peer(port: int, title: str = "ARCHIVE") -> Peer:
    return Peer(title.lower(), title, "127.0.0.1", port)


@contextmanager
def as_received(folder: Path, *options: str) -> Iterator[int]:
    """DCMTK's storescp, which writes each data set exactly as it comes."""
    need("storescp")
    folder.mkdir()
    port = free_port()
    command = ["/usr/bin/storescp", "+B", *(options or ("+xa",)), "-aet", "ARCHIVE", "-od", str(folder), str(port)]
    with running(command, port, folder.with_suffix(".log")):
        yield port


class Taker:
    """A storage SCP of pynetdicom that answers each object with a status of the test's choice."""

    def __init__(self) -> None:
        self.answer: Callable[[Event], int] = lambda _event: 0x0000
        self.syntaxes: list[str] = transfer_syntaxes()
        self.classes = [CT, MR, SC]
        self.associations = 0
        self.taken: list[tuple[str, str, str, int]] = []

    def on_store(self, event: Event) -> int:
        request: Any = event.request
        originator = str(request.MoveOriginatorApplicationEntityTitle or "").strip()
        syntax = str(event.context.transfer_syntax)
        self.taken.append((str(request.AffectedSOPInstanceUID), syntax, originator, request.MoveOriginatorMessageID))
        return self.answer(event)

    def on_accepted(self, _event: Event) -> None:
        self.associations += 1


@contextmanager
def taking(taker: Taker, title: str = "TAKER", host: str = "127.0.0.1") -> Iterator[Peer]:
    ae = AE(title)
    for sop_class in taker.classes:
        ae.add_supported_context(sop_class, taker.syntaxes)
    handlers: Any = [(evt.EVT_C_STORE, taker.on_store), (evt.EVT_ACCEPTED, taker.on_accepted)]
    server = ae.start_server((host, 0), block=False, evt_handlers=handlers)
    assert server is not None and server.socket is not None
    try:
        yield replace(peer(int(server.socket.getsockname()[1]), title), host=host)
    finally:
        ae.shutdown()


def moved(port: int, to: str, ds: Dataset, model: str = STUDY_MOVE, **arguments: Any) -> list[tuple[Dataset, Any]]:
    with asking(port, model, **arguments) as association:
        return list(association.send_c_move(ds, to, model, msg_id=17))


def counts(status: Dataset) -> tuple[int | None, ...]:
    kinds = ("Remaining", "Completed", "Failed", "Warning")
    return tuple(status.get(f"NumberOf{kind}Suboperations") for kind in kinds)


def study(**keys: str) -> Dataset:
    return identifier("STUDY", StudyInstanceUID=STUDY, **keys)


# C-MOVE


@pytest.mark.peer
@pytest.mark.parametrize(
    ("model", "keys", "count"),
    [
        ("-S", ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}"), 5),
        ("-P", ("QueryRetrieveLevel=STUDY", "PatientID=P1", f"StudyInstanceUID={STUDY}"), 5),
        ("-P", ("QueryRetrieveLevel=PATIENT", "PatientID=P1"), 5),
        ("-S", ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}\\1.2.9"), 6),
        ("-S", ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", f"SeriesInstanceUID={SERIES}"), 3),
        ("-S", ("QueryRetrieveLevel=IMAGE", "SOPInstanceUID=1.2.3.4.2\\1.2.3.6.1"), 2),
    ],
)
def test_movescu_moves_to_storescp(
    archive: Archive, tmp_path: Path, model: str, keys: tuple[str, ...], count: int
) -> None:
    need("movescu")
    with as_received(tmp_path / "scp") as scp, answering(archive, [peer(scp)]) as port:
        pairs = [part for key in keys for part in ("-k", key)]
        said = dcmtk("movescu", "-v", model, "-aec", "LETHE", "-aem", "ARCHIVE", *pairs, "127.0.0.1", str(port))
    assert "Received Final Move Response (Success)" in said.stdout + said.stderr, said
    received = list((tmp_path / "scp").iterdir())
    assert len(received) == count
    assert all(is_the_same(archive, path) for path in received)


@pytest.mark.peer
def test_a_peer_that_takes_no_compression_gets_the_object_without(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "scp"
    with as_received(folder, "+x=") as scp, answering(archive, [peer(scp)]) as port:
        answers = moved(port, "ARCHIVE", study())
    assert [int(status.Status) for status, _ in answers] == [0xFF00] * 4 + [0x0000]
    (path,) = (path for path in folder.iterdir() if path.name.endswith("1.2.3.6.1"))
    got = pydicom.dcmread(path)
    kept = pydicom.dcmread(archive.files.path("clean", entries(archive)["1.2.3.6.1"].file))
    assert got.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(got.pixel_array, kept.pixel_array)
    assert got.LossyImageCompression == kept.LossyImageCompression == "01"
    assert not list(archive.files.incoming().glob("passing-*"))


def test_each_response_counts_and_the_last_has_none_remaining(archive: Archive) -> None:
    taker = Taker()
    with taking(taker) as to, answering(archive, [to]) as port:
        answers = moved(port, "TAKER", study(), caller="WORKSTATION")
    assert [counts(status) for status, _ in answers] == [
        *((4 - done, done + 1, 0, 0) for done in range(4)),
        (None, 5, 0, 0),
    ]
    assert taker.associations == 1
    assert {taken[2:] for taken in taker.taken} == {("WORKSTATION", 17)}
    stored = {uid: entry.transfer_syntax for uid, entry in entries(archive).items()}
    assert all(syntax == stored[uid] for uid, syntax, *_ in taker.taken)


@pytest.mark.parametrize(
    ("statuses", "final", "expected", "failed"),
    [
        ({"1.2.3.5.1": 0xA700}, 0xB000, (None, 4, 1, 0), ["1.2.3.5.1"]),
        ({"1.2.3.5.1": 0xC000, "1.2.3.4.1": 0xA900}, 0xB000, (None, 3, 2, 0), ["1.2.3.4.1", "1.2.3.5.1"]),
        ({"1.2.3.5.1": 0xB000}, 0xB000, (None, 4, 0, 1), []),
        (
            dict.fromkeys((*(f"1.2.3.4.{n}" for n in (1, 2, 3)), "1.2.3.5.1", "1.2.3.6.1"), 0xA700),
            0xA702,
            (None, 0, 5, 0),
            5,
        ),
    ],
)
def test_what_fails_is_counted_and_listed(
    archive: Archive, statuses: dict[str, int], final: int, expected: tuple[int | None, ...], failed: Any
) -> None:
    taker = Taker()
    taker.answer = lambda event: statuses.get(str(event.request.AffectedSOPInstanceUID), 0)  # type: ignore[union-attr]
    with taking(taker) as to, answering(archive, [to]) as port:
        status, listed = moved(port, "TAKER", study())[-1]
    assert int(status.Status) == final
    assert counts(status) == expected
    uids = listed.FailedSOPInstanceUIDList or []
    uids = [uids] if isinstance(uids, str) else list(uids)
    assert (len(uids) if isinstance(failed, int) else uids) == failed


def test_a_class_that_the_destination_does_not_take_fails_alone(archive: Archive) -> None:
    taker = Taker()
    taker.classes = [CT, SC]
    with taking(taker) as to, answering(archive, [to]) as port:
        status, listed = moved(port, "TAKER", study())[-1]
    assert (int(status.Status), counts(status)) == (0xB000, (None, 4, 1, 0))
    assert listed.FailedSOPInstanceUIDList == "1.2.3.5.1"


def test_an_unknown_destination_is_told_and_nobody_is_called(archive: Archive) -> None:
    taker = Taker()
    with taking(taker) as to, answering(archive, [to]) as port:
        ((status, _),) = moved(port, "NOBODY", study())
        assert "Destination" in status.ErrorComment
    assert int(status.Status) == 0xA801
    assert taker.associations == 0


def test_of_several_peers_with_one_title_the_one_that_asks_is_meant(archive: Archive) -> None:
    """Workstations often keep the title that their vendor gives them."""
    first, second = Taker(), Taker()
    with taking(first, "WS") as one, taking(second, "WS", "127.0.0.2") as other:
        peers = [replace(one, name="one"), replace(other, name="other")]
        with answering(archive, peers) as port:
            assert counts(moved(port, "WS", study(), bind_address=("127.0.0.2", 0))[-1][0])[1] == 5
            assert (len(first.taken), len(second.taken)) == (0, 5)
            moved(port, "WS", study(), caller="ELSEWHERE", bind_address=("127.0.0.2", 0))
            assert (len(first.taken), len(second.taken)) == (5, 5)


def test_a_destination_that_takes_nothing_of_it_is_called_once(archive: Archive) -> None:
    taker = Taker()
    taker.classes = ["1.2.840.10008.1.1"]
    with taking(taker) as to, answering(archive, [to]) as port:
        *_, (status, _) = moved(port, "TAKER", identifier("STUDY", StudyInstanceUID=STUDY))
    assert int(status.Status) == 0xA702
    assert taker.associations == 1


def test_a_destination_that_is_away_fails_all(archive: Archive) -> None:
    with answering(archive, [peer(free_port(), "AWAY")]) as port:
        answers = moved(port, "AWAY", study())
    assert int(answers[-1][0].Status) == 0xA702
    assert counts(answers[-1][0]) == (None, 0, 5, 0)


def test_a_destination_that_breaks_off_once_is_called_again(archive: Archive) -> None:
    taker, broken = Taker(), list[str]()

    def answer(event: Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        if uid == "1.2.3.4.2" and not broken:
            broken.append(uid)
            event.assoc.abort()
        return 0x0000

    taker.answer = answer
    with taking(taker) as to, answering(archive, [to]) as port:
        status, listed = moved(port, "TAKER", study())[-1]
    assert (int(status.Status), counts(status)) == (0xB000, (None, 4, 1, 0))
    assert listed.FailedSOPInstanceUIDList == "1.2.3.4.2"
    assert taker.associations == 2


def test_a_destination_that_goes_on_breaking_off_is_left_alone(archive: Archive) -> None:
    taker = Taker()
    taker.answer = lambda event: event.assoc.abort() or 0x0000 if len(taker.taken) > 1 else 0x0000
    with taking(taker) as to, answering(archive, [to]) as port:
        status, _ = moved(port, "TAKER", study())[-1]
    assert (int(status.Status), counts(status)) == (0xB000, (None, 1, 4, 0))
    assert taker.associations == 2


def test_no_match_is_success_and_nobody_is_called(archive: Archive) -> None:
    taker = Taker()
    with taking(taker) as to, answering(archive, [to]) as port:
        ((status, _),) = moved(port, "TAKER", identifier("STUDY", StudyInstanceUID="1.9.9"))
    assert (int(status.Status), counts(status)) == (0x0000, (None, 0, 0, 0))
    assert taker.associations == 0


@pytest.mark.parametrize(
    ("model", "ds"),
    [
        (STUDY_MOVE, identifier("STUDY")),
        (STUDY_MOVE, identifier("STUDY", AccessionNumber="A")),
        (STUDY_MOVE, identifier("STUDY", StudyInstanceUID="*")),
        (STUDY_MOVE, identifier("SERIES", StudyInstanceUID=STUDY)),
        (STUDY_MOVE, identifier("PATIENT", PatientID="P1")),
        (PATIENT_MOVE, identifier("PATIENT", PatientID="P*")),
        (STUDY_MOVE, identifier(StudyInstanceUID=STUDY)),
    ],
)
def test_without_a_unique_key_nothing_is_moved(archive: Archive, model: str, ds: Dataset) -> None:
    taker = Taker()
    with taking(taker) as to, answering(archive, [to]) as port:
        ((status, _),) = moved(port, "TAKER", ds, model)
    assert int(status.Status) == 0xA900
    assert status.OffendingElement in (0x00080052, 0x0020000D, 0x0020000E, 0x00100020)
    assert taker.taken == []


def test_a_destination_has_only_so_long_to_answer(archive: Archive) -> None:
    taker, over = Taker(), threading.Event()
    taker.answer = lambda _event: 0x0000 if over.wait(60) else 0x0110
    with taking(taker) as to, answering(archive, [to], answer_seconds=0.5) as port:
        *_, (status, _) = moved(port, "TAKER", identifier("STUDY", StudyInstanceUID=STUDY))
        assert not over.is_set() and int(status.Status) == 0xA702
        over.set()


def test_other_keys_narrow_a_retrieval(archive: Archive) -> None:
    taker = Taker()
    with taking(taker) as to, answering(archive, [to]) as port:
        assert counts(moved(port, "TAKER", study(Modality="MR"))[-1][0]) == (None, 1, 0, 0)
    assert [uid for uid, *_ in taker.taken] == ["1.2.3.5.1"]


def test_more_than_a_response_can_count_is_refused(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lethe.node.dimse.handover._MOST", 4)
    with answering(archive, [peer(free_port(), "TAKER")]) as port:
        ((status, _),) = moved(port, "TAKER", study())
    assert int(status.Status) == 0xA701


def test_a_move_can_be_cancelled(archive: Archive) -> None:
    taker, statuses = Taker(), []
    with taking(taker) as to, answering(archive, [to]) as port, asking(port, STUDY_MOVE) as association:
        context = association.accepted_contexts[0].context_id
        cancelled = []

        def answer(_event: Event) -> int:
            if len(taker.taken) == 2:
                association.send_c_cancel(5, context)
                cancelled.append(True)
                wait_for(lambda: any(5 in one.dimse.cancel_req for one in acceptors(port)), what="the cancel is there")
            return 0x0000

        taker.answer = answer
        for status, _ in association.send_c_move(study(), "TAKER", STUDY_MOVE, msg_id=5):
            statuses.append(status)
    assert int(statuses[-1].Status) == 0xFE00
    assert counts(statuses[-1]) == (3, 2, 0, 0)


def test_a_move_to_who_says_nothing_can_be_cancelled(archive: Archive) -> None:
    taker, over = Taker(), threading.Event()
    with (
        taking(taker) as to,
        answering(archive, [to], answer_seconds=3600) as port,
        asking(port, STUDY_MOVE) as association,
    ):

        def answer(_event: Event) -> int:
            association.send_c_cancel(5, association.accepted_contexts[0].context_id)
            over.wait(60)  # longer than who asks waits for a response
            return 0x0000

        taker.answer = answer
        try:
            statuses = [status for status, _ in association.send_c_move(study(), "TAKER", STUDY_MOVE, msg_id=5)]
        finally:
            over.set()
    assert int(statuses[-1].Status) == 0xFE00
    assert counts(statuses[-1]) == (4, 0, 1, 0)


def test_a_move_to_who_says_nothing_does_not_keep_the_node_from_stopping(archive: Archive) -> None:
    taker, over = Taker(), threading.Event()
    with (
        taking(taker) as to,
        answering(archive, [to], answer_seconds=3600) as port,
        asking(port, STUDY_MOVE) as association,
    ):
        association.dimse_timeout = 120

        def answer(_event: Event) -> int:
            for one in acceptors(port):
                one.leave()
            over.wait(60)
            return 0x0000

        taker.answer = answer
        try:
            statuses = [status for status, _ in association.send_c_move(study(), "TAKER", STUDY_MOVE)]
        finally:
            over.set()
        assert "Status" not in statuses[-1]
    assert archive.audit.newest(1)[0].action == "moved"


def acceptors(port: int) -> list[Any]:
    """The running associations that were made to us."""
    import threading

    return [
        thread
        for thread in threading.enumerate()
        if getattr(thread, "is_acceptor", False) and thread.acceptor.address_info.port == port  # type: ignore[attr-defined]
    ]


def test_only_a_peer_that_may_move_and_get_does(archive: Archive) -> None:
    may = {"MOVER": (Ability.MOVE,), "GETTER": (Ability.GET,)}
    peers = [replace(peer(1, title), may=abilities) for title, abilities in may.items()]
    taker = Taker()
    with taking(taker) as to, answering(archive, [*peers, to], trust=False) as port:
        assert int(moved(port, "TAKER", study(), caller="GETTER")[-1][0].Status) == 0x0124
        assert int(moved(port, "TAKER", study(), caller="MOVER")[-1][0].Status) == 0x0000
        assert int(got(port, study(), caller="MOVER")[0][-1].Status) == 0x0124
        assert int(got(port, study(), caller="GETTER")[0][-1].Status) == 0x0000


# C-GET


def got(
    port: int,
    ds: Dataset,
    model: str = STUDY_GET,
    *,
    stored: Any = ((CT, ExplicitVRLittleEndian), (MR, ExplicitVRLittleEndian), (SC, JPEG2000)),
    answer: Callable[[Event], int] = lambda _event: 0x0000,
    **arguments: Any,
) -> tuple[list[Dataset], list[tuple[str, str]], Any]:
    """The statuses, what was stored in which transfer syntax, and the last identifier."""
    taken: list[tuple[str, str]] = []

    def on_store(event: Event) -> int:
        taken.append((str(event.request.AffectedSOPInstanceUID), str(event.context.transfer_syntax)))  # type: ignore
        return answer(event)

    handlers = [(evt.EVT_C_STORE, on_store)]
    with asking(port, model, stored=stored, evt_handlers=handlers, **arguments) as association:
        answers = list(association.send_c_get(ds, model, msg_id=9))
    return [status for status, _ in answers], taken, answers[-1][1]


@pytest.mark.peer
@pytest.mark.parametrize(
    ("model", "keys", "count"),
    [
        ("-S", ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}"), 5),
        ("-P", ("QueryRetrieveLevel=PATIENT", "PatientID=P1"), 5),
        ("-S", ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}\\1.2.9"), 6),
        ("-S", ("QueryRetrieveLevel=IMAGE", "SOPInstanceUID=1.2.3.4.2"), 1),
    ],
)
def test_getscu_gets_and_what_it_takes_only_uncompressed_is_decoded(
    archive: Archive, tmp_path: Path, model: str, keys: tuple[str, ...], count: int
) -> None:
    need("getscu")
    with answering(archive) as port:
        pairs = [part for key in keys for part in ("-k", key)]
        said = dcmtk("getscu", "-v", model, "-aec", "LETHE", "-od", str(tmp_path), *pairs, "127.0.0.1", str(port))
    assert f"Number of Completed Suboperations : {count}" in said.stdout + said.stderr, said
    assert "Number of Failed Suboperations    : 0" in said.stdout + said.stderr
    received = [pydicom.dcmread(path) for path in tmp_path.iterdir()]
    assert len(received) == count
    for ds in received:
        kept = pydicom.dcmread(archive.files.path("clean", entries(archive)[str(ds.SOPInstanceUID)].file))
        assert not ds.file_meta.TransferSyntaxUID.is_compressed
        assert np.array_equal(ds.pixel_array, kept.pixel_array)
        assert ds.PatientID == kept.PatientID


def test_what_is_stored_compressed_is_got_so_if_it_is_taken(archive: Archive) -> None:
    with answering(archive) as port:
        statuses, taken, _ = got(port, study())
    assert [int(status.Status) for status in statuses] == [0xFF00] * 4 + [0x0000]
    assert counts(statuses[-1]) == (None, 5, 0, 0)
    assert dict(taken)["1.2.3.6.1"] == JPEG2000


def test_of_several_transfer_syntaxes_in_one_context_the_first_is_accepted(archive: Archive) -> None:
    offers = (
        ((JPEG2000, ExplicitVRLittleEndian, ImplicitVRLittleEndian), JPEG2000),
        ((ExplicitVRLittleEndian, JPEG2000, ImplicitVRLittleEndian), ExplicitVRLittleEndian),
        (("1.2.3.4", JPEG2000, ImplicitVRLittleEndian), JPEG2000),
    )
    with answering(archive) as port:
        for offered, accepted in offers:
            ds = identifier("IMAGE", SOPInstanceUID="1.2.3.6.1")
            statuses, taken, _ = got(port, ds, stored=((SC, list(offered)),))
            assert int(statuses[-1].Status) == 0x0000
            assert taken == [("1.2.3.6.1", accepted)]


def test_each_context_of_a_class_has_its_own_first(archive: Archive) -> None:
    with answering(archive) as port:
        offered = [[ImplicitVRLittleEndian, JPEG2000], [JPEG2000, ExplicitVRLittleEndian], ["1.2.3.4"]]
        ae = AE("WS")
        association = ae.associate("127.0.0.1", port, [build_context(SC, one) for one in offered], "LETHE")
        accepted = [context.transfer_syntax[0] for context in association.accepted_contexts]
        assert len(association.rejected_contexts) == 1
        association.release()
    assert accepted == [ImplicitVRLittleEndian, JPEG2000]


def test_a_class_without_context_fails_alone(archive: Archive) -> None:
    with answering(archive) as port:
        statuses, taken, listed = got(port, study(), stored=((CT, ExplicitVRLittleEndian),))
        assert (int(statuses[-1].Status), counts(statuses[-1])) == (0xB000, (None, 3, 2, 0))
        assert list(listed.FailedSOPInstanceUIDList) == ["1.2.3.5.1", "1.2.3.6.1"]
        assert len(taken) == 3
        statuses, taken, listed = got(port, study(), stored=())
        assert (int(statuses[-1].Status), counts(statuses[-1])) == (0xA702, (None, 0, 5, 0))
        assert len(listed.FailedSOPInstanceUIDList) == 5


def test_what_a_disk_has_changed_is_not_handed_over(archive: Archive) -> None:
    path = archive.files.path("clean", entries(archive)["1.2.3.5.1"].file)
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        taker = Taker()
        with taking(taker) as to, answering(archive, [to]) as port:
            moving, (getting, given, _) = moved(port, "TAKER", study())[-1][0], got(port, study())
        for last in (moving, getting[-1]):
            assert (int(last.Status), counts(last)) == (0xB000, (None, 4, 1, 0))
        assert "1.2.3.5.1" not in [uid for uid, *_ in (*taker.taken, *given)]
    finally:
        path.write_bytes(kept)


def test_the_role_has_to_be_negotiated(archive: Archive) -> None:
    with answering(archive) as port:
        with asking(port, STUDY_GET, CT) as association:
            ((status, _),) = [answer for answer in association.send_c_get(study(), STUDY_GET)][-1:]
        assert (int(status.Status), counts(status)) == (0xA702, (None, 0, 5, 0))


@pytest.mark.parametrize(
    ("answer", "final", "expected"), [(0xB007, 0xB000, (None, 0, 0, 3)), (0xA700, 0xA702, (None, 0, 3, 0))]
)
def test_statuses_of_the_one_who_gets_are_counted(archive: Archive, answer: int, final: int, expected: Any) -> None:
    series = identifier("SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES)
    with answering(archive) as port:
        statuses, _, _ = got(port, series, answer=lambda _event: answer)
    assert (int(statuses[-1].Status), counts(statuses[-1])) == (final, expected)


def test_who_answers_another_message_gets_no_more(archive: Archive) -> None:
    def changed(event: Event) -> None:
        command = event.message.command_set
        if command.CommandField == 0x8001:
            command.MessageIDBeingRespondedTo += 100

    with answering(archive) as port:
        with asking(
            port, STUDY_GET, stored=[(CT, ExplicitVRLittleEndian)], evt_handlers=[(evt.EVT_DIMSE_SENT, changed)]
        ) as association:
            list(association.send_c_get(study(), STUDY_GET))
            wait_for(lambda: association.is_aborted, seconds=10)
        wait_for(lambda: archive.audit.newest(1)[0].action == "got", seconds=10)
    assert json.loads(archive.audit.newest(1)[0].detail)["completed"] == 0


def test_nothing_to_get_is_success(archive: Archive) -> None:
    with answering(archive) as port:
        statuses, _, _ = got(port, identifier("PATIENT", PatientID="NOBODY"), PATIENT_GET)
    assert [(int(status.Status), counts(status)) for status in statuses] == [(0x0000, (None, 0, 0, 0))]


def test_a_get_can_be_cancelled(archive: Archive) -> None:
    holder: list[Any] = []

    def answer(event: Event) -> int:
        if not holder:
            holder.append(event.assoc)
            event.assoc.send_c_cancel(9, event.assoc.accepted_contexts[0].context_id)
        return 0x0000

    with answering(archive) as port:
        statuses, taken, _ = got(port, study(), answer=answer)
    assert int(statuses[-1].Status) == 0xFE00
    remaining, completed, failed, warning = counts(statuses[-1])
    assert (failed, warning) == (0, 0)
    assert remaining == 5 - (completed or 0) == 5 - len(taken)


def test_who_aborts_gets_no_more_and_others_are_served(archive: Archive) -> None:
    with answering(archive) as port:
        with asking(port, STUDY_GET, stored=[(CT, ExplicitVRLittleEndian)]) as association:
            answers = association.send_c_get(study(), STUDY_GET)
            next(answers)
            association.abort()
        statuses, _, _ = got(port, study())
        assert int(statuses[-1].Status) == 0x0000


def test_retrievals_are_put_on_record(archive: Archive) -> None:
    taker = Taker()
    with taking(taker) as to, answering(archive, [to]) as port:
        moved(port, "TAKER", study(), caller="MOVER")
        got(port, study(), caller="GETTER")
        wait_for(lambda: archive.audit.newest(1)[0].action == "got", seconds=10)
    second, first = archive.audit.newest(2)
    assert (first.actor, first.action) == ("MOVER@127.0.0.1", "moved")
    assert first.detail == '{"completed": 5, "failed": 0, "instances": 5, "level": "STUDY", "to": "taker"}'
    assert (second.actor, second.action) == ("GETTER@127.0.0.1", "got")


def test_relational_retrieval_is_agreed_to(archive: Archive) -> None:
    from test_dimse_find import negotiation

    with answering(archive) as port:
        with asking(port, STUDY_GET, ext_neg=[negotiation(STUDY_GET, 1, 1)]) as association:
            assert association.acceptor.sop_class_extended == {STUDY_GET: bytes((1, 0))}


def test_a_request_that_is_moot_is_given_up(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    taker = Taker()
    monkeypatch.setattr(Asked, "is_moot", lambda _asked: len(taker.taken) >= 2)
    with taking(taker) as to, answering(archive, [to]) as port, asking(port, STUDY_MOVE) as association:
        association.dimse_timeout = 2
        list(association.send_c_move(study(), "TAKER", STUDY_MOVE))
        wait_for(lambda: archive.audit.newest(1)[0].action == "moved", seconds=10)
    assert len(taker.taken) == 2
