"""Modality Performed Procedure Step (PS3.4 F.7, F.8): takes the steps that modalities tell of, and says where
one stands.

Only state, modality and counts of a step are kept; who the patient is, and all else in it, is read past.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event

from lethe.storage.archive import Archive
from lethe.storage.entries import is_uid
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.performed import PerformedStep

from ..choices import Ability
from .admission import origin_of
from .errand import SYNTAXES
from .performedrules import Wrong, changed, created
from .services import Service

log = logging.getLogger("lethe.performed")

PERFORMED_STEP, RETRIEVE_STEP = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
NOT_ALL_ARE_KEPT = 0x0001  # PS3.4 F.8.2.1.4: optional attributes that are not supported
SUCCESS, PROCESSING_FAILURE, DUPLICATE, NO_SUCH_INSTANCE, INVALID_INSTANCE = 0x0000, 0x0110, 0x0111, 0x0112, 0x0117
MAY_NO_LONGER_BE_UPDATED = 0xA506  # PS3.4 Table F.7.2-4
_LONGEST_COMMENT = 64


def performed_steps(archive: Archive) -> Service:
    """N-CREATE and N-SET. Success says that the step, or its change, survives."""

    def on_create(event: Event) -> tuple[int | Dataset, Dataset | None]:
        uid, reply = created_uid(event)
        if not is_uid(uid):
            return INVALID_INSTANCE, None
        try:
            step = created(event.attribute_list, origin_of(event).source)
            added = archive.performed.add(uid, step)
        except Exception as error:
            return _status_of(error), None
        return (SUCCESS, reply) if added else (DUPLICATE, None)

    def on_set(event: Event) -> tuple[int | Dataset, Dataset | None]:
        uid = str(event.request.RequestedSOPInstanceUID)  # type: ignore[union-attr]
        try:
            ds = event.modification_list
            archive.performed.change(uid, lambda step: changed(step, ds))
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


def _status_of(error: Exception) -> int | Dataset:
    if isinstance(error, Wrong):
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
