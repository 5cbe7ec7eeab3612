"""Sees to it that a retrieval is given up when nobody wants it any more, however long its destination says nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .replies import Asked

_LOOK_EVERY = 0.25
_GRACE = 2.0
"""For the instance that is under way: most are taken within that, and count."""


@contextmanager
def heeding(asked: Asked, break_off: Callable[[], None]) -> Iterator[None]:
    """While something is done for a request: call `break_off` from another thread a while after it was cancelled, or
    after who asked has gone."""
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(asked, break_off, over), name="heeding", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()


def _watch(asked: Asked, break_off: Callable[[], None], over: threading.Event) -> None:
    unwanted_at: float | None = None
    while not over.wait(_LOOK_EVERY):
        if unwanted_at is None and (asked.is_cancelled() or asked.is_moot()):
            unwanted_at = time.monotonic()
        if unwanted_at is not None and time.monotonic() - unwanted_at >= _GRACE:
            break_off()
