"""Takes from an object, before it is cleaned, what its study needs to be given its patient again: the attributes of
patient and study by which a PACS files what it gets (PS3.3 C.7.1.1, C.7.2.1), and its dates.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .elements import decoded, joined, said, texts, vr_of
from .errors import CannotClean
from .report import place
from .tags import PATIENT_ID, PATIENT_NAME

IDENTITY_TAGS = tuple(
    map(
        Tag,
        (
            0x00080020,  # Study Date
            0x00080030,  # Study Time
            0x00080050,  # Accession Number
            0x00080051,  # Issuer of Accession Number Sequence
            0x00080090,  # Referring Physician's Name
            0x00081030,  # Study Description
            0x00100010,  # Patient's Name
            0x00100020,  # Patient ID
            0x00100021,  # Issuer of Patient ID
            0x00100024,  # Issuer of Patient ID Qualifiers Sequence
            0x00100030,  # Patient's Birth Date
            0x00100032,  # Patient's Birth Time
            0x00100040,  # Patient's Sex
            0x00200010,  # Study ID
        ),
    )
)
BY_NAME = "\\"
"""Separates values (PS3.5 6.4), so that none begins with it."""
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@dataclass(frozen=True)
class Identity:
    """Original attributes as DICOM JSON, the days (YYYYMMDD) that occur, and by how many days dates were moved."""

    attributes: dict[str, dict[str, Any]]
    dates: frozenset[str]
    days: int


def identity_of(header: Dataset) -> dict[str, dict[str, Any]]:
    """The attributes of patient and study that stand in an object, as DICOM JSON (PS3.18 F). Raises CannotClean."""
    return {f"{int(tag):08X}": _json(header, tag) for tag in IDENTITY_TAGS if tag in header}


def who(header: Dataset) -> str:
    """What a clean object calls its patient: the ID, else the name, marked so that no ID can be taken for it."""
    patient_id, name = (joined(said(header, tag)) for tag in (_ID, _NAME))
    return patient_id or (f"{BY_NAME}{name}" if name else "")


_ID, _NAME = Tag(PATIENT_ID), Tag(PATIENT_NAME)


def _json(header: Dataset, tag: Any) -> dict[str, Any]:
    vr, element = vr_of(header, tag), decoded(header, tag, ())
    if vr == "SQ":
        try:
            # A copy: pydicom decodes what it tells of, and the object itself must leave as it came.
            return {"vr": vr, "Value": [deepcopy(item).to_json_dict() for item in element.value or ()]}
        except Exception as error:
            raise CannotClean(f"{place((), tag)}: its items cannot be read ({type(error).__name__})") from None
    values = texts(element)
    if vr == "PN":
        return {"vr": vr, "Value": [dict(zip(_NAME_GROUPS, name.split("="), strict=False)) for name in values]}
    return {"vr": vr, "Value": values}
