"""Tells a peer the result of each storage commitment it asked for, once that is known and the peer is there."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping

from pynetdicom.association import Association

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.commitments import Commitment, Progress
from lethe.storage.demand import Demand
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.jobs import retry_delay
from lethe.storage.vouching import Standing, Vow

from .config import Peer
from .deid.registry import is_storage_class
from .dimse.calling import unbroken
from .dimse.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, report_of
from .dimse.credentials import Credentials
from .dimse.errand import errand, is_taken, status_of

log = logging.getLogger("lethe.reporter")

_LEASE = 300.0
_LONGEST_LOOK = 60.0
_LONGEST_WAIT = 600.0
_KEEP_TRYING = 30 * 86_400.0


class Reporter:
    """The results for one peer. `demands` says for each project what we vouch for; what is still waited for after
    `limit` seconds has failed."""

    def __init__(
        self,
        archive: Archive,
        peer: Peer,
        ae_title: str,
        demands: Mapping[str, Demand],
        *,
        limit: float,
        clock: Callable[[], float] = time.time,
        credentials: Credentials | None = None,
    ) -> None:
        self._archive = archive
        self._peer = peer
        self._ae_title = ae_title
        self._demands = demands
        self._limit = limit
        self._clock = clock
        self._credentials = credentials

    def step(self) -> bool:
        """Deal with one commitment if one is due; whether there was."""
        try:
            commitment = self._archive.commitments.claim(self._peer.name, _LEASE)
        except Refused as error:
            log.error("%s: %s", self._peer.name, error)
            return False
        if commitment is None:
            return False
        self._answer(commitment, lambda uid, vows: self._report(uid, vows))
        return True

    def answer_on(self, association: Association, number: int) -> None:
        """Tell the result of one commitment on the association on which it was asked for, if it is known."""
        commitment = self._archive.commitments.claim(self._peer.name, _LEASE, number=number)
        if commitment is not None:
            self._answer(commitment, lambda uid, vows: self._send(association, uid, vows))

    def _answer(self, commitment: Commitment, send: Callable[[str, list[Vow]], int]) -> None:
        age = self._clock() - commitment.created
        vows = self._archive.vows(commitment, self._demands, is_storage_class)
        if any(vow.standing == Standing.WAITING for vow in vows) and age < self._limit:
            self._archive.commitments.put_off(commitment, min(_LONGEST_LOOK, max(1.0, age / 10)))
            return
        try:
            status = send(commitment.uid, vows)
            if not is_taken(status):
                raise Unavailable(f"{self._peer.name} answers a storage commitment report with 0x{status:04X}")
        except Unavailable as error:
            self._later(commitment, vows, age, str(error))
            return
        failed = sum(vow.standing != Standing.GIVEN for vow in vows)
        log.info("%s: commitment %d: %d given, %d failed", self._peer.name, commitment.id, len(vows) - failed, failed)
        self._archive.reported(commitment, vows, Actor(self._peer.name), Progress.REPORTED)

    def _later(self, commitment: Commitment, vows: list[Vow], age: float, why: str) -> None:
        if age > self._limit + _KEEP_TRYING:
            log.error("%s; commitment %d is abandoned", why, commitment.id)
            self._archive.reported(commitment, vows, Actor(self._peer.name), Progress.ABANDONED)
            return
        delay = retry_delay(commitment.attempts, random.random(), longest=_LONGEST_WAIT)  # noqa: S311 - not a secret
        log.warning("%s; telling it again in %.0f s", why, delay)
        self._archive.commitments.later(commitment, delay)

    def _report(self, uid: str, vows: list[Vow]) -> int:
        """PS3.4 J.3.3: on an association of ours, on which we are the SCP."""
        with errand(
            self._peer, self._ae_title, PUSH_MODEL, as_scp=[PUSH_MODEL], credentials=self._credentials
        ) as association:
            return self._send(association, uid, vows)

    def _send(self, association: Association, uid: str, vows: list[Vow]) -> int:
        kind, ds = report_of(uid, vows)
        with unbroken(self._peer):
            answer = association.send_n_event_report(ds, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        return status_of(self._peer, answer)
