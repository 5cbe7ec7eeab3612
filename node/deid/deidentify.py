"""Cleans one object: admit, pixels, header, mark, verify, in this order.

Pixels come before the header because rules about pixels read attributes that will be gone. The same object, profile
and key give the same bytes, wherever and whenever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import UID

from .collect import collect_terms
from .elements import texts
from .errors import CannotClean
from .header import HeaderCleaner
from .iod import types_of
from .part10 import Part10, encoded_header, read_part10, write_part10
from .pixels import may_carry_text
from .profile import Profile
from .pseudonyms import Pseudonyms
from .receipt import mark, receipt
from .report import Report
from .verify import Verifier

PixelRule = Callable[[Dataset, str], str | None]
"""Given header and transfer syntax: why the object is refused for what its pixels may carry, or None."""

_PIECE = 1 << 20
_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Cleaned:
    """A clean object: its header, how it is encoded, its bytes (to be had while the source's file is open), the record
    of what was done, and, for those who may know, which UIDs and Patient ID became which."""

    header: Dataset
    source: Part10
    chunks: Callable[[], Iterator[bytes]]
    receipt: dict[str, Any]
    uids: dict[str, str]
    patients: dict[str, str]


def pass_pixels(_header: Dataset, _transfer_syntax: str) -> None:
    """The rule of a project that says `pixel_policy = "none"`: pixels are nobody's business."""


def deidentify(
    file: BinaryIO, profile: Profile, pseudonyms: Pseudonyms, pixel_rule: PixelRule = may_carry_text
) -> Cleaned:
    """Clean the object in an open Part 10 file. Raises CannotClean with the reason where it is not possible."""
    source = read_part10(file)
    header = source.header
    sop_class = admit(header)
    why = pixel_rule(header, source.transfer_syntax)
    if why:
        raise CannotClean(why)
    terms, report, patient_id = collect_terms(header, profile), Report(), _single(header, "PatientID")
    HeaderCleaner(profile, pseudonyms, types_of(sop_class), terms, _patient(header), report).clean(header)
    mark(header, profile)
    implicit, little = header.original_encoding
    Verifier(terms).check(encoded_header(header, source), implicit=bool(implicit), little=bool(little))
    return Cleaned(
        header,
        source,
        lambda: write_part10(header, source),
        receipt(report, profile, pseudonyms.key_id),
        uids={uid: pseudonyms.uid(uid) for uid in terms.uids},
        patients={patient_id: pseudonyms.patient_id(patient_id)} if patient_id else {},
    )


def pass_through(file: BinaryIO) -> Cleaned:
    """The object as it is, for a project that says `profile = "none"`. Raises CannotClean where it is no object."""
    source = read_part10(file)
    admit(source.header)

    def chunks() -> Iterator[bytes]:
        file.seek(0)
        return iter(lambda: file.read(_PIECE), b"")

    return Cleaned(source.header, source, chunks, {"profile": "none"}, {}, {})


def admit(header: Dataset) -> str:
    """The object's SOP Class UID. Raises CannotClean for what is no storage object of the standard."""
    values = {keyword: _single(header, keyword) for keyword in _DEMANDED}
    for keyword, value in values.items():
        if not value:
            raise CannotClean(f"{_DEMANDED[keyword]} is missing or empty")
    sop_class = values["SOPClassUID"]
    if sop_class == _DIRECTORY:
        raise CannotClean("a DICOMDIR: send the objects it lists, not the directory")
    name = UID(sop_class).name
    if "Storage" not in name or UID(sop_class).type != "SOP Class":
        raise CannotClean("its SOP Class (0008,0016) is not a storage class of the standard")
    return sop_class


_DEMANDED = {
    "SOPClassUID": "SOP Class UID (0008,0016)",
    "SOPInstanceUID": "SOP Instance UID (0008,0018)",
    "StudyInstanceUID": "Study Instance UID (0020,000D)",
    "SeriesInstanceUID": "Series Instance UID (0020,000E)",
}


def _single(header: Dataset, keyword: str) -> str:
    """The one value of an attribute, without padding; empty where it has none or cannot be read."""
    try:
        values = texts(header[keyword])
    except Exception:
        return ""
    return values[0] if len(values) == 1 else ""


def _patient(header: Dataset) -> str:
    """What stands for the patient: the ID, else the name, else the study, so that what belongs together stays so."""
    return next(value for value in (_single(header, keyword) for keyword in _PATIENT) if value)


_PATIENT = ("PatientID", "PatientName", "StudyInstanceUID")
