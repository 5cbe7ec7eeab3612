"""Cleans one object: admit, faces, frames, document, header, verify, mark, in this order.

Pixels come before the header because rules about pixels read attributes that will be gone. The same object, profile
and key give the same bytes, wherever and whenever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import BinaryIO

from pydicom.dataset import Dataset

from .cleaned import Cleaned, InstanceUids
from .collect import collect_terms
from .decisions import Decisions
from .documents import DocumentRule, opened_document, put_document, refuse_documents
from .elements import joined, said
from .errors import CannotClean
from .faces import FaceRule, refuse_faces
from .frames import FrameRule, leave_frames
from .header import HeaderCleaner
from .identity import Identity, identity_of
from .iod import types_of
from .part10 import encoded_header, header_as_it_came, read_part10, write_part10
from .pixels import may_carry_text
from .profile import Option, Profile
from .pseudonyms import Pseudonyms
from .receipt import mark, receipt
from .registry import is_storage_class
from .report import Report
from .tags import ACCESSION_NUMBER, PATIENT_ID
from .text import text_cleaner
from .values import ValueCleaner
from .verify import Verifier

PixelRule = Callable[[Dataset, str, Collection[Option]], str | None]
"""Given header, transfer syntax and options: why the object is refused for what it may carry beside the header, or
None."""

_PIECE = 1 << 20


def pass_pixels(_header: Dataset, _transfer_syntax: str, _options: Collection[Option] = ()) -> None:
    """The rule of a project that says `pixel_policy = "none"`: pixels are nobody's business."""


def deidentify(
    file: BinaryIO,
    profile: Profile,
    pseudonyms: Pseudonyms,
    pixel_rule: PixelRule = may_carry_text,
    document_rule: DocumentRule = refuse_documents,
    face_rule: FaceRule = refuse_faces,
    frame_rule: FrameRule = leave_frames,
) -> Cleaned:
    """Clean the object in an open Part 10 file. Raises CannotClean with the reason where it is not possible."""
    source = came = read_part10(file)
    header = source.header
    sop_class = admit(header)
    if Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in profile.applied:
        source = face_rule(file, came)
    why = pixel_rule(header, source.transfer_syntax, profile.applied)
    if why:
        raise CannotClean(why)
    terms, report, patient_id = collect_terms(header, profile), Report(), _value(header, "PatientID")
    looked = frame_rule(source, terms)
    source, header = looked.source, looked.source.header
    attributes, patient = identity_of(header), patient_of(header)
    document = opened_document(header, sop_class, document_rule)
    if document:
        document.note_names(terms)
    decisions = Decisions(profile, types_of(sop_class), overlays=looked.overlays)
    values = ValueCleaner(decisions, pseudonyms, terms, patient, report)
    HeaderCleaner(values).clean(header)
    made = document.rewritten(text_cleaner(profile, terms, pseudonyms.days(patient)), pseudonyms) if document else None
    if made:
        put_document(header, made)
    implicit, little = header.original_encoding
    # Before the marks: their words are ours, and a patient may be called like one of them.
    safe_private, words = Option.RETAIN_SAFE_PRIVATE in profile.applied, made.words if made else None
    verifier = Verifier(terms, values.made, keeps_safe_private=safe_private, document_words=words)
    verifier.check(encoded_header(header, source.transfer_syntax), implicit=bool(implicit), little=bool(little))
    mark(header, profile, looked=looked.record is not None)
    body, instance = encoded_header(header, source.transfer_syntax), instance_of(header)
    return Cleaned(
        instance,
        lambda: header,
        source,
        lambda: write_part10(body, source, instance.sop_class, instance.sop_uid),
        receipt(report, profile, pseudonyms.key_id, looked.record) | ({"document": dict(made.counts)} if made else {}),
        uids={uid: pseudonyms.uid(uid) for uid in sorted(terms.uids)},
        patients={patient_id: pseudonyms.patient_id(patient_id)} if patient_id else {},
        accessions=replaced(values.replaced, ACCESSION_NUMBER),
        others={old: new for old, new in replaced(values.replaced, PATIENT_ID).items() if old != patient_id},
        identity=Identity(attributes, terms.days, days_moved(profile, pseudonyms, patient)),
        before=lambda: header_as_it_came(came),
    )


def pass_through(file: BinaryIO) -> Cleaned:
    """The object as it is, for a project that says `profile = "none"`. Raises CannotClean where it is no object."""
    source = read_part10(file)
    admit(source.header)

    def chunks() -> Iterator[bytes]:
        file.seek(0)
        return iter(lambda: file.read(_PIECE), b"")

    return Cleaned(instance_of(source.header), lambda: source.header, source, chunks, {"profile": "none"}, {}, {})


def admit(header: Dataset) -> str:
    """The object's SOP Class UID. Raises CannotClean for what is no storage object of the standard."""
    if _DIRECTORY_RECORDS in header:
        raise CannotClean("a DICOMDIR: send the objects it lists, not the directory")
    values = {keyword: _value(header, keyword) for keyword in _DEMANDED}
    for keyword, value in values.items():
        if not value:
            raise CannotClean(f"{_DEMANDED[keyword]} is missing or empty")
        if "\\" in value:
            raise CannotClean(f"{_DEMANDED[keyword]} has several values")
    if not is_storage_class(values["SOPClassUID"]):
        raise CannotClean("its SOP Class (0008,0016) is not a storage class of the standard")
    return values["SOPClassUID"]


_DIRECTORY_RECORDS = 0x00041220
_DEMANDED = {
    "SOPClassUID": "SOP Class UID (0008,0016)",
    "SOPInstanceUID": "SOP Instance UID (0008,0018)",
    "StudyInstanceUID": "Study Instance UID (0020,000D)",
    "SeriesInstanceUID": "Series Instance UID (0020,000E)",
}


def _value(header: Dataset, keyword: str) -> str:
    """The value of an attribute as pseudonyms are made from it; empty where it has none. Raises CannotClean."""
    return joined(said(header, keyword))


def replaced(all_replaced: Mapping[tuple[int, str], str], attribute: int) -> dict[str, str]:
    """What became what in one attribute, at every depth."""
    return {old: new for (tag, old), new in all_replaced.items() if tag == attribute}


def days_moved(profile: Profile, pseudonyms: Pseudonyms, patient: str) -> int:
    """By how many days the patient's dates are moved in the result."""
    return pseudonyms.days(patient) if Option.RETAIN_LONGITUDINAL_MODIFIED_DATES in profile.applied else 0


def instance_of(header: Dataset) -> InstanceUids:
    """Which object it is."""
    return InstanceUids(*(_value(header, keyword) for keyword in _INSTANCE))


def patient_of(header: Dataset) -> str:
    """What stands for the patient: the ID, else the name, else the study, so that what belongs together stays so."""
    return next(value for value in (_value(header, keyword) for keyword in _PATIENT) if value)


_INSTANCE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_PATIENT = ("PatientID", "PatientName", "StudyInstanceUID")
