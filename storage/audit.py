"""Keeps the unalterable record of who did what: each entry carries the digest of the one before.

Changing, removing or reordering an entry breaks the chain from there on; the database refuses it in the first place.
Cutting entries off the end is noticed by comparing with a head digest that was noted elsewhere (`verify(anchor=...)`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from peewee import Table

from .errors import Refused
from .writeahead import settle

_COLUMNS = ("seq", "at", "actor", "action", "subject", "detail", "previous", "digest")
_START = "0" * 64
_PAGE = 1000
_INSERT = f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - ours


@dataclass(frozen=True)
class Actor:
    """Who did it: a person, a peer or a part of Lethe, and from where."""

    name: str
    address: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.address}" if self.address else self.name


SYSTEM = Actor("lethe")
"""Lethe itself, where nobody asked."""


@dataclass(frozen=True)
class Record:
    """What an entry is to say."""

    actor: Actor
    action: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class AuditEvent:
    """One entry of the trail."""

    seq: int
    at: str
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    digest: str

    def expected_digest(self) -> str:
        """SHA-256 over everything but the digest itself, as JSON with sorted keys."""
        return _digest({key: value for key, value in asdict(self).items() if key != "digest"})

    def as_dict(self) -> dict[str, Any]:
        """The entry for an export."""
        return {**asdict(self), "detail": json.loads(self.detail)}


@dataclass(frozen=True)
class Verdict:
    """What a verification of the chain found: how many entries, the last digest, and where it is broken if it is."""

    entries: int
    head: str
    broken_at: int | None = None
    why: str = ""


class AuditTrail:
    """Appends to and proves the chain. `record` must be called inside a transaction, so that no two entries follow
    the same one."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._audit = Table("audit", _COLUMNS, _database=database)

    def record(self, actor: Actor, action: str, subject: str = "", detail: Mapping[str, Any] | None = None) -> None:
        """Append one entry to the chain; the caller holds the write transaction."""
        self.record_all([Record(actor, action, subject, detail or {})])

    def record_all(self, records: Iterable[Record]) -> None:
        """Append entries to the chain, in that order; the caller holds the write transaction."""
        if not self._database.in_transaction():
            raise Refused("an audit entry is written inside a transaction or not at all")
        last = self._database.execute_sql("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        seq, previous = last or (0, _START)
        for record in records:
            seq += 1
            body = {
                "seq": seq,
                "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "actor": str(record.actor),
                "action": str(record.action),
                "subject": record.subject,
                "detail": json.dumps(record.detail, sort_keys=True),
                "previous": previous,
            }
            previous = _digest(body)
            self._database.execute_sql(_INSERT, (*body.values(), previous))

    def entries(self, *, after: int = 0) -> Iterator[AuditEvent]:
        """All entries with a number above `after`, oldest first; each is durable before it is told."""
        while True:  # in pages: a reader that takes its time would otherwise hold up the write-ahead log
            query = self._audit.select().where(self._audit.seq > after).order_by(self._audit.seq).limit(_PAGE)
            page = [AuditEvent(**row) for row in query.dicts()]
            settle(self._database)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def newest(self, count: int, *, but: Sequence[str] = ()) -> list[AuditEvent]:
        """The last `count` entries, newest first, `but` for those of some actions."""
        wanted = self._audit.select().where(self._audit.action.not_in(but)) if but else self._audit.select()
        return [AuditEvent(**row) for row in wanted.order_by(self._audit.seq.desc()).limit(count).dicts()]

    def verify(self, anchor: str = "") -> Verdict:
        """Walk the chain from its start. With `anchor`, a head digest noted earlier must still be in it."""
        previous, count, seen = _START, 0, not anchor
        for entry in self.entries():
            count += 1
            if entry.seq != count:
                return Verdict(count, previous, count, f"entry {count} is missing")
            if entry.previous != previous or entry.digest != entry.expected_digest():
                return Verdict(count, previous, entry.seq, f"entry {entry.seq} does not follow from the one before")
            previous = entry.digest
            seen = seen or previous == anchor
        if not seen:
            return Verdict(count, previous, count, "the digest noted earlier is no longer in the chain")
        return Verdict(count, previous)


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
