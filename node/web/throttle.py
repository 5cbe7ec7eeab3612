"""Makes guessing slow: who keeps failing waits longer each time. In memory, bounded, forgotten after an hour."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

_LONGEST = 300.0
_FORGOTTEN = 3600.0


class TooManyAttempts(Exception):
    """Not now: the next attempt counts only after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = max(1, ceil(seconds))


@dataclass(frozen=True)
class _Record:
    failures: int
    last: float
    until: float


class Throttle:
    """Failures by key; the first `free` cost nothing, then the wait doubles from one second to five minutes."""

    def __init__(self, *, free: int, clock: Callable[[], float], most: int = 10_000) -> None:
        self._free = free
        self._clock = clock
        self._most = most
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, key: str) -> None:
        """Count an attempt, as a failure until it is forgiven, so that attempts made at once all count. Raises
        TooManyAttempts."""
        with self._lock:
            wait = self._wait(key)
            if wait:
                raise TooManyAttempts(wait)
            self._set(key, self._failures(key) + 1)

    def failed(self, key: str) -> None:
        """Count a failure."""
        with self._lock:
            self._set(key, self._failures(key) + 1)

    def forgive(self, key: str) -> None:
        """The last attempt was none or was right: uncount it, without a further wait."""
        with self._lock:
            record = self._records.get(key)
            if record and record.failures > 1:
                self._records[key] = _Record(record.failures - 1, record.last, 0.0)
            else:
                self._records.pop(key, None)

    def forget(self, key: str) -> None:
        """The caller is who he says: all failures are forgotten."""
        with self._lock:
            self._records.pop(key, None)

    def wait(self, key: str) -> float:
        """Seconds until the next attempt counts; 0 if it does now."""
        with self._lock:
            return self._wait(key)

    def _wait(self, key: str) -> float:
        record = self._records.get(key)
        return max(0.0, record.until - self._clock()) if record else 0.0

    def _failures(self, key: str) -> int:
        record = self._records.get(key)
        return record.failures if record and self._clock() - record.last < _FORGOTTEN else 0

    def _set(self, key: str, failures: int) -> None:
        now = self._clock()
        beyond = failures - self._free
        wait = min(_LONGEST, 2.0 ** min(beyond, 30)) if beyond >= 0 else 0.0
        self._records.pop(key, None)
        self._records[key] = _Record(failures, now, now + wait)
        while len(self._records) > self._most:
            self._records.popitem(last=False)
