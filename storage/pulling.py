"""Records that somebody pulls studies from a peer, and tells how much of what the peer sends has come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .audit import Actor
from .database import transaction
from .datafolder import DataFolder

_LAST = "SELECT COALESCE(MAX(seq), 0) FROM audit"
_CAME = """SELECT COUNT(*) FROM audit
    WHERE seq > ? AND action IN ('received', 'received-again', 'received-conflict')"""


class Pulling(DataFolder):
    """What a pull leaves in the audit trail, and reads from it."""

    def record_pull(self, actor: Actor, action: str, peer: str, detail: Mapping[str, Any]) -> None:
        """An entry of who pulls from which peer: counts, never what was asked for."""
        with transaction(self.database):
            self.audit.record(actor, action, peer, detail)

    def mark(self) -> int:
        """A place in the audit trail to count from."""
        return int(self.database.execute_sql(_LAST).fetchone()[0])

    def came_since(self, mark: int) -> int:
        """How many objects came in since, from anywhere, known ones that came again among them."""
        return int(self.database.execute_sql(_CAME, (mark,)).fetchone()[0])
