"""Runs the upper layer of an association: waits for the peer and for ourselves at once, and never sleeps to look again.

Stands in for pynetdicom's `DULServiceProvider`, which looks every millisecond; its state machine is used as it is.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from .messages import Malformed
from .requested import mended
from .signals import Bell, SignallingQueue
from .transport import Connection

if TYPE_CHECKING:
    from .association import PromptAssociation

log = logging.getLogger("lethe.dimse")

_P_DATA, _ASSOCIATE, _NEGOTIATION = 0x04, (0x01, 0x02), (0x01, 0x02, 0x03)
_LONGEST_ASSOCIATE = 1 << 20  # 128 contexts with all transfer syntaxes are 180 kB
_LONGEST_OTHER = 1 << 10
_SPARE = 1 << 12  # what a peer may be over the length it was told
_ESTABLISHED, _PEER_RELEASES, _CLOSING = "Sta6", "Sta8", "Sta13"
_OVER, _ANSWERS_RELEASE = ("Sta1", _CLOSING), "Evt14"
_NEGOTIATING = ("Sta3", "Sta5")


class Reactor(DULServiceProvider):
    """The DUL provider of an association. `longest_pdu` is what the peer was told, and a little more is taken."""

    def __init__(self, assoc: PromptAssociation) -> None:
        super().__init__(assoc)
        self.daemon = True
        self._association = assoc
        self._bell = Bell()
        self.longest_pdu = 1 << 17
        self.event_queue = SignallingQueue(self._bell.ring)
        self.to_provider_queue = SignallingQueue(self._bell.ring)
        self.to_user_queue = SignallingQueue(assoc.wake)
        self._buffer = bytearray()

    def run_reactor(self) -> None:
        """Until the association has ended, one way or another."""
        try:
            self._run()
        except Exception:
            log.exception("an association ended by a failure")
            self._cut_off()
        finally:
            self._association.dimse.end()
            self._association.has_ended()
            self._bell.close()
            self.assoc._dul_ready.set()
            self.to_user_queue.put(None)  # who waits for the peer's request waits in vain
            if self._association.connection is not None:
                self._association.connection._ready.set()  # who waits for the connection waits in vain
            self._association.wake()

    def kill_dul(self) -> None:
        """End the thread."""
        self._kill_thread = True
        self._bell.ring()

    def look_again(self) -> None:
        """There may be something to do that there was not."""
        self._bell.ring()

    def stop_dul(self) -> bool:
        """End the thread if there is no connection; whether it ended."""
        if self.state_machine.current_state == "Sta1":
            self.kill_dul()
            self.join(10)
        return not self.is_alive()

    def send_pdu(self, primitive: Any) -> None:
        """Have a primitive sent. Messages go at once, from the thread that sends them: this one may be in the middle of
        reading, and a large data set would have to be kept in memory."""
        if not isinstance(primitive, P_DATA):
            super().send_pdu(primitive)
        elif self.may_send():
            self._send(P_DATA_TF(primitive))

    def may_send(self) -> bool:
        """Whether messages can be sent: the association is established, once what was negotiated has gone out."""
        deadline = time.monotonic() + 5.0
        while self.state_machine.current_state in _NEGOTIATING and self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.0005)
        return self.state_machine.current_state in (_ESTABLISHED, _PEER_RELEASES)

    def _run(self) -> None:
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        while not self._kill_thread:
            if self.artim_timer.expired:
                self.event_queue.put("Evt18")
            if self.event_queue.empty() and not self._process_recv_primitive() and self._has_come():
                self._is_transport_event()
            if not self.event_queue.empty():
                self._act(self.event_queue.get())

    def _act(self, event: str) -> None:
        """Do what an event asks for. An answer to the peer's wish for release that comes when it is over already, for
        the peer has gone on with something else, is left out: the state machine knows no such thing."""
        if event == _ANSWERS_RELEASE and self.state_machine.current_state in _OVER:
            self.to_provider_queue.get()
        else:
            self.state_machine.do_action(event)

    def _has_come(self) -> bool:
        """Wait for bytes of the peer; False where there is something else to do."""
        sock = self.socket
        if self.state_machine.current_state == _CLOSING:
            return sock is not None
        is_full = self.state_machine.current_state == _ESTABLISHED and self._association.dimse.is_full
        if is_full or not isinstance(sock, Connection):
            return self._bell.wait(-1, self._patience())
        if sock.holds_decrypted:
            return True
        sock.expect_more()
        return self._bell.wait(sock.descriptor, self._patience()) and sock.has_data()

    def _is_transport_event(self) -> bool:
        """Read what has come; after the end, close once nothing more comes."""
        if self.state_machine.current_state == _CLOSING:
            return super()._is_transport_event()
        self._read_pdu_data()
        while self._may_go_on() and self._read_at_hand():
            pass
        return True

    def _read_at_hand(self) -> bool:
        """Read a PDU of which some has come; whether any has."""
        sock, head = self.socket, bytearray(6)
        if not isinstance(sock, Connection) or not (begun := sock.at_hand(memoryview(head))):
            return False
        self._read_pdu(sock, head, begun)
        return True

    def _may_go_on(self) -> bool:
        """Whether what the peer has sent meanwhile is read at once: there is nothing else to do."""
        if self.state_machine.current_state != _ESTABLISHED or self._kill_thread or self._association.dimse.is_full:
            return False
        return not self.event_queue.queue and not self.to_provider_queue.queue

    def _patience(self) -> float | None:
        """How long there is nothing to do if nothing comes."""
        timer = self.artim_timer
        runs = timer._start_time is not None and timer._end_time is None and timer.timeout is not None
        return timer.remaining + 0.01 if runs else None

    def _read_pdu_data(self) -> None:
        """Read one PDU."""
        assert isinstance(self.socket, Connection)
        self._read_pdu(self.socket, bytearray(6), 0)

    def _read_pdu(self, sock: Connection, head: bytearray, begun: int) -> None:
        """Read one PDU, of whose head so many bytes are there; a fragment of a message is taken where it lies in the
        buffer."""
        try:
            if begun < 6 and begun + sock.fill(memoryview(head)[begun:]) < 6:
                self.event_queue.put("Evt17")
                return
            self._idle_timer.restart()
            kind, _, length = struct.unpack(">BBL", head)
            if not 0x01 <= kind <= 0x07 or length > self._longest(kind):
                self.event_queue.put("Evt19")
                return
            if len(self._buffer) < 6 + length:
                self._buffer = bytearray(6 + length)
            pdu = memoryview(self._buffer)[: 6 + length]
            pdu[:6] = head
            if sock.fill(pdu[6:]) < length:
                self.event_queue.put("Evt17")
                return
        except OSError:
            self.event_queue.put("Evt17")
            return
        try:
            if kind == _P_DATA and self.state_machine.current_state == _ESTABLISHED:
                for fragment in fragments(pdu[6:]):
                    self._association.dimse.take(*fragment)
            else:
                data = self._buffer[: 6 + length]
                decoded, event = self._decode_pdu(bytearray(mended(bytes(data))) if kind in _NEGOTIATION else data)
                self._recv_pdu.put(decoded)
                self.event_queue.put(event)
        except Malformed as error:
            log.warning("an association is aborted: %s", error)
            self.event_queue.put("Evt19")
        except Exception as error:
            log.warning("an association is aborted: a PDU cannot be decoded (%s)", type(error).__name__)
            self.event_queue.put("Evt19")

    def _longest(self, kind: int) -> int:
        if kind == _P_DATA:
            return self.longest_pdu + _SPARE
        return _LONGEST_ASSOCIATE if kind in _ASSOCIATE else _LONGEST_OTHER

    def _cut_off(self) -> None:
        """Where the state machine is of no use any more."""
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00
        if isinstance(self.socket, Connection):
            self.socket.write((abort.encode(),))
            self.socket._shutdown_socket()
        self.assoc.is_aborted, self.assoc.is_established, self.assoc._kill = True, False, True
        self._kill_thread = True


def fragments(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """The presentation data values of a P-DATA-TF: context ID, message control header, data (PS3.8 9.3.5, E.2). Raises
    Malformed."""
    at = 0
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        if length < 2 or at + 4 + length > len(body):
            raise Malformed("a presentation data value does not fit its PDU")
        yield body[at + 4], body[at + 5], body[at + 6 : at + 4 + length]
        at += 4 + length


def in_own_thread(reactor: Reactor) -> bool:
    """Whether this is the thread of that reactor, which must not wait for itself."""
    return threading.current_thread() is reactor
