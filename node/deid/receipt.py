"""States what was done and by which rule: in the object (PS3.15 E.1.1, PS3.3 C.12.1) and in a record beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from .profile import APPLIED, BASIC_CODE, Option, Profile
from .report import Report

_MARKS = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
_TEMPORAL = {
    Option.RETAIN_LONGITUDINAL_FULL_DATES: "UNMODIFIED",
    Option.RETAIN_LONGITUDINAL_MODIFIED_DATES: "MODIFIED",
}
_CHANGED = ("MODIFIED", "REMOVED")
LOOKED = ("113101", "Clean Pixel Data Option")
"""The code (CID 7050) of an object whose frames were looked at."""
_KNOWN = dict([BASIC_CODE, *APPLIED.values(), LOOKED])
TOLD_BEFORE = frozenset(map(tag_for_keyword, ("DeidentificationMethodCodeSequence", _MARKS[-1])))
"""What the marks depend on, where it is there already."""


def mark(header: Dataset, profile: Profile, *, looked: bool = False) -> None:
    """Write Patient Identity Removed (0012,0062), De-identification Method (0012,0063) and its Code Sequence
    (0012,0064), Longitudinal Temporal Information Modified (0028,0303) and, of an image under that option, Recognizable
    Visual Features (0028,0302) (PS3.15 E.3.2); where its frames were looked at, Burned In Annotation (0028,0301)
    (E.3.1). What was done before stays true: codes are added (PS3.15 E.1.1), and dates that were changed once are not
    called unmodified. The text of an earlier method goes, for anything may stand in it."""
    earlier, changed = _earlier_codes(header), str(header.get("LongitudinalTemporalInformationModified", "")).strip()
    for keyword in _MARKS:  # an element that is there would keep how it was encoded
        if keyword in header:
            del header[keyword]
    header.PatientIdentityRemoved = "YES"
    header.DeidentificationMethod = f"Lethe: DICOM PS3.15 {profile.edition} Basic Profile {profile.digest}"
    codes = dict([*earlier, *profile.codes(), *([LOOKED] if looked else [])])
    header.DeidentificationMethodCodeSequence = Sequence(_code(value, meaning) for value, meaning in codes.items())
    if looked:
        header.BurnedInAnnotation = "NO"
    if Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES in profile.applied and "Rows" in header:
        header.RecognizableVisualFeatures = "NO"
    temporal = [word for option, word in _TEMPORAL.items() if option in profile.applied]
    done = temporal[0] if temporal else "REMOVED"
    header.LongitudinalTemporalInformationModified = changed if done == "UNMODIFIED" and changed in _CHANGED else done


def receipt(report: Report, profile: Profile, key_id: str, looked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The record of one object: profile, edition, options, key, counts, each changed element with its rule, what was
    done to its frames."""
    codes = [value for value, _ in profile.codes()]
    record = {
        "profile": "basic",
        "profile_digest": profile.digest,
        "edition": f"PS3.15 {profile.edition}",
        "codes": codes if looked is None else [*codes, LOOKED[0]],
        "options": list(profile.applied),
        "key_id": key_id,
        "counts": {str(done): count for done, count in sorted(report.counts.items())},
        "elements": {str(done): changes for done, changes in sorted(report.changes.items())},
        "verified": True,
    }
    return record if looked is None else record | {"pixels": dict(looked)}


def _earlier_codes(header: Dataset) -> list[tuple[str, str]]:
    """What was done before, as far as it is told by codes of CID 7050."""
    told = [
        str(item.get("CodeValue", ""))
        for item in header.get("DeidentificationMethodCodeSequence") or ()
        if item.get("CodingSchemeDesignator") == "DCM"
    ]
    return [(value, _KNOWN[value]) for value in told if value in _KNOWN]


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
