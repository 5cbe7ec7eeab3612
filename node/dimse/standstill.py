"""Lets one thread at a time send over an association and take the answer, while the association's own stands still.

Stands in for the event that pynetdicom clears before it sends and sets after the answer. pynetdicom then looks at a
flag until the reactor stands: for ever where the reactor has ended meanwhile, or where the thread that pynetdicom makes
for each N-EVENT-REPORT took the flag away; and too early where the peer is still being answered, which then never gets
that answer. Here clearing it is the wait, and has an end.
"""

from __future__ import annotations

import threading
import time

_PATIENCE = 60.0
"""Seconds to wait for a reactor that answers the peer, or for another sender."""
_LOOK = 1.0


class Standstill:
    """An event that is set while nobody sends. Who sends clears and sets it; the reactor calls `stand` when it has
    nothing to do or is no more, and `go_on` when it has something to do."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._changed = threading.Condition()
        self._reactor: threading.Thread | None = None  # while it goes
        self._sender: threading.Thread | None = None
        self._stands = False

    def clear(self) -> None:
        """Begin to send. Returns once the reactor stands, or is no more; at once to the reactor itself, which may send
        while it answers. Raises RuntimeError, as pynetdicom does of an association that is gone, where that takes too
        long."""
        us, deadline = threading.current_thread(), time.monotonic() + self._patience
        with self._changed:
            while us is not self._reactor:
                if self._stands and (us is self._sender or self.is_set()):
                    self._sender = us
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError("the association is busy")
                self._changed.wait(min(_LOOK, self._patience))

    def set(self) -> None:
        """End to send."""
        with self._changed:
            self._sender = None
            self._changed.notify_all()

    def is_set(self) -> bool:
        """Whether nobody sends. Who died over it does not."""
        return self._sender is None or not self._sender.is_alive()

    def is_ours(self) -> bool:
        """Whether this thread is the one that may send now."""
        return threading.current_thread() in (self._reactor, self._sender)

    def stand(self) -> None:
        """The reactor has nothing to do, or has ended."""
        with self._changed:
            self._reactor, self._stands = None, True
            self._changed.notify_all()

    def go_on(self) -> None:
        """The reactor has something to do: it waits until nobody sends, and lets nobody in from then on."""
        with self._changed:
            while not self.is_set():
                self._changed.wait(_LOOK)
            self._reactor, self._stands = threading.current_thread(), False
