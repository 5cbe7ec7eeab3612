"""Turns a Query into SQL over the tables of the index; the rules for a single value stand in `matching.py`.

What no column answers is asked of the stored attributes themselves (`holding.py`), row by row and last of all; where
too many instances would have to be read for that, the query is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from peewee import JOIN, SQL, fn

from .entries import SEARCHABLE, SERIES_ATTRIBUTES, level_of
from .errors import Refused, TooWide
from .holding import is_open, key_of
from .indextables import IndexTables
from .matching import Attribute, any_of, condition, equality, keyword_of, moment, resemblance
from .query import AnyOf, Changed, Equals, Level, Match, Moment, Not, Order, Place, Query, Resembles, Term, Within

MOST_READ = 100_000
"""How many instances are read to answer one query."""


_GREATEST = 2**63 - 1


@dataclass(frozen=True)
class SortKey:
    """A column by which entries are sorted, and how its values are read from a `Place`."""

    column: Any
    read: Callable[[str], Any] = str
    descending: bool = False


class Selection:
    """Finds rows; what they mean is for the caller to say."""

    def __init__(self, tables: IndexTables) -> None:
        self._tables = tables

    def select(self, query: Query, columns: list[Any]) -> Any:
        """These columns of all entries that match, in no order. Raises Refused."""
        if any(_reads_instances(term) for term in query.matches):
            self._refuse_too_wide(query)
        level = max(query.level, Level.STUDY)
        conditions = [self._condition(level, term) for term in sorted(query.matches, key=_reads_instances)]
        if query.changed_since:
            conditions.append(self._tables.of(query.level).updated >= query.changed_since)
        if query.after:
            conditions.append(_beyond(self.keys(query), query.after))
        if query.level != Level.PATIENT:
            return _narrowed(self._joined(query.level, columns), conditions)
        study = self._tables.study
        first = _narrowed(study.select(fn.MIN(study.id)), conditions).group_by(study.patient_id)
        return study.select(*columns).where(study.id << first)

    def _joined(self, level: Level, columns: list[Any]) -> Any:
        table, study, series = self._tables.of(level), self._tables.study, self._tables.series
        select = table.select(*columns)
        if level >= Level.SERIES:
            if level == Level.INSTANCE:
                select = select.join(series, JOIN.INNER, on=(series.id == table.series))
            select = select.join(study, JOIN.INNER, on=(study.id == series.study))
        return select

    def order(self, query: Query) -> list[Any]:
        """The columns by which the query wants its entries sorted, each with its direction."""
        return [key.column.desc() if key.descending else key.column for key in self.keys(query)]

    def keys(self, query: Query) -> list[SortKey]:
        """The same as values; no two entries are alike in all of them."""
        keys = [key for order in (query.order, *query.then) for key in self._keys_of(order, query.level)]
        return [*keys, SortKey(self._tables.of(query.level).id, int, query.order == Order.NEWEST)]

    def _keys_of(self, order: Order, level: Level) -> list[SortKey]:
        study, series = self._tables.study, self._tables.series
        if order in (Order.NEWEST, Order.OLDEST):
            return [SortKey(self._tables.of(level).updated, float, order == Order.NEWEST)]
        if order in (Order.STARTED, Order.STARTED_DESCENDING):
            down = order == Order.STARTED_DESCENDING
            return [SortKey(study.study_date, str, down), SortKey(study.study_time, str, down)]
        if level <= Level.STUDY:
            return []
        numbered = [SortKey(series.study, int), SortKey(series.number, int)]
        return numbered + (
            [SortKey(series.id, int), SortKey(self._tables.instance.number, int)] * (level > Level.SERIES)
        )

    def _condition(self, level: Level, match: Term) -> Any:
        if isinstance(match, AnyOf):
            return any_of([self._condition(level, term) for term in match.terms])
        if isinstance(match, Not):
            return ~fn.COALESCE(self._condition(level, match.term), SQL("FALSE"))  # a number may be absent
        if isinstance(match, Changed):
            changed = self._tables.of(level).updated
            since = changed >= match.since
            return since & (changed < match.before) if math.isfinite(match.before) else since
        if isinstance(match, Moment):
            return self._in_time(level, match)
        if isinstance(match, Within) or (isinstance(match, Match) and _is_unindexed(match)):
            return SQL("1 = 1") if is_open(match) else self._held(level, match)
        if match.tag not in SEARCHABLE:
            raise Refused(f"{keyword_of(match.tag)} cannot be searched for here")
        return self._indexed(level, match)

    def _in_time(self, level: Level, match: Moment) -> Any:
        (day_owner, day), (time_owner, time) = SEARCHABLE[match.date.tag], SEARCHABLE[match.time.tag]
        if day_owner != time_owner or day_owner > Level.SERIES:
            raise Refused(f"{day.keyword} and {time.keyword} are no point in time here")
        below = day_owner > level
        table = self._tables.series.alias("s") if below else self._tables.of(day_owner)
        columns = getattr(table, day.column.name), getattr(table, time.column.name)
        lies = moment(*columns, match.date.values[0], match.time.values[0])
        return self._tables.study.id << table.select(table.study).where(lies) if below else lies

    def _indexed(self, level: Level, match: Match | Equals) -> Any:
        owner, attribute = SEARCHABLE[match.tag]
        if attribute.keyword == "ModalitiesInStudy":
            return self._exists(Level.STUDY, Level.SERIES, SERIES_ATTRIBUTES["00080060"], match)
        if attribute.keyword == "SOPClassesInStudy":
            return self._exists(Level.STUDY, Level.INSTANCE, attribute, match)
        if attribute.vr == "PN" and isinstance(match, Match) and not is_open(match):
            return self._named(level, attribute, match)
        if owner <= level:
            return _compare(self._tables.of(owner), attribute, match)
        return self._exists(level, owner, attribute, match)

    def _named(self, level: Level, attribute: Attribute, match: Match) -> Any:
        """A person name: the column has the alphabetic group of the patient's, ready to be compared."""
        if attribute.keyword != "PatientName":
            return self._held(level, match)
        study = self._tables.study
        alike = isinstance(match, Resembles)
        quick = resemblance(study, match.values) if alike else _compare(study, attribute, match)
        plain = all(value.isascii() and "=" not in value for value in match.values)
        return quick if plain else quick | self._held(level, match)

    def _held(self, level: Level, term: Match | Within) -> Any:
        """That the row, or one below it, has attributes that meet the term.

        `holds` is given the number of the study as well, so that the database asks it after it has compared whatever
        columns there are to compare; of two such questions it asks the first first.
        """
        owner, key = level_of(term.tag), key_of(term)
        study, series, instance = self._tables.study, self._tables.series, self._tables.instance
        if owner <= level:
            table = self._tables.of(owner)
            return fn.holds(table.metadata if owner == Level.INSTANCE else table.attributes, key, study.id)
        if owner == Level.SERIES:
            meets = fn.holds(series.attributes, key)
            return fn.EXISTS(series.select(SQL("1")).where((series.study == study.id) & meets))
        meets = fn.holds(instance.metadata, key)
        if level == Level.SERIES:
            return fn.EXISTS(instance.select(SQL("1")).where((instance.series == series.id) & meets))
        inner = instance.select(SQL("1")).join(series, on=(series.id == instance.series))
        return fn.EXISTS(inner.where((series.study == study.id) & meets))

    def _refuse_too_wide(self, query: Query) -> None:
        instance = self._tables.instance
        indexed = tuple(term for term in query.matches if not _reads_instances(term))
        narrowed = replace(query, level=Level.INSTANCE, matches=indexed, changed_since=0.0)
        found = self.select(narrowed, [instance.id]).limit(1).offset(MOST_READ).tuples()
        if list(found):
            raise TooWide(
                f"more than {MOST_READ} instances would have to be read: ask for a study or a patient as well"
            )

    def _exists(self, level: Level, below: Level, attribute: Attribute, match: Match | Equals) -> Any:
        """That a series or instance below the row exists that matches."""
        series = self._tables.series.alias("s")
        if below == Level.SERIES:
            inner = series.select(series.study).where(_compare(series, attribute, match))
        else:
            instance = self._tables.instance.alias("i")
            found = _compare(instance, attribute, match)
            if level == Level.SERIES:
                return self._tables.series.id << instance.select(instance.series).where(found)
            inner = series.select(series.study).join(instance, on=(instance.series == series.id)).where(found)
        return self._tables.study.id << inner


def _compare(table: Any, attribute: Attribute, match: Match | Equals) -> Any:
    compare = equality if isinstance(match, Equals) else condition
    return compare(table, attribute, match.values)


def _beyond(keys: list[SortKey], place: Place) -> Any:
    """That an entry comes after the place: beyond it in one key, and in those before that one alike."""
    try:
        values = [key.read(text) for key, text in zip(keys, place, strict=True)]
    except ValueError:
        raise Refused("there is no such place in that order") from None
    if any(isinstance(value, int) and abs(value) > _GREATEST for value in values):
        raise Refused("there is no such place in that order")
    beyond = SQL("FALSE")
    for key, value in reversed(list(zip(keys, values, strict=True))):
        further = key.column < value if key.descending else key.column > value
        beyond = further | ((key.column == value) & beyond)
    return beyond


def _narrowed(select: Any, conditions: list[Any]) -> Any:
    for one in conditions:
        select = select.where(one)
    return select


def _is_unindexed(term: Match) -> bool:
    return bool(term.creator) or term.tag not in SEARCHABLE


def _reads_instances(term: Term) -> bool:
    """Whether the attributes of single instances have to be read for it."""
    if isinstance(term, AnyOf):
        return any(_reads_instances(one) for one in term.terms)
    if isinstance(term, Not):
        return _reads_instances(term.term)
    if isinstance(term, Within) or (isinstance(term, Match) and _is_unindexed(term)):
        return level_of(term.tag) == Level.INSTANCE and not is_open(term)
    return False
