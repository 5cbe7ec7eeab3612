"""Lets nothing wait for a time that only a clock which was wrong has named."""

from __future__ import annotations

from .database import transaction
from .datafolder import DataFolder
from .jobs import State

_USUAL = 2 * 3600.0
"""Longer than anything is put off, but for studies that are waited for."""
_JOBS = 660.0
"""Longer than a job is put off or leased, or a destination left alone: a clock that was an hour ahead, as one is that
took local time for UTC, must not keep what came in for that hour."""
_SAME_TIME = 60.0
"""What is noted as past may be no more than this ahead."""
_PUT_OFF = (
    ("job", "ready_at", _JOBS),
    ("destination", "next_attempt", _JOBS),
    ("commitment", "ready_at", _USUAL),
    ("promise", "ready_at", _USUAL),
    ("notice", "ready_at", _USUAL),
)


class Timekeeping(DataFolder):
    """What is to be done after a clock was set back."""

    def forget_the_future(self, *, ahead: float = _USUAL) -> int:
        """Have tried now what waits for a time more than so many seconds ahead, or longer than such a thing is ever put
        off, let go what is leased until then, and count the quiet of studies from now. Returns how many rows that
        changed."""
        now, changed = self._clock(), 0
        with transaction(self.database):
            for table, column, longest in _PUT_OFF:
                sql = f"UPDATE {table} SET {column} = ? WHERE {column} > ?"  # noqa: S608 - names of ours
                changed += self.database.execute_sql(sql, (now, now + min(ahead, longest))).rowcount
            sql = "UPDATE job SET lease_until = 0 WHERE state = ? AND lease_until > ?"
            changed += self.database.execute_sql(sql, (State.RUNNING, now + min(ahead, _JOBS))).rowcount
            sql = "UPDATE gathering SET last = ?1, asked = min(asked, ?1), due = ?1 WHERE last > ?1 + ?2"
            changed += self.database.execute_sql(sql, (now, min(ahead, _SAME_TIME))).rowcount
        return int(changed)
