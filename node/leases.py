"""Extends the lease of the job that is being worked on, however long a large object takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lethe.storage.archive import Archive
from lethe.storage.jobs import Job

log = logging.getLogger("lethe.worker")


class LeaseKeeper:
    """One thread for all jobs of a worker, for most are done before a thread has begun. It ends when nothing has been
    worked on for as long as a lease."""

    def __init__(self, archive: Archive, lease: float) -> None:
        self._archive = archive
        self._lease = lease
        self._job: Job | None = None
        self._lock = threading.Lock()
        self._is_running = False

    @contextmanager
    def kept_alive(self, job: Job) -> Iterator[None]:
        """Extend the lease of that job meanwhile."""
        with self._lock:
            self._job = job
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._keep, name="LeaseKeeper", daemon=True).start()
        try:
            yield
        finally:
            self._job = None

    def _keep(self) -> None:
        idle = 0
        while True:
            threading.Event().wait(self._lease / 3)
            job = self._job
            idle = 0 if job is not None else idle + 1
            with self._lock:
                if idle > 3 and self._job is None:
                    self._is_running = False
                    self._archive.close()
                    return
            if job is None:
                continue
            try:
                self._archive.jobs.extend([job], self._lease)
            except Exception:
                log.exception("job %d: its lease could not be extended", job.id)
