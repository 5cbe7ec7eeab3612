"""Takes connections and makes each an association of ours; of those that say nothing, it keeps only the latest."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from ..loopback import unmapped
from .association import Asked, Opened, PromptAssociation, Stored
from .certificates import Presented
from .credentials import Credentials
from .secure import SecureConnection, hang_up, reason_of
from .transport import Connection

log = logging.getLogger("lethe.receive")

_BACKLOG = 256
_NOTHING_LEFT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_PAUSE = 0.5
_SAY_AGAIN = 60.0
_MOST_SILENT = 64
"""Connections that have not yet asked for an association. A peer asks at once: who waits longest means us no good."""


class Listener(ThreadedAssociationServer):
    """The listening socket of an AE. Several processes can share a port (`shared`); the kernel then spreads the
    connections over them."""

    request_queue_size = _BACKLOG
    daemon_threads = True

    def __init__(
        self, *arguments: Any, opened: Opened, stored: Stored, asked: Asked, shared: bool, **others: Any
    ) -> None:
        self.opened, self.stored, self.asked = opened, stored, asked
        self._shared = shared
        self._said = -_SAY_AGAIN
        self._silent: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        super().__init__(*arguments, **others, request_handler=Greeter)  # type: ignore[misc]

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next connection. Where there is nothing left to take one with, the others wait a moment for that:
        asked again at once, the kernel would say the same for ever."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _NOTHING_LEFT:
                self._say(f"no connection can be taken now: {error.strerror}")
                time.sleep(_PAUSE)
            raise

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Say why no association can be made of a connection, which is then closed."""
        error = sys.exception()
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        self._say(f"a connection from {client_address[0]} cannot be served now: {why}")

    def _say(self, what: str) -> None:
        """Once in a while, since it may go on for long."""
        now = time.monotonic()
        if now - self._said >= _SAY_AGAIN:
            self._said = now
            log.error("%s", what)

    def server_bind(self) -> None:
        """Bind the socket."""
        if self._shared:
            cast(socket.socket, self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:  # pynetdicom's loggers, which would see every PDU, are left out
            self.bind(event, evt.get_default_handler(event))

    def receive(self, client: socket.socket, _address: str) -> tuple[socket.socket, Presented | None] | None:
        """The connection, and what certificate was presented; None where there will be none."""
        return client, None

    def greet(self, silent: object, hang_up: Callable[[], None]) -> None:
        """Remember one that has not said yet what it wants; hang up on the one that waits longest if there are many."""
        with self._lock:
            self._silent[id(silent)] = hang_up
            crowded = len(self._silent) > _MOST_SILENT
            longest = self._silent.pop(next(iter(self._silent))) if crowded else None
        if longest is not None:
            longest()

    def leave_silent(self) -> None:
        """Hang up on all that have not said yet what they want."""
        with self._lock:
            waiting, self._silent = list(self._silent.values()), {}
        for hang_up_on_it in waiting:
            hang_up_on_it()

    def heard(self, silent: object) -> None:
        """That one has asked for its association, or is gone."""
        with self._lock:
            self._silent.pop(id(silent), None)


class SecureListener(Listener):
    """The listening socket for TLS. Each handshake has its own thread and `patience` seconds; `refused` is told the
    address of who presents no certificate that is good, and why."""

    def __init__(
        self,
        *arguments: Any,
        credentials: Credentials,
        patience: float,
        refused: Callable[[str, str], None],
        **others: Any,
    ) -> None:
        self._credentials, self._patience, self._refused = credentials, patience, refused
        super().__init__(*arguments, **others)

    def receive(self, client: socket.socket, address: str) -> tuple[socket.socket, Presented | None] | None:
        """Shake hands, within its time."""
        try:
            secured = self._credentials.receive(client)
        except OSError:  # gone already
            client.close()
            return None
        self.greet(secured, lambda: hang_up(secured))
        try:
            secured.settimeout(self._patience)
            secured.do_handshake()
            return secured, self._credentials.presented(secured)
        except OSError as error:
            secured.close()
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                self._refused(address, reason_of(error))
            return None
        finally:
            self.heard(secured)


class Greeter(RequestHandler):
    """Makes the association of one connection."""

    def handle(self) -> None:
        """Start it, if it comes to that."""
        association = self._association()
        if association is not None:
            evt.trigger(association, evt.EVT_CONN_OPEN, {"address": self.client_address})
            association.start()

    def _association(self) -> PromptAssociation | None:
        server = cast(Listener, self.server)
        ae = self.ae
        received = server.receive(cast(socket.socket, self.request), unmapped(str(self.client_address[0])))
        if received is None:
            return None
        client, presented = received
        association = PromptAssociation(
            ae,
            MODE_ACCEPTOR,
            opened=server.opened,
            stored=server.stored,
            asked=server.asked,
            longest_pdu=ae.maximum_pdu_size,
        )
        association._server = server
        # By this name pynetdicom knows the running ones.
        association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"
        association.presented = presented
        connection = (Connection if presented is None else SecureConnection)(association, client_socket=client)
        association.set_socket(connection)
        ours = association.acceptor
        ours.maximum_length = ae.maximum_pdu_size
        ours.ae_title = server.ae_title
        ours.address_info = self.local
        ours.implementation_class_uid = ae.implementation_class_uid
        ours.implementation_version_name = ae.implementation_version_name
        ours.supported_contexts = server.contexts  # not a copy of its 9,000 entries: negotiation only reads them
        association.requestor.address_info = self.remote
        for event, handlers in server._handlers.items():
            if event.is_intervention:
                association.bind(event, *cast(tuple[Callable[..., Any], Any], handlers))
            else:
                for handler, arguments in cast(list[tuple[Callable[..., Any], Any]], handlers):
                    association.bind(event, handler, arguments)
        association.ended.append(lambda: server.heard(association))
        server.greet(association, connection.hang_up)
        return association
