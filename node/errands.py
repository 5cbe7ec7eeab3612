"""Does for one peer, besides sending, what is due from time to time: each peer has a thread, so that none waits for
another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable

from .announcer import Announcer
from .asker import Asker
from .choices import Ability
from .config import Config
from .dimse.credentials import Credentials
from .services import reporter_for
from .stepreporter import StepReporter

log = logging.getLogger("lethe.errands")

_PAUSE = 1.0


class Errands:
    """The steps for one peer; each does one thing if there is one to do, and says whether there was."""

    def __init__(self, archive: Archive, peer: str, steps: Sequence[Callable[[], bool]]) -> None:
        self._archive = archive
        self._peer = peer
        self._steps = tuple(steps)

    def run(self, stopping: threading.Event) -> None:
        """Step until told to stop."""
        while not stopping.is_set():
            if not any([self._tried(step) for step in self._steps]):
                stopping.wait(_PAUSE)
        self._archive.close()

    def _tried(self, step: Callable[[], bool]) -> bool:
        try:
            return step()
        except Unavailable as error:
            log.warning("%s: %s", self._peer, error)
        except Exception:
            log.exception("%s: an errand failed", self._peer)
        return False


def errands_of(config: Config, archive: Archive, credentials: Credentials | None) -> list[Errands]:
    """The errands of every peer that has any."""
    found, title = [], config.node.ae_title
    for peer in config.peers:
        steps: list[Callable[[], bool]] = []
        if Ability.COMMIT in peer.may:
            steps.append(reporter_for(config, archive, peer, credentials).step)
        if peer.commits:
            steps.append(Asker(archive, peer, title, credentials=credentials).step)
        if peer.notify:
            steps.append(Announcer(archive, peer, title, credentials=credentials).step)
        if Ability.STEPS in peer.may:
            steps.append(StepReporter(archive, peer, title, credentials=credentials).step)
        if steps:
            found.append(Errands(archive, peer.name, steps))
    return found
