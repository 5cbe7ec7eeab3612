"""Says when a window of time is open: hours of the day on days of the week, by the clock on this machine's wall."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


@dataclass(frozen=True)
class Span:
    """Hours of a day. One that ends no later than it begins ends on the next day."""

    begin: time
    end: time

    def covers(self, at: time, *, since_midnight: bool) -> bool:
        """Whether it covers that time: of the day it begins on, or, `since_midnight`, of the day after."""
        if self.begin < self.end:
            return self.begin <= at < self.end and not since_midnight
        return at < self.end if since_midnight else at >= self.begin

    def __str__(self) -> str:
        end = f"{self.end:%H:%M}" if self.end != time() else "24:00"
        return f"{self.begin:%H:%M}-{end}"


@dataclass(frozen=True)
class Window:
    """Spans of hours, none for the whole day, that begin on these days, 0 for Monday; none for every day."""

    spans: tuple[Span, ...] = ()
    days: tuple[int, ...] = ()

    def is_open(self, now: datetime) -> bool:
        """Whether it is open at that time of the wall clock. What begins on a Friday evening ends on Saturday."""
        at, today, yesterday = now.time(), now.weekday(), (now.weekday() - 1) % 7
        if not self.spans:
            return self._begins_on(today)
        return any(
            (self._begins_on(today) and span.covers(at, since_midnight=False))
            or (self._begins_on(yesterday) and span.covers(at, since_midnight=True))
            for span in self.spans
        )

    def opens(self, now: datetime) -> datetime | None:
        """When it is open next: now, where it is; None for one that never is."""
        if self.is_open(now):
            return now
        begins = [span.begin for span in self.spans] or [time()]
        for ahead in range(8):
            day = now.date() + timedelta(days=ahead)
            moments = (datetime.combine(day, begin, now.tzinfo) for begin in sorted(begins))
            for moment in moments:
                if moment > now and self._begins_on(day.weekday()):
                    return moment
        return None

    def __bool__(self) -> bool:
        return bool(self.spans or self.days)

    def __str__(self) -> str:
        days = ", ".join(DAYS[day] for day in self.days)
        return " ".join(part for part in (", ".join(map(str, self.spans)), days) if part)

    def _begins_on(self, day: int) -> bool:
        return not self.days or day in self.days


def span_from(text: str) -> Span:
    """Hours as the configuration writes them: "19:00-06:00". Raises ValueError."""
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no span of hours")
    begin_hour, begin_minute, end_hour, end_minute = (int(part or 0) for part in found.groups())
    return Span(time(begin_hour, begin_minute), time(end_hour, end_minute))


def days_from(text: str) -> tuple[int, ...]:
    """Days as the configuration writes them: "sat", or from one to another, "mon-fri". Raises ValueError."""
    first, dash, last = text.partition("-")
    begin, end = DAYS.index(first), DAYS.index(last if dash else first)
    return tuple((begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1))


def window_of(hours: Sequence[Span], days: Sequence[Sequence[int]]) -> Window:
    """The window of a section that has the keys `hours` and `days`."""
    return Window(tuple(hours), tuple(sorted({day for some in days for day in some})))


def wall_clock(seconds: float) -> datetime:
    """What the clock on this machine's wall shows at a time since the epoch."""
    return datetime.fromtimestamp(seconds).astimezone()
