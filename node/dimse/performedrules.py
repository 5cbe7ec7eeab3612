"""Says what a performed procedure step must have to begin, to go on and to end (PS3.4 Table F.7.2-1). Pure; what is
wrong is said by keyword and never by value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pydicom.dataset import Dataset

from lethe.storage.performed import PerformedStep, StepState

INVALID_VALUE, MISSING_ATTRIBUTE, MISSING_VALUE = 0x0106, 0x0120, 0x0121  # PS3.7 C
# Usage 1/1 must be there and have a value, usage 2/2 must be there (PS3.4 5.4.2.1).
_NEEDED = (
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus",
    "Modality",
)
_THERE = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedPatientSequence",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepDescription",
    "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence",
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "StudyID",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)
_NEEDED_IN_SCHEDULED = ("StudyInstanceUID",)
_THERE_IN_SCHEDULED = (
    "ReferencedStudySequence",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
)
_INSTANCES = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
_NEEDED_IN_SERIES = ("ProtocolName", "SeriesInstanceUID")
_THERE_IN_SERIES = ("PerformingPhysicianName", "OperatorsName", "SeriesDescription", "RetrieveAETitle", *_INSTANCES)
_NEEDED_OF_INSTANCES = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
_LONGEST_WORD = 16


class Wrong(Exception):
    """A status that is not success, and the keyword of what is wrong."""

    def __init__(self, status: int, keyword: str) -> None:
        super().__init__(status, keyword)
        self.status, self.keyword = status, keyword


def created(ds: Dataset, source: str) -> PerformedStep:
    """The step that an N-CREATE of `source` makes. Raises Wrong."""
    _demand(ds, _NEEDED, _THERE)
    for scheduled in ds.ScheduledStepAttributesSequence:
        _demand(scheduled, _NEEDED_IN_SCHEDULED, _THERE_IN_SCHEDULED)
    _demand_series(ds)
    if str(ds.PerformedProcedureStepStatus).strip() != StepState.IN_PROGRESS:
        raise Wrong(INVALID_VALUE, "PerformedProcedureStepStatus")
    return _with(PerformedStep(source, modality=str(ds.Modality)[:_LONGEST_WORD]), ds)


def changed(step: PerformedStep, ds: Dataset) -> PerformedStep:
    """What an N-SET makes of a step. Raises Wrong."""
    if "PerformedProcedureStepStatus" in ds:
        try:
            step = replace(step, state=StepState(str(ds.PerformedProcedureStepStatus).strip()))
        except ValueError:
            raise Wrong(INVALID_VALUE, "PerformedProcedureStepStatus") from None
    try:
        _demand_series(ds)
    except Wrong as wrong:  # an N-SET knows no 0x0120 (PS3.7 10.1.3.1.9)
        raise Wrong(MISSING_VALUE, wrong.keyword) from None
    step = _with(step, ds)
    if step.state != StepState.IN_PROGRESS:
        _demand_end(step)
    return step


def _demand(ds: Dataset, needed: Iterable[str], there: Iterable[str] = ()) -> None:
    for keyword in (*needed, *there):
        if keyword not in ds:
            raise Wrong(MISSING_ATTRIBUTE, keyword)
    for keyword in needed:
        if not ds[keyword].value:
            raise Wrong(MISSING_VALUE, keyword)


def _demand_series(ds: Dataset) -> None:
    for series in ds.get("PerformedSeriesSequence") or ():
        _demand(series, _NEEDED_IN_SERIES, _THERE_IN_SERIES)
        for keyword in _INSTANCES:
            for instance in series[keyword].value or ():
                _demand(instance, _NEEDED_OF_INSTANCES)


def _demand_end(step: PerformedStep) -> None:
    """What has a value in the final state, whenever it was told. There is a series, if one without images (note 2)."""
    for is_known, keyword in (
        (step.has_end_date, "PerformedProcedureStepEndDate"),
        (step.has_end_time, "PerformedProcedureStepEndTime"),
        (step.series > 0, "PerformedSeriesSequence"),
    ):
        if not is_known:
            raise Wrong(MISSING_VALUE, keyword)


def _with(step: PerformedStep, ds: Dataset) -> PerformedStep:
    """The step with what is told now; what was told before stays where nothing is said of it."""
    if "PerformedProcedureStepEndDate" in ds:
        step = replace(step, has_end_date=bool(ds.PerformedProcedureStepEndDate))
    if "PerformedProcedureStepEndTime" in ds:
        step = replace(step, has_end_time=bool(ds.PerformedProcedureStepEndTime))
    if "PerformedSeriesSequence" not in ds:
        return step
    series = list(ds.PerformedSeriesSequence or ())
    instances = sum(len(one.get(keyword) or ()) for one in series for keyword in _INSTANCES)
    return replace(step, series=len(series), instances=instances)
