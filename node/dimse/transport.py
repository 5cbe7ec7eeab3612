"""Carries PDUs over one connection: each is read in one go into one buffer, and written at once.

Over TLS, `secure.py` does.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
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
        """Make the connected socket block, answer without delay, and give up on a peer after so many seconds. One that
        another thread closes meanwhile is left to who reads from it."""
        limit = struct.pack("@ll", int(seconds or 0), int((seconds or 0) % 1 * 1e6))
        with suppress(OSError):
            sock = self._socket()
            sock.settimeout(None)
            # Without it an answer may wait 40 ms for the peer's delayed acknowledgement (Nagle).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    @property
    def descriptor(self) -> int:
        """What to wait on; -1 where there is no connection."""
        sock = self.socket
        return sock.fileno() if sock is not None and self._is_connected else -1

    @property
    def holds_decrypted(self) -> bool:
        """Whether bytes wait that the kernel no longer has."""
        return False

    def has_data(self) -> bool:
        """Whether what has come, as the kernel says, is for us to read."""
        return True

    def at_hand(self, view: memoryview) -> int:
        """Read what has come already. Returns how many bytes that were; 0 also of a connection that is closed."""
        try:
            return _at_hand(self._socket(), view)
        except OSError:
            return 0

    def expect_more(self) -> None:
        """To be called before waiting: have acknowledged what has come."""
        with suppress(OSError):
            acknowledge_at_once(self._socket())

    @property
    def ready(self) -> bool:
        """Whether something can be read now, be it that the peer has closed."""
        poll, descriptor = select.poll(), self.descriptor  # select() knows no descriptors above 1023
        if descriptor < 0:
            return False
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def fill(self, view: memoryview) -> int:
        """Read until the view is full. Returns how many bytes came before the peer closed. Raises OSError, also where
        the peer stops in the middle."""
        sock = self._socket()
        filled = _at_hand(sock, view)
        while filled < len(view):
            acknowledge_at_once(sock)
            came = sock.recv_into(view[filled:], 0, socket.MSG_WAITALL)
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
        try:
            sock = self._socket()
            with self._writing:
                for piece in pieces:
                    sock.sendall(piece)
            return True
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed
            return False

    def hang_up(self) -> None:
        """End the connection under whoever reads from it."""
        with suppress(OSError):
            self._socket().shutdown(socket.SHUT_RDWR)

    def _shutdown_socket(self) -> None:
        """Hang up and close, also where the peer has hung up before."""
        self.hang_up()
        with suppress(OSError):
            self._socket().close()

    def _socket(self) -> socket.socket:
        """The socket, which any thread may close at any time: who uses it after that gets an OSError."""
        sock = self.socket
        if sock is None:
            raise OSError("the connection is closed")
        return sock


def _at_hand(sock: socket.socket, view: memoryview) -> int:
    """Read what has come already. Returns how many bytes that were."""
    try:
        return sock.recv_into(view, 0, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0


def acknowledge_at_once(sock: socket.socket) -> None:
    """Have what came acknowledged without delay, where the system can; before each wait, for Linux forgets it again.

    Peers that leave Nagle's algorithm on, as DCMTK does unless told otherwise, hold the end of a message back until the
    rest of it is acknowledged, and that the kernel puts off by 40 ms: they sent us 23 small images a second.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
