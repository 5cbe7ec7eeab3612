"""Finds out when a study is complete, for the destinations that want it whole.

It is complete when everything of it that came has been cleaned or decided on, and its source says that there is no
more, or is silent for as long as the configuration says. What comes after that is sent as what was missing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lethe.storage.archive import Archive
from lethe.storage.errors import StorageError, Unavailable
from lethe.storage.gatherings import Gathering

from .config import Peer

log = logging.getLogger("lethe.completion")

_LOOK_AGAIN = 1.0
_SHORT_SILENCE = 5.0
"""Seconds after which a source is asked at the soonest: while it sends, it is not."""
_PATIENCE = 10
"""How many times the quiet seconds are waited for what a source says is missing."""

Ask = Callable[[Peer, str], int | None]
"""Asks a peer how many instances a study has."""


@dataclass(frozen=True)
class Wait:
    """It is not complete yet; look again then."""

    until: float


@dataclass(frozen=True)
class AskSource:
    """Its source is to be asked how many there are."""


@dataclass(frozen=True)
class Complete:
    """It is complete, and by what that is known."""

    why: str


def judged(gathering: Gathering, received: int, now: float, *, can_be_asked: bool) -> Wait | AskSource | Complete:
    """What is to be done about a study of which everything that came so far is cleaned or decided."""
    quiet_at = gathering.last + gathering.quiet
    if not can_be_asked:
        return Complete("quiet") if now >= quiet_at else Wait(quiet_at)
    if gathering.expected >= 0 and received >= gathering.expected:
        return Complete("count")
    silence = min(_SHORT_SILENCE, gathering.quiet)
    ask_at = max(gathering.last + silence, gathering.asked + (gathering.quiet if gathering.asked else 0.0))
    last_chance = quiet_at if gathering.expected < 0 else gathering.last + _PATIENCE * gathering.quiet
    if gathering.asked <= gathering.last or now < last_chance:
        return (
            AskSource()
            if now >= ask_at
            else Wait(ask_at if gathering.asked <= gathering.last else min(ask_at, last_chance))
        )
    return Complete("quiet" if gathering.expected < 0 else "count not reached")


class Completion:
    """Watches over the studies that are not complete yet."""

    def __init__(
        self, archive: Archive, peers: Sequence[Peer], ask: Ask, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._archive = archive
        self._peers = {peer.ae_title: peer for peer in peers if peer.count}
        self._ask = ask
        self._clock = clock

    def step(self) -> int:
        """Look at the studies that it is time to look at. Returns how many of them are complete."""
        return sum(self._look_at(gathering) for gathering in self._archive.gatherings.due(self._clock()))

    def run(self, stopping: threading.Event) -> None:
        """Step until told to stop."""
        while not stopping.wait(_LOOK_AGAIN):
            try:
                self.step()
            except Unavailable as error:
                log.warning("%s", error)
            except Exception:
                log.exception("whether studies are complete could not be found out")
        self._archive.close()

    def _look_at(self, gathering: Gathering) -> bool:
        now, known = self._clock(), self._archive.gatherings
        if known.is_undecided(gathering):
            known.look_at(gathering, now + _LOOK_AGAIN)
            return False
        peer = self._peers.get(gathering.source) if gathering.clean else None
        verdict = judged(gathering, known.received(gathering), now, can_be_asked=peer is not None)
        if isinstance(verdict, Complete):
            return self._archive.complete(gathering, verdict.why) is not None
        if isinstance(verdict, Wait):
            known.look_at(gathering, verdict.until)
        elif peer is not None:
            known.told(gathering, self._asked(peer, gathering), now)
        return False

    def _asked(self, peer: Peer, gathering: Gathering) -> int:
        """What the source says, -1 if nothing. It knows the study by its original UID, which the crosswalk has."""
        try:
            entries = self._archive.crosswalk.originals(gathering.project, [gathering.clean])
            count = self._ask(peer, entries[0].original if entries else gathering.clean)
        except StorageError as error:
            log.warning("%s", error)
            return -1
        return -1 if count is None else count
