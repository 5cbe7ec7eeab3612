"""Syncs by a function of the test, in threads of Python, which it may hold up or let fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lethe.storage.syncing import Syncing


def named(descriptor: int) -> str:
    """What is open there."""
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


class SyncingBy(Syncing):
    """As the product's, but for what syncs."""

    def __init__(self, sync: Callable[[int], object]) -> None:
        self._sync = sync
        self._pool = ThreadPoolExecutor(32, thread_name_prefix="sync")

    def now(self, descriptor: int) -> None:
        self._sync(descriptor)

    def soon(self, descriptor: int) -> Future[None]:
        return self._pool.submit(self._sync_and_close, descriptor)

    def _sync_and_close(self, descriptor: int) -> None:
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)
