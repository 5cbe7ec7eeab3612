"""Keeps pynetdicom's own peers from losing answers: their reactor stands before they send.

pynetdicom 3.0.4 clears an event, waits for a flag that says that the reactor stands, and sends. Where the event was set
a moment ago, after the answer before, the reactor may still be on its way out of its wait, with the flag as it was: it
goes on, takes the next answer for a request, and drops it ("Received unexpected C-FIND service message"). Lethe has its
own (`lethe.node.dimse.standstill`); the peers that tests play are pynetdicom's.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pynetdicom.association import Association


class _Checkpoint(threading.Event):
    """The event, which knows whether the reactor is past it."""

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self.passed = False
        self._gate = threading.Lock()

    def clear(self) -> None:
        with self._gate:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        while super().wait(timeout):
            with self._gate:
                if self.is_set():
                    self.passed = True
                    return True
        return False


class _Stands:
    """The flag, which is down while the reactor is past the event; to the reactor itself it is up."""

    def __get__(self, association: Any, _kind: type | None = None) -> bool:
        if threading.current_thread() is association:
            return True
        return bool(association.__dict__["_stands"]) and not association._reactor_checkpoint.passed

    def __set__(self, association: Any, stands: bool) -> None:
        association.__dict__["_stands"] = stands
        association._reactor_checkpoint.passed = False


def steady(patch: pytest.MonkeyPatch) -> None:
    """Associations of pynetdicom's own kind wait for their reactor, until the patch is undone."""

    def checkpoint(association: Any) -> threading.Event:
        return association.__dict__["_checkpoint"]

    def begun(association: Any, event: threading.Event) -> None:
        """pynetdicom makes its event once, as it begins."""
        association.__dict__["_checkpoint"] = _Checkpoint() if type(association) is Association else event

    patch.setattr(Association, "_reactor_checkpoint", property(checkpoint, begun), raising=False)
    patch.setattr(Association, "_is_paused", _Stands(), raising=False)
