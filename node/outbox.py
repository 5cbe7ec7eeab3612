"""Shows how the queue of each destination stands, and does what people want done with it: portal, API and command line
say the same and do the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.errors import NotFound, Refused
from lethe.storage.jobs import State
from lethe.storage.queues import Breaker, QueueState

from .config import Config, Peer
from .windows import Window, wall_clock


@dataclass(frozen=True)
class Queue:
    """One destination: how much waits, is being sent, waits for the rest of its study, was not taken; since when the
    oldest waits; what keeps it from going on. Times are seconds since the epoch."""

    name: str
    address: str
    waiting: int
    sending: int
    gathering: int
    delivered: int
    failed: int
    oldest: float | None
    paused: float | None
    window: str
    is_open: bool
    breaker: Breaker
    next_attempt: float | None
    reason: str

    @property
    def can_be_tried(self) -> bool:
        """Whether something waits for a later attempt that a person can have made at once."""
        return self.breaker != Breaker.CLOSED or (self.is_open and self.next_attempt is not None)

    @property
    def standing(self) -> str:
        """In one word or two, what it does."""
        if self.paused is not None:
            return "paused"
        if not self.is_open:
            return "outside its hours"
        if self.breaker != Breaker.CLOSED:
            return "away"
        return "sending" if self.sending else "waiting" if self.waiting else "idle"


class Outbox:
    """The queues of a node's destinations."""

    def __init__(self, archive: Archive, config: Config, *, clock: Callable[[], float] = time.time) -> None:
        self._archive = archive
        self._peers = {peer.name: peer for peer in config.peers}
        self._send_to = {project.name: project.send_to for project in config.projects}
        self._priorities = {project.name: config.priority_of(project) for project in config.projects}
        self._clock = clock

    @property
    def destinations(self) -> tuple[str, ...]:
        """The names of all that can be sent to."""
        return tuple(self._peers)

    def queues(self) -> list[Queue]:
        """All that can be sent to, or ever were, by name."""
        jobs, states = self._archive.jobs.destinations(), self._archive.queues.states()
        names = sorted(self._peers.keys() | jobs.keys() | states.keys())
        return [self._queue(name, jobs.get(name, {}), states.get(name, QueueState())) for name in names]

    def pause(self, name: str, actor: Actor) -> bool:
        """Send it nothing more; False where it was paused. Raises NotFound."""
        return self._archive.pause(self._known(name), actor)

    def resume(self, name: str, actor: Actor) -> bool:
        """Send again and try at once; False where nothing kept it from it. Raises NotFound."""
        return self._archive.resume(self._known(name), actor)

    def put_first(self, study_uid: str, actor: Actor, to: str = "") -> int:
        """Send what waits of a study before everything else. Returns how many jobs. Raises NotFound."""
        return self._archive.put_first(study_uid, actor, self._known(to) if to else "")

    def resend(self, uids: Sequence[str], actor: Actor, to: Sequence[str] = ()) -> int:
        """Send studies, series or instances again, to these destinations or those of their projects, as urgent as their
        projects are. Returns how many jobs that makes. Raises NotFound; Refused where there is no destination."""
        wanted = tuple(self._known(name) for name in to)
        for uid in uids:
            self._archive.instances_of(uid)  # all of it or nothing
        return sum(
            self._archive.resend(
                uid,
                lambda project: wanted or self._of(project),
                actor,
                priority_of=lambda project: self._priorities.get(project, 0),
            )
            for uid in uids
        )

    def deliveries(self, study_uid: str) -> Mapping[str, Mapping[State, int]]:
        """How many instances of a study stand where, by destination."""
        return self._archive.deliveries.of_study(study_uid)

    def _of(self, project: str) -> tuple[str, ...]:
        names = self._send_to.get(project, ())
        if not names:
            raise Refused(f"project {project} sends to nobody; name a destination")
        return names

    def _known(self, name: str) -> str:
        if name not in self._peers and name not in self._archive.destinations_known():
            raise NotFound(f"there is no destination {name!r}; there are: {', '.join(self._peers) or 'none'}")
        return name

    def _queue(self, name: str, jobs: Mapping[State, int], state: QueueState) -> Queue:
        peer, now = self._peers.get(name), self._clock()
        window = peer.window if peer else Window()
        at, reason = self._next(name, window, state, now)
        return Queue(
            name=name,
            address=_address(peer) if peer else "no longer configured",
            waiting=jobs.get(State.READY, 0),
            sending=jobs.get(State.RUNNING, 0),
            gathering=jobs.get(State.GATHERING, 0),
            delivered=jobs.get(State.DONE, 0),
            failed=jobs.get(State.QUARANTINED, 0) + jobs.get(State.FAILED, 0),
            oldest=self._archive.deliveries.oldest(name),
            paused=state.paused or None,
            window=str(window),
            is_open=window.is_open(wall_clock(now)),
            breaker=state.breaker(now),
            next_attempt=at,
            reason=reason,
        )

    def _next(self, name: str, window: Window, state: QueueState, now: float) -> tuple[float | None, str]:
        """When something is tried next, if not at once, and why not at once."""
        if state.paused:
            return None, state.reason
        alone = self._archive.deliveries.next_attempt(name)
        at, reason = (state.next_attempt, state.reason) if state.failures else alone or (None, "")
        then = wall_clock(max(now, at or 0.0))
        opens = None if window.is_open(then) else window.opens(then)
        return (at, reason) if opens is None else (opens.timestamp(), reason or "outside its hours")


def sent_again(jobs: int) -> str:
    """What became of the wish to send something again, in words."""
    if not jobs:
        return "nothing is sent again: all of it is on its way already"
    return f"{jobs:,} {'instance is' if jobs == 1 else 'instances are'} sent again"


def _address(peer: Peer) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"
