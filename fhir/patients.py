"""Knows which Patients the index implies: one for each pseudonymous PatientID, and one for each study without any."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from lethe.storage.entries import Entry
from lethe.storage.index import Index
from lethe.storage.matching import stored_text
from lethe.storage.query import Equals, Level, Order, Query

_PATIENT_ID = "00100020"
_STUDY_UID = "0020000D"


@dataclass(frozen=True)
class PatientKey:
    """What makes a Patient: its PatientID or, where that is empty, its only study."""

    patient_id: str
    study_uid: str = ""

    @property
    def id(self) -> str:
        """The FHIR id. It stands in addresses and so in logs, hence a digest."""
        kind, value = ("patient", self.patient_id) if self.patient_id else ("study", self.study_uid)
        return hashlib.sha256(f"{kind}\0{value}".encode(errors="surrogatepass")).hexdigest()[:32]

    @property
    def term(self) -> Equals:
        """The condition that a study is of this patient."""
        return Equals(_PATIENT_ID, (self.patient_id,)) if self.patient_id else Equals(_STUDY_UID, (self.study_uid,))


def patient_of(study: Entry) -> PatientKey:
    """The patient of a study."""
    patient_id = stored_text("LO", study.text(_PATIENT_ID))
    return PatientKey(patient_id) if patient_id else PatientKey("", study.study_uid)


def all_patients(index: Index) -> list[PatientKey]:
    """Every patient, by id, so that each stands where it stood, whoever comes or goes."""
    keys = [PatientKey(value) for value in index.values(_PATIENT_ID)]
    without_id = index.find(Query(Level.STUDY, (Equals(_PATIENT_ID, ("",)),)))
    keys += [PatientKey("", study.study_uid) for study in without_id]
    return sorted(keys, key=lambda key: key.id)


def patients_with_ids(index: Index, ids: Iterable[str]) -> list[PatientKey]:
    """The patients that have one of these FHIR ids."""
    wanted = frozenset(ids)
    return [key for key in all_patients(index) if key.id in wanted] if wanted else []


def latest_study(index: Index, key: PatientKey) -> Entry | None:
    """The patient's study that changed last; it speaks for the patient. None where the last one was withdrawn."""
    return next(iter(index.find(Query(Level.STUDY, (key.term,), limit=1, order=Order.NEWEST))), None)
