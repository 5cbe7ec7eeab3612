"""Turns a Query into SQL over the tables of the index; the rules for a single value stand in `matching.py`."""

from __future__ import annotations

import math
from typing import Any

from peewee import JOIN, SQL, fn

from .entries import SEARCHABLE, SERIES_ATTRIBUTES
from .errors import Refused
from .indextables import IndexTables
from .matching import Attribute, any_of, condition, equality, keyword_of
from .query import AnyOf, Changed, Equals, Level, Match, Not, Order, Query, Term


class Selection:
    """Finds rows; what they mean is for the caller to say."""

    def __init__(self, tables: IndexTables) -> None:
        self._tables = tables

    def select(self, query: Query, columns: list[Any]) -> Any:
        """These columns of all entries that match, in no order."""
        table, study, series = self._tables.of(query.level), self._tables.study, self._tables.series
        select = table.select(*columns)
        if query.level >= Level.SERIES:
            if query.level == Level.INSTANCE:
                select = select.join(series, JOIN.INNER, on=(series.id == table.series))
            select = select.join(study, JOIN.INNER, on=(study.id == series.study))
        for match in query.matches:
            select = select.where(self._condition(query.level, match))
        if query.changed_since:
            select = select.where(table.updated >= query.changed_since)
        return select

    def order(self, query: Query) -> list[Any]:
        """The columns by which the query wants its entries sorted; no two entries are alike in all of them."""
        study, table = self._tables.study, self._tables.of(query.level)
        if query.order == Order.NEWEST:
            return [table.updated.desc(), table.id.desc()]
        if query.order == Order.OLDEST:
            return [table.updated, table.id]
        if query.order == Order.STARTED:
            return [study.study_date, study.study_time, table.id]
        if query.order == Order.STARTED_DESCENDING:
            return [study.study_date.desc(), study.study_time.desc(), table.id]
        if query.level == Level.STUDY:
            return [study.id]
        series = self._tables.series
        order = [series.study, series.number, series.id]
        return order + ([table.number, table.id] if query.level == Level.INSTANCE else [])

    def _condition(self, level: Level, match: Term) -> Any:
        if isinstance(match, AnyOf):
            return any_of([self._condition(level, term) for term in match.terms])
        if isinstance(match, Not):
            return ~fn.COALESCE(self._condition(level, match.term), SQL("FALSE"))  # a number may be absent
        if isinstance(match, Changed):
            changed = self._tables.of(level).updated
            since = changed >= match.since
            return since & (changed < match.before) if math.isfinite(match.before) else since
        if match.tag not in SEARCHABLE:
            raise Refused(f"{keyword_of(match.tag)} cannot be searched for here")
        owner, attribute = SEARCHABLE[match.tag]
        if attribute.keyword == "ModalitiesInStudy":
            return self._exists(Level.STUDY, Level.SERIES, SERIES_ATTRIBUTES["00080060"], match)
        if owner <= level:
            return _compare(self._tables.of(owner), attribute, match)
        return self._exists(level, owner, attribute, match)

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
