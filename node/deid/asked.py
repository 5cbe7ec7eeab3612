"""Lists what of an object may be pseudonyms: study and patient it is about, every UID, and words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .elements import BULK_VRS, TEXT_VRS, decoded, joined, texts
from .identity import who
from .tags import ACCESSION_NUMBER, PATIENT_ID, PATIENT_NAME
from .traverse import elements_of

NAME, ID, ACCESSION, OTHER_IDS = Tag(PATIENT_NAME), Tag(PATIENT_ID), Tag(ACCESSION_NUMBER), Tag(0x00101000)
_STUDY = Tag(0x0020000D)
# Bounded, so that a long run of digits takes no longer to read than any other text.
UID = re.compile(r"(?<![0-9])[0-9]{1,64}(?:\.[0-9]{1,64})+")
UID_IN_BYTES = re.compile(rb"(?<![0-9])[0-9]{1,64}(?:\.[0-9]{1,64})+")
_MADE = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{16}(?![A-Za-z0-9])")
"""A pseudonym as `pseudonyms.py` makes them. Trial IDs of a list may look like anything."""
_LONGEST = 64
_PRINTABLE = re.compile(rb"[\x20-\x7e]*\x00?")


@dataclass(frozen=True)
class Asked:
    """What of an object may be pseudonyms: study and patient it is about, every UID, and words."""

    study: str
    patient: str
    uids: frozenset[str]
    words: frozenset[str]


def asked_of(header: Dataset) -> Asked:
    """What of the object may be pseudonyms. Raises CannotClean where something in it cannot be read."""
    uids: set[str] = set()
    words: set[str] = set()
    for ds, tag, vr, path in elements_of(header):
        if vr in BULK_VRS or vr == "UN":
            value = decoded(ds, tag, path).value
            if isinstance(value, bytes):
                uids.update(match[0].decode() for match in UID_IN_BYTES.finditer(value))
                words.update(_MADE.findall(printed(value)))
        elif vr == "UI" or vr in TEXT_VRS:
            for text in texts(decoded(ds, tag, path)):
                uids.update(UID.findall(text))
                words.update(_MADE.findall(text))
                if vr == "PN" or tag in (ID, ACCESSION, OTHER_IDS):
                    words.update((text, *components(text)))
    study = joined(texts(decoded(header, _STUDY, ())))
    return Asked(study, who(header), frozenset(filter(_is_short, uids)), frozenset(filter(_is_short, words)))


def printed(value: bytes) -> str:
    """Bytes that are plain text and nothing else, as text; empty for all others."""
    return value.rstrip(b"\0").decode("ascii") if _PRINTABLE.fullmatch(value) else ""


def components(name: str) -> list[str]:
    """The parts of a person name (PS3.5 6.2.1)."""
    return [part.strip() for part in re.split(r"[\^=]", name) if part.strip()]


def _is_short(value: str) -> bool:
    """Whether a value is one that a pseudonym could be (PS3.5 6.2: UI and LO)."""
    return 0 < len(value) <= _LONGEST
