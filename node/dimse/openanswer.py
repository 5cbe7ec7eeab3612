"""Answers a storage commitment on the association on which it was asked for, if the peer keeps that open."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from pynetdicom.association import Association
from pynetdicom.events import Event

log = logging.getLogger("lethe.commitment")

_BEFORE = 1.0
_PATIENCE = 10.0
Tell = Callable[[Association, str, int], None]


class OpenAnswer:
    """Waits a second for each association, in a thread of its own, and then lets `tell` use it. A peer that only asks
    and goes has released it by then, and its answer is not mixed up with that release."""

    def __init__(self, tell: Tell, close: Callable[[], None]) -> None:
        self._tell = tell
        self._close = close

    def __call__(self, event: Event, peer: str, number: int) -> None:
        threading.Thread(target=self._answer, args=(event.assoc, peer, number), daemon=True).start()

    def _answer(self, association: Association, peer: str, number: int) -> None:
        association.join(_BEFORE)
        if not association.is_established:
            return
        patience = association.dimse_timeout
        try:
            association.dimse_timeout = _PATIENCE  # a release that crosses ours is not seen before it has passed
            self._tell(association, peer, number)
        except Exception:
            log.exception("commitment %d was not answered on its own association", number)
        finally:
            association.dimse_timeout = patience
            self._close()
