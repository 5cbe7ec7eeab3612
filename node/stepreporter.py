"""Tells a peer what happened to the workitems that it follows (PS3.4 CC.2.4), over associations of ours.

Where it left off is written down when the peer has answered: what was on its way when anything broke comes once more.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable

from lethe.storage.archive import Archive
from lethe.storage.errors import Unavailable
from lethe.storage.jobs import retry_delay
from lethe.storage.stepevents import Report
from lethe.storage.steprules import UPS_PUSH

from .config import Peer
from .dimse.calling import unbroken
from .dimse.credentials import Credentials
from .dimse.errand import errand, is_taken, status_of
from .dimse.steps import EVENT, report_of

log = logging.getLogger("lethe.steps")

_LONGEST_WAIT = 600.0


class StepReporter:
    """The event reports for the AE title of one peer, one after the other."""

    def __init__(
        self,
        archive: Archive,
        peer: Peer,
        ae_title: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        credentials: Credentials | None = None,
    ) -> None:
        self._archive = archive
        self._peer = peer
        self._ae_title = ae_title
        self._clock = clock
        self._credentials = credentials
        self._failed, self._not_before = 0, 0.0

    def step(self) -> bool:
        """Bring the next reports if there are any; whether there were."""
        events, title = self._archive.step_events, self._peer.ae_title
        if self._clock() < self._not_before:
            return False
        reports = events.after(title, events.mark(title))
        if not reports:
            return False
        try:
            self._bring(reports)
            self._failed = 0
        except Unavailable as error:
            self._failed += 1
            delay = retry_delay(self._failed, random.random(), longest=_LONGEST_WAIT)  # noqa: S311 - not a secret
            log.warning("%s; telling it again in %.0f s", error, delay)
            self._not_before = self._clock() + delay
        return True

    def _bring(self, reports: list[Report]) -> None:
        with errand(self._peer, self._ae_title, EVENT, as_scp=[EVENT], credentials=self._credentials) as association:
            for report in reports:
                uid, kind, ds = report_of(json.loads(report.text))
                with unbroken(self._peer):
                    answer = association.send_n_event_report(ds, kind, UPS_PUSH, uid, meta_uid=EVENT)
                status = status_of(self._peer, answer)
                if not is_taken(status):  # it has heard it, and would say the same of it for ever
                    log.warning("%s answers an event report with 0x%04X", self._peer.name, status)
                self._archive.step_events.received(self._peer.ae_title, report.number)
