"""Remembers which studies were pulled from a peer for a request, so that the same request goes on where it stopped.

Studies and requests are known by their SHA-256 alone: what somebody asks a PACS for may name a patient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

_DONE = "SELECT study FROM pulled WHERE peer = ? AND request = ?"
_ADD = "INSERT INTO pulled (peer, request, study, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_FORGET = "DELETE FROM pulled WHERE peer = ? AND request = ?"


class Pulls:
    """What was pulled into one data folder, by peer and request."""

    def __init__(self, database: Any, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def done(self, peer: str, request: str) -> frozenset[str]:
        """The digests of the studies that came."""
        rows = self._database.execute_sql(_DONE, (peer, digest(request))).fetchall()
        return frozenset(study for (study,) in rows)

    def add(self, peer: str, request: str, study: str) -> None:
        """That study came, all of it."""
        self._database.execute_sql(_ADD, (peer, digest(request), digest(study), self._clock()))

    def forget(self, peer: str, request: str) -> None:
        """Start over."""
        self._database.execute_sql(_FORGET, (peer, digest(request)))


def digest(text: str) -> str:
    """What a study or a request is known by."""
    return hashlib.sha256(text.encode()).hexdigest()
