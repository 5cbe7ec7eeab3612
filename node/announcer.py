"""Tells a peer which studies can be retrieved here, when their instances have come."""

from __future__ import annotations

import logging
import random

from pydicom.uid import generate_uid

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable
from lethe.storage.jobs import retry_delay
from lethe.storage.notices import Notice

from .config import Peer
from .dimse.availability import NOTIFICATION, notification_of
from .dimse.credentials import Credentials
from .dimse.errand import errand, is_taken, status_of

log = logging.getLogger("lethe.announcer")


class Announcer:
    """The notices for one peer, of the projects it asks for. A study is told of once nothing was published in it for
    `quiet` seconds, and again when it changes; all of it each time."""

    def __init__(
        self,
        archive: Archive,
        peer: Peer,
        ae_title: str,
        *,
        quiet: float = 10.0,
        credentials: Credentials | None = None,
    ) -> None:
        self._archive = archive
        self._peer = peer
        self._ae_title = ae_title
        self._quiet = quiet
        self._credentials = credentials

    def step(self) -> bool:
        """Tell of one study if one is due; whether there was."""
        notices, name = self._archive.notices, self._peer.name
        notices.collect(name, self._peer.notify, quiet=self._quiet)
        notice = notices.due(name)
        if notice is None:
            return False
        try:
            self._tell(notice)
            notices.told(name, notice)
        except Unavailable as error:
            delay = retry_delay(notice.attempts + 1, random.random())  # noqa: S311 - not a secret
            log.warning("%s; telling it again in %.0f s", error, delay)
            notices.later(name, notice, delay)
        return True

    def _tell(self, notice: Notice) -> None:
        content = self._archive.notices.content(notice.study, self._peer.notify)
        if not content:
            return
        ds = notification_of(notice.study, content, self._ae_title)
        with errand(self._peer, self._ae_title, NOTIFICATION, credentials=self._credentials) as association:
            status = status_of(self._peer, association.send_n_create(ds, NOTIFICATION, generate_uid(prefix=None)))
        if not is_taken(status):
            raise Unavailable(f"{self._peer.name} answers a notification with 0x{status:04X}")
        log.info("%s is told of a study with %d instances", self._peer.name, len(content))
