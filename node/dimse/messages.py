"""Puts messages together from the fragments they come in: a data set to be stored goes straight to its file, all else
is left to pynetdicom, within bounds."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA

from .commands import (
    C_CANCEL_RQ,
    C_STORE_RQ,
    C_STORE_RSP,
    CANCELLABLE,
    StoreRequest,
    elements_of,
    field_of,
    has_data_set,
    message_id_of,
    readable,
    store_request,
    store_response,
)
from .signals import SignallingQueue

if TYPE_CHECKING:
    from .association import PromptAssociation

log = logging.getLogger("lethe.dimse")

_LARGEST_COMMAND = 1 << 16
_LARGEST_IDENTIFIER = 64 << 20
_MOST_CANCELS = 10  # that pynetdicom keeps
_MOST_WAITING = 32  # messages; no peer that keeps to a window of 1 has more than one and some cancels


class Malformed(Exception):
    """What came breaks the protocol; the association is aborted."""


class Intake(Protocol):
    """Where the data set of a C-STORE goes."""

    def write(self, data: memoryview, *, last: bool) -> None:
        """Take a piece of it."""

    def discard(self) -> None:
        """It is answered, or no more will come: keep nothing that was not stored."""


class Messages(DIMSEServiceProvider):
    """The DIMSE provider of an association. With `assoc.opened`, C-STORE requests are `StoreRequest`s whose data set
    is in `intakes`; without, they are pynetdicom's."""

    def __init__(self, assoc: PromptAssociation) -> None:
        super().__init__(assoc)
        self._association = assoc
        self.msg_queue = SignallingQueue(assoc.wake)
        self.intakes: dict[StoreRequest, Intake] = {}
        self._command = bytearray()
        self._request: StoreRequest | None = None
        self._identifier: int | None = None
        self._context_id = 0
        self._is_over = False
        self.awaited: int | None = None
        """The message that was sent last and wants an answer."""

    @property
    def is_full(self) -> bool:
        """Whether the answers to what we asked come faster than they are taken: then no more is read."""
        return self._association.is_requestor and self.msg_queue.qsize() >= _MOST_WAITING

    @property
    def is_within_message(self) -> bool:
        """Whether one has begun to come and is not complete."""
        return bool(self._command) or self._request is not None or self._identifier is not None

    @property
    def maximum_pdu_size(self) -> int:
        """What the peer takes; 0 is as much as one likes. Fragments have an even length (PS3.8 E.2)."""
        size = int(super().maximum_pdu_size)
        return size - size % 2

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message of pynetdicom's; of a request, the answer is awaited."""
        if primitive.MessageIDBeingRespondedTo is None:
            self.awaited = primitive.MessageID
        with self._association.speaking:
            super().send_msg(primitive, context_id)

    def get_msg(self, block: bool = False) -> Any:
        """The next message and its context; (None, None) where there is none in time, or will be none. Who waits, does
        so for the answer to what was sent last, and has none where another comes: what became of his own, nobody has
        said. What the peer asks for meanwhile comes after it, but for reports, which it may want taken before it
        answers."""
        if not block:
            next_one = self._taken(block=False)
            if next_one[1] is None and self._is_over:  # that it is over, is for who waits
                self.msg_queue.put(next_one)
            return next_one
        requests: list[Any] = []
        while True:
            found: Any = self._taken(block=not self._is_over)
            message = found[1]
            if message is None or message.MessageIDBeingRespondedTo is not None or len(requests) == _MOST_WAITING:
                break
            if isinstance(message, N_EVENT_REPORT):
                self._association._serve_request(message, found[0])
            else:
                requests.append(found)
        for request in requests:
            self.msg_queue.put(request)
        if message is not None and message.MessageIDBeingRespondedTo not in (None, self.awaited):
            log.warning("a peer answers a message that it was not sent")
            return None, None
        return found

    def _taken(self, *, block: bool) -> Any:
        """The next in the queue; who reads hears that there is room for more."""
        found = super().get_msg(block=block)
        if self._association.is_requestor:
            self._association.dul.look_again()
        return found

    def take(self, context_id: int, control: int, data: memoryview) -> None:
        """One fragment, in the order they come (PS3.8 E.2). Raises Malformed."""
        if control & 1:
            self._take_command(context_id, control, data)
        elif self._request is not None and context_id == self._context_id:
            last = bool(control & 2)
            self.intakes[self._request].write(data, last=last)
            if last:
                request, self._request = self._request, None
                self._association.answer_store(request)
        elif self._identifier is not None and context_id == self._context_id:
            self._identifier += len(data)
            if self._identifier > _LARGEST_IDENTIFIER:
                raise Malformed("a data set that is not to be stored is too large")
            if control & 2:
                self._identifier = None
            self._hand_over(context_id, control, data)
        else:
            raise Malformed("a data set came without its command")

    def end(self) -> None:
        """The connection is gone: what is not complete never will be, what nobody answered was not acknowledged, and
        who waits for an answer waits in vain."""
        self._is_over = True
        self.msg_queue.put((None, None))
        self._request = None
        while self.intakes:
            self.intakes.popitem()[1].discard()

    def _take_command(self, context_id: int, control: int, data: memoryview) -> None:
        if self._request is not None or self._identifier is not None:
            raise Malformed("a command came in the middle of a data set")
        self._command += data
        if len(self._command) > _LARGEST_COMMAND:
            raise Malformed("a command set is too large")
        if not control & 2:
            return
        command, self._command = bytes(self._command), bytearray()
        if self.msg_queue.qsize() >= _MOST_WAITING and self._association.is_acceptor:
            raise Malformed("too many messages before the answer to the first")
        try:
            elements = elements_of(command)
            field, follows = field_of(elements), has_data_set(elements)
            self._context_id = context_id
            if field == C_STORE_RSP and not follows:
                self.msg_queue.put((context_id, store_response(elements)))  # type: ignore[arg-type]
                return
            if field == C_STORE_RQ and follows and self._association.opened is not None:
                self._open(store_request(elements, context_id))
                return
        except ValueError as error:
            raise Malformed(str(error)) from error
        if field in CANCELLABLE:
            self.cancel_req.pop(message_id_of(elements), None)  # it came before, and was meant for another
        elif field == C_CANCEL_RQ and len(self.cancel_req) >= _MOST_CANCELS:
            return  # nothing is under way that so many could be meant for
        self._identifier = 0 if follows else None
        self._hand_over(context_id, 3, memoryview(readable(command, elements)))

    def _open(self, request: StoreRequest) -> None:
        opened = self._association.opened
        if opened is None or request.context_id not in self._association._accepted_cx or request in self.intakes:
            raise Malformed("a C-STORE came under a context that was not accepted, or twice")
        self._request, self.intakes[request] = request, opened(self._association, request)

    def _hand_over(self, context_id: int, control: int, data: memoryview) -> None:
        primitive = P_DATA()
        primitive.presentation_data_value_list = [[context_id, bytes((control,)) + data]]  # type: ignore[list-item]
        try:
            self.receive_primitive(primitive)
        except Exception as error:  # a command set that pynetdicom cannot make sense of
            raise Malformed(type(error).__name__) from error
