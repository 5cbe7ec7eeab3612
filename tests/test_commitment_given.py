"""Storage commitment that peers ask of us: what is promised, what is refused and why, and that the answer arrives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from builders import ct, saved
from commitment_peers import CT, PUSH_MODEL, Modality, action, new_uid
from programs import free_port, wait_for
from pydicom.dataset import Dataset, FileDataset
from pynetdicom import AE, build_context, evt
from pynetdicom.events import Event
from syncing_by import named

from lethe.dicomweb.dicomjson import describe
from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse import commitment
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.openanswer import OpenAnswer
from lethe.node.dimse.scp import Receiver
from lethe.node.reporter import Reporter
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.commitments import Progress, Reference
from lethe.storage.demand import Demand
from lethe.storage.entries import CleanInstance
from lethe.storage.intake import Origin
from lethe.storage.jobs import Stage, State
from lethe.storage.names import clean_name
from lethe.storage.schema import MIGRATIONS

MR = "1.2.840.10008.5.1.4.1.1.4"


class Asked(NamedTuple):
    """A receiver that takes requests of a modality."""

    modality: Modality
    port: int


@pytest.fixture
def asked(archive: Archive) -> Iterator[Asked]:
    modality = Modality(free_port())
    admission = Admission("LETHE", [modality.peer], trust_loopback=True)
    receiver = Receiver(archive, admission, always("default"), services=[commitment.requests(archive, admission)])
    yield Asked(modality, receiver.start("127.0.0.1", 0))
    receiver.stop(0.5)


def reporter(archive: Archive, modality: Modality, demand: Demand = Demand.RECEIVED, limit: float = 9e9) -> Reporter:
    return Reporter(archive, modality.peer, "LETHE", {"default": demand}, limit=limit)


def take(archive: Archive, ds: FileDataset, *projects: str) -> tuple[str, str]:
    """Receive an object; what it is, as its sender would name it."""
    incoming = archive.files.incoming()
    saved(ds, incoming, "one")
    uid = str(ds.SOPInstanceUID)
    archive.accept(incoming / "one", uid, Origin("CT01"), projects, sop_class=str(ds.SOPClassUID))
    return str(ds.SOPClassUID), uid


def publish(archive: Archive, *destinations: str) -> str:
    """Publish what is waiting under a UID of its own."""
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    ds = ct()
    clean = CleanInstance(describe(ds), ds.file_meta.TransferSyntaxUID, job.project, clean_name(job.subject, "x"))
    archive.publish(job, [b"clean"], clean, destinations)
    return str(ds.SOPInstanceUID)


def due(archive: Archive) -> None:
    """Let the time pass that a commitment has to wait."""
    archive.database.execute_sql("UPDATE commitment SET ready_at = 0")


def given(ds: Dataset) -> list[str]:
    return [str(item.ReferencedSOPInstanceUID) for item in ds.get("ReferencedSOPSequence") or ()]


def failed(ds: Dataset) -> dict[str, int]:
    return {str(item.ReferencedSOPInstanceUID): item.FailureReason for item in ds.get("FailedSOPSequence") or ()}


def reasons(archive: Archive, *references: tuple[str, str], demand: Demand = Demand.RECEIVED) -> list[str]:
    """How it stands with each now: a standing, or a Failure Reason."""
    archive.commitments.ask("ct", new_uid(), [Reference(*one) for one in references])
    claimed = archive.commitments.claim("ct", 0)
    assert claimed is not None
    archive.commitments.end(claimed, Progress.REPORTED)
    vows = archive.vows(claimed, {"default": demand}, lambda uid: uid in (CT, MR))
    return [f"{vow.reason:04X}" if vow.standing == "lost" else str(vow.standing) for vow in vows]


def test_what_was_received_is_committed_on_an_association_of_ours(archive: Archive, asked: Asked) -> None:
    references = [take(archive, ct(), "default") for _ in range(3)]
    uid = new_uid()
    with asked.modality.listening():
        assert asked.modality.ask(asked.port, action(uid, *references)) == 0x0000
        assert reporter(archive, asked.modality).step()
    ((kind, report),) = asked.modality.reports
    assert (kind, report.TransactionUID) == (1, uid)
    assert given(report) == [uid for _, uid in references]
    assert "FailedSOPSequence" not in report
    assert asked.modality.roles == [(True, False)]  # the modality is SCU of an association that we made
    assert archive.commitments.counts() == {Progress.REPORTED: 1}
    assert not reporter(archive, asked.modality).step()


def test_each_that_fails_has_its_reason(archive: Archive, asked: Asked) -> None:
    good, other = take(archive, ct(), "default"), take(archive, ct(), "default")
    unknown, foreign = new_uid(), take(archive, ct(), "default")[1]
    wanted = [good, (CT, unknown), (MR, other[1]), ("1.2.3", foreign)]
    with asked.modality.listening():
        asked.modality.ask(asked.port, action(new_uid(), *wanted))
        reporter(archive, asked.modality).step()
    ((kind, report),) = asked.modality.reports
    assert kind == 2
    assert given(report) == [good[1]]
    assert failed(report) == {unknown: 0x0112, other[1]: 0x0119, foreign: 0x0122}


def test_without_anything_committed_there_is_no_sequence_of_it(archive: Archive, asked: Asked) -> None:
    with asked.modality.listening():
        asked.modality.ask(asked.port, action(new_uid(), (CT, new_uid())))
        reporter(archive, asked.modality).step()
    assert "ReferencedSOPSequence" not in asked.modality.reports[0][1]


def test_a_peer_that_is_off_is_told_later(archive: Archive, asked: Asked) -> None:
    asked.modality.ask(asked.port, action(new_uid(), take(archive, ct(), "default")))
    for _ in range(3):
        assert reporter(archive, asked.modality).step()
        assert not reporter(archive, asked.modality).step()  # not before it is time
        due(archive)
    asked.modality.answers = [0x0110]
    with asked.modality.listening():
        assert reporter(archive, asked.modality).step()
        assert not asked.modality.reports
        due(archive)
        assert reporter(archive, asked.modality).step()
    assert len(asked.modality.reports) == 1


def test_delays_grow_and_after_a_month_it_is_abandoned(archive: Archive, asked: Asked) -> None:
    asked.modality.ask(asked.port, action(new_uid(), take(archive, ct(), "default")))
    delays = []
    for _ in range(6):
        due(archive)
        before = archive._clock()
        reporter(archive, asked.modality).step()
        (ready,) = archive.database.execute_sql("SELECT ready_at FROM commitment").fetchone()
        delays.append(ready - before)
    assert delays[5] > 2 * delays[0]
    archive.database.execute_sql("UPDATE commitment SET created = created - 40 * 86400")
    due(archive)
    reporter(archive, asked.modality, limit=0).step()
    assert archive.commitments.counts() == {Progress.ABANDONED: 1}
    assert archive.audit.newest(1)[0].action == "commitment-abandoned"


def test_a_request_survives_a_restart(archive: Archive, asked: Asked) -> None:
    uid = new_uid()
    asked.modality.ask(asked.port, action(uid, take(archive, ct(), "default")))
    with asked.modality.listening():
        again = Archive(archive.folder)
        assert reporter(again, asked.modality).step()
        again.close()
    assert asked.modality.reports[0][1].TransactionUID == uid


def test_the_same_request_again_is_answered_again(archive: Archive, asked: Asked) -> None:
    ds = action(new_uid(), take(archive, ct(), "default"))
    with asked.modality.listening():
        for _ in range(2):
            assert asked.modality.ask(asked.port, ds) == 0x0000
            reporter(archive, asked.modality).step()
    assert [kind for kind, _ in asked.modality.reports] == [1, 1]
    assert sum(archive.commitments.counts().values()) == 1


def test_another_list_under_a_used_transaction_uid_is_a_duplicate(archive: Archive, asked: Asked) -> None:
    uid, first, second = new_uid(), take(archive, ct(), "default"), take(archive, ct(), "default")
    with asked.modality.listening():
        asked.modality.ask(asked.port, action(uid, first))
        asked.modality.ask(asked.port, action(uid, second))
        while reporter(archive, asked.modality).step():
            pass
    (_, good), (_, bad) = asked.modality.reports
    assert given(good) == [first[1]]
    assert failed(bad) == {second[1]: 0x0131}


@pytest.mark.parametrize(
    ("ds", "kind", "instance", "status"),
    [
        (action(new_uid(), (CT, "1.2.3")), 2, PUSH_MODEL + ".1", 0x0123),
        (action(new_uid(), (CT, "1.2.3")), 1, "1.2.3", 0x0112),
        (action(new_uid()), 1, PUSH_MODEL + ".1", 0x0115),
        (action("", (CT, "1.2.3")), 1, PUSH_MODEL + ".1", 0x0115),
        (Dataset(), 1, PUSH_MODEL + ".1", 0x0115),
    ],
)
def test_a_wrong_request_is_told_so(
    archive: Archive, asked: Asked, ds: Dataset, kind: int, instance: str, status: int
) -> None:
    ds.PatientID = "X"  # an empty data set is not sent at all
    assert asked.modality.ask(asked.port, ds, kind=kind, instance=instance) == status
    assert not archive.commitments.counts()


def test_too_many_at_once_are_a_limitation(archive: Archive, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "MOST_REFERENCES", 2)
    wanted = [(CT, new_uid()) for _ in range(3)]
    assert asked.modality.ask(asked.port, action(new_uid(), *wanted)) == 0x0213


def test_who_could_not_be_answered_is_not_taken(archive: Archive, asked: Asked) -> None:
    stranger = Modality(free_port(), "STRANGER")
    assert stranger.ask(asked.port, action(new_uid(), (CT, "1.2.3"))) == 0x0124
    assert not archive.commitments.counts()


def test_a_peer_that_may_not_ask_is_told_so(archive: Archive) -> None:
    modality = Modality(free_port())
    known = Peer("ct", "CT01", "127.0.0.1", modality.port, (Ability.STORE,))
    admission = Admission("LETHE", [known], trust_loopback=False)
    receiver = Receiver(archive, admission, always(), services=[commitment.requests(archive, admission)])
    try:
        port = receiver.start("127.0.0.1", 0)
        assert modality.ask(port, action(new_uid(), (CT, "1.2.3"))) == 0x0124
    finally:
        receiver.stop(0.5)


def test_a_peer_that_keeps_its_association_open_is_answered_on_it(archive: Archive) -> None:
    modality = Modality(free_port())  # which does not listen
    admission = Admission("LETHE", [modality.peer], trust_loopback=True)
    tell = OpenAnswer(lambda assoc, _, number: reporter(archive, modality).answer_on(assoc, number), archive.close)
    service = commitment.requests(archive, admission, answer_here=tell)
    receiver = Receiver(archive, admission, always(), services=[service])
    try:
        port = receiver.start("127.0.0.1", 0)
        reference = take(archive, ct(), "default")
        assert modality.ask(port, action(new_uid(), reference), keep=20) == 0x0000
        assert given(modality.reports[0][1]) == [reference[1]]
        wait_for(lambda: archive.commitments.counts() == {Progress.REPORTED: 1}, seconds=10, what="it is noted")
    finally:
        receiver.stop(0.5)


def test_what_was_lost_is_not_committed(archive: Archive) -> None:
    reference = take(archive, ct(), "default")
    assert reasons(archive, reference) == ["given"]
    (job,) = archive.jobs.find()
    archive.files.remove("inbox", job.subject)
    assert reasons(archive, reference) == ["0110"]


def test_nothing_is_committed_before_its_rows_are_durable(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = ct()
    reference, _ = take(archive, ds, "default"), take(archive, ds, "default")  # the second leaves no mark of the first
    log, synced, vows = f"{archive.folder}/lethe.db-wal", list[str](), archive.vows

    def vowed(*arguments: Any) -> Any:
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(named(fd)))
        return vows(*arguments)

    monkeypatch.setattr(archive, "vows", vowed)
    assert reasons(archive, reference) == ["given"]
    assert synced == [log]


def test_what_is_held_or_quarantined_is_here_all_the_same(archive: Archive) -> None:
    held, refused = take(archive, ct()), take(archive, ct(), "default")
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60, destination="")
    assert job is not None
    archive.quarantine(job, "no reason")
    assert {one.state for one in archive.jobs.find()} == {State.HELD, State.QUARANTINED}
    assert reasons(archive, held, refused) == ["given", "given"]


def test_what_was_discarded_is_not_there_until_it_comes_again(archive: Archive) -> None:
    ds = ct()
    reference = take(archive, ds)
    (job,) = archive.jobs.find()
    archive.discard(job.id, "not ours", Actor("somebody"))
    assert reasons(archive, reference) == ["0112"]
    take(archive, ds, "default")
    assert reasons(archive, reference) == ["given"]


def test_what_one_project_discarded_counts_as_the_others_have_it(archive: Archive) -> None:
    reference = take(archive, ct(), "default", "other")
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    archive.quarantine(job, "no reason")
    assert reasons(archive, reference) == ["given"]
    archive.discard(job.id, "not ours", Actor("somebody"))
    assert reasons(archive, reference) == ["given"]
    publish(archive)
    assert reasons(archive, reference, demand=Demand.PUBLISHED) == ["given"]


def test_of_two_objects_with_one_uid_one_that_was_discarded_is_missing(archive: Archive) -> None:
    """We do not know which of them the peer has, so it must not delete either."""
    uid = new_uid()
    reference = take(archive, ct(SOPInstanceUID=uid), "default")
    take(archive, ct(SOPInstanceUID=uid, PatientID="OTHER"), "default")
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    archive.quarantine(job, "no reason")
    archive.discard(job.id, "not ours", Actor("somebody"))
    assert reasons(archive, reference) == ["0112"]


def test_what_was_deleted_is_not_there(archive: Archive) -> None:
    reference = take(archive, ct(), "default")
    entry = archive.index.instance(publish(archive))
    archive.delete(entry.study_uid, actor=Actor("somebody"))
    assert reasons(archive, reference) == ["0112"]


def test_a_project_that_publishes_first(archive: Archive) -> None:
    first, second = take(archive, ct(), "default"), take(archive, ct(), "default")
    assert reasons(archive, first, second, demand=Demand.PUBLISHED) == ["waiting", "waiting"]
    uid = publish(archive)
    assert reasons(archive, first, second, demand=Demand.PUBLISHED) == ["given", "waiting"]
    job = archive.jobs.claim(Stage.CLEAN, "worker", 60)
    assert job is not None
    archive.quarantine(job, "no reason")
    assert reasons(archive, first, second, demand=Demand.PUBLISHED) == ["given", "0110"]
    archive.files.remove("clean", archive.index.instance(uid).file)
    assert reasons(archive, first, demand=Demand.PUBLISHED) == ["0110"]


def test_what_was_published_before_this_was_kept_is_known_from_the_audit_trail(archive: Archive) -> None:
    reference = take(archive, ct(), "default")
    publish(archive)
    archive.database.execute_sql("DELETE FROM became")
    assert reasons(archive, reference) == ["0110"]
    (statement,) = (one for migration in MIGRATIONS for one in migration if "INTO became" in one)
    archive.database.execute_sql(statement)
    assert reasons(archive, reference) == ["given"]


def test_a_result_that_came_back_counts_until_every_destination_has_it(archive: Archive) -> None:
    incoming, ds = archive.files.incoming(), ct()
    saved(ds, incoming, "one")
    uid, sop_class = str(ds.SOPInstanceUID), str(ds.SOPClassUID)
    archive.accept(incoming / "one", uid, Origin("AI"), ["default"], Stage.REIDENTIFY, sop_class=sop_class)
    assert reasons(archive, (sop_class, uid), demand=Demand.PUBLISHED) == ["waiting"]
    job = archive.jobs.claim(Stage.REIDENTIFY, "worker", 60)
    assert job is not None
    archive.put_back(job, [b"identified"], clean_name(job.subject, "default", "reidentified"), ["pacs"], {})
    assert reasons(archive, (sop_class, uid), demand=Demand.PUBLISHED) == ["given"]
    assert reasons(archive, (sop_class, uid), demand=Demand.COMMITTED) == ["waiting"]
    back = archive.jobs.claim(Stage.RETURN, "deliver", 60, destination="pacs")
    assert back is not None
    archive.delivered(back, 0, transfer_syntax="1.2.840.10008.1.2.1")
    assert reasons(archive, (sop_class, uid), demand=Demand.COMMITTED) == ["given"]


def test_a_result_that_was_discarded_was_not_delivered(archive: Archive) -> None:
    incoming, ds = archive.files.incoming(), ct()
    saved(ds, incoming, "one")
    uid, sop_class = str(ds.SOPInstanceUID), str(ds.SOPClassUID)
    archive.accept(incoming / "one", uid, Origin("AI"), ["default"], Stage.REIDENTIFY, sop_class=sop_class)
    job = archive.jobs.claim(Stage.REIDENTIFY, "worker", 60)
    assert job is not None
    archive.put_back(job, [b"identified"], clean_name(job.subject, "default", "reidentified"), ["pacs"], {})
    back = archive.jobs.claim(Stage.RETURN, "deliver", 60, destination="pacs")
    assert back is not None
    archive.quarantine(back, "pacs answered 0xA900")
    archive.discard(back.id, "not ours", Actor("somebody"))
    for demand in Demand:
        assert reasons(archive, (sop_class, uid), demand=demand) == ["0112"]


def test_a_project_that_delivers_first_waits_for_every_destination(archive: Archive) -> None:
    reference = take(archive, ct(), "default")
    publish(archive, "one", "two")
    for name in ("one", "two"):
        assert reasons(archive, reference, demand=Demand.DELIVERED) == ["waiting"]
        job = archive.jobs.claim(Stage.SEND, "deliver", 60, destination=name)
        assert job is not None
        archive.delivered(job, 0, transfer_syntax="1.2.840.10008.1.2.1")
    assert reasons(archive, reference, demand=Demand.DELIVERED) == ["given"]


def test_a_project_whose_destinations_commit_first(archive: Archive) -> None:
    reference = take(archive, ct(), "default")
    uid = publish(archive, "archive")
    job = archive.jobs.claim(Stage.SEND, "deliver", 60, destination="archive")
    assert job is not None
    archive.handed_over(job, 0, transfer_syntax="1.2.840.10008.1.2.1")
    assert reasons(archive, reference, demand=Demand.COMMITTED) == ["waiting"]
    request, wanted = new_uid(), archive.promises.batch("archive", settle=0, most=10)
    archive.promises.ask("archive", request, wanted, patience=60)
    assert reasons(archive, reference, demand=Demand.COMMITTED) == ["waiting"]
    archive.promised(request, [uid], {}, Actor("ARCHIVE"))
    assert reasons(archive, reference, demand=Demand.COMMITTED) == ["given"]


def test_a_destination_that_was_never_asked_is_not_waited_for(archive: Archive) -> None:
    reference = take(archive, ct(), "default")
    publish(archive, "archive")
    job = archive.jobs.claim(Stage.SEND, "deliver", 60, destination="archive")
    assert job is not None
    archive.delivered(job, 0, transfer_syntax="1.2.840.10008.1.2.1")
    assert reasons(archive, reference, demand=Demand.COMMITTED) == ["0110"]


def test_of_two_objects_with_one_uid_both_must_stand(archive: Archive) -> None:
    uid = new_uid()
    reference = take(archive, ct(SOPInstanceUID=uid), "default")
    take(archive, ct(SOPInstanceUID=uid, PatientID="OTHER"), "default")
    assert reasons(archive, reference) == ["given"]
    publish(archive)
    assert reasons(archive, reference, demand=Demand.PUBLISHED) == ["waiting"]


def test_the_report_waits_until_it_is_so_and_fails_after_the_limit(archive: Archive, asked: Asked) -> None:
    reference = take(archive, ct(), "default")
    with asked.modality.listening():
        asked.modality.ask(asked.port, action(new_uid(), reference))
        reporter(archive, asked.modality, Demand.PUBLISHED).step()
        assert not asked.modality.reports
        publish(archive)
        due(archive)
        reporter(archive, asked.modality, Demand.PUBLISHED).step()
        assert given(asked.modality.reports[0][1]) == [reference[1]]
        late = take(archive, ct(), "default")
        asked.modality.ask(asked.port, action(new_uid(), late))
        reporter(archive, asked.modality, Demand.PUBLISHED, limit=0).step()
    assert failed(asked.modality.reports[1][1]) == {late[1]: 0x0110}


def test_what_is_long_over_is_forgotten_and_what_is_open_is_not(archive: Archive) -> None:
    for uid in ("1.2", "1.3"):
        archive.commitments.ask("ct", uid, [Reference(CT, new_uid())])
    over = archive.commitments.claim("ct", 0)
    assert over is not None
    archive.reported(over, [], Actor("CT01"), Progress.REPORTED)
    archive.sweep()
    assert sum(archive.commitments.counts().values()) == 2
    archive.database.execute_sql("UPDATE commitment SET updated = updated - 91 * 86400")
    archive.sweep()
    assert archive.commitments.counts() == {Progress.OPEN: 1}


def test_a_commitment_that_was_claimed_is_not_answered_twice(archive: Archive) -> None:
    number = archive.commitments.ask("ct", new_uid(), [Reference(CT, new_uid())], delay=60)
    assert archive.commitments.claim("ct", 60) is None
    assert archive.commitments.claim("ct", 60, number=number) is not None
    assert archive.commitments.claim("ct", 60, number=number) is None


def test_no_original_uid_stands_open_in_the_table(archive: Archive) -> None:
    uid, reference = new_uid(), (CT, new_uid())
    archive.commitments.ask("ct", uid, [Reference(*reference)])
    row = archive.database.execute_sql("SELECT * FROM commitment").fetchone()
    assert not [value for value in row if uid in str(value) or reference[1] in str(value)]


def test_an_object_from_before_its_class_was_kept_is_known_by_its_uid(archive: Archive) -> None:
    incoming, ds = archive.files.incoming(), ct()
    saved(ds, incoming, "one")
    archive.accept(incoming / "one", str(ds.SOPInstanceUID), Origin("CT01"), ["default"])
    assert reasons(archive, (CT, str(ds.SOPInstanceUID))) == ["given"]


def test_a_message_no_service_takes_does_not_end_the_association(archive: Archive, asked: Asked) -> None:
    ae = AE("CT01")
    association = ae.associate("127.0.0.1", asked.port, [build_context(PUSH_MODEL)], ae_title="LETHE")
    ds = Dataset()
    ds.PatientID = "X"
    assert association.send_n_set(ds, PUSH_MODEL, "1.2.3")[0].Status == 0x0211
    assert association.send_n_delete(PUSH_MODEL, "1.2.3").Status == 0x0211
    assert association.send_n_get([0x00100010], PUSH_MODEL, "1.2.3")[0].Status == 0x0211
    assert association.send_n_create(ds, PUSH_MODEL, "1.2.3")[0].Status == 0x0211
    context = association.accepted_contexts[0]
    association._accepted_cx[context.context_id]._abstract_syntax = commitment.PUSH_MODEL_INSTANCE
    assert association.send_n_action(ds, 1, commitment.PUSH_MODEL_INSTANCE, "1.2.3")[0].Status == 0x0118
    association._accepted_cx[context.context_id]._abstract_syntax = PUSH_MODEL
    status, _ = association.send_n_action(action(new_uid(), (CT, "1.2.3")), 1, PUSH_MODEL, PUSH_MODEL + ".1")
    assert status.Status == 0x0000
    association.release()


def test_an_echo_and_a_store_are_answered_beside_it(archive: Archive, asked: Asked) -> None:
    seen: list[int] = []

    def note(event: Event) -> None:
        seen.append(event.assoc.accepted_contexts[0].context_id)

    ae = AE("CT01")
    contexts = [build_context("1.2.840.10008.1.1"), build_context(CT, "1.2.840.10008.1.2.1")]
    association = ae.associate(
        "127.0.0.1", asked.port, contexts, ae_title="LETHE", evt_handlers=[(evt.EVT_ACCEPTED, note)]
    )
    assert association.send_c_echo().Status == 0x0000
    assert association.send_c_store(ct()).Status == 0x0000
    association.release()
    assert seen
