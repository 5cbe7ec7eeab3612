"""Reads a DICOM date-time, or a range of them, as the first and the last instant that it takes in (PS3.5 6.2, DT)."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta

from .errors import Refused

_ONE = r"[0-9]{4}(?:[0-9]{2}){0,5}(?:\.[0-9]{1,6})?(?:[+-](?:0[0-9]|1[0-4])[0-5][0-9])?"
_RANGE = re.compile(rf"(?P<low>{_ONE})?(?P<dash> ?- ?)?(?P<high>{_ONE})?")
_OFFSET = re.compile(r"[+-][0-9]{4}$")
_PARTS = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:\.(\d+))?(?:([+-])(\d{2})(\d{2}))?")


def instants(text: str, keyword: str) -> tuple[str, str]:
    """The first and last instant as texts that can be compared, in UTC where an offset is given; empty where the range
    is open. Raises Refused."""
    found = _RANGE.fullmatch(text.strip())
    low, dash, high = found.group("low", "dash", "high") if found else (None, None, None)
    if not (low or high) or (low and high and not dash):
        raise Refused(f"{keyword} is searched for by a value or range such as 20240131 or 202401-20240215120000")
    try:
        first = _ends(low)[0] if low else ""
        last = _ends(high)[1] if high else "" if dash else _ends(low or "")[1]
    except (ValueError, OverflowError):
        raise Refused(f"{keyword} is searched for by dates and times that exist") from None
    return first, last


def is_zoned(text: str) -> bool:
    """Whether a date-time, or an end of a range of them, says its offset from UTC."""
    found = _RANGE.fullmatch(text.strip())
    return found is not None and any(_OFFSET.search(end) for end in found.group("low", "high") if end)


def by_the_clock(text: str) -> str:
    """A date-time without its offset from UTC: what the clock showed where it was written down."""
    return _OFFSET.sub("", text.strip())


def _ends(text: str) -> tuple[str, str]:
    """The first and last instant of one date-time, which may leave out its smaller parts."""
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError("not a date-time")
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
    offset = -offset if sign == "-" else offset
    latest = int(month or 12)
    low = datetime(  # noqa: DTZ001
        *(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59)),
        int((fraction or "0").ljust(6, "0")),
    )
    high = datetime(  # noqa: DTZ001
        *(int(year), latest, int(day or monthrange(int(year), latest)[1]), int(hour or 23), int(minute or 59)),
        *(min(int(second or 59), 59), int((fraction or "").ljust(6, "9"))),
    )
    return (low - offset).isoformat(timespec="microseconds"), (high - offset).isoformat(timespec="microseconds")
