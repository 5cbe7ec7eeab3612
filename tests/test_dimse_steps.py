"""Unified Procedure Steps by DIMSE (PS3.4 Annex CC): pynetdicom as client, and beside UPS-RS over the same store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from commitment_peers import new_uid
from dicomweb_archive import app_over
from programs import free_port
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from ups_clients import PERFORMED, text, workitem

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.scp import Receiver
from lethe.node.dimse.steps import EVENT, PULL, PUSH, QUERY, WATCH, step_services
from lethe.node.routing import always
from lethe.node.stepreporter import StepReporter
from lethe.storage.archive import Archive
from lethe.storage.database import transaction
from lethe.storage.steprules import StepState

GLOBAL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
STATE, CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = range(1, 6)
MOST = 5


class Station:
    """A workstation: asks on one association, and hears reports on its own port."""

    def __init__(self) -> None:
        self.peer = Peer("station", "STATION", "127.0.0.1", free_port(), may=(Ability.STEPS,))
        self.reports: list[tuple[str, int, Dataset]] = []
        self.answers: list[int] = []
        self._ae = AE("STATION")
        self._ae.add_supported_context(EVENT, scu_role=True, scp_role=True)
        for sop_class in (PUSH, WATCH, PULL, QUERY):
            self._ae.add_requested_context(sop_class)

    def calls(self, port: int, title: str = "LETHE") -> Association:
        association = self._ae.associate("127.0.0.1", port, ae_title=title)
        assert association.is_established
        return association

    def listens(self) -> Any:
        handlers = [(evt.EVT_N_EVENT_REPORT, self._hear)]
        return self._ae.start_server(("127.0.0.1", self.peer.port), block=False, evt_handlers=handlers)

    def _hear(self, event: Event) -> tuple[int, None]:
        uid = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        self.reports.append((uid, int(event.event_type or 0), event.event_information))
        return (self.answers.pop(0) if self.answers else 0x0000), None


class Steps:
    """What a station asks of our node."""

    def __init__(self, association: Association) -> None:
        self.association = association

    def create(self, uid: str | None, ds: Dataset) -> int:
        status, _ = self.association.send_n_create(ds, PUSH, uid)
        return int(status.Status)

    def get(self, uid: str, *tags: int, by: str = PULL) -> tuple[int, Dataset]:
        status, ds = self.association.send_n_get(list(tags), PUSH, uid, meta_uid=by)
        return int(status.Status), ds or Dataset()

    def change(self, uid: str, ds: Dataset) -> int:
        status, _ = self.association.send_n_set(ds, PUSH, uid, meta_uid=PULL)
        return int(status.Status)

    def act(self, kind: int, uid: str, by: str, **attributes: object) -> int:
        told = of(**attributes) if attributes else None  # an empty data set is announced and never sent
        status, _ = self.association.send_n_action(told, kind, PUSH, uid, meta_uid=by)
        return int(status.Status)

    def find(self, by: str = QUERY, **keys: object) -> tuple[int, list[Dataset]]:
        answers = list(self.association.send_c_find(of(**keys), by))
        return int(answers[-1][0].Status), [ds for _, ds in answers if ds is not None]


def of(**attributes: object) -> Dataset:
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def step(**attributes: object) -> Dataset:
    """A whole one, as its maker has to give it."""
    ds = Dataset.from_json(workitem())
    ds.TransactionUID = ""
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def station() -> Station:
    return Station()


@pytest.fixture
def node(archive: Archive, station: Station) -> Iterator[int]:
    archive.database.pragma("synchronous", 0)
    admission = Admission("LETHE", [station.peer], trust_loopback=True)
    services = step_services(archive, [station.peer], "LETHE", most=MOST)
    receiver = Receiver(archive, admission, always(), services=services)
    yield receiver.start("127.0.0.1", 0)
    receiver.stop(0.5)


@pytest.fixture
def steps(node: int, station: Station) -> Iterator[Steps]:
    association = station.calls(node)
    yield Steps(association)
    association.release()


def test_a_step_is_made_claimed_set_and_completed(archive: Archive, steps: Steps) -> None:
    uid, lock = new_uid(), new_uid()
    assert steps.create(uid, step()) == 0x0000
    assert steps.create(uid, step()) == 0x0111
    assert steps.change(uid, of(ProcedureStepLabel="Read it soon")) == 0x0000
    assert steps.act(STATE, uid, PULL, ProcedureStepState="IN PROGRESS", TransactionUID=lock) == 0x0000
    assert steps.act(STATE, uid, PULL, ProcedureStepState="IN PROGRESS", TransactionUID=lock) == 0xC302
    assert steps.act(STATE, uid, PULL, ProcedureStepState="IN PROGRESS", TransactionUID=new_uid()) == 0xC301
    assert steps.change(uid, of(ProcedureStepLabel="Read it now")) == 0xC301
    assert steps.act(STATE, uid, PULL, ProcedureStepState="COMPLETED", TransactionUID=lock) == 0xC304
    performed = Dataset.from_json({"00741216": PERFORMED})
    performed.TransactionUID = lock
    assert steps.change(uid, performed) == 0x0000
    assert steps.act(STATE, uid, PULL, ProcedureStepState="COMPLETED", TransactionUID=lock) == 0x0000
    assert steps.act(STATE, uid, PULL, ProcedureStepState="COMPLETED", TransactionUID=lock) == 0xB306
    assert steps.change(uid, of(ProcedureStepLabel="Too late")) == 0xC300
    assert archive.workitems.get(uid).state == "COMPLETED"
    assert archive.audit.verify() and {one.actor for one in archive.audit.entries()} == {"STATION@127.0.0.1"}


def test_what_is_missing_of_a_new_step_is_added_and_said(steps: Steps) -> None:
    ds = step()
    del ds.AdmissionID
    uid = new_uid()
    assert steps.create(uid, ds) == 0xB300
    assert "AdmissionID" in steps.get(uid)[1]


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"ProcedureStepState": "IN PROGRESS"}, 0xC309),
        ({"ScheduledProcedureStepPriority": "SOON"}, 0x0106),
        ({"ProcedureStepLabel": ""}, 0x0106),
    ],
)
def test_a_new_step_that_is_wrong_is_refused(steps: Steps, attributes: dict[str, str], status: int) -> None:
    uid = new_uid()
    assert steps.create(uid, step(**attributes)) == status
    assert steps.get(uid)[0] == 0xC307


def test_a_step_without_a_uid_gets_one(steps: Steps) -> None:
    assert steps.create(None, step()) == 0x0000
    (found,) = steps.find(SOPInstanceUID="")[1]
    assert steps.get(found.SOPInstanceUID)[1].ProcedureStepLabel == "Read it"


def test_what_is_asked_for_is_given_and_never_the_transaction_uid(steps: Steps) -> None:
    uid, lock = new_uid(), new_uid()
    steps.create(uid, step(PatientName="Łukasiewicz^Żaneta", SpecificCharacterSet="ISO_IR 192"))
    steps.act(STATE, uid, PULL, ProcedureStepState="IN PROGRESS", TransactionUID=lock)
    for by in (PUSH, WATCH, PULL):
        status, ds = steps.get(uid, by=by)
        assert (status, ds.ProcedureStepState, ds.SOPInstanceUID) == (0x0000, "IN PROGRESS", uid)
        assert str(ds.PatientName) == "Łukasiewicz^Żaneta" and "TransactionUID" not in ds
    status, ds = steps.get(uid, 0x00741000, 0x00741204)
    assert status == 0x0000 and len(ds) == 3 and ds.ProcedureStepLabel == "Read it"
    status, ds = steps.get(uid, 0x00741000, 0x00081195)
    assert status == 0x0001 and [int(one.tag) for one in ds] == [0x00080005, 0x00741000]


def test_steps_are_found_by_their_keys(steps: Steps) -> None:
    for name in ("Roe^Jane", "Doe^Jo"):
        steps.create(new_uid(), step(PatientName=name))
    for by in (WATCH, PULL, QUERY):
        assert len(steps.find(by, ProcedureStepState="SCHEDULED")[1]) == 2
    status, found = steps.find(PatientName="DOE*", ProcedureStepLabel="", ScheduledWorkitemCodeSequence=[])
    assert status == 0x0000 and [str(one.PatientName) for one in found] == ["Doe^Jo"]
    assert found[0].ProcedureStepLabel == "Read it" and found[0].SOPClassUID == PUSH
    assert steps.find(ProcedureStepState="COMPLETED") == (0x0000, [])


def test_more_than_an_answer_may_hold_is_said(steps: Steps) -> None:
    for _ in range(MOST + 1):
        steps.create(new_uid(), step())
    status, found = steps.find(ProcedureStepState="")
    assert status == 0xA700 and len(found) == MOST


def test_a_request_to_cancel_cancels_what_nobody_has_claimed(steps: Steps) -> None:
    uid = new_uid()
    assert steps.act(CANCEL, uid, PUSH) == 0xC307
    steps.create(uid, step())
    assert steps.act(CANCEL, uid, WATCH, ReasonForCancellation="Moved") == 0x0000
    assert steps.get(uid)[1].ProcedureStepState == "CANCELED"
    assert steps.act(CANCEL, uid, PUSH) == 0xB304
    assert steps.act(STATE, uid, PULL, ProcedureStepState="CANCELED", TransactionUID=new_uid()) in (0xB304, 0xC301)


@pytest.mark.parametrize(("kind", "by"), [(STATE, PUSH), (STATE, WATCH), (CANCEL, PULL), (SUBSCRIBE, PUSH), (9, WATCH)])
def test_an_action_that_a_sop_class_does_not_have_is_refused(steps: Steps, kind: int, by: str) -> None:
    assert steps.act(kind, new_uid(), by, ProcedureStepState="IN PROGRESS", TransactionUID=new_uid()) == 0x0123


def test_an_operation_that_a_sop_class_does_not_have_is_refused_and_the_association_goes_on(steps: Steps) -> None:
    status, _ = steps.association.send_n_set(of(ProcedureStepLabel="x"), PUSH, new_uid(), meta_uid=WATCH)
    assert status.Status == 0x0211
    assert steps.find(ProcedureStepState="")[0] == 0x0000


def test_who_is_not_named_for_it_is_not_answered(archive: Archive) -> None:
    station = Station()
    stranger = Peer("other", "STATION", "127.0.0.1", station.peer.port)
    receiver = Receiver(
        archive,
        Admission("LETHE", [stranger], trust_loopback=True),
        always(),
        services=step_services(archive, [stranger], "LETHE", most=MOST),
    )
    association = station.calls(receiver.start("127.0.0.1", 0))
    steps = Steps(association)
    assert steps.create(new_uid(), step()) == 0x0124
    assert steps.find(ProcedureStepState="")[0] == 0x0124
    association.release()
    receiver.stop(0.5)


def test_both_ways_in_share_the_steps(archive: Archive, steps: Steps) -> None:
    web = app_over(archive, events="ws://node.test/dicom-web").test_client()
    uid = new_uid()
    steps.create(uid, step())
    (found,) = web.get(f"/dicom-web/workitems?00080018={uid}").json
    assert found["00741204"]["Value"] == ["Read it"]
    body = {"00081195": {"vr": "UI", "Value": ["2.25.9"]}, "00741000": {"vr": "CS", "Value": ["IN PROGRESS"]}}
    web.put(f"/dicom-web/workitems/{uid}/state", json=body, headers={"Content-Type": "application/dicom+json"})
    assert steps.find(ProcedureStepState="IN PROGRESS", SOPInstanceUID="")[1][0].SOPInstanceUID == uid


def test_results_of_ours_are_retrieved_by_ae_title(archive: Archive, steps: Steps) -> None:
    uid = new_uid()
    where = {"00081190": text("UR", "studies/1.2.3")}
    output = {"0020000D": text("UI", "1.2.3"), "0040E025": text("SQ", where)}
    performed = {"00404033": text("SQ", output)}
    with transaction(archive.database):
        archive.begin_workitem(uid, workitem())
        archive.advance_workitem(uid, StepState.IN_PROGRESS, {"00741216": text("SQ", performed)})
    ((found,),) = (steps.find(UnifiedProcedureStepPerformedProcedureSequence=[])[1],)
    for ds in (steps.get(uid)[1], found):
        (one,) = ds.UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence
        assert one.DICOMRetrievalSequence[0].RetrieveAETitle == "LETHE" and "WADORSRetrievalSequence" not in one
    assert steps.change(uid, of(ProcedureStepLabel="x", TransactionUID=new_uid())) == 0xC301


class TestReports:
    def test_reach_who_subscribes_and_come_once(self, archive: Archive, steps: Steps, station: Station) -> None:
        uid, lock = new_uid(), new_uid()
        reporter = StepReporter(archive, station.peer, "LETHE")
        steps.create(uid, step())
        assert steps.act(SUBSCRIBE, uid, WATCH, ReceivingAE="STATION", DeletionLock="FALSE") == 0x0000
        steps.act(STATE, uid, PULL, ProcedureStepState="IN PROGRESS", TransactionUID=lock)
        steps.act(CANCEL, uid, WATCH, ReasonForCancellation="Moved")
        server = station.listens()
        assert reporter.step() and not reporter.step()
        server.shutdown()
        assert [(one, kind) for one, kind, _ in station.reports] == [(uid, 1), (uid, 1), (uid, 2)]
        first, second, third = (ds for _, _, ds in station.reports)
        assert (first.ProcedureStepState, second.ProcedureStepState) == ("SCHEDULED", "IN PROGRESS")
        assert third.ReasonForCancellation == "Moved" and third.RequestingAE == "STATION"

    def test_wait_for_who_is_away(self, archive: Archive, steps: Steps, station: Station) -> None:
        now = [100.0]
        reporter = StepReporter(archive, station.peer, "LETHE", clock=lambda: now[0])
        assert steps.act(SUBSCRIBE, GLOBAL, WATCH, ReceivingAE="STATION", DeletionLock="FALSE") == 0x0000
        steps.create(new_uid(), step())
        assert reporter.step() and not reporter.step()  # nobody listens, and it is not tried at once again
        now[0] += 10.0
        server = station.listens()
        assert reporter.step()
        server.shutdown()
        assert len(station.reports) >= 1

    def test_that_are_refused_are_not_told_for_ever(self, archive: Archive, steps: Steps, station: Station) -> None:
        reporter = StepReporter(archive, station.peer, "LETHE")
        uid = new_uid()
        steps.create(uid, step())
        steps.act(SUBSCRIBE, uid, WATCH, ReceivingAE="STATION", DeletionLock="FALSE")
        station.answers = [0x0113]
        server = station.listens()
        assert reporter.step() and not reporter.step()
        server.shutdown()

    def test_of_what_matches_and_no_more_once_suspended(self, archive: Archive, steps: Steps, station: Station) -> None:
        reporter = StepReporter(archive, station.peer, "LETHE")
        following = {"ReceivingAE": "STATION", "DeletionLock": "FALSE"}
        assert steps.act(SUBSCRIBE, FILTERED, WATCH, **following) == 0x0115
        assert steps.act(SUBSCRIBE, FILTERED, WATCH, **following, WorklistLabel="MR work") == 0x0000
        steps.create(new_uid(), step())
        other = new_uid()
        steps.create(other, step(WorklistLabel="MR work"))
        assert steps.act(SUSPEND, FILTERED, WATCH, ReceivingAE="STATION") == 0x0000
        assert steps.act(SUSPEND, other, WATCH, ReceivingAE="STATION") == 0xC314
        steps.create(new_uid(), step(WorklistLabel="MR work"))
        server = station.listens()
        reporter.step()
        server.shutdown()
        assert {uid for uid, _, _ in station.reports} == {other}
        assert steps.act(UNSUBSCRIBE, FILTERED, WATCH, ReceivingAE="STATION") == 0x0000
        assert steps.act(UNSUBSCRIBE, FILTERED, WATCH, ReceivingAE="STATION") == 0xC307

    @pytest.mark.parametrize(
        ("attributes", "status"),
        [
            ({"ReceivingAE": "NOBODY", "DeletionLock": "FALSE"}, 0xC308),
            ({"ReceivingAE": "STATION", "DeletionLock": ""}, 0x0115),
            ({"ReceivingAE": "STATION"}, 0x0115),
        ],
    )
    def test_need_someone_who_can_be_told(self, steps: Steps, attributes: dict[str, str], status: int) -> None:
        assert steps.act(SUBSCRIBE, GLOBAL, WATCH, **attributes) == status
