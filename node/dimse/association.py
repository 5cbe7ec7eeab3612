"""Is an association that answers when there is something to answer: its threads wait for each other, and do not sleep.

Stands in for pynetdicom's `Association`, which looks every millisecond. What comes by C-STORE is written while it comes
(`messages.py`), and what goes by C-STORE is read and written in large pieces.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, BinaryIO, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from .certificates import Presented
from .commands import StoreRequest, encoded_store_request, encoded_store_response
from .messages import Intake, Messages
from .reactor import Reactor, in_own_thread
from .standstill import Standstill
from .transport import Connection

log = logging.getLogger("lethe.dimse")

_PIECE = 1 << 20
_LONGEST = 1 << 18  # of a P-DATA-TF to a peer that takes any
_KILL_PATIENCE = 5.0
Opened = Callable[["PromptAssociation", StoreRequest], Intake]
Stored = Callable[[StoreRequest, Intake], int]
Asked = Callable[["PromptAssociation", Any, int], bool]


class PromptAssociation(Association):
    """An association, made to us or by us.

    `opened` gives the place for a data set that begins to come, `stored` the status once it is complete; `asked` says
    whether it has answered another request, with its context ID, or leaves it to pynetdicom; `ended` are
    called when the association is over, however it went, in each of its threads: twice has to do no harm.
    """

    dul: Reactor
    dimse: Messages

    def __init__(
        self,
        ae: AE,
        mode: str,
        *,
        opened: Opened | None = None,
        stored: Stored | None = None,
        asked: Asked | None = None,
        longest_pdu: int,
    ) -> None:
        self._woken, self._standstill = threading.Event(), Standstill()
        self.is_leaving, self._has_answered_last = False, False
        self.speaking = threading.Lock()  # fragments of two messages do not mix: most peers read one after the other
        super().__init__(ae, mode)
        self._reactor_checkpoint = cast(threading.Event, self._standstill)
        self.opened, self._stored, self._asked = opened, stored, asked
        self.ended: list[Callable[[], None]] = []
        self.connection: Connection | None = None  # ours to a peer, as it began
        self.presented: Presented | None = None  # by a caller who comes by TLS
        self.dul, self.dimse = Reactor(self), Messages(self)
        self.dul.longest_pdu = longest_pdu
        self.acse_timeout, self.network_timeout = ae.acse_timeout, ae.network_timeout

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:  # pynetdicom's loggers, which would see every PDU, are left out
            self.bind(event, evt.get_default_handler(event))

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def leave(self) -> None:
        """End it once nothing is under way: what has begun to come is taken and answered, what would follow is not."""
        self.is_leaving = True
        self.wake()

    def kill(self) -> None:
        """End both threads. A peer that does not move is hung up on."""
        self._reactor_checkpoint.set()
        self._kill, self.is_established = True, False
        self.wake()
        if in_own_thread(self.dul):
            self.dul.kill_dul()
            return
        waited = 0.0
        while self.dul.is_alive() and not self.dul.stop_dul():
            self.dul.join(0.05)
            waited += 0.05
            if waited > _KILL_PATIENCE and isinstance(self.dul.socket, Connection):
                self.dul.socket.hang_up()

    @property
    def _is_paused(self) -> bool:
        """What pynetdicom asks after it has cleared the checkpoint, which has waited for it."""
        return True

    @_is_paused.setter
    def _is_paused(self, _paused: bool) -> None:
        """What pynetdicom says while it answers the peer, when no other thread may send."""

    def request(self) -> None:
        """Ask for the association. pynetdicom takes a rejection that closes the connection before it looks whether
        there is one for a peer that does not answer: what has come says which it was."""
        super().request()
        answer = None if self.is_established else self.dul.peek_next_pdu()
        if isinstance(answer, A_ASSOCIATE) and answer.result:
            self.acceptor.primitive, self.is_rejected, self.is_aborted = answer, True, False

    def release(self) -> None:
        """Ask for the release, once the peer has the answer to what it asked for; abort where that takes too long."""
        if not self.is_established:
            return
        try:
            self._reactor_checkpoint.clear()
        except RuntimeError:
            self.abort()
            return
        try:
            if self.is_established:  # still
                self.acse.negotiate_release()
        finally:
            self._reactor_checkpoint.set()

    def run_reactor(self) -> None:
        """The whole association, in its thread."""
        try:
            super().run_reactor()
        except Exception:
            log.exception("an association ended by a failure")
            self.abort()
            self.kill()  # where it was aborted before
        finally:
            self._standstill.stand()
            self.has_ended()

    def answer_store(self, request: StoreRequest) -> None:
        """Have what came stored, and answer; in the thread that has read it, for handing it over takes its time."""
        intake = self.dimse.intakes.pop(request, None)
        if intake is None:
            return
        try:
            if self._stored is None or self._sent_release:
                return
            status = self._stored(request, intake)
            self.dul._idle_timer.restart()
            if self.dul.may_send():
                answer = encoded_store_response(request, status)
                with self.speaking:
                    cast(Connection, self.dul.socket).write((_command(request, answer, self._longest),))
            if self.is_leaving:  # now, for a peer that sends without end is hardly ever between two objects
                self._has_answered_last = True
                self.wake()
        finally:
            intake.discard()  # while the peer goes on

    def has_ended(self) -> None:
        """One of the two threads ends; what is to be done then is done in each."""
        for end in tuple(self.ended):
            end()

    def store(self, file: BinaryIO, size: int, request: StoreRequest) -> int | None:
        """Send a data set of that size from an open file. Returns the status of the answer; None where none came."""
        self._reactor_checkpoint.clear()
        self.dimse.awaited = request.message_id
        try:
            if not self.dul.may_send():
                return None
            with self.speaking:
                if not self._send_message(encoded_store_request(request), file, size, request):
                    return None
            _, response = self.dimse.get_msg(block=True)
        finally:
            self._reactor_checkpoint.set()
        if response is None:
            self._handle_no_response()
            return None
        status = self._check_received_status(response)
        return int(status.Status) if "Status" in status else None

    def _send_message(self, command: bytes, file: BinaryIO, size: int, request: StoreRequest) -> bool:
        connection, context_id = cast(Connection, self.dul.socket), request.context_id
        longest = self._longest
        if longest <= 0:
            raise OSError("the peer takes no PDU that holds anything")
        pieces: list[bytes | memoryview] = [_command(request, command, longest)]
        left = size
        while left > 0:
            data = memoryview(file.read(max(longest, _PIECE - _PIECE % longest)))[:left]
            if not data:
                raise OSError("the file is shorter than it was")
            left -= len(data)
            for at in range(0, len(data), longest):
                part = data[at : at + longest]
                is_last = not left and at + longest >= len(data)
                pieces += [_header(context_id, 2 if is_last else 0, len(part)), part]
            if not connection.write((b"".join(pieces),)):
                return False
            pieces = []
        if size:
            return True
        pieces.append(_header(context_id, 2, 0))  # a data set without elements is sent as one
        return connection.write((b"".join(pieces),))

    @cached_property
    def _longest(self) -> int:
        """How many bytes of a message the peer takes in one P-DATA-TF, once that was negotiated."""
        return min(self.dimse.maximum_pdu_size or _LONGEST, _LONGEST) - 6

    def _run_reactor(self) -> None:
        if isinstance(self.dul.socket, Connection):
            self.dul.socket.prepare(self.network_timeout)
        while not self._kill:
            self._standstill.stand()
            self._woken.wait(self._until_idle())
            self._standstill.go_on()
            self._woken.clear()
            if not self._turn():
                return

    def _turn(self) -> bool:
        """Do what there is to do; False once the association is over."""
        context_id, message = self.dimse.get_msg(block=False)
        while message is not None and not self._kill:
            self._serve_request(message, cast(int, context_id))
            self.dul._idle_timer.restart()  # however long that took, it was not the peer that was idle
            if self.is_leaving:
                break
            context_id, message = self.dimse.get_msg(block=False)
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)  # so that who subscribed to it hears of it
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
        elif self.dul.is_alive() and (self.dul.idle_timer_expired() or self._may_leave()):
            self.abort()
        elif self.dul.is_alive():
            return True
        self.kill()
        return False

    def _may_leave(self) -> bool:
        return self.is_leaving and (self._has_answered_last or not self.dimse.is_within_message)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        if not self._standstill.is_ours():  # pynetdicom's thread for an N-EVENT-REPORT: whose turn it is answers it
            self.dimse.msg_queue.put((context_id, msg))
            return
        is_request = not self._sent_release and msg.MessageIDBeingRespondedTo is None
        if not is_request or self._asked is None or not self._asked(self, msg, context_id):
            super()._serve_request(msg, context_id)

    def _until_idle(self) -> float | None:
        return None if self.network_timeout is None else max(0.0, self.dul._idle_timer.remaining) + 0.01


def _command(request: StoreRequest, command: bytes, longest: int) -> bytes:
    """The P-DATA-TFs that a command set is sent in: one, but for a peer that takes hardly anything."""
    if len(command) <= longest:
        return _header(request.context_id, 3, len(command)) + command
    step = max(longest, 2)
    parts = [command[at : at + step] for at in range(0, len(command), step)]
    controls = [*[1] * (len(parts) - 1), 3]
    return b"".join(
        _header(request.context_id, control, len(part)) + part for control, part in zip(controls, parts, strict=True)
    )


def _header(context_id: int, control: int, length: int) -> bytes:
    """What stands before the data of a P-DATA-TF with one presentation data value."""
    return struct.pack(">BBLLBB", 4, 0, length + 6, length + 2, context_id, control)
