"""Tells those who follow workitems what happened to them (PS3.4 CC.2.4): each report is a row for each of them, which
waits until a channel has brought it, whatever part is started again meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from .database import transaction
from .entries import DicomJson
from .sealing import Sealing
from .steprules import (
    PERFORMERS,
    PROGRESS,
    READINESS,
    REASON,
    REASON_CODES,
    STATE,
    STATIONS,
    UPS_PUSH,
    element,
    first_item,
    has_value,
)

WORKLIST_UID = "1.2.840.10008.5.1.4.34.5"
_CANCEL_DETAILS = (REASON, REASON_CODES, "0074100A", "0074100C")
_OF_PERFORMER = ("00404009", "00404036")
_MOST = 100


class Event(IntEnum):
    """Event Type ID (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    STATUS_CHANGE = 4
    ASSIGNED = 5


@dataclass(frozen=True)
class Report:
    """One event report for one receiver; `text` is it in DICOM JSON."""

    number: int
    text: str


def state_report(attributes: DicomJson) -> DicomJson:
    """Where a workitem stands."""
    progress = first_item(attributes, PROGRESS)
    why = {tag: progress[tag] for tag in (REASON, REASON_CODES) if has_value(progress, tag)}
    return {STATE: attributes[STATE], READINESS: attributes[READINESS], **why}


def cancel_requested(request: DicomJson, requester: str) -> DicomJson:
    """Who asks to cancel it, and why."""
    told = {tag: request[tag] for tag in _CANCEL_DETAILS if has_value(request, tag)}
    return {"00741236": element("AE", requester), **told}


def progress_report(attributes: DicomJson) -> DicomJson:
    """How far it is."""
    return {PROGRESS: attributes[PROGRESS]}


def assigned(attributes: DicomJson) -> DicomJson:
    """By what and by whom it is to be done."""
    person = first_item(attributes, PERFORMERS)
    told = {tag: attributes[tag] for tag in (STATIONS, PERFORMERS) if has_value(attributes, tag)}
    return told | {tag: person[tag] for tag in _OF_PERFORMER if has_value(person, tag)}


def restarted() -> DicomJson:
    """The service was started again, and has forgotten nothing."""
    return {
        "00741242": element("CS", "RESTARTED"),
        "00741244": element("CS", "WARM START"),
        "00741246": element("CS", "WARM START"),
    }


def going_down() -> DicomJson:
    """The service stops; what happens meanwhile is told when it is there again."""
    return {"00741242": element("CS", "GOING DOWN")}


def happened(before: DicomJson | None, after: DicomJson) -> Iterator[tuple[Event, DicomJson]]:
    """What there is to tell when a workitem was made, or changed (PS3.4 CC.2.4.3)."""
    old = before or {}
    if any(old.get(tag) != after.get(tag) for tag in (STATE, READINESS)):
        yield Event.STATE_REPORT, state_report(after)
    was_assigned, is_assigned = assigned(old), assigned(after)
    if is_assigned != was_assigned:
        yield Event.ASSIGNED, is_assigned
    if before is not None and old.get(PROGRESS) != after.get(PROGRESS) and has_value(after, PROGRESS):
        yield Event.PROGRESS_REPORT, progress_report(after)


class StepEvents:
    """The reports of one data folder."""

    def __init__(self, database: Any, sealing: Sealing, clock: Callable[[], float]) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock

    def tell(self, titles: Collection[str], event: Event, uid: str, told: DicomJson) -> None:
        """Report an event to these AE titles, inside the caller's transaction."""
        report = {
            "00000002": element("UI", UPS_PUSH),
            "00001000": element("UI", uid),
            "00001002": element("US", int(event)),
            **told,
        }
        rows = [(title, self._sealing.sealed(title, report), self._clock()) for title in titles]
        for row in rows:
            self._database.execute_sql("INSERT INTO workitem_event (title, sealed, at) VALUES (?, ?, ?)", row)

    def newest(self) -> int:
        """The number of the last report, whoever it is for; it grows with each."""
        return int(self._database.execute_sql("SELECT COALESCE(MAX(id), 0) FROM workitem_event").fetchone()[0])

    def mark(self, title: str) -> int:
        """Up to which report an AE title has them."""
        row = self._database.execute_sql("SELECT event FROM workitem_event_mark WHERE title = ?", (title,)).fetchone()
        return int(row[0]) if row else 0

    def after(self, title: str, number: int) -> list[Report]:
        """The next reports for an AE title, oldest first."""
        sql = "SELECT id, sealed FROM workitem_event WHERE title = ? AND id > ? ORDER BY id LIMIT ?"
        rows = self._database.execute_sql(sql, (title, number, _MOST)).fetchall()
        return [Report(one, _numbered(self._sealing.value(title, sealed), one)) for one, sealed in rows]

    def received(self, title: str, number: int) -> None:
        """They have reached him up to this one."""
        sql = """INSERT INTO workitem_event_mark (title, event) VALUES (?, ?)
            ON CONFLICT (title) DO UPDATE SET event = MAX(event, excluded.event)"""
        with transaction(self._database):
            self._database.execute_sql(sql, (title, number))

    def forget(self, before: float) -> None:
        """Remove what nobody has fetched by then, and what was brought long ago, inside the caller's transaction."""
        self._database.execute_sql("DELETE FROM workitem_event WHERE at < ?", (before,))


def _numbered(report: DicomJson, number: int) -> str:
    whole = report | {"00000110": element("US", number % 0xFFFF + 1)}
    return json.dumps(dict(sorted(whole.items())), separators=(",", ":"), ensure_ascii=False)
