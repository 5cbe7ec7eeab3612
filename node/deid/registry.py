"""Knows which UIDs are the standard's own (PS3.6 Annex A), of the storage classes among them, and of vocabularies.

A mere prefix says nothing: devices have made instance UIDs under DICOM's root.
"""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary

DIRECTORY = "1.2.840.10008.1.3.10"
# Newer than pydicom's copy of PS3.6.
_NEWER_STORAGE = {
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}
_TRANSFER_SYNTAXES = "1.2.840.10008.1.2"
# JPEG XL and deflated frames. Of the former pynetdicom tells pydicom, where it is loaded.
_NEWER_TRANSFER = frozenset(f"{_TRANSFER_SYNTAXES}.{number}" for number in ("4.110", "4.111", "4.112", "8.1"))
_NEWER = frozenset({*_NEWER_TRANSFER, *_NEWER_STORAGE})
# Code systems that HL7 has registered: its own (5), those of others (6), value sets (11), templates (10), and the NCI
# Thesaurus. Below 3 and 4 are organizations, and numbers that they give to people.
_HL7_VOCABULARIES = tuple(f"2.16.840.1.113883.{arc}." for arc in ("5", "6", "10", "11", "3.26.1"))
# Coding Scheme UID, Context UID, Mapping Resource UID (PS3.3 8.8): what they hold names a vocabulary. One of the
# standard or of the HL7 registry says nothing of anybody; any other may be a hospital's own.
_VOCABULARY_TAGS = frozenset({0x0008010C, 0x00080117, 0x00080118})


def known_uids() -> list[str]:
    """The UIDs PS3.6 Annex A lists."""
    return [*UID_dictionary, *sorted(_NEWER - UID_dictionary.keys())]


def is_of_the_standard(uid: str) -> bool:
    """Whether PS3.6 Annex A lists the UID."""
    return uid in UID_dictionary or uid in _NEWER


def is_transfer_syntax(uid: str) -> bool:
    """Whether the UID is one of the standard's transfer syntaxes, including those newer than pydicom."""
    return uid in _NEWER_TRANSFER or (
        uid in UID_dictionary and (uid == _TRANSFER_SYNTAXES or uid.startswith(f"{_TRANSFER_SYNTAXES}."))
    )


def is_storage_class(uid: str) -> bool:
    """Whether the UID is a SOP Class by which objects are stored."""
    if uid in _NEWER_STORAGE:
        return True
    name, kind = UID_dictionary.get(uid, ("", ""))[:2]
    return kind == "SOP Class" and "Storage" in name and "Commitment" not in name and uid != DIRECTORY


def class_name(uid: str) -> str:
    """The name of a SOP Class, empty where it is not known."""
    return _NEWER_STORAGE.get(uid) or UID_dictionary.get(uid, ("",))[0]


def says_nothing(tag: int, uid: str) -> bool:
    """Whether the UID, where it stands, tells nothing of anybody and so may stay."""
    return is_of_the_standard(uid) or (tag in _VOCABULARY_TAGS and uid.startswith(_HL7_VOCABULARIES))
