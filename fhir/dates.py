"""Says in the index's terms what a date in a search asks for, of a study's own date or of its last change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from lethe.storage.entries import Entry
from lethe.storage.index import Index
from lethe.storage.query import AnyOf, Changed, Equals, Level, Match, Not, Query, Term

from .moments import Days, Prefix, Span, later, moment, parse, shifted

_STUDY_UID = "0020000D"
_STUDY_DATE = "00080020"
_BEFORE = (Prefix.LT, Prefix.LE, Prefix.EB, Prefix.NE)
_AFTER = (Prefix.GT, Prefix.GE, Prefix.SA, Prefix.NE)

DATED: Term = Not(Equals(_STUDY_DATE, ("",)))
"""That a study has a date at all."""


def started(text: str, now: datetime, index: Index) -> Term:
    """By when the study began. Raises Problem."""
    prefix, when = parse(text)
    if prefix == Prefix.AP:
        when = _approximate(when, now)
    if isinstance(when, Days):
        return _by_day(prefix, when)
    return _by_time(prefix, when, index)


def changed(text: str, now: datetime) -> Term:
    """By the last change, which is an instant. Raises Problem."""
    prefix, when = parse(text)
    span = when.span() if isinstance(when, Days) else when
    if prefix == Prefix.AP:
        margin = timedelta(seconds=abs((now - span.begins).total_seconds()) / 10)
        span = Span(later(span.begins, -margin), later(span.ends, margin))
    begins, ends = _epoch(span.begins), _epoch(span.ends)
    if prefix in (Prefix.EQ, Prefix.AP):
        return Changed(begins, ends)
    if prefix == Prefix.NE:
        return Not(Changed(begins, ends))
    if prefix in (Prefix.GT, Prefix.SA):
        return Changed(since=ends)
    if prefix == Prefix.GE:
        return Changed(since=begins)
    return Changed(before=ends if prefix == Prefix.LE else begins)


def _approximate(when: Days | Span, now: datetime) -> Days:
    """Wider by a tenth of the time between then and now, as R4 recommends; whole days are exact enough for that."""
    days = when if isinstance(when, Days) else Days(when.begins.date(), when.ends.date())
    margin = math.ceil(abs((now.date() - days.first).days) / 10)
    return Days(shifted(days.first, -margin), shifted(days.last, margin))


def _by_day(prefix: Prefix, days: Days) -> Term:
    """By the study's own date: a study lies on one day, so overlapping and lying within are the same."""
    until, since = _until(shifted(days.first, -1)), _since(shifted(days.last, 1))
    ranges = {
        Prefix.EQ: [f"{_da(days.first)}-{_da(days.last)}"],
        Prefix.AP: [f"{_da(days.first)}-{_da(days.last)}"],
        Prefix.NE: [*_unless(days.first == date.min, until), *_unless(days.last == date.max, since)],
        Prefix.GE: [_since(days.first)],
        Prefix.LE: [_until(days.last)],
        Prefix.GT: _unless(days.last == date.max, since),
        Prefix.SA: _unless(days.last == date.max, since),
        Prefix.LT: _unless(days.first == date.min, until),
        Prefix.EB: _unless(days.first == date.min, until),
    }[prefix]
    return _dates(ranges)


def _by_time(prefix: Prefix, span: Span, index: Index) -> Term:
    """By the instant. No zone is further than a day from UTC, so the date decides for all but the studies of the few
    days around the span; those are looked at one by one."""
    first, last = shifted(span.begins.date(), -1), shifted(span.ends.date(), 1)
    near = index.find(Query(Level.STUDY, (Match(_STUDY_DATE, (f"{_da(first)}-{_da(last)}",)),)))
    hits = tuple(study.study_uid for study in near if _compares(prefix, span, _span_of(study)))
    outside = _unless(prefix not in _BEFORE or first == date.min, _until(shifted(first, -1)))
    outside += _unless(prefix not in _AFTER or last == date.max, _since(shifted(last, 1)))
    return AnyOf((_dates(outside), Equals(_STUDY_UID, hits)))


def _span_of(study: Entry) -> Span | None:
    found = moment(study.text(_STUDY_DATE), study.text("00080030"), study.text("00080201"))
    return found.span if found else None


def _compares(prefix: Prefix, asked: Span, found: Span | None) -> bool:
    """The comparison of two intervals as R4 defines each prefix."""
    if found is None:
        return False
    within = asked.begins <= found.begins and found.ends <= asked.ends
    return {
        Prefix.EQ: within,
        Prefix.NE: not within,
        Prefix.GT: found.ends > asked.ends,
        Prefix.LT: found.begins < asked.begins,
        Prefix.GE: found.ends > asked.ends or within,
        Prefix.LE: found.begins < asked.begins or within,
        Prefix.SA: found.begins >= asked.ends,
        Prefix.EB: found.ends <= asked.begins,
    }[prefix]


def _epoch(instant: datetime) -> float:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _dates(ranges: Sequence[str]) -> Term:
    return Match(_STUDY_DATE, tuple(ranges)) if ranges else AnyOf(())


def _unless(condition: bool, text: str) -> list[str]:
    return [] if condition else [text]


def _since(day: date) -> str:
    return f"{_da(day)}-"


def _until(day: date) -> str:
    return f"-{_da(day)}"


def _da(day: date) -> str:
    return day.isoformat().replace("-", "")
