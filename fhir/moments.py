"""Says when: DICOM date, time and zone as a FHIR dateTime with the interval it stands for, and the interval of a FHIR
search value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

from lethe.storage.matching import stored_text

from .outcome import invalid

_TIME = re.compile(r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.([0-9]+))?)?)?")
_ZONE = re.compile(r"([+-])([0-9]{2})([0-9]{2})")
_VALUE = re.compile(
    r"(?P<prefix>eq|ne|gt|ge|lt|le|sa|eb|ap)?"
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2})?(?P<fraction>\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


class Prefix(StrEnum):
    """How a search value is compared (R4 search, prefixes)."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True)
class Span:
    """From `begins` up to, and without, `ends`; both in UTC."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Days:
    """From the first to the last day, both included. Days have no time zone."""

    first: date
    last: date

    def span(self) -> Span:
        """The days in UTC."""
        return Span(_midnight(self.first), later(_midnight(self.last), timedelta(days=1)))


@dataclass(frozen=True)
class Moment:
    """A DICOM date and time: as a FHIR dateTime, and as the interval it stands for."""

    text: str
    span: Span


def moment(da: str, tm: str, zone: str) -> Moment | None:
    """The moment a date, a time and TimezoneOffsetFromUTC name; None where the date is none.

    FHIR asks for a zone once there is a time, so without a good zone it is the day, which searches read in UTC.
    """
    digits = stored_text("DA", da)
    if not digits:
        return None
    day = date.fromisoformat(digits)
    offset = _offset(zone)
    exact = _exact(day, tm, offset) if offset is not None else None
    return exact or Moment(day.isoformat(), Days(day, day).span())


def later(instant: datetime, delta: timedelta) -> datetime:
    """The sum, or the end of the calendar where it would lie outside."""
    try:
        return instant + delta
    except OverflowError:
        return _LATEST if delta > timedelta(0) else _EARLIEST


def shifted(day: date, days: int) -> date:
    """The day so many days on, or the end of the calendar where it would lie outside."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return date.max if days > 0 else date.min


def parse(text: str) -> tuple[Prefix, Days | Span]:
    """A search value. One without a time stands for whole days and is compared by the calendar, since days have no
    zone; one with a time but no zone is in UTC. Raises Problem."""
    # An unescaped + arrives as a space.
    found = _VALUE.fullmatch(text.replace(" ", "+"))
    if found is None:
        raise invalid("a date looks like 2024, 2024-01, 2024-01-31 or 2024-01-31T09:30:00Z, with a prefix such as ge")
    prefix = Prefix(found["prefix"] or "eq")
    try:
        if found["minute"]:
            return prefix, _span(found)
        return prefix, _days(found["year"], found["month"], found["day"])
    except ValueError:
        raise invalid("there is no such day or time") from None


def _span(found: re.Match[str]) -> Span:
    if found["fraction"] and not found["second"]:
        raise invalid("a fraction needs a second before it")
    day = "-".join((found["year"], found["month"], found["day"]))
    text = f"{day}T{found['minute']}{found['second'] or ':00'}"
    begins = datetime.fromisoformat(text + (found["zone"] or "Z"))
    digits = (found["fraction"] or "")[1:7]
    begins = later(_utc(begins), timedelta(microseconds=int(digits.ljust(6, "0"))))
    if digits:
        return Span(begins, later(begins, timedelta(microseconds=10 ** (6 - len(digits)))))
    return Span(begins, later(begins, timedelta(seconds=1) if found["second"] else timedelta(minutes=1)))


def _days(year: str, month: str | None, day: str | None) -> Days:
    if day:
        only = date(int(year), int(month or 1), int(day))
        return Days(only, only)
    first = date(int(year), int(month or 1), 1)
    if not month:
        return Days(first, date(first.year, 12, 31))
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1) if first < date(9999, 12, 1) else None
    return Days(first, shifted(following, -1) if following else date.max)


def _exact(day: date, tm: str, offset: timedelta) -> Moment | None:
    found = _TIME.fullmatch(tm.strip(" \0").replace(":", ""))
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3))
    digits = (found[4] or "")[:6]
    try:
        whole = 59 if second == 60 else second  # DICOM has leap seconds, Python has not
        clock = datetime(day.year, day.month, day.day, hour, minute, whole, tzinfo=timezone(offset))
    except ValueError:
        return None
    zone = "Z" if not offset else timezone(offset).tzname(None).removeprefix("UTC")
    text = clock.replace(tzinfo=None).isoformat() + (f".{digits}" if digits else "") + zone
    begins = later(_utc(clock), timedelta(microseconds=int(digits.ljust(6, "0"))))
    return Moment(text, Span(begins, later(begins, timedelta(microseconds=10 ** (6 - len(digits))))))


def _offset(zone: str) -> timedelta | None:
    found = _ZONE.fullmatch(zone.strip(" \0"))
    if found is None or int(found[3]) > 59:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    minutes = -minutes if found[1] == "-" else minutes
    return timedelta(minutes=minutes) if -12 * 60 <= minutes <= 14 * 60 else None


def _utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return _LATEST if instant.year > 1 else _EARLIEST


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
