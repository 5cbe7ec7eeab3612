"""Brings what is published or re-identified to where it is to go: one thread for each destination, so that none waits
for another.

A destination that is away is tried again and again, for days if need be; nothing is given up because a peer is down.
Before each instance it is asked whether sending is paused, outside its hours or ahead of its pace, so that a pause
pauses.
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
from lethe.storage.queues import Breaker

from .dimse.fitting import MOST_CONTEXTS, Context, proposals
from .dimse.scu import Destination, Sent, context_of, is_stored, may_work_later
from .pace import Pace
from .windows import wall_clock

log = logging.getLogger("lethe.courier")

_BATCH = 50
_LEASE = 300.0
_IDLE_RELEASE = 3.0
_LONGEST_WAIT = 300.0
_LONGEST_UNWRITTEN = 1.0
_LONGEST_PAUSE = 1.0


class Parcel(NamedTuple):
    """One thing to send: by which job, and its SOP Class and transfer syntax."""

    job: Job
    context: Context


class Courier:
    """Sends the jobs of one destination. `chance` gives numbers in [0, 1) that spread the retries, `clock` the seconds
    since the epoch."""

    def __init__(
        self,
        archive: Archive,
        destination: Destination,
        owner: str,
        chance: Callable[[], float] = random.random,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._archive = archive
        self._destination = destination
        self._name = destination.peer.name
        self._owner = owner
        self._chance = chance
        self._stored: list[Callable[[], object]] = []
        self._first_stored = 0.0
        self._clock = clock
        self._pace = Pace(destination.peer.instances_per_second, destination.peer.megabytes_per_second)
        self._stopping = threading.Event()

    def step(self) -> bool:
        """Send one batch if there is one ready and it is time to; whether there was."""
        if self._pace.wait(self._clock()) or not self._is_time():
            return False
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
        last_work, self._stopping = time.monotonic(), stopping
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

    def break_off(self) -> None:
        """Do not wait for the peer any more; for another thread, once `run` was told to stop."""
        self._destination.break_off()

    def _claimed(self) -> list[Job]:
        """One batch of what is to be sent there. Re-identified objects are claimed only for a peer that may still get
        them, whatever the configuration said when they were made."""
        jobs, most = list[Job](), self._most()
        if self._destination.peer.identified:
            jobs = self._claimed_of(Stage.RETURN, most - most // 2)
        return jobs + self._claimed_of(Stage.SEND, most - len(jobs))

    def _claimed_of(self, stage: Stage, most: int) -> list[Job]:
        queue = self._archive.jobs
        if not most or not queue.has_open(stage, self._name):
            return []
        return queue.claim_many(stage, self._owner, _LEASE, most=most, destination=self._name)

    def _most(self) -> int:
        """How many to claim: what the pace allows, and one alone to see whether a peer that was away is back."""
        closed = self._archive.queues.state(self._name).breaker(self._clock()) == Breaker.CLOSED
        return self._pace.most(_BATCH) if closed else 1

    def _is_time(self) -> bool:
        """Whether the queue goes on, its hours have come, and the peer is not known to be away."""
        state, now = self._archive.queues.state(self._name), self._clock()
        if state.paused or state.breaker(now) == Breaker.OPEN:
            return False
        return self._destination.peer.window.is_open(wall_clock(now))

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
            if len(proposals(contexts)) > MOST_CONTEXTS:
                self._archive.jobs.give_back(jobs[number:])
                break
            found.append(parcel)
        return found

    def _parcel(self, job: Job) -> Parcel:
        """What a job sends. Raises NotFound."""
        if job.stage == Stage.RETURN:
            context = context_of(self._path(job))
            if context is None:
                raise NotFound("the re-identified object is gone; send its pseudonymous one again")
            return Parcel(job, context)
        try:
            return Parcel(job, self._archive.holdings.encoding_of(job.subject))
        except NotFound:
            raise NotFound("the instance is no longer in the index") from None

    def _path(self, job: Job) -> Path:
        """The file a job sends. Raises NotFound, and Refused where it is not the one that was published."""
        if job.stage == Stage.RETURN:
            return self._archive.files.path("returns", job.subject)
        return self._archive.whole_clean(job.subject)

    def _send(self, parcels: list[Parcel]) -> None:
        if not parcels:
            return
        self._destination.open(parcel.context for parcel in parcels)
        try:
            self._send_each(parcels)
        finally:
            self._write_down()

    def _send_each(self, parcels: list[Parcel]) -> None:
        for number, (job, context) in enumerate(parcels):
            if number and not self._goes_on():
                self._archive.jobs.give_back(parcel.job for parcel in parcels[number:])
                return
            begun = self._clock()
            try:
                sent = self._destination.deliver(self._path(job), context)
            except (NotFound, Refused) as refusal:
                self._archive.quarantine(job, str(refusal))
                continue
            except Unavailable as error:
                if not self._stopping.is_set():
                    # It may be this instance that the peer breaks off at: the others must not wait behind it.
                    self._archive.jobs.later(job, retry_delay(job.attempts, self._chance()), str(error))
                raise
            except Exception as error:  # whatever a decoder raises: the others must not wait behind it
                log.error("%s: an instance cannot be written for it (%s)", self._name, type(error).__name__)
                self._archive.quarantine(job, f"it cannot be written for {self._name} ({type(error).__name__})")
                continue
            self._pace.sent(sent.size, begun)
            self._archive.queues.answered(self._name)
            self._judge(job, sent)

    def _write_down(self) -> None:
        """Make what was delivered durable, in one transaction. What a crash takes from it is sent once more."""
        stored, self._stored = self._stored, []
        if stored:
            with self._archive.together():
                for write in stored:
                    write()

    def _goes_on(self) -> bool:
        """Keep the pace between two instances; whether the rest of the batch is still to go now."""
        wait = self._pace.wait(self._clock())
        if wait > _LONGEST_PAUSE or (wait and self._stopping.wait(wait)):
            return False
        return not self._stopping.is_set() and self._is_time()

    def _judge(self, job: Job, sent: Sent) -> None:
        """What the peer answered is what the job's state says."""
        status, syntax = sent.status, sent.transfer_syntax
        if is_stored(status) and job.stage == Stage.RETURN:
            self._archive.delivered(job, status, transfer_syntax=syntax)  # at once, for its file goes with it
        elif is_stored(status):
            if not self._stored:
                self._first_stored = time.monotonic()
            done = self._archive.handed_over if self._destination.peer.commits else self._archive.delivered
            self._stored.append(partial(done, job, status, transfer_syntax=syntax))
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
        self._archive.jobs.give_back(jobs)  # those that were done are no longer ours, and stay done
        if self._stopping.is_set():  # it may be we who broke it off
            return
        failures = self._archive.queues.state(self._name).failures + 1
        delay = retry_delay(failures, self._chance(), longest=_LONGEST_WAIT)
        log.warning("%s; trying again in %.0f s", error, delay)
        self._archive.queues.failed(self._name, delay, str(error))
