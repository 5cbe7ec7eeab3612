"""Puts the DIMSE services beside storage under one roof: each says what it negotiates and what answers its messages.

pynetdicom takes one handler for a kind of message, whatever the SOP Class; here the SOP Class of the presentation
context chooses the service, and who may not ask for it is told 0x0124 (PS3.7 C.5) before the service hears of it.
Services with `answers` send their responses themselves (`replies.py`); pynetdicom hears nothing of such requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.events import Event, EventType

from lethe.storage.intake import Origin

from ..choices import Ability
from .admission import Admission, caller_of, origin_of
from .association import PromptAssociation
from .replies import Answers, Asked, Reply, respond

NOT_AUTHORIZED = 0x0124
Roles = tuple[bool | None, bool | None]
"""Whether the requestor may be SCU, and whether it may be SCP (PS3.7 D.3.3.4)."""
USUAL: Roles = (None, None)
BOTH: Roles = (True, True)
Handler = Callable[[Event], Any]
_GENERATORS = (evt.EVT_C_FIND, evt.EVT_C_GET, evt.EVT_C_MOVE)


@dataclass(frozen=True)
class Service:
    """One service: its SOP Classes with the transfer syntaxes of their messages, the ability a caller needs, and for
    each kind of message what answers it: as pynetdicom wants the answer (`handlers`), or reply by reply (`answers`).

    Without an ability the service itself decides who may. Several may share a SOP Class, with different kinds of
    messages. `extended` gives the answer to a SOP Class Extended Negotiation (PS3.7 D.3.3.5)."""

    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]
    ability: Ability | None
    handlers: Mapping[EventType, Handler] = field(default_factory=dict)
    answers: Answers = field(default_factory=dict)
    extended: Callable[[bytes], bytes] | None = None
    roles: Roles = USUAL

    def operations(self) -> Iterator[str]:
        """What it answers, such as N-ACTION."""
        for kind in self.handlers:
            yield _operation(kind)
        for message in self.answers:
            yield message.__name__.replace("_", "-")


class Services:
    """All services of a receiver."""

    def __init__(self, services: Sequence[Service], admission: Admission) -> None:
        self._services = tuple(services)
        self._by_operation = {
            (uid, operation): service
            for service in services
            for uid in service.sop_classes
            for operation in service.operations()
        }
        self._extending = {uid: one.extended for one in services if one.extended for uid in one.sop_classes}
        self._admission = admission

    def support(self, ae: AE) -> None:
        """Make an AE accept their presentation contexts."""
        for service in self._services:
            for uid in service.sop_classes:
                ae.add_supported_context(uid, list(service.transfer_syntaxes), *service.roles)

    def operations(self) -> dict[str, frozenset[str]]:
        """For each SOP Class the operations that are answered, such as N-ACTION."""
        found: dict[str, set[str]] = {}
        for uid, operation in self._by_operation:
            found.setdefault(uid, set()).add(operation)
        return {uid: frozenset(names) for uid, names in found.items()}

    def handlers(self) -> list[tuple[EventType, Handler]]:
        """One for each kind of message that any of them answers."""
        kinds = dict.fromkeys(kind for service in self._services for kind in service.handlers)
        return [
            (evt.EVT_SOP_EXTENDED, self._extended),
            *((kind, self._generator(kind) if kind in _GENERATORS else self._answer(kind)) for kind in kinds),
        ]

    def serve(self, association: PromptAssociation, message: Any, context_id: int) -> bool:
        """Answer a request that a service answers reply by reply; False for any other message."""
        context = association._accepted_cx.get(context_id)
        service = self._by_operation.get((str(context.abstract_syntax), message.msg_type)) if context else None
        answer = service.answers.get(type(message)) if service else None
        if context is None or service is None or answer is None or not message.is_valid_request:
            return False
        origin = caller_of(association)
        syntax = UID(context.transfer_syntax[0])
        asked = Asked(association, origin, message, str(context.abstract_syntax), syntax, context_id)
        try:
            respond(asked, answer if self._may(origin, service) else _not_authorized)
        finally:
            association.dimse.cancel_req = {}
        return True

    def _extended(self, event: Event) -> dict[str, bytes]:
        offered: Mapping[UID, bytes] = event.app_info  # type: ignore[attr-defined]
        return {str(uid): self._extending[uid](asked) for uid, asked in offered.items() if uid in self._extending}

    def _generator(self, kind: EventType) -> Handler:
        def answers(event: Event) -> Iterator[Any]:
            service = self._asked(event, kind)
            if service is None:
                if kind is not evt.EVT_C_FIND:  # pynetdicom wants to know first where to and how many
                    yield from ((None, None), 0) if kind is evt.EVT_C_MOVE else (0,)
                yield NOT_AUTHORIZED, None
                return
            yield from service.handlers[kind](event)

        return answers

    def _answer(self, kind: EventType) -> Handler:
        def answer(event: Event) -> Any:
            service = self._asked(event, kind)
            return (NOT_AUTHORIZED, None) if service is None else service.handlers[kind](event)

        return answer

    def _asked(self, event: Event, kind: EventType) -> Service | None:
        """The service that is asked for; None if this caller may not."""
        service = self._by_operation[(str(event.context.abstract_syntax), _operation(kind))]
        return service if self._may(origin_of(event), service) else None

    def _may(self, origin: Origin, service: Service) -> bool:
        return service.ability is None or self._admission.may(origin, service.ability)


def _operation(kind: EventType) -> str:
    return kind.name.removeprefix("EVT_").replace("_", "-")


def _not_authorized(_asked: Asked) -> Iterator[Reply]:
    yield Reply(NOT_AUTHORIZED)
