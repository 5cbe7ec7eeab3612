"""Storage commitment that we ask of destinations: study by study, again without an answer, and what a destination
does not have is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from builders import ct, saved
from commitment_peers import Committer, new_uid
from programs import free_port, wait_for
from pydicom.dataset import FileDataset
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lethe.dicomweb.dicomjson import describe
from lethe.node.asker import Asker
from lethe.node.config import Peer
from lethe.node.courier import Courier
from lethe.node.dimse import commitment
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.scu import Destination
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.entries import CleanInstance
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.names import clean_name
from lethe.storage.promises import Promised


@pytest.fixture
def committer(archive: Archive) -> Iterator[Committer]:
    """An archive that knows where to answer us."""
    port = free_port()
    known = Peer("archive", "ARCHIVE", "127.0.0.1", port, commits=True)
    admission = Admission("LETHE", [known], trust_loopback=True)
    receiver = Receiver(
        archive,
        admission,
        always(),
        services=[commitment.requests(archive, admission), commitment.answers(archive, admission)],
    )
    node = receiver.start("127.0.0.1", 0)
    committer = Committer(port, node)
    yield committer
    committer.stop()
    receiver.stop(0.5)


def publish(archive: Archive, ds: FileDataset) -> str:
    incoming = archive.files.incoming()
    content = saved(ds, incoming, "clean").read_bytes()
    archive.accept(incoming / "clean", str(ds.SOPInstanceUID), Origin("CT01"), ["default"])
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    clean = CleanInstance(describe(ds), ds.file_meta.TransferSyntaxUID, "default", clean_name(job.subject, "default"))
    archive.publish(job, [content], clean, ["archive"])
    return str(ds.SOPInstanceUID)


def send(archive: Archive, committer: Committer) -> None:
    archive.database.execute_sql("UPDATE job SET ready_at = 0 WHERE state = 'ready'")
    with Destination(committer.peer, "LETHE") as destination:
        courier = Courier(archive, destination, "deliver-1", lambda: 0.0)
        while courier.step():
            pass


def asker(archive: Archive, committer: Committer, patience: float = 3600) -> Asker:
    return Asker(archive, committer.peer, "LETHE", settle=0, patience=patience)


def is_given(archive: Archive, uids: list[str]) -> bool:
    return all(archive.promises.state("archive", uid) == Promised.GIVEN for uid in uids)


@pytest.mark.parametrize("how", ["new", "same"])
def test_what_was_delivered_is_asked_for_study_by_study(archive: Archive, committer: Committer, how: str) -> None:
    committer.how = how
    study = new_uid()
    first = [publish(archive, ct(StudyInstanceUID=study, SeriesInstanceUID=study + ".1")) for _ in range(3)]
    second = publish(archive, ct())
    assert not asker(archive, committer).step()  # nothing was delivered yet
    send(archive, committer)
    while asker(archive, committer).step():
        pass
    assert sorted(map(sorted, committer.asked)) == sorted([sorted(first), [second]])
    wait_for(lambda: is_given(archive, [*first, second]), seconds=20, what="all is promised")
    assert archive.promises.counts() == {Promised.GIVEN: 4}
    assert archive.audit.newest(1)[0].action == "commitment-answered"


def test_what_is_not_committed_is_sent_again_and_asked_again(archive: Archive, committer: Committer) -> None:
    uid, other = publish(archive, ct()), publish(archive, ct())
    committer.lacking = {uid: 0x0112}
    send(archive, committer)
    while asker(archive, committer).step():
        pass
    wait_for(lambda: archive.promises.state("archive", uid) == Promised.REFUSED, seconds=20, what="it is refused")
    wait_for(lambda: is_given(archive, [other]), seconds=20, what="the other is promised")
    (job,) = archive.jobs.find(stage=Stage.SEND, subject=uid)
    assert (job.state, job.reason) == (State.READY, "archive did not commit it: 0x0112")
    committer.lacking = {}
    send(archive, committer)
    assert committer.stored.count(uid) == 2
    assert committer.stored.count(other) == 1
    asker(archive, committer).step()
    wait_for(lambda: is_given(archive, [uid]), seconds=20, what="it is promised")


def test_what_is_committed_and_failed_in_one_report_is_not_committed(archive: Archive, committer: Committer) -> None:
    committer.how, committer.contradicts_itself = "later", True
    uid, other = publish(archive, ct()), publish(archive, ct())
    committer.lacking = {uid: 0x0112}
    send(archive, committer)
    while asker(archive, committer).step():
        pass
    for ds in committer.open:
        assert committer.answer(ds) == 0x0000
    assert [archive.promises.state("archive", one) for one in (uid, other)] == [Promised.REFUSED, Promised.GIVEN]


def test_after_three_refusals_a_person_decides(archive: Archive, committer: Committer) -> None:
    uid = publish(archive, ct())
    committer.lacking = {uid: 0x0110}
    for _ in range(3):
        send(archive, committer)
        assert asker(archive, committer).step()
        wait_for(lambda: archive.promises.state("archive", uid) == Promised.REFUSED, seconds=20, what="refused")
    (job,) = archive.jobs.find(stage=Stage.SEND)
    assert (job.state, job.reason) == (State.QUARANTINED, "archive did not commit it: 0x0110")
    assert archive.counts()["undeliverable"] == 1


def test_without_an_answer_it_is_asked_again_and_a_late_one_counts(archive: Archive, committer: Committer) -> None:
    committer.how = "later"
    uid = publish(archive, ct())
    send(archive, committer)
    assert asker(archive, committer, patience=0).step()
    assert archive.promises.state("archive", uid) == Promised.ASKED
    again = Archive(archive.folder)  # as after a restart
    assert asker(again, committer).step()
    assert not asker(again, committer).step()
    again.close()
    first, second = committer.open
    assert first.TransactionUID != second.TransactionUID
    assert committer.answer(first) == 0x0000
    assert is_given(archive, [uid])
    assert committer.answer(second) == 0x0000


@contextmanager
def archiver_without_commitment() -> Iterator[int]:
    """The port of a peer that takes objects and commits none."""
    ae = AE("ARCHIVE")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


def test_a_destination_that_refuses_to_be_asked_or_is_away_is_asked_later(
    archive: Archive, committer: Committer, caplog: pytest.LogCaptureFixture
) -> None:
    uid = publish(archive, ct())
    send(archive, committer)
    committer.how = "refuse"
    one = asker(archive, committer)
    assert one.step()
    assert not one.step()
    assert archive.promises.state("archive", uid) == Promised.WANTED
    archive.database.execute_sql("UPDATE promise SET ready_at = 0")
    away = Asker(archive, Peer("archive", "ARCHIVE", "127.0.0.1", free_port()), "LETHE", settle=0)
    assert away.step()
    archive.database.execute_sql("UPDATE promise SET ready_at = 0")
    with archiver_without_commitment() as port:
        assert Asker(archive, Peer("archive", "ARCHIVE", "127.0.0.1", port), "LETHE", settle=0).step()
    assert "archive does not offer Storage Commitment Push Model SOP Class; asking it again" in caplog.text
    archive.database.execute_sql("UPDATE promise SET ready_at = 0")
    committer.how = "new"
    assert one.step()
    wait_for(lambda: is_given(archive, [uid]), seconds=20, what="it is promised")


def test_a_transaction_is_remembered_as_long_as_its_answer_may_come(archive: Archive, committer: Committer) -> None:
    committer.how = "later"
    uid = publish(archive, ct())
    send(archive, committer)
    asker(archive, committer).step()
    archive.database.execute_sql("UPDATE promise_request SET at = 0")
    archive.sweep()
    assert committer.answer(committer.open[0]) == 0x0000
    assert is_given(archive, [uid])
    archive.sweep()
    assert committer.answer(committer.open[0]) == 0x0115


def test_nobody_else_can_promise_for_it(archive: Archive, committer: Committer) -> None:
    committer.how = "later"
    uid = publish(archive, ct())
    send(archive, committer)
    asker(archive, committer).step()
    (ds,) = committer.open
    ours = ds.TransactionUID
    ds.TransactionUID = new_uid()
    assert committer.answer(ds) == 0x0115
    ds.TransactionUID = ours
    archive.database.execute_sql("UPDATE promise_request SET destination = 'another'")
    assert committer.answer(ds) == 0x0115
    assert archive.promises.state("archive", uid) == Promised.ASKED


def test_a_destination_that_does_not_commit_is_not_asked(archive: Archive, committer: Committer) -> None:
    publish(archive, ct())
    silent = Peer("archive", "ARCHIVE", "127.0.0.1", committer.port)
    with Destination(silent, "LETHE") as destination:
        assert Courier(archive, destination, "deliver-1", lambda: 0.0).step()
    assert not archive.promises.counts()
