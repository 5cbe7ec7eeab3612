"""Brings what is published or re-identified to where it is to go: one thread for each destination, so that none waits
for another.

A destination that is away is tried again and again, for days if need be; nothing is given up because a peer is down.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lethe.storage.archive import Archive
from lethe.storage.errors import NotFound, Refused, Unavailable
from lethe.storage.jobs import Job, Stage, retry_delay

from .dimse.scu import MOST_CONTEXTS, Context, Destination, context_of, is_stored, may_work_later

log = logging.getLogger("lethe.courier")

_BATCH = 50
_LEASE = 300.0
_IDLE_RELEASE = 3.0
_LONGEST_WAIT = 300.0
_LONGEST_UNWRITTEN = 1.0


class Parcel(NamedTuple):
    """One thing to send: by which job, the file, and its SOP Class and transfer syntax."""

    job: Job
    path: Path
    context: Context


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
        self._stored: list[Callable[[], object]] = []
        self._first_stored = 0.0

    def step(self) -> bool:
        """Send one batch if there is one ready; whether there was."""
        jobs = self._claimed()
        if not jobs:
            return False
        try:
            self._send(self._parcels(jobs))
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

    def _claimed(self) -> list[Job]:
        """One batch of what is to be sent there. Re-identified objects are claimed only for a peer that may still get
        them, whatever the configuration said when they were made."""
        queue, jobs = self._archive.jobs, list[Job]()
        if self._destination.peer.identified and queue.has_open(Stage.RETURN, self._name):
            jobs = queue.claim_many(Stage.RETURN, self._owner, _LEASE, most=_BATCH // 2, destination=self._name)
        most = _BATCH - len(jobs)
        return jobs + queue.claim_many(Stage.SEND, self._owner, _LEASE, most=most, destination=self._name)

    def _parcels(self, jobs: list[Job]) -> list[Parcel]:
        """The jobs with what they send, as much as fits into one association; the others are given back."""
        found: list[Parcel] = []
        contexts: set[Context] = set()
        for number, job in enumerate(jobs):
            try:
                parcel = self._parcel(job)
            except NotFound as error:
                self._archive.quarantine(job, str(error))
                continue
            contexts.add(parcel.context)
            if len(contexts) > MOST_CONTEXTS:
                self._archive.jobs.give_back(jobs[number:])
                break
            found.append(parcel)
        return found

    def _parcel(self, job: Job) -> Parcel:
        """What a job sends. Raises NotFound."""
        if job.stage == Stage.RETURN:
            path = self._archive.files.path("returns", job.subject)
            context = context_of(path)
            if context is None:
                raise NotFound("the re-identified object is gone; send its pseudonymous one again")
            return Parcel(job, path, context)
        try:
            entry = self._archive.index.instance(job.subject)
        except NotFound:
            raise NotFound("the instance is no longer in the index") from None
        return Parcel(job, self._archive.files.path("clean", entry.file), (entry.sop_class, entry.transfer_syntax))

    def _send(self, parcels: list[Parcel]) -> None:
        if not parcels:
            return
        self._destination.open(parcel.context for parcel in parcels)
        try:
            self._send_each(parcels)
        finally:
            self._write_down()

    def _send_each(self, parcels: list[Parcel]) -> None:
        for job, path, context in parcels:
            try:
                status = self._destination.send(path, context)
            except Refused as refusal:
                self._archive.quarantine(job, str(refusal))
                continue
            except Unavailable as error:
                # It may be this instance that the peer breaks off at: the others must not wait behind it.
                self._archive.jobs.later(job, retry_delay(job.attempts, self._chance()), str(error))
                raise
            self._failures = 0
            self._judge(job, status)

    def _write_down(self) -> None:
        """Make what was delivered durable, in one transaction. What a crash takes from it is sent once more."""
        stored, self._stored = self._stored, []
        if stored:
            with self._archive.together():
                for write in stored:
                    write()

    def _judge(self, job: Job, status: int) -> None:
        """What the peer answered is what the job's state says."""
        if is_stored(status) and job.stage == Stage.RETURN:
            self._archive.delivered(job, status)  # at once, for its file goes with it
        elif is_stored(status):
            if not self._stored:
                self._first_stored = time.monotonic()
            commits = self._destination.peer.commits
            self._stored.append(partial(self._archive.handed_over if commits else self._archive.delivered, job, status))
            if time.monotonic() - self._first_stored > _LONGEST_UNWRITTEN:
                self._write_down()
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
