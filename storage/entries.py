"""Says what the index is told of a clean instance, and what it tells of studies, series and instances.

Attributes are in the DICOM JSON model (PS3.18 Annex F): a dict from eight-digit tag to {"vr", "Value"}. One table gives
the level and column of each that can be searched for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .matching import Attribute, Column, stored_text
from .query import Level

DicomJson = dict[str, dict[str, Any]]

STUDY_ATTRIBUTES = {
    "0020000D": Attribute("StudyInstanceUID", "UI", Column("study", "uid")),
    "00100020": Attribute("PatientID", "LO", Column("study", "patient_id")),
    "00100010": Attribute("PatientName", "PN", Column("study", "patient_name")),
    "00100030": Attribute("PatientBirthDate", "DA", Column("study", "birth_date")),
    "00100040": Attribute("PatientSex", "CS", Column("study", "sex")),
    "00080020": Attribute("StudyDate", "DA", Column("study", "study_date")),
    "00080030": Attribute("StudyTime", "TM", Column("study", "study_time")),
    "00080050": Attribute("AccessionNumber", "SH", Column("study", "accession_number")),
    "00200010": Attribute("StudyID", "SH", Column("study", "study_id")),
    "00080090": Attribute("ReferringPhysicianName", "PN", Column("study", "referring_physician")),
    "00081030": Attribute("StudyDescription", "LO", Column("study", "description")),
    "00080061": Attribute("ModalitiesInStudy", "CS", Column("study", "modalities")),
}
SERIES_ATTRIBUTES = {
    "0020000E": Attribute("SeriesInstanceUID", "UI", Column("series", "uid")),
    "00080060": Attribute("Modality", "CS", Column("series", "modality")),
    "00200011": Attribute("SeriesNumber", "IS", Column("series", "number")),
    "0008103E": Attribute("SeriesDescription", "LO", Column("series", "description")),
    "00180015": Attribute("BodyPartExamined", "CS", Column("series", "body_part")),
    "00080021": Attribute("SeriesDate", "DA", Column("series", "series_date")),
    "00080031": Attribute("SeriesTime", "TM", Column("series", "series_time")),
    "00400244": Attribute("PerformedProcedureStepStartDate", "DA", Column("series", "pps_date")),
    "00400245": Attribute("PerformedProcedureStepStartTime", "TM", Column("series", "pps_time")),
}
INSTANCE_ATTRIBUTES = {
    "00080018": Attribute("SOPInstanceUID", "UI", Column("instance", "uid")),
    "00080016": Attribute("SOPClassUID", "UI", Column("instance", "sop_class")),
    "00200013": Attribute("InstanceNumber", "IS", Column("instance", "number")),
}
COUNTS: dict[str, tuple[Level, Attribute]] = {
    "00201206": (Level.STUDY, Attribute("NumberOfStudyRelatedSeries", "IS", Column("study", "series"))),
    "00201208": (Level.STUDY, Attribute("NumberOfStudyRelatedInstances", "IS", Column("study", "instances"))),
    "00201209": (Level.SERIES, Attribute("NumberOfSeriesRelatedInstances", "IS", Column("series", "instances"))),
    "00080062": (Level.STUDY, Attribute("SOPClassesInStudy", "UI", Column("instance", "sop_class"))),
}
"""What no object says of itself, and can be searched for all the same."""
SEARCHABLE: dict[str, tuple[Level, Attribute]] = {
    **{tag: (Level.STUDY, attribute) for tag, attribute in STUDY_ATTRIBUTES.items()},
    **{tag: (Level.SERIES, attribute) for tag, attribute in SERIES_ATTRIBUTES.items()},
    **{tag: (Level.INSTANCE, attribute) for tag, attribute in INSTANCE_ATTRIBUTES.items()},
    **COUNTS,
}
"""Tag to level and attribute of everything that a column answers; the rest is matched by `holding.py`."""

# Attributes of the Patient and Study (PS3.3 C.7.1, C.7.2) and Series (C.7.3.1) modules that are remembered at
# their level beside the searchable ones, so that `includefield` can return them.
STUDY_TAGS = frozenset(STUDY_ATTRIBUTES) | frozenset(
    "00080005 00080201 00080051 00081032 00081048 00081060 00081080 00081084 00080096 0008009C 00100021 00100032 "
    "00101010 00101020 00101030 00102160 00102180 001021B0 001021C0 00104000 00101040 00120010 00120020 00120030 "
    "00120031 00120040 00120042 00120050 00120051 00120062 00120063 00120064 00321032 00321033 00321060".split()
)
SERIES_TAGS = frozenset(SERIES_ATTRIBUTES) | frozenset(
    "00080070 00081010 00081040 00081050 00081070 00081090 00080080 00180015 00181000 00181020 00181030 00185100 "
    "00200052 00200060 00201040 00400253 00400254 00400260 00400275 00081111 00081115 0008103F 00280303".split()
)

PATIENT_TAGS = frozenset(
    "00100010 00100020 00100021 00100030 00100032 00100040 00102160 00104000 00120010 00120020 00120030 00120031 "
    "00120040 00120042 00120062 00120063 00120064".split()
)
"""Those of the study's that are the patient's (PS3.3 C.7.1)."""


def level_of(tag: str) -> Level:
    """The level at which the index keeps an attribute; INSTANCE for whatever it does not know."""
    if tag in SEARCHABLE:
        return SEARCHABLE[tag][0]
    return Level.STUDY if tag in STUDY_TAGS else Level.SERIES if tag in SERIES_TAGS else Level.INSTANCE


@dataclass(frozen=True)
class Entry:
    """One patient, study, series or instance. `attributes` holds those of its level and of the levels above,
    computed ones included; the UIDs below its level are empty. `updated` is in seconds since the epoch."""

    level: Level
    study_uid: str
    attributes: DicomJson
    updated: float
    series_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    transfer_syntax: str = ""
    project: str = ""
    file: str = ""
    size: int = 0

    def text(self, tag: str) -> str:
        """The first value of an attribute as text; empty where it has none."""
        return first_text(self.attributes, tag)


@dataclass(frozen=True)
class CleanInstance:
    """What the index is told of a published instance: its attributes without bulk data, the file that holds it, and
    the receipt of its de-identification."""

    metadata: DicomJson
    transfer_syntax: str
    project: str
    file: str
    size: int = 0
    receipt: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def sop_uid(self) -> str:
        return first_text(self.metadata, "00080018")


def receipt_text(receipt: Mapping[str, Any]) -> str:
    """A receipt in its one canonical form, in which it is stored: JSON, sorted keys, no spaces, ASCII."""
    return json.dumps(dict(receipt), separators=(",", ":"), sort_keys=True)


def receipt_digest(text: str) -> str:
    """SHA-256 of a stored receipt, as the audit trail has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def first_text(attributes: DicomJson, tag: str) -> str:
    """The first value of a DICOM JSON attribute as text; for a person name its alphabetic group. Empty if none."""
    values = attributes.get(tag, {}).get("Value") or [""]
    value = values[0]
    if isinstance(value, dict):
        value = value.get("Alphabetic") or next(iter(value.values()), "")
    return "" if value is None else str(value)


def is_uid(text: str) -> bool:
    """Whether the text has the form of a UID (PS3.5 9.1), leading zeros tolerated as they occur."""
    return 0 < len(text) <= 64 and all(part.isdigit() and part.isascii() for part in text.split("."))


def columns_of(attributes: Mapping[str, Attribute], metadata: DicomJson) -> dict[str, Any]:
    """The values of the columns of these attributes."""
    columns: dict[str, Any] = {}
    for tag, attribute in attributes.items():
        text = stored_text(attribute.vr, first_text(metadata, tag))
        columns[attribute.column.name] = integer(text) if attribute.vr == "IS" else text
    return columns


def integer(text: str) -> int | None:
    """The whole number a text stands for, if a database can hold it."""
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**63 else None


def is_small(element: Mapping[str, Any]) -> bool:
    """Whether an element is worth keeping with each search result."""
    return "BulkDataURI" not in element and "InlineBinary" not in element and len(element.get("Value", ())) <= 16
