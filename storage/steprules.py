"""Says what a workitem must have to be created, set and ended (PS3.4 Table CC.2.5-3), and why something is not done to
it (CC.2). Pure; what is wrong is said by keyword and never by value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

from .entries import DicomJson, first_text
from .errors import Refused
from .matching import keyword_of

UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
SOP_CLASS, SOP_INSTANCE, TRANSACTION = "00080016", "00080018", "00081195"
STATE, PROGRESS, PERFORMED = "00741000", "00741002", "00741216"
PRIORITY, LABEL, WORKLIST = "00741200", "00741204", "00741202"
STARTS, CHANGED, READINESS = "00404005", "00404010", "00404041"
STATIONS, PERFORMERS = "00404025", "00404034"
REASON, REASON_CODES = "00741238", "0074100E"
CANCELED_AT = "00404052"

_NEEDED = (PRIORITY, LABEL, STARTS, READINESS, STATE)
_EMPTY_AT_FIRST = (TRANSACTION, PROGRESS, PERFORMED)
_SEQUENCES = (
    *("00741210", STATIONS, "00404026", "00404027", PERFORMERS, "00404018", "00404021", "00101002", "00380014"),
    *("00081084", "0040A370", PROGRESS, PERFORMED),
)
_TEXTS = {
    **dict.fromkeys(("00100020", "00100021", "00380010", "00081080"), "LO"),
    "00100010": "PN",
    "00100030": "DA",
    "00100040": "CS",
    "0020000D": "UI",
    "00400400": "LT",
}
_MAY_BE_EMPTY = dict.fromkeys(_SEQUENCES, "SQ") | _TEXTS
_OF_PATIENT = ("00100010", "00100020", "00100021", "00100030", "00100040", "00380010", "00380014")
_NEVER_SET = {SOP_CLASS, SOP_INSTANCE, STATE, CHANGED, *_OF_PATIENT, "00081080", "00081084", "0040A370"}
_NEVER_EMPTIED = (PRIORITY, LABEL, WORKLIST, STARTS, READINESS, "00404018")
_ENUMERATED = {PRIORITY: ("HIGH", "MEDIUM", "LOW"), READINESS: ("READY", "UNAVAILABLE", "INCOMPLETE")}
_DATE_TIMES = (STARTS, "00404011", "00404008")
_DATE_TIME = re.compile(r"[0-9]{4}([0-9]{2}){0,5}(\.[0-9]{1,6})?([+-][0-9]{4})? *")
# What has to be in the Performed Procedure Sequence at its end; the last one may be there without items.
_PERFORMED = ("00404028", "00404050", "00404019", "00404051")
_OUTPUT = "00404033"
_NO_REASON_GIVEN = ("110513", "DCM", "Discontinued for unspecified reason")


class StepState(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


FINAL = (StepState.COMPLETED, StepState.CANCELED)


class Why(Enum):
    """Why something is not done; the values are the status codes of DIMSE."""

    EXISTS = 0x0111
    MALFORMED = 0x0106
    NO_LONGER = 0xC300
    NO_LOCK = (0xC301, "missing")
    WRONG_LOCK = (0xC301, "incorrect")
    IN_PROGRESS = 0xC302
    NOT_BY_ACTION = 0xC303
    NOT_FINAL = 0xC304
    NOT_SCHEDULED = 0xC309
    NOT_IN_PROGRESS = 0xC310
    COMPLETED = 0xC311
    KEPT = 0xC313
    UNSUITABLE = 0xC314
    CANCELED = 0xB304

    @property
    def status(self) -> int:
        """The status code."""
        value: int | tuple[int, str] = self.value
        return value if isinstance(value, int) else value[0]


class StepRefused(Refused):
    """A request about a workitem that is refused; `why` says by which rule."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


class Judged(StrEnum):
    """What was done with a request to change the state."""

    DONE = "done"
    ALREADY_CANCELED = "The UPS is already in the requested state of CANCELED."
    ALREADY_COMPLETED = "The UPS is already in the requested state of COMPLETED."


def moment(seconds: float) -> str:
    """A point in time, in seconds since the epoch, as DT."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S+0000")


def element(vr: str, *values: Any) -> dict[str, Any]:
    """An attribute in DICOM JSON."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def code(value: str, scheme: str, meaning: str) -> DicomJson:
    """One item of a code sequence."""
    return {"00080100": element("SH", value), "00080102": element("SH", scheme), "00080104": element("LO", meaning)}


def has_value(attributes: Mapping[str, Any], tag: str) -> bool:
    """Whether an attribute is there with a value."""
    return any(value not in (None, "", {}) for value in attributes.get(tag, {}).get("Value") or ())


def first_item(attributes: Mapping[str, Any], tag: str) -> DicomJson:
    """The first item of a sequence; empty where there is none."""
    items = attributes.get(tag, {}).get("Value") or [{}]
    return dict(items[0] or {})


def created(attributes: DicomJson, uid: str, now: str) -> tuple[DicomJson, bool]:
    """The whole workitem that is made of what was given, and whether something had to be added. Raises StepRefused."""
    _require(missing=[tag for tag in _NEEDED if not has_value(attributes, tag)])
    if first_text(attributes, STATE) != StepState.SCHEDULED:
        raise StepRefused(Why.NOT_SCHEDULED, "a new workitem has the state SCHEDULED")
    filled = [tag for tag in _EMPTY_AT_FIRST if has_value(attributes, tag)]
    if filled:
        raise StepRefused(Why.MALFORMED, f"a new workitem has no value of {_listed(filled)}")
    _check_values(attributes)
    whole = {tag: value for tag, value in attributes.items() if tag != TRANSACTION}
    added = {tag: element(vr) for tag, vr in _MAY_BE_EMPTY.items() if tag not in whole}
    if not has_value(whole, WORKLIST):
        added[WORKLIST] = element("LO", "Worklist")
    whole |= added
    whole |= {SOP_CLASS: element("UI", UPS_PUSH), SOP_INSTANCE: element("UI", uid), CHANGED: element("DT", now)}
    return whole, bool(added.keys() - {"0020000D", "00100021"})


def updated(attributes: DicomJson, changes: DicomJson, now: str) -> DicomJson:
    """The workitem after it was set. Raises StepRefused."""
    changes = {tag: value for tag, value in changes.items() if tag != TRANSACTION}
    forbidden = [tag for tag in changes if tag in _NEVER_SET and not _same(attributes, changes, tag)]
    if forbidden:
        raise StepRefused(Why.MALFORMED, f"this may not be set: {_listed(forbidden)}")
    _require(missing=[tag for tag in _NEVER_EMPTIED if tag in changes and not has_value(changes, tag)])
    _check_values(changes)
    return attributes | changes | {CHANGED: element("DT", now)}


def ended(attributes: DicomJson, state: StepState, now: str) -> DicomJson:
    """The workitem in a final state (PS3.4 CC.2.5.1.1). Raises StepRefused where something is missing for it."""
    if state == StepState.COMPLETED:
        done = first_item(attributes, PERFORMED)
        missing = [tag for tag in _PERFORMED if not has_value(done, tag)] + [
            tag for tag in (_OUTPUT,) if tag not in done
        ]
        if missing:
            raise StepRefused(Why.NOT_FINAL, f"it cannot be completed without {_listed(missing)}")
        return attributes | {STATE: element("CS", state), CHANGED: element("DT", now)}
    progress = first_item(attributes, PROGRESS)
    if not has_value(progress, CANCELED_AT):
        progress[CANCELED_AT] = element("DT", now)
    if not has_value(progress, REASON_CODES):
        progress[REASON_CODES] = element("SQ", code(*_NO_REASON_GIVEN))
    return attributes | {
        STATE: element("CS", state),
        PROGRESS: element("SQ", progress),
        CHANGED: element("DT", now),
    }


def _require(*, missing: Collection[str]) -> None:
    if missing:
        raise StepRefused(Why.MALFORMED, f"a value is missing: {_listed(missing)}")


def _check_values(attributes: DicomJson) -> None:
    for tag, allowed in _ENUMERATED.items():
        if tag in attributes and first_text(attributes, tag) not in allowed:
            raise StepRefused(Why.MALFORMED, f"{keyword_of(tag)} is one of {', '.join(allowed)}")
    for tag in _DATE_TIMES:
        if has_value(attributes, tag) and not _DATE_TIME.fullmatch(first_text(attributes, tag)):
            raise StepRefused(Why.MALFORMED, f"{keyword_of(tag)} is a date and a time")


def _same(attributes: DicomJson, changes: DicomJson, tag: str) -> bool:
    """Whether a client only repeats what is there, as one does that sends a whole workitem back."""
    return tag != STATE and (attributes.get(tag, {}).get("Value") or []) == (changes[tag].get("Value") or [])


def _listed(tags: Iterable[str]) -> str:
    return ", ".join(keyword_of(tag) for tag in tags)
