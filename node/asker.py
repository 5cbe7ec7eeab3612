"""Asks a destination to commit what it has got, study by study, and asks again where it does not answer."""

from __future__ import annotations

import logging
import random
import threading

from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.events import Event

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.commitments import Reference
from lethe.storage.errors import Unavailable
from lethe.storage.jobs import retry_delay
from lethe.storage.promises import Wanted

from .config import Peer
from .dimse.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST, request_of, take_answer
from .dimse.credentials import Credentials
from .dimse.errand import errand, is_taken, status_of

log = logging.getLogger("lethe.asker")

_BATCH = 1000
_LONGEST_WAIT = 3600.0
_FOR_AN_ANSWER_HERE = 2.0


class Asker:
    """The storage commitments of one destination. It is asked for an instance no sooner than `settle` seconds after its
    delivery, so that a study comes in few transactions, and has `patience` seconds to answer."""

    def __init__(
        self,
        archive: Archive,
        peer: Peer,
        ae_title: str,
        *,
        settle: float = 5.0,
        patience: float = 3600.0,
        credentials: Credentials | None = None,
    ) -> None:
        self._archive = archive
        self._peer = peer
        self._ae_title = ae_title
        self._settle = settle
        self._patience = patience
        self._credentials = credentials
        self._failures = 0

    def step(self) -> bool:
        """Ask for one batch if there is one; whether there was."""
        promises, name = self._archive.promises, self._peer.name
        late = promises.overdue(name)
        if late:
            log.warning("%s has not answered for %d instances; asking again", name, late)
        wanted = promises.batch(name, settle=self._settle, most=_BATCH)
        if not wanted:
            return False
        uid = generate_uid(prefix=None)
        promises.ask(name, uid, wanted, patience=self._patience)
        try:
            self._ask(uid, wanted)
            self._failures = 0
        except Unavailable as error:
            self._failures += 1
            delay = retry_delay(self._failures, random.random(), longest=_LONGEST_WAIT)  # noqa: S311 - not a secret
            log.warning("%s; asking it again in %.0f s", error, delay)
            promises.again(uid, delay, str(error))
        return True

    def _ask(self, uid: str, wanted: list[Wanted]) -> None:
        """PS3.4 J.3.2. The answer may come on this association, and it is kept open a moment for that."""
        answered = threading.Event()

        def on_report(event: Event) -> tuple[int, None]:
            status = take_answer(self._archive, event, [self._peer.name], Actor(self._peer.name))
            answered.set()
            return status, None

        references = [Reference(one.sop_class, one.sop_uid) for one in wanted]
        with errand(
            self._peer,
            self._ae_title,
            PUSH_MODEL,
            handlers=[(evt.EVT_N_EVENT_REPORT, on_report)],
            credentials=self._credentials,
        ) as association:
            ds = request_of(uid, references)
            status = status_of(self._peer, association.send_n_action(ds, REQUEST, PUSH_MODEL, PUSH_MODEL_INSTANCE))
            if not is_taken(status):
                raise Unavailable(f"{self._peer.name} answers the request to commit with 0x{status:04X}")
            log.info("%s is asked to commit %d instances", self._peer.name, len(wanted))
            answered.wait(_FOR_AN_ANSWER_HERE)
