"""Modality Performed Procedure Step (PS3.4 F.7, F.8): takes the steps that modalities tell of, and says where
one stands.

Only state, modality and counts of a step are kept; who the patient is, and all else in it, is read past.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event

from lethe.storage.archive import Archive
from lethe.storage.entries import is_uid
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.performed import PerformedStep, StepState

from ..choices import Ability
from .admission import origin_of
from .errand import SYNTAXES
from .services import Service

log = logging.getLogger("lethe.performed")

PERFORMED_STEP, RETRIEVE_STEP = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
NOT_ALL_ARE_KEPT = 0x0001  # PS3.4 F.8.2.1.4: optional attributes that are not supported
SUCCESS, INVALID_VALUE, PROCESSING_FAILURE, DUPLICATE = 0x0000, 0x0106, 0x0110, 0x0111  # PS3.7 C
NO_SUCH_INSTANCE, INVALID_INSTANCE, MISSING_ATTRIBUTE, MISSING_VALUE = 0x0112, 0x0117, 0x0120, 0x0121
MAY_NO_LONGER_BE_UPDATED = 0xA506  # PS3.4 Table F.7.2-4
# PS3.4 Table F.7.2-1, N-CREATE: usage 1/1 must be there and have a value, usage 2/2 must be there (PS3.4 5.4.2.1).
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
_LONGEST_WORD, _LONGEST_COMMENT = 16, 64


class _Wrong(Exception):
    """A status that is not success, and the keyword of what is wrong."""

    def __init__(self, status: int, keyword: str) -> None:
        super().__init__(status, keyword)
        self.status, self.keyword = status, keyword


def performed_steps(archive: Archive) -> Service:
    """N-CREATE and N-SET. Success says that the step, or its change, survives."""

    def on_create(event: Event) -> tuple[int | Dataset, Dataset | None]:
        uid, reply = created_uid(event)
        if not is_uid(uid):
            return INVALID_INSTANCE, None
        try:
            step = _created(event.attribute_list, origin_of(event).source)
            added = archive.performed.add(uid, step)
        except Exception as error:
            return _status_of(error), None
        return (SUCCESS, reply) if added else (DUPLICATE, None)

    def on_set(event: Event) -> tuple[int | Dataset, Dataset | None]:
        uid = str(event.request.RequestedSOPInstanceUID)  # type: ignore[union-attr]
        try:
            ds = event.modification_list
            archive.performed.change(uid, lambda step: _changed(step, ds))
        except Refused:
            return _over(), None
        except Exception as error:
            return _status_of(error), None
        return SUCCESS, None

    return Service((PERFORMED_STEP,), SYNTAXES, Ability.MPPS, {evt.EVT_N_CREATE: on_create, evt.EVT_N_SET: on_set})


def retrieved_steps(archive: Archive) -> Service:
    """N-GET of what is kept of a step."""

    def on_get(event: Event) -> tuple[int | Dataset, Dataset | None]:
        uid = str(event.request.RequestedSOPInstanceUID)  # type: ignore[union-attr]
        try:
            return _told(archive.performed.get(uid), frozenset(event.attribute_identifiers))
        except Exception as error:
            return _status_of(error), None

    return Service((RETRIEVE_STEP,), SYNTAXES, Ability.MPPS, {evt.EVT_N_GET: on_get})


def created_uid(event: Event) -> tuple[str, Dataset | None]:
    """The SOP Instance UID of what an N-CREATE makes, and, where the peer named none, what tells it of ours."""
    named = str(event.request.AffectedSOPInstanceUID or "")  # type: ignore[union-attr]
    if named:
        return named, None
    reply = Dataset()
    reply.AffectedSOPInstanceUID = uid = generate_uid(prefix=None)
    return uid, reply


def _told(step: PerformedStep, asked: Collection[BaseTag]) -> tuple[int, Dataset]:
    """Of a step what is asked for and kept; all that is kept where nothing is named."""
    kept = Dataset()
    kept.Modality = step.modality
    kept.PerformedProcedureStepStatus = str(step.state)
    answer = Dataset({tag: element for tag, element in kept.items() if not asked or tag in asked})
    return (SUCCESS if len(answer) == len(asked) or not asked else NOT_ALL_ARE_KEPT), answer


def _created(ds: Dataset, source: str) -> PerformedStep:
    for keyword in _NEEDED:
        _demand_value(ds, keyword)
    for keyword in _THERE:
        _demand(ds, keyword)
    for scheduled in ds.ScheduledStepAttributesSequence:
        _demand_value(scheduled, "StudyInstanceUID")
        for keyword in _THERE_IN_SCHEDULED:
            _demand(scheduled, keyword)
    if str(ds.PerformedProcedureStepStatus).strip() != StepState.IN_PROGRESS:
        raise _Wrong(INVALID_VALUE, "PerformedProcedureStepStatus")
    return _counted(PerformedStep(source, modality=str(ds.Modality)[:_LONGEST_WORD]), ds)


def _demand(ds: Dataset, keyword: str) -> None:
    if keyword not in ds:
        raise _Wrong(MISSING_ATTRIBUTE, keyword)


def _demand_value(ds: Dataset, keyword: str) -> None:
    _demand(ds, keyword)
    if not ds[keyword].value:
        raise _Wrong(MISSING_VALUE, keyword)


def _changed(step: PerformedStep, ds: Dataset) -> PerformedStep:
    if "PerformedProcedureStepStatus" in ds:
        try:
            step = replace(step, state=StepState(str(ds.PerformedProcedureStepStatus).strip()))
        except ValueError:
            raise _Wrong(INVALID_VALUE, "PerformedProcedureStepStatus") from None
    return _counted(step, ds)


def _counted(step: PerformedStep, ds: Dataset) -> PerformedStep:
    """The step with the series and instances it names now; those it named before stay where it names none."""
    if "PerformedSeriesSequence" not in ds:
        return step
    series = list(ds.PerformedSeriesSequence or ())
    instances = sum(len(one.get(keyword) or ()) for one in series for keyword in _INSTANCES)
    return replace(step, series=len(series), instances=instances)


def _status_of(error: Exception) -> int | Dataset:
    if isinstance(error, _Wrong):
        log.warning("a procedure step is refused: 0x%04X, %s", error.status, error.keyword)
        ds = Dataset()
        ds.Status = error.status
        ds.ErrorComment = error.keyword[:_LONGEST_COMMENT]
        return ds
    if isinstance(error, NotFound):
        return NO_SUCH_INSTANCE
    if isinstance(error, Unavailable):
        log.error("a procedure step cannot be kept now: %s", error)
    else:  # whatever pydicom raises over a data set of a peer
        log.warning("a procedure step cannot be read: %s", type(error).__name__)
    return PROCESSING_FAILURE


def _over() -> Dataset:
    ds = Dataset()
    ds.Status = PROCESSING_FAILURE
    ds.ErrorComment = "Performed Procedure Step Object may no longer be updated"
    ds.ErrorID = MAY_NO_LONGER_BE_UPDATED
    return ds
