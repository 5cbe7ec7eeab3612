"""Pulls studies from a peer to this node, one after another, each tried a few times and remembered once it came."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable
from lethe.storage.jobs import retry_delay
from lethe.storage.pulls import digest

from .dimse.pulling import BrokenOff, Moved, Pacs, Told
from .pace import Pace
from .wishlist import Wish

ATTEMPTS = 3
MOST_IN_VAIN = 3
"""Studies in a row of which a peer sends nothing, and says so, before no other is asked for."""
_HUNG_UP = 0xC000
T = TypeVar("T")


@dataclass(frozen=True)
class Study:
    """A study that was found: the wish that found it, and its UID there."""

    name: str
    uid: str


@dataclass(frozen=True)
class _Attempt:
    """What the peer says of one move, how many instances came, and why that is not all; "" where it is."""

    moved: Moved
    came: int
    problem: str


@dataclass
class Tally:
    """What became of a pull: studies, instances, and why what did not come did not."""

    found: int = 0
    before: int = 0
    moved: int = 0
    instances: int = 0
    failures: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """All of it in numbers."""
        return {
            "found": self.found,
            "pulled_before": self.before,
            "moved": self.moved,
            "instances": self.instances,
            "failed": len(self.failures),
        }


class Pull:
    """One request to one peer, whose studies come to this node."""

    def __init__(
        self,
        archive: Archive,
        pacs: Pacs,
        *,
        request: str,
        pace: Pace,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.tally = Tally()
        self._archive = archive
        self._pacs = pacs
        self._request = request
        self._pace = pace
        self._sleep = sleep
        self._in_vain = 0

    def find(self, wishes: Sequence[Wish]) -> Iterator[list[Study]]:
        """For each wish, the studies that are still to come. Raises Unavailable, Refused."""
        done, seen = self._archive.pulls.done(self._pacs.peer.name, self._request), set[str]()
        for wish in wishes:
            asked = wish.keys.get("StudyInstanceUID", "")
            known = bool(asked) and digest(asked) in done
            found = [asked] if known else self._patiently(partial(self._pacs.find, wish.keys))
            if not found:
                self.tally.failures.append(f"{wish.name}: {self._pacs.peer.name} finds no such study")
            fresh = [uid for uid in found if uid not in seen]
            seen.update(fresh)
            self.tally.found += len(fresh)
            self.tally.before += sum(digest(uid) in done for uid in fresh)
            yield [Study(wish.name, uid) for uid in fresh if digest(uid) not in done]

    def move(self, study: Study, told: Told) -> None:
        """Have one study come, in time for the rate. Raises Unavailable where the peer is away, Refused where it would
        send no other study either."""
        attempt = self._tried(study, told)
        self.tally.instances += attempt.came
        if not attempt.problem:
            self._archive.pulls.add(self._pacs.peer.name, self._request, study.uid)
            self.tally.moved += 1
            return
        self.tally.failures.append(f"{study.name}: {attempt.problem}")
        if self._in_vain >= MOST_IN_VAIN:
            raise Unavailable(f"{self._pacs.peer.name} sent nothing of {MOST_IN_VAIN} studies in a row")

    def _tried(self, study: Study, told: Told) -> _Attempt:
        """The attempt that brought it, or the last."""
        for number in range(1, ATTEMPTS + 1):
            self._sleep(self._pace.wait(time.monotonic()))
            attempt = self._attempt(study, told)
            moved = attempt.moved
            for _ in range(moved.completed + moved.failed):
                self._pace.sent(0, time.monotonic())
            if not attempt.problem:
                break
            if number < ATTEMPTS:
                self._sleep(_delay(number))
        self._in_vain = self._in_vain + 1 if moved.status and not moved.completed else 0
        return attempt

    def _attempt(self, study: Study, told: Told) -> _Attempt:
        mark = self._archive.mark()
        try:
            moved = self._patiently(partial(self._pacs.bring, study.uid, told))
        except BrokenOff as error:
            return _Attempt(Moved(_HUNG_UP, 0, 0), 0, f"{error}; {self._pacs.hint}")
        came = self._archive.came_since(mark)
        return _Attempt(moved, min(came, moved.completed), self._problem(moved, came))

    def _problem(self, moved: Moved, came: int) -> str:
        """Why a study is not here as a whole; "" where it is. What a peer says it sent is believed only if it came."""
        peer, status = self._pacs.peer.name, f"0x{moved.status:04X}"
        if moved.is_whole and came < moved.completed:
            return f"{peer} says it sent {moved.completed} instances, but {came} came; {self._pacs.hint}"
        if moved.is_whole:
            return ""
        if moved.failed or moved.completed:
            return f"{peer} sent {moved.completed} instances and failed to send {moved.failed} ({status})"
        return f"{peer} sent nothing ({status})" + (f"; {self._pacs.hint}" if moved.status else "")

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer of a peer that may be away for a moment. Raises Unavailable where it stays so."""
        for attempt in range(1, ATTEMPTS):
            try:
                return ask()
            except BrokenOff:
                raise
            except Unavailable:
                self._sleep(_delay(attempt))
        return ask()


def _delay(attempt: int) -> float:
    return retry_delay(attempt, random.random())  # noqa: S311 - not a secret
