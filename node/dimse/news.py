"""Tells what is news from what was said a moment ago, so that nobody fills the audit trail by saying it again."""

from __future__ import annotations

import threading
from collections.abc import Hashable

_MOST = 1000


class News:
    """What was said within the last so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._said: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def is_news(self, what: Hashable, now: float) -> bool:
        """Whether that was not said lately; from now on it was."""
        with self._lock:
            self._said = {one: at for one, at in self._said.items() if now - at < self._seconds}
            if what in self._said or len(self._said) >= _MOST:
                return False
            self._said[what] = now
            return True
