"""Writes the answer to STOW-RS (PS3.18 Annex I): what was stored and where its clean form is, and what was not and why.

An item names an object by the UIDs it was sent with, so that its sender knows which one is meant; its Retrieve URL and
the Study, Series and SOP Instance UID beside it are those of the clean instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from lethe.storage.entries import DicomJson

from .identify import Identity

_DOES_NOT_MATCH = 0xB007
"""Warning Reason: the data set does not match the SOP Class (PS3.18 Table I.2-1)."""


class Failure(IntEnum):
    """Why an object was not stored (PS3.18 Table I.2-2)."""

    PROCESSING = 0x0110
    OUT_OF_RESOURCES = 0xA700
    OTHER_STUDY = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    SOP_CLASS = 0x0122
    """Nobody here knows what such an object is."""
    HELD_BACK = 0xC001
    """It cannot be proven clean, or another one was published under its UID: a person decides."""


@dataclass(frozen=True)
class Place:
    """The UIDs of a clean instance."""

    study_uid: str
    series_uid: str
    sop_uid: str


@dataclass
class Report:
    """What became of the objects of one request."""

    stored: list[tuple[Identity, Place | None]] = field(default_factory=list)
    """Without a place: taken in for good, but no clean instance is there yet."""
    failed: list[tuple[Identity, Failure]] = field(default_factory=list)
    nameless: list[Failure] = field(default_factory=list)
    """What could not even be read."""
    warnings: list[str] = field(default_factory=list)

    def fail(self, identity: Identity, why: Failure) -> None:
        """Note that an object was not stored."""
        if identity.sop_uid and identity.sop_class:
            self.failed.append((identity, why))
        else:
            self.nameless.append(why)

    @property
    def is_unreadable(self) -> bool:
        """Whether nothing of the request could even be read."""
        return bool(self.nameless) and not self.stored and not self.failed

    @property
    def status(self) -> int:
        """The status of the answer (PS3.18 Table 10.5.3-1)."""
        reasons = [*(why for _, why in self.failed), *self.nameless]
        if not self.stored:
            return 503 if reasons and set(reasons) == {Failure.OUT_OF_RESOURCES} else 409
        odd = any(who.is_odd for who, _ in self.stored)
        return 202 if reasons or self.warnings or odd else 200


def response_of(report: Report, base: str) -> DicomJson:
    """The Store Instances Response; a sequence without items is left out."""
    studies = {place.study_uid for _, place in report.stored if place} if _all_placed(report) else set()
    answer: dict[str, Any] = {"00081190": _url(f"{base}/studies/{studies.pop()}") if len(studies) == 1 else _url("")}
    sequences = {
        "00081198": [{**_reference(who), **_reason(why)} for who, why in report.failed],
        "00081199": [_stored(who, place, base) for who, place in report.stored],
        "0008119A": [_reason(why) for why in report.nameless],
    }
    return answer | {tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items}


def _all_placed(report: Report) -> bool:
    return all(place for _, place in report.stored)


def _stored(who: Identity, place: Place | None, base: str) -> DicomJson:
    return dict(sorted({**_reference(who), **_warning(who), **_placed(place, base)}.items()))


def _placed(place: Place | None, base: str) -> DicomJson:
    if place is None:
        return {"00081190": _url("")}
    path = f"studies/{place.study_uid}/series/{place.series_uid}/instances/{place.sop_uid}"
    return {
        "00080018": _uid(place.sop_uid),
        "00081190": _url(f"{base}/{path}"),
        "0020000D": _uid(place.study_uid),
        "0020000E": _uid(place.series_uid),
    }


def _reference(who: Identity) -> DicomJson:
    return {"00081150": _uid(who.sop_class), "00081155": _uid(who.sop_uid)}


def _warning(who: Identity) -> DicomJson:
    return {"00081196": {"vr": "US", "Value": [_DOES_NOT_MATCH]}} if who.is_odd else {}


def _reason(why: Failure) -> DicomJson:
    return {"00081197": {"vr": "US", "Value": [int(why)]}}


def _uid(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def _url(url: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [url]} if url else {"vr": "UR"}
