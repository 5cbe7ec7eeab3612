"""Modality Performed Procedure Step: states, statuses, and that nothing of a patient is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import PHI
from commitment_peers import new_uid
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep as MPPS  # type: ignore[attr-defined]
from pynetdicom.sop_class import ModalityPerformedProcedureStepRetrieve as RETRIEVE  # type: ignore[attr-defined]

from lethe.node.choices import Ability
from lethe.node.config import Peer
from lethe.node.dimse.admission import Admission
from lethe.node.dimse.performed import performed_steps, retrieved_steps
from lethe.node.dimse.scp import Receiver
from lethe.node.routing import always
from lethe.storage.archive import Archive
from lethe.storage.performed import StepState


@pytest.fixture
def modality(archive: Archive) -> Iterator[Association]:
    admission = Admission("LETHE", [], trust_loopback=True)
    receiver = Receiver(archive, admission, always(), services=[performed_steps(archive), retrieved_steps(archive)])
    port = receiver.start("127.0.0.1", 0)
    ae = AE("CT01")
    ae.add_requested_context(MPPS)
    ae.add_requested_context(RETRIEVE)
    association = ae.associate("127.0.0.1", port, ae_title="LETHE")
    yield association
    association.release()
    receiver.stop(0.5)


def step(**attributes: object) -> Dataset:
    """What a modality tells when it begins."""
    ds, scheduled = Dataset(), Dataset()
    scheduled.StudyInstanceUID = new_uid()
    scheduled.AccessionNumber = PHI["AccessionNumber"]
    for keyword in ("ReferencedStudySequence", "ScheduledProtocolCodeSequence"):
        setattr(scheduled, keyword, [])
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
        setattr(scheduled, keyword, "")
    scheduled.ScheduledProcedureStepID = scheduled.ScheduledProcedureStepDescription = ""
    ds.ScheduledStepAttributesSequence = [scheduled]
    ds.PatientName, ds.PatientID = PHI["PatientName"], PHI["PatientID"]
    ds.PatientBirthDate = ds.PatientSex = ds.StudyID = ""
    ds.ReferencedPatientSequence = ds.ProcedureCodeSequence = ds.PerformedProtocolCodeSequence = []
    ds.PerformedStationName = ds.PerformedLocation = ""
    ds.PerformedProcedureStepDescription = ds.PerformedProcedureTypeDescription = ""
    ds.PerformedProcedureStepEndDate = ds.PerformedProcedureStepEndTime = ""
    ds.PerformedProcedureStepID = "PPS-1"
    ds.PerformedStationAETitle = "CT01"
    ds.PerformedProcedureStepStartDate, ds.PerformedProcedureStepStartTime = "20240131", "0930"
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.Modality = "CT"
    ds.PerformedSeriesSequence = []
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def told(status: str, *images: int) -> Dataset:
    """What a modality tells in between and, but for the time, when it ends."""
    ds = Dataset()
    ds.PerformedProcedureStepStatus = status
    ds.PerformedSeriesSequence = [series_of(count) for count in images]
    return ds


def ended(status: str, *images: int) -> Dataset:
    ds = told(status, *images)
    ds.PerformedProcedureStepEndDate, ds.PerformedProcedureStepEndTime = "20240131", "1000"
    return ds


def series_of(images: int) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName = new_uid(), PHI["PatientName"]
    series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = series.RetrieveAETitle = ""
    series.ReferencedImageSequence = [reference() for _ in range(images)]
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    return series


def reference() -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", new_uid()
    return ds


def create(modality: Association, uid: str | None, ds: Dataset) -> int:
    status, _ = modality.send_n_create(ds, MPPS, uid)
    return int(status.Status)


@pytest.mark.parametrize("state", [StepState.COMPLETED, StepState.DISCONTINUED])
def test_a_step_begins_and_ends(archive: Archive, modality: Association, state: StepState) -> None:
    uid = new_uid()
    assert create(modality, uid, step()) == 0x0000
    assert archive.performed.get(uid).state == StepState.IN_PROGRESS
    assert modality.send_n_set(told("IN PROGRESS", 2), MPPS, uid)[0].Status == 0x0000
    assert archive.performed.get(uid).instances == 2
    assert modality.send_n_set(ended(state, 2, 3), MPPS, uid)[0].Status == 0x0000
    again = Archive(archive.folder).performed.get(uid)  # as after a restart
    assert (again.state, again.series, again.instances, again.modality, again.source) == (state, 2, 5, "CT", "CT01")


def test_what_is_over_may_no_longer_be_updated(archive: Archive, modality: Association) -> None:
    uid = new_uid()
    create(modality, uid, step())
    modality.send_n_set(ended("COMPLETED", 1), MPPS, uid)
    status, _ = modality.send_n_set(told("IN PROGRESS", 1), MPPS, uid)
    assert (status.Status, status.ErrorID) == (0x0110, 0xA506)
    assert archive.performed.get(uid).state == StepState.COMPLETED


def test_a_duplicate_is_told_and_changes_nothing(archive: Archive, modality: Association) -> None:
    uid = new_uid()
    assert create(modality, uid, step()) == 0x0000
    assert create(modality, uid, step(Modality="MR")) == 0x0111
    assert archive.performed.get(uid).modality == "CT"


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
        ({"PerformedProcedureStepStatus": "SCHEDULED"}, 0x0106),
        ({"PerformedProcedureStepID": ""}, 0x0121),
        ({"ScheduledStepAttributesSequence": []}, 0x0121),
    ],
)
def test_a_step_must_begin_in_progress_and_complete(
    archive: Archive, modality: Association, attributes: dict[str, object], status: int
) -> None:
    assert create(modality, new_uid(), step(**attributes)) == status
    assert not archive.performed.counts()


def test_a_missing_attribute_is_told(archive: Archive, modality: Association) -> None:
    """PS3.4 5.4.2.1: also one that may be empty."""
    whole = step()
    for element in whole:
        ds = step()
        del ds[element.tag]
        status, _ = modality.send_n_create(ds, MPPS, new_uid())
        assert (status.Status, status.ErrorComment) == (0x0120, element.keyword)
    for element in whole.ScheduledStepAttributesSequence[0]:
        ds = step()
        del ds.ScheduledStepAttributesSequence[0][element.tag]
        assert create(modality, new_uid(), ds) == 0x0120
    assert not archive.performed.counts()


@pytest.mark.parametrize(("study", "status"), [(None, 0x0120), ("", 0x0121)])
def test_a_step_says_of_which_study_it_is(modality: Association, study: str | None, status: int) -> None:
    ds = step()
    (scheduled,) = ds.ScheduledStepAttributesSequence
    if study is None:
        del scheduled.StudyInstanceUID
    else:
        scheduled.StudyInstanceUID = study
    assert create(modality, new_uid(), ds) == status


def test_an_unknown_step_and_an_unknown_state(archive: Archive, modality: Association) -> None:
    assert modality.send_n_set(ended("COMPLETED"), MPPS, new_uid())[0].Status == 0x0112
    uid = new_uid()
    create(modality, uid, step())
    assert modality.send_n_set(ended("DONE"), MPPS, uid)[0].Status == 0x0106
    assert archive.performed.get(uid).state == StepState.IN_PROGRESS


@pytest.mark.parametrize("keyword", [element.keyword for element in series_of(0)])
def test_a_series_is_told_of_as_a_whole(archive: Archive, modality: Association, keyword: str) -> None:
    lacking = series_of(1)
    del lacking[keyword]
    status, _ = modality.send_n_create(step(PerformedSeriesSequence=[lacking]), MPPS, new_uid())
    assert (status.Status, status.ErrorComment) == (0x0120, keyword[:64])
    assert not archive.performed.counts()
    uid = new_uid()
    assert create(modality, uid, step(PerformedSeriesSequence=[series_of(1)])) == 0x0000
    ds = told("IN PROGRESS")
    ds.PerformedSeriesSequence = [series_of(1), lacking]
    status, _ = modality.send_n_set(ds, MPPS, uid)
    assert (status.Status, status.ErrorComment) == (0x0121, keyword[:64])
    assert archive.performed.get(uid).series == 1


@pytest.mark.parametrize("keyword", ["ReferencedSOPClassUID", "ReferencedSOPInstanceUID"])
def test_an_instance_is_named_by_class_and_uid(modality: Association, keyword: str) -> None:
    uid = new_uid()
    create(modality, uid, step())
    ds = told("IN PROGRESS", 2)
    ds.PerformedSeriesSequence[0].ReferencedImageSequence[1][keyword].value = ""
    assert modality.send_n_set(ds, MPPS, uid)[0].Status == 0x0121


@pytest.mark.parametrize("state", [StepState.COMPLETED, StepState.DISCONTINUED])
@pytest.mark.parametrize(
    "keyword", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence"]
)
def test_a_step_ends_with_its_time_and_a_series(
    archive: Archive, modality: Association, keyword: str, state: StepState
) -> None:
    uid = new_uid()
    create(modality, uid, step())
    for takes_away in (False, True):
        ds = ended(state, 0)
        if takes_away:
            del ds[keyword]
        else:
            ds[keyword].value = [] if keyword.endswith("Sequence") else ""
        status, _ = modality.send_n_set(ds, MPPS, uid)
        assert (status.Status, status.ErrorComment) == (0x0121, keyword)
        assert archive.performed.get(uid).state == StepState.IN_PROGRESS
    assert modality.send_n_set(ended(state, 0), MPPS, uid)[0].Status == 0x0000


def test_what_was_told_before_the_end_need_not_be_told_again(archive: Archive, modality: Association) -> None:
    uid = new_uid()
    create(modality, uid, step(PerformedSeriesSequence=[series_of(2)], PerformedProcedureStepEndDate="20240131"))
    time, end = Dataset(), Dataset()
    time.PerformedProcedureStepEndTime, end.PerformedProcedureStepStatus = "1000", "COMPLETED"
    assert modality.send_n_set(time, MPPS, uid)[0].Status == 0x0000
    assert modality.send_n_set(end, MPPS, uid)[0].Status == 0x0000
    assert (archive.performed.get(uid).state, archive.performed.get(uid).instances) == (StepState.COMPLETED, 2)


def test_what_is_kept_of_a_step_can_be_retrieved(modality: Association) -> None:
    uid, state, modality_of, patient = new_uid(), 0x00400252, 0x00080060, 0x00100010
    create(modality, uid, step())
    status, kept = modality.send_n_get([state], RETRIEVE, uid)
    assert (status.Status, kept.PerformedProcedureStepStatus, len(kept)) == (0x0000, "IN PROGRESS", 1)
    modality.send_n_set(ended("COMPLETED", 2), MPPS, uid)
    for asked in ([], [state, modality_of]):
        status, kept = modality.send_n_get(asked, MPPS, uid, meta_uid=RETRIEVE)  # named by the class it was made under
        assert (status.Status, kept.PerformedProcedureStepStatus, kept.Modality) == (0x0000, "COMPLETED", "CT")
    status, kept = modality.send_n_get([state, patient], RETRIEVE, uid)
    assert (status.Status, list(kept.keys())) == (0x0001, [state])
    assert modality.send_n_get([state], RETRIEVE, new_uid())[0].Status == 0x0112
    assert modality.send_n_get([state], MPPS, uid)[0].Status == 0x0211


def test_a_step_without_a_uid_gets_one(archive: Archive, modality: Association) -> None:
    status, _ = modality.send_n_create(step(), MPPS, None)
    assert status.Status == 0x0000
    assert archive.performed.counts() == {StepState.IN_PROGRESS: 1}


def test_an_operation_that_is_not_offered_does_not_end_the_association(modality: Association) -> None:
    assert modality.send_n_delete(MPPS, "1.2.3").Status == 0x0211
    assert create(modality, new_uid(), step()) == 0x0000


def test_nothing_of_the_patient_is_kept_or_logged(
    archive: Archive, modality: Association, caplog: pytest.LogCaptureFixture
) -> None:
    uid = new_uid()
    with caplog.at_level("DEBUG", logger="lethe"):
        create(modality, uid, step())
        modality.send_n_set(ended("COMPLETED", 1), MPPS, uid)
    archive.database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = b"".join(path.read_bytes() for path in archive.folder.rglob("*") if path.is_file())
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("lethe"))
    for value in (*PHI.values(), uid):
        assert str(value).encode() not in stored
        assert str(value) not in ours


def test_a_peer_that_may_not_is_told_so(archive: Archive) -> None:
    known = Peer("ct", "CT01", "127.0.0.1", 104, (Ability.STORE,))
    admission = Admission("LETHE", [known], trust_loopback=False)
    receiver = Receiver(archive, admission, always(), services=[performed_steps(archive), retrieved_steps(archive)])
    try:
        ae = AE("CT01")
        ae.add_requested_context(MPPS)
        association = ae.associate("127.0.0.1", receiver.start("127.0.0.1", 0), ae_title="LETHE")
        assert create(association, new_uid(), step()) == 0x0124
        association.release()
    finally:
        receiver.stop(0.5)
