"""Counts what no object says of itself and a query wants to know all the same (PS3.4 C.3.4): how much a patient has,
and which SOP Classes a study. One statement answers for a whole page of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from peewee import fn

from .entries import DicomJson, Entry
from .indextables import IndexTables

_OF_PATIENT = ("00201200", "00201202", "00201204")
_SOP_CLASSES = "00080062"
COUNTED = frozenset((*_OF_PATIENT, _SOP_CLASSES))
"""NumberOfPatientRelatedStudies, -Series and -Instances, and SOPClassesInStudy."""


class Computed:
    """Adds counted attributes to entries that were read."""

    def __init__(self, tables: IndexTables) -> None:
        self._tables = tables

    def added(self, entries: Sequence[Entry], tags: frozenset[str]) -> list[Entry]:
        """The same entries with those of the tags that are counted here; a patient has no study's."""
        patients = self._patients({entry.text("00100020") for entry in entries}) if tags & {*_OF_PATIENT} else {}
        classes = self._classes({entry.study_uid for entry in entries} - {""}) if _SOP_CLASSES in tags else {}
        return [
            replace(
                entry,
                attributes=entry.attributes
                | patients.get(entry.text("00100020"), {})
                | (
                    {_SOP_CLASSES: {"vr": "UI", "Value": classes[entry.study_uid]}}
                    if entry.study_uid in classes
                    else {}
                ),
            )
            for entry in entries
        ]

    def _patients(self, ids: set[str]) -> dict[str, DicomJson]:
        study = self._tables.study
        columns = study.patient_id, fn.COUNT(study.id), fn.SUM(study.series), fn.SUM(study.instances)
        found = study.select(*columns).where(study.patient_id << sorted(ids)).group_by(study.patient_id).tuples()
        return {
            patient: {tag: {"vr": "IS", "Value": [number]} for tag, number in zip(_OF_PATIENT, numbers, strict=True)}
            for patient, *numbers in found
        }

    def _classes(self, uids: set[str]) -> dict[str, list[str]]:
        study, series, instance = self._tables.study, self._tables.series, self._tables.instance
        select: Any = study.select(study.uid, instance.sop_class).join(series, on=(series.study == study.id))
        select = select.join(instance, on=(instance.series == series.id)).where(study.uid << sorted(uids)).distinct()
        classes: dict[str, list[str]] = {}
        for uid, sop_class in select.order_by(study.id, instance.sop_class).tuples():
            classes.setdefault(uid, []).append(sop_class)
        return classes
