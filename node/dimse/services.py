"""Puts the DIMSE services beside storage under one roof: each says what it negotiates and what answers its messages.

pynetdicom takes one handler for a kind of message, whatever the SOP Class; here the SOP Class of the presentation
context chooses the service, and who may not ask for it is told 0x0124 (PS3.7 C.5) before the service hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.events import Event, EventType

from ..choices import Ability
from .admission import Admission, origin_of

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
    each kind of message what answers it, as pynetdicom wants the answer. Without an ability the service itself decides
    who may. Several may share a SOP Class, with different kinds of messages."""

    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]
    ability: Ability | None
    handlers: Mapping[EventType, Handler]
    roles: Roles = USUAL


class Services:
    """All services of a receiver."""

    def __init__(self, services: Sequence[Service], admission: Admission) -> None:
        self._services = tuple(services)
        self._by_message = {
            (uid, kind): service for service in services for uid in service.sop_classes for kind in service.handlers
        }
        self._admission = admission

    def support(self, ae: AE) -> None:
        """Make an AE accept their presentation contexts."""
        for service in self._services:
            for uid in service.sop_classes:
                ae.add_supported_context(uid, list(service.transfer_syntaxes), *service.roles)

    def operations(self) -> dict[str, frozenset[str]]:
        """For each SOP Class the operations that are answered, such as N-ACTION."""
        found: dict[str, set[str]] = {}
        for uid, kind in self._by_message:
            found.setdefault(uid, set()).add(kind.name.removeprefix("EVT_").replace("_", "-"))
        return {uid: frozenset(names) for uid, names in found.items()}

    def handlers(self) -> list[tuple[EventType, Handler]]:
        """One for each kind of message that any of them answers."""
        kinds = dict.fromkeys(kind for service in self._services for kind in service.handlers)
        return [(kind, self._generator(kind) if kind in _GENERATORS else self._answer(kind)) for kind in kinds]

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
        service = self._by_message[(str(event.context.abstract_syntax), kind)]
        if service.ability is None or self._admission.may(origin_of(event), service.ability):
            return service
        return None
