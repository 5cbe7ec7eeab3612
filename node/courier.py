"""Brings what is published to where it is to go: one thread for each destination, so that none waits for another.

A destination that is away is tried again and again, for days if need be; nothing is given up because a peer is down.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from lethe.storage.archive import Archive
from lethe.storage.entries import Entry
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.jobs import Job, Stage, retry_delay

from .dimse.scu import MOST_CONTEXTS, Destination, is_stored, may_work_later

log = logging.getLogger("lethe.courier")

_BATCH = 50
_LEASE = 300.0
_IDLE_RELEASE = 3.0
_LONGEST_WAIT = 300.0


class Courier:
    """Sends the jobs of one destination. `chance` gives numbers in [0, 1) that spread the retries."""

    def __init__(
        self, archive: Archive, destination: Destination, owner: str, chance: Callable[[], float] = random.random
    ) -> None:
        self._archive = archive
        self._destination = destination
        self._name = destination.peer.name
        self._owner = owner
        self._chance = chance
        self._failures = 0

    def step(self) -> bool:
        """Send one batch if there is one ready; whether there was."""
        jobs = self._archive.jobs.claim_many(Stage.SEND, self._owner, _LEASE, most=_BATCH, destination=self._name)
        if not jobs:
            return False
        try:
            entries = self._entries(jobs)
            self._send(entries)
        except Unavailable as error:
            self._wait(jobs, error)
        return True

    def run(self, stopping: threading.Event) -> None:
        """Step until told to stop; the association is released after some seconds without work."""
        last_work = time.monotonic()
        while not stopping.is_set():
            try:
                worked = self.step()
            except Unavailable as error:
                log.warning("%s: %s", self._name, error)
                worked = False
            except Exception:
                log.exception("%s: sending failed", self._name)
                worked = False
            if worked:
                last_work = time.monotonic()
                continue
            if time.monotonic() - last_work > _IDLE_RELEASE:
                self._destination.close()
            stopping.wait(0.2)
        self._destination.close()
        self._archive.close()

    def _entries(self, jobs: list[Job]) -> list[tuple[Job, Entry]]:
        """The jobs with their instances, as many as fit into one association; the others are given back."""
        found: list[tuple[Job, Entry]] = []
        contexts: set[tuple[str, str]] = set()
        for number, job in enumerate(jobs):
            try:
                entry = self._archive.index.instance(job.subject)
            except NotFound:
                self._archive.quarantine(job, "the instance is no longer in the index")
                continue
            contexts.add((entry.sop_class, entry.transfer_syntax))
            if len(contexts) > MOST_CONTEXTS:
                self._archive.jobs.give_back(jobs[number:])
                break
            found.append((job, entry))
        return found

    def _send(self, entries: list[tuple[Job, Entry]]) -> None:
        if not entries:
            return
        self._destination.open((entry.sop_class, entry.transfer_syntax) for _, entry in entries)
        for job, entry in entries:
            path = self._archive.files.path("clean", entry.file)
            try:
                status = self._destination.send(path, (entry.sop_class, entry.transfer_syntax))
            except Refused as refusal:
                self._archive.quarantine(job, str(refusal))
                continue
            except Unavailable as error:
                # It may be this instance that the peer breaks off at: the others must not wait behind it.
                self._archive.jobs.later(job, retry_delay(job.attempts, self._chance()), str(error))
                raise
            self._failures = 0
            self._judge(job, status)

    def _judge(self, job: Job, status: int) -> None:
        """What the peer answered is what the job's state says."""
        if is_stored(status):
            self._archive.delivered(job, status)
        elif may_work_later(status):
            delay = retry_delay(job.attempts, self._chance())
            self._archive.jobs.later(job, delay, f"{self._name} answered 0x{status:04X}")
        else:
            self._archive.quarantine(job, f"{self._name} answered 0x{status:04X}")

    def _wait(self, jobs: list[Job], error: Unavailable) -> None:
        """The peer is away or the connection broke: nothing of this is lost, and nothing is tried before it is time."""
        self._destination.close()
        self._failures += 1
        delay = retry_delay(self._failures, self._chance(), longest=_LONGEST_WAIT)
        log.warning("%s; trying again in %.0f s", error, delay)
        self._archive.jobs.give_back(jobs)  # those that were done are no longer ours, and stay done
        self._archive.jobs.postpone(self._name, delay, str(error))
