"""Knows who is told of which workitems (PS3.4 CC.2.3): of one, of all that there are and will be, or of those that
match; and who has locked one, so that it is kept when it has ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .query import Match, Within
from .sealing import Sealing

Terms = tuple[Match | Within, ...]


@dataclass(frozen=True)
class Standing:
    """A subscription to all workitems that match `terms`, of now and of later; of none, to all."""

    title: str
    terms: Terms
    locked: bool


class Subscriptions:
    """The subscriptions of one data folder. Changes are made inside the caller's transaction."""

    def __init__(self, database: Any, sealing: Sealing) -> None:
        self._database = database
        self._sealing = sealing

    def follow(self, number: int, title: str, *, locked: bool) -> None:
        """Tell this AE title of that workitem, with or without a lock from now on."""
        sql = """INSERT INTO workitem_subscription (workitem, title, locked) VALUES (?, ?, ?)
            ON CONFLICT (workitem, title) DO UPDATE SET locked = excluded.locked"""
        self._database.execute_sql(sql, (number, title, int(locked)))

    def begin(self, number: int, title: str, *, locked: bool) -> bool:
        """The same; False, and nothing changed, where he is told already."""
        sql = """INSERT INTO workitem_subscription (workitem, title, locked) VALUES (?, ?, ?)
            ON CONFLICT DO NOTHING"""
        return bool(self._database.execute_sql(sql, (number, title, int(locked))).rowcount)

    def leave(self, number: int, title: str) -> bool:
        """Tell him of it no more; False where he was not told."""
        sql = "DELETE FROM workitem_subscription WHERE workitem = ? AND title = ?"
        return bool(self._database.execute_sql(sql, (number, title)).rowcount)

    def leave_all(self, title: str) -> bool:
        """Tell him of nothing any more, of now and of later; False where he was told of nothing."""
        stood = self.suspend(title)
        sql = "DELETE FROM workitem_subscription WHERE title = ?"
        return bool(self._database.execute_sql(sql, (title,)).rowcount) or stood

    def stand(self, standing: Standing) -> None:
        """Keep a subscription to what is still to come."""
        place = f"standing\0{standing.title}"
        plain = [_plain(term) for term in standing.terms]
        sql = """INSERT INTO worklist_subscription (title, filtered, digest, sealed, locked) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (title, digest) DO UPDATE SET locked = excluded.locked"""
        digest = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
        row = (standing.title, int(bool(plain)), digest, self._sealing.sealed(place, plain), int(standing.locked))
        self._database.execute_sql(sql, row)

    def suspend(self, title: str, *, filtered: Sequence[bool] = (False, True)) -> bool:
        """Subscribe him to nothing new any more; False where he was not to be."""
        sql = f"DELETE FROM worklist_subscription WHERE title = ? AND filtered IN ({', '.join('?' * len(filtered))})"  # noqa: S608
        return bool(self._database.execute_sql(sql, (title, *map(int, filtered))).rowcount)

    def standing(self) -> Iterator[Standing]:
        """The subscriptions to what is still to come."""
        sql = "SELECT title, sealed, locked FROM worklist_subscription ORDER BY id"
        for title, sealed, locked in self._database.execute_sql(sql).fetchall():
            plain = self._sealing.value(f"standing\0{title}", sealed)
            yield Standing(title, tuple(map(_term, plain)), bool(locked))

    def followers(self, number: int) -> list[str]:
        """Who is told of a workitem."""
        sql = "SELECT title FROM workitem_subscription WHERE workitem = ? ORDER BY title"
        return [title for (title,) in self._database.execute_sql(sql, (number,)).fetchall()]

    def titles(self) -> list[str]:
        """Everyone who is told of anything."""
        sql = "SELECT title FROM workitem_subscription UNION SELECT title FROM worklist_subscription ORDER BY title"
        return [title for (title,) in self._database.execute_sql(sql).fetchall()]


def _plain(term: Match | Within) -> list[Any]:
    if isinstance(term, Match):
        return [term.tag, term.creator, list(term.values), None]
    return [term.tag, term.creator, [], [_plain(one) for one in term.terms]]


def _term(plain: list[Any]) -> Match | Within:
    tag, creator, values, within = plain
    return Match(tag, tuple(values), creator) if within is None else Within(tag, tuple(map(_term, within)), creator)
