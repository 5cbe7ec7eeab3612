"""Carries PDUs over one connection: each is read in one go into one buffer, and written at once.

Over TLS, `secure.py` does.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pynetdicom import evt
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association


class Connection(AssociationSocket):
    """The socket of an association. The kernel keeps its timeouts: of waiting for the rest of what has begun to come,
    and of a peer that does not take what is sent."""

    failure = ""
    """Why it failed, where more can be said than that it did."""

    def __init__(
        self,
        assoc: Association,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
    ) -> None:
        super().__init__(assoc, client_socket=client_socket, address=address)
        self._writing = threading.Lock()
        if client_socket is not None:
            self.prepare(assoc.acse_timeout)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect to a peer; what came of it is an event for the state machine."""
        super().connect(primitive)
        if self._is_connected:
            self.prepare(self.assoc.network_timeout)

    def prepare(self, seconds: float | None) -> None:
        """Make the connected socket block, answer without delay, and give up on a peer after so many seconds."""
        if self.socket is None:
            return
        self.socket.settimeout(None)
        # Without it an answer may wait 40 ms for the peer's delayed acknowledgement (Nagle).
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = struct.pack("@ll", int(seconds or 0), int((seconds or 0) % 1 * 1e6))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    @property
    def descriptor(self) -> int:
        """What to wait on; -1 where there is no connection."""
        return self.socket.fileno() if self.socket is not None and self._is_connected else -1

    @property
    def holds_decrypted(self) -> bool:
        """Whether bytes wait that the kernel no longer has."""
        return False

    def has_data(self) -> bool:
        """Whether what has come, as the kernel says, is for us to read."""
        return True

    @property
    def ready(self) -> bool:
        """Whether something can be read now, be it that the peer has closed."""
        poll = select.poll()  # select() knows no descriptors above 1023
        if self.descriptor < 0:
            return False
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def fill(self, view: memoryview) -> int:
        """Read until the view is full. Returns how many bytes came before the peer closed. Raises OSError, also where
        the peer stops in the middle."""
        assert self.socket is not None
        filled = 0
        while filled < len(view):
            came = self.socket.recv_into(view[filled:], 0, socket.MSG_WAITALL)
            if not came:
                break
            filled += came
        return filled

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or what there is before the peer closes."""
        data = bytearray(nr_bytes)
        del data[self.fill(memoryview(data)) :]
        return data

    def send(self, bytestream: bytes) -> None:
        """Write it all. A connection that breaks over it is an event for the state machine."""
        if self.write((bytestream,)):
            evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})

    def write(self, pieces: Sequence[bytes | memoryview]) -> bool:
        """Write them one after the other, nothing of another thread in between; whether that worked."""
        sock = self.socket
        try:
            if sock is None:
                raise OSError("the connection is closed")
            with self._writing:
                for piece in pieces:
                    sock.sendall(piece)
            return True
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed
            return False

    def hang_up(self) -> None:
        """End the connection under whoever reads from it."""
        try:
            if self.socket is not None:
                self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
