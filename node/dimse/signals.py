"""Wakes what waits: a thread in `poll` by a descriptor, a thread at an event by a queue that says when it is filled."""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """A descriptor to wait on beside others, which any thread can ring."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll, self._other = select.poll(), -1
        self._poll.register(self._descriptor, select.POLLIN)

    def __del__(self) -> None:
        self.close()

    def ring(self) -> None:
        """Wake who waits, or will."""
        with self._lock:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, other: int, seconds: float | None) -> bool:
        """Wait until the other descriptor can be read (not if it is negative), the bell rings or the time is over;
        whether the other one can be read, or is broken. To be called by one thread."""
        if other != self._other:
            if self._other >= 0:
                self._poll.unregister(self._other)
            if other >= 0:
                self._poll.register(other, select.POLLIN)
            self._other = other
        ready = dict(self._poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        if self._descriptor in ready:
            os.eventfd_read(self._descriptor)
        return other in ready

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class SignallingQueue(queue.Queue[T]):
    """A queue that calls somebody when something was put into it."""

    def __init__(self, signal: Callable[[], None]) -> None:
        super().__init__()
        self._signal = signal

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put it in, then signal."""
        super().put(item, block, timeout)
        self._signal()
