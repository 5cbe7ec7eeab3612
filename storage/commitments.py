"""Remembers what peers asked us to vouch for until each has its answer (PS3.4 Annex J).

A peer names the instances as it sent them, so their UIDs are kept encrypted, bound to their row.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from peewee import Table, fn

from .crosswalk import Crosswalk
from .database import transaction
from .errors import Refused
from .sealing import decrypted, encrypted

_COLUMNS = ("id", "peer", "digest", "sealed", "duplicate", "state", "attempts", "ready_at", "created", "updated")


class Progress(StrEnum):
    """Where a commitment stands."""

    OPEN = "open"
    REPORTED = "reported"
    ABANDONED = "abandoned"
    """The peer could not be told within the time we keep trying."""


@dataclass(frozen=True)
class Reference:
    """An instance as its sender names it."""

    sop_class: str
    sop_uid: str


@dataclass(frozen=True)
class Commitment:
    """What a peer asked in one transaction. `attempts` counts claims since it last was put off."""

    id: int
    peer: str
    uid: str
    references: tuple[Reference, ...]
    duplicate: bool
    """Another list was asked for under the same Transaction UID before."""
    attempts: int
    created: float


class Commitments:
    """The transactions of one data folder."""

    def __init__(self, database: Any, crosswalk: Crosswalk, clock: Callable[[], float]) -> None:
        self._database = database
        self._crosswalk = crosswalk
        self._clock = clock
        self._table = Table("commitment", _COLUMNS, _database=database)

    def ask(self, peer: str, uid: str, references: Sequence[Reference], *, delay: float = 0.0) -> int:
        """Keep what a peer asks; durable when this returns. The same again is answered again, and is not kept twice.

        Returns its number. Nobody answers it before `delay` seconds.
        """
        table, now, digest = self._table, self._clock(), hashlib.sha256(uid.encode()).hexdigest()
        wanted = tuple(references)
        with transaction(self._database):
            rows = table.select().where((table.peer == peer) & (table.digest == digest)).order_by(table.id).tuples()
            known = [self._opened(row) for row in rows]
            for one in known:
                if one.references == wanted:
                    again = {table.state: Progress.OPEN, table.attempts: 0, table.ready_at: now + delay}
                    table.update(again).where(table.id == one.id).execute()
                    return one.id
            row = {
                "peer": peer,
                "digest": digest,
                "sealed": self._sealed(peer, digest, uid, wanted),
                "duplicate": int(bool(known)),
                "state": Progress.OPEN,
                "attempts": 0,
                "ready_at": now + delay,
                "created": now,
                "updated": now,
            }
            return int(table.insert(row).execute())

    def claim(self, peer: str, lease: float, *, number: int | None = None) -> Commitment | None:
        """The oldest open commitment of a peer that is due, or that of a number, due or not, if nobody has claimed it;
        nobody else gets it for `lease` seconds. Raises Refused where it was altered."""
        table, now = self._table, self._clock()
        due = (table.ready_at <= now) if number is None else ((table.id == number) & (table.attempts == 0))
        if not self._any((table.peer == peer) & (table.state == Progress.OPEN) & due):
            return None
        chosen = table.select(table.id).where((table.peer == peer) & (table.state == Progress.OPEN) & due)
        chosen = chosen.order_by(table.ready_at, table.id).limit(1)
        taken = {table.ready_at: now + lease, table.attempts: table.attempts + 1}
        with transaction(self._database):
            columns = [getattr(table, name) for name in _COLUMNS]
            rows = list(table.update(taken).where(table.id << chosen).returning(*columns).tuples().execute())
        return self._opened(rows[0]) if rows else None

    def put_off(self, commitment: Commitment, delay: float) -> None:
        """It waits for instances: that is no failed attempt."""
        self._set(commitment, {"ready_at": self._clock() + delay, "attempts": 0})

    def later(self, commitment: Commitment, delay: float) -> None:
        """The peer could not be told."""
        self._set(commitment, {"ready_at": self._clock() + delay})

    def end(self, commitment: Commitment, progress: Progress) -> None:
        """It is over, inside the caller's transaction."""
        self._set(commitment, {"state": progress})

    def forget(self, before: float) -> None:
        """Remove what was over before that time; its Transaction UID can then be used again."""
        table = self._table
        table.delete().where((table.state != Progress.OPEN) & (table.updated < before)).execute()

    def counts(self) -> dict[Progress, int]:
        """How many there are in each state."""
        table = self._table
        query = table.select(table.state, fn.COUNT(table.id)).group_by(table.state)
        return {Progress(state): count for state, count in query.tuples()}

    def _any(self, condition: Any) -> bool:
        return bool(list(self._table.select(self._table.id).where(condition).limit(1).tuples()))

    def _set(self, commitment: Commitment, values: dict[str, Any]) -> None:
        table = self._table
        changed = {getattr(table, name): value for name, value in values.items()} | {table.updated: self._clock()}
        table.update(changed).where(table.id == commitment.id).execute()

    def _sealed(self, peer: str, digest: str, uid: str, references: Sequence[Reference]) -> bytes:
        body = json.dumps({"uid": uid, "references": [(one.sop_class, one.sop_uid) for one in references]})
        return encrypted(self._cipher(), zlib.compress(body.encode()), _bound_to(peer, digest))

    def _opened(self, row: tuple[Any, ...]) -> Commitment:
        number, peer, digest, sealed, duplicate, _, attempts, _, created, _ = row
        try:
            text = decrypted(self._cipher(), sealed, _bound_to(peer, digest))
        except ValueError:
            raise Refused(f"row {number} of the commitments was altered and cannot be read") from None
        body = json.loads(zlib.decompress(text))
        references = tuple(Reference(*one) for one in body["references"])
        return Commitment(number, peer, body["uid"], references, bool(duplicate), attempts, created)

    def _cipher(self) -> AESGCM:
        return self._crosswalk.sealer("commitment")


def _bound_to(peer: str, digest: str) -> bytes:
    return json.dumps([peer, digest]).encode()
