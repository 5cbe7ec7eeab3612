"""Carries PDUs over TLS. The socket does not block: no thread waits inside OpenSSL while another one needs it."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pynetdicom import evt
from pynetdicom.transport import T_CONNECT, AddressInformation

from .transport import Connection, acknowledge_at_once

if TYPE_CHECKING:
    from pynetdicom.association import Association

Secure = Callable[[socket.socket], ssl.SSLSocket]
"""Makes TLS of a connection that was just made, handshake included. Raises OSError."""
_MUTE = "the peer ended the connection without a word; it may not accept our certificate"  # TLS 1.3 may tell no more
_NO_DATA = (ssl.SSLZeroReturnError, ssl.SSLEOFError)


class SecureConnection(Connection):
    """The socket of an association over TLS."""

    def __init__(
        self,
        assoc: Association,
        client_socket: socket.socket | None = None,
        address: AddressInformation | None = None,
        *,
        secure: Secure | None = None,
    ) -> None:
        """Over a connection whose handshake was made, or over one that is still to be made and secured."""
        self._secure = secure
        self._openssl = threading.Lock()
        self._seconds: float | None = None
        self._ahead = b""
        self._has_spoken = False
        super().__init__(assoc, client_socket=client_socket, address=address)

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect to a peer and shake hands; what came of it is an event for the state machine."""
        assert self.socket is not None and self._secure is not None
        try:
            self.socket.settimeout(self.assoc.connection_timeout)
            self.socket.connect(primitive.address_info.as_tuple)
            self.socket = self._secure(self.socket)
            self._is_connected = True
            self.prepare(self.assoc.network_timeout)
            self.assoc.requestor.address_info = AddressInformation.from_tuple(self.socket.getsockname())
            evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": primitive.address_info.as_tuple})
            primitive.result = "Evt2"  # transport connection confirmed
        except OSError as error:
            self._note(error)
            self.socket.close()
            self.socket, self._is_connected = None, False
            primitive.result = "Evt17"  # transport connection closed
        finally:
            self._ready.set()
        self.provider_queue.put(primitive)

    def prepare(self, seconds: float | None) -> None:
        """Make the socket not block; give up on a peer that does not move for so many seconds."""
        self._seconds = seconds
        with suppress(OSError):
            sock = self._socket()
            sock.settimeout(0.0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def holds_decrypted(self) -> bool:
        """Whether bytes wait that the kernel no longer has."""
        if self._ahead:
            return True
        with self._openssl:
            sock = self.socket
            return isinstance(sock, ssl.SSLSocket) and self._is_connected and sock.pending() > 0

    @property
    def ready(self) -> bool:
        """Whether something can be read now, be it that the peer has closed."""
        try:
            return self.holds_decrypted or (_wait(self._socket(), select.POLLIN, 0.0) and self.has_data())
        except OSError:
            return False

    def has_data(self) -> bool:
        """Whether what has come holds data, or the end: it may be a part of a record, or none of ours to read."""
        if self._ahead:
            return True
        try:
            with self._openssl:
                self._ahead = self._socket().recv(1)
            self._hear(len(self._ahead))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            self._note(error)
        return True

    def at_hand(self, view: memoryview) -> int:  # noqa: ARG002 - as of what is not encrypted
        """Nothing: what has come may be a part of a record."""
        return 0

    def fill(self, view: memoryview) -> int:
        """Read until the view is full. Returns how many bytes came before the peer closed. Raises OSError, also where
        the peer stops in the middle."""
        sock, filled = self._socket(), 0
        if self._ahead and len(view):
            view[:1], self._ahead, filled = self._ahead, b"", 1
        while filled < len(view):
            try:
                with self._openssl:
                    came = sock.recv_into(view[filled:])
            except ssl.SSLWantReadError:
                acknowledge_at_once(sock)
                self._await(sock, select.POLLIN)
                continue
            except ssl.SSLWantWriteError:
                self._await(sock, select.POLLOUT)
                continue
            except OSError as error:
                self._note(error)
                raise
            self._hear(came)
            if not came:
                break
            filled += came
        return filled

    def write(self, pieces: Sequence[bytes | memoryview]) -> bool:
        """Write them one after the other, nothing of another thread in between; whether that worked."""
        try:
            with self._writing:
                for piece in pieces:
                    self._write_all(memoryview(piece))
            return True
        except OSError as error:
            self._note(error)
            self.event_queue.put("Evt17")  # transport connection closed
            return False

    def hang_up(self) -> None:
        """End the connection under whoever reads from it."""
        with suppress(OSError):
            hang_up(self._socket())

    def _write_all(self, data: memoryview) -> None:
        sock = self._socket()
        while data:
            try:
                with self._openssl:
                    sent = sock.send(data)
                data = data[sent:]
            except ssl.SSLWantWriteError:
                self._await(sock, select.POLLOUT)
            except ssl.SSLWantReadError:
                self._await(sock, select.POLLIN)

    def _shutdown_socket(self) -> None:
        """Say that nothing more comes, and close."""
        sock = self.socket
        if sock is None:
            return
        with self._openssl:
            if isinstance(sock, ssl.SSLSocket):
                with suppress(OSError, ValueError):
                    sock.unwrap()  # sends our close_notify and does not wait for the peer's
            hang_up(sock)  # before anybody else may write: without its TLS this is a plain socket
        sock.close()

    def _await(self, sock: socket.socket, what: int) -> None:
        if not _wait(sock, what, self._seconds):
            raise TimeoutError("the peer stopped")

    def _hear(self, came: int) -> None:
        self._has_spoken = self._has_spoken or came > 0
        if not self._has_spoken and not self.failure:
            self.failure = _MUTE

    def _note(self, error: OSError) -> None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, _NO_DATA):
            self.failure = reason_of(error)
        elif self._is_connected:
            self._hear(0)


def hang_up(sock: socket.socket) -> None:
    """End a connection, under TLS: Python's own would let who writes after it write without."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def reason_of(error: ssl.SSLError) -> str:
    """Why TLS failed, in OpenSSL's words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return str(getattr(error, "reason", None) or error.args[-1]).replace("_", " ").lower()  # ours have no reason


def _wait(sock: socket.socket, what: int, seconds: float | None) -> bool:
    poll, descriptor = select.poll(), sock.fileno()  # select() knows no descriptors above 1023
    if descriptor < 0:
        raise OSError("the connection is closed")
    poll.register(descriptor, what)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
