"""Takes connections and makes each an association of ours; of those that say nothing, it keeps only the latest."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from pynetdicom import evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from .association import Asked, Opened, PromptAssociation, Stored
from .transport import Connection

_BACKLOG = 256
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
        self._silent: dict[int, PromptAssociation] = {}
        self._lock = threading.Lock()
        super().__init__(*arguments, **others, request_handler=Greeter)  # type: ignore[misc]

    def server_bind(self) -> None:
        """Bind the socket."""
        if self._shared:
            cast(socket.socket, self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:  # pynetdicom's loggers, which would see every PDU, are left out
            self.bind(event, evt.get_default_handler(event))

    def greet(self, association: PromptAssociation) -> None:
        """Remember one that has not said yet what it wants; hang up on the one that waits longest if there are many."""
        with self._lock:
            self._silent[id(association)] = association
            crowded = len(self._silent) > _MOST_SILENT
            longest = self._silent.pop(next(iter(self._silent))) if crowded else None
        association.ended.append(lambda: self.heard(association))
        if longest is not None and isinstance(longest.dul.socket, Connection):
            longest.dul.socket.hang_up()

    def heard(self, association: Association) -> None:
        """That one has asked for its association, or is gone."""
        with self._lock:
            self._silent.pop(id(association), None)


class Greeter(RequestHandler):
    """Makes the association of one connection."""

    def _create_association(self) -> Association:
        server = cast(Listener, self.server)
        ae = self.ae
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
        association.set_socket(Connection(association, client_socket=cast(socket.socket, self.request)))
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
        server.greet(association)
        return association
