"""Lets nothing wait for a time that only a clock which was wrong has named."""

from __future__ import annotations

from .database import transaction
from .datafolder import DataFolder
from .jobs import State

_USUAL = 2 * 3600.0
"""Longer than anything is put off, but for studies that are waited for."""
_PUT_OFF = (
    ("job", "ready_at"),
    ("destination", "next_attempt"),
    ("commitment", "ready_at"),
    ("promise", "ready_at"),
    ("notice", "ready_at"),
)


class Timekeeping(DataFolder):
    """What is to be done after a clock was set back."""

    def forget_the_future(self, *, ahead: float = _USUAL) -> int:
        """Have tried now what waits for a time more than so many seconds ahead, let go what is leased until then, and
        count the quiet of studies from now. Returns how many rows that changed."""
        now, changed = self._clock(), 0
        with transaction(self.database):
            for table, column in _PUT_OFF:
                sql = f"UPDATE {table} SET {column} = ? WHERE {column} > ?"  # noqa: S608 - names of ours
                changed += self.database.execute_sql(sql, (now, now + ahead)).rowcount
            sql = "UPDATE job SET lease_until = 0 WHERE state = ? AND lease_until > ?"
            changed += self.database.execute_sql(sql, (State.RUNNING, now + ahead)).rowcount
            sql = "UPDATE gathering SET last = ?1, asked = min(asked, ?1), due = ?1 WHERE last > ?1 + ?2"
            changed += self.database.execute_sql(sql, (now, ahead)).rowcount
        return int(changed)
