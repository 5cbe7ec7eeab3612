"""Instance Availability Notification (PS3.4 Annex R): writes ours, and takes note of those of peers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import groupby

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.events import Event

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.database import transaction
from lethe.storage.errors import Unavailable

from ..choices import Ability
from .admission import origin_of
from .errand import SYNTAXES
from .performed import created_uid
from .services import Service

log = logging.getLogger("lethe.availability")

NOTIFICATION = "1.2.840.10008.5.1.4.33"
SUCCESS, PROCESSING_FAILURE, MISSING_ATTRIBUTE = 0x0000, 0x0110, 0x0120  # PS3.7 C


def notification_of(study: str, content: Iterable[tuple[str, str, str]], ae_title: str) -> Dataset:
    """PS3.4 Table R.3.2-1: that the instances of a study (series, SOP class, instance, in order of series) can be
    retrieved from us at once."""
    ds = Dataset()
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.StudyInstanceUID = study
    ds.ReferencedSeriesSequence = []
    for series, rows in groupby(content, key=lambda row: row[0]):
        one = Dataset()
        one.SeriesInstanceUID = series
        one.ReferencedSOPSequence = [_instance(sop_class, uid, ae_title) for _, sop_class, uid in rows]
        ds.ReferencedSeriesSequence.append(one)
    return ds


def notifications(archive: Archive) -> Service:
    """N-CREATE: a peer that stores here tells what it has. That is audited; nothing else follows from it."""

    def on_create(event: Event) -> tuple[int, Dataset | None]:
        origin = origin_of(event)
        _uid, reply = created_uid(event)
        try:
            ds = event.attribute_list
            if not ds.get("StudyInstanceUID") or not ds.get("ReferencedSeriesSequence"):
                return MISSING_ATTRIBUTE, None
            instances = sum(len(one.get("ReferencedSOPSequence") or ()) for one in ds.ReferencedSeriesSequence)
            detail = {"study_instance_uid": str(ds.StudyInstanceUID), "instances": instances}
        except Exception:  # whatever pydicom raises over a data set of a peer
            return PROCESSING_FAILURE, None
        try:
            with transaction(archive.database):
                archive.audit.record(Actor(origin.source, origin.address), "availability-told", "", detail)
        except Unavailable as error:
            log.error("a notification cannot be kept now: %s", error)
            return PROCESSING_FAILURE, None
        return SUCCESS, reply

    return Service((NOTIFICATION,), SYNTAXES, Ability.STORE, {evt.EVT_N_CREATE: on_create})


def _instance(sop_class: str, uid: str, ae_title: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = uid
    item.InstanceAvailability = "ONLINE"
    item.RetrieveAETitle = ae_title
    return item
