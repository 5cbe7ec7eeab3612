"""Listens: lets associations in within their limits, and answers C-ECHO, C-STORE and what its services answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom._globals import APPLICATION_CONTEXT_NAME
from pynetdicom.events import Event, EventType
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.intake import Planner

from ..deid.latin9 import know_latin_9
from .admission import CLOSING, OTHER_CONTEXT, Admission, Caller, Rejection, origin_of
from .association import PromptAssociation
from .contexts import narrow_to_one, storage_classes, support_storage
from .credentials import Credentials
from .limits import DEFAULT_LIMITS, DISK_FILLS, LIMIT_REACHED, PEER_LIMIT_REACHED, Gate, Limits
from .listener import Listener, SecureListener
from .refusals import Refusals
from .services import Service, Services
from .storing import SUCCESS, Storing
from .unrecognized import decline

log = logging.getLogger("lethe.receive")

_PASSING = (CLOSING, DISK_FILLS, LIMIT_REACHED, PEER_LIMIT_REACHED)
"""Rejections that say nothing about the caller, and are not put on record."""
_SILENT_END = 2.0


class Receiver:
    """Accepts the associations that `admission` lets in within `limits`, hands what they store to the archive, and
    leaves other messages to `services`. Objects of `private` SOP Classes are taken like those of the standard."""

    def __init__(
        self,
        archive: Archive,
        admission: Admission,
        plan_for: Planner,
        *,
        services: Sequence[Service] = (),
        limits: Limits = DEFAULT_LIMITS,
        private: Sequence[str] = (),
    ) -> None:
        know_latin_9()
        self._archive = archive
        self._admission = admission
        self._services = Services(services, admission)
        self._gate = Gate(archive.folder, admission.all_peers, limits)
        self._stored = stored = frozenset((*storage_classes(), *private))
        self._storing = Storing(archive, admission, self._gate, plan_for, largest=limits.largest_object, classes=stored)
        self._closing = False
        self._request_seconds, self._stop_seconds = limits.request_seconds, limits.stop_seconds
        self._refusals = Refusals(archive)
        self._ae = AE(admission.ae_title)
        self._ae.maximum_associations = 1 << 20  # counted by the gate, over all processes
        self._ae.maximum_pdu_size = limits.longest_pdu
        self._ae.acse_timeout, self._ae.network_timeout = limits.request_seconds, limits.idle_seconds
        self._ae.dimse_timeout = limits.answer_seconds
        support_storage(self._ae, private)
        self._services.support(self._ae)
        self._syntaxes = {str(one.abstract_syntax): one.transfer_syntax for one in self._ae.supported_contexts}
        self._operations = {
            **dict.fromkeys(stored, ("C-STORE",)),
            Verification: ("C-ECHO",),
            **self._services.operations(),
        }

    def start(self, host: str, port: int, *, shared: bool = False) -> int:
        """Listen, without blocking; `shared` with other processes. Returns the port, chosen where 0 is given."""
        return self._listen(Listener(*self._place(host, port), **self._terms(), shared=shared))

    def start_secure(self, host: str, port: int, credentials: Credentials, *, shared: bool = False) -> int:
        """Listen for TLS, likewise."""
        listener = SecureListener(
            *self._place(host, port),
            **self._terms(),
            shared=shared,
            credentials=credentials,
            patience=self._request_seconds,
            refused=self._on_refused,
        )
        return self._listen(listener)

    def _place(self, host: str, port: int) -> tuple[Any, ...]:
        return self._ae, (host, port), self._ae.ae_title, self._ae.supported_contexts

    def _terms(self) -> dict[str, Any]:
        handlers: list[tuple[EventType, Callable[[Event], object]]] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            *self._services.handlers(),
        ]
        return {
            "evt_handlers": handlers,
            "opened": self._storing.open,
            "stored": self._storing.store,
            "asked": self._asked,
        }

    def _listen(self, listener: Listener) -> int:
        self._ae._servers.append(listener)
        threading.Thread(target=listener.serve_forever, name="AcceptorServer", daemon=True).start()
        assert listener.socket is not None
        return int(listener.socket.getsockname()[1])

    def stop(self, patience: float = 30.0) -> None:
        """Turn new associations away and let running ones end; after a while end each once nothing is under way in it,
        and after `patience` seconds all of them."""
        self._closing = True
        begun = time.monotonic()
        while (running := self._running()) and time.monotonic() - begun < patience:
            if time.monotonic() - begun >= self._stop_seconds:
                _end_soon(running)
            time.sleep(0.05)
        self._leave_silent()
        self._ae.shutdown()
        self._refusals.tell()
        self._storing.close()
        self._gate.close()

    def _leave_silent(self) -> None:
        """Hang up on who has not asked for an association: there is none yet to be aborted (PS3.8 9.2, Sta2)."""
        for listener in cast(list[Listener], self._ae._servers[:]):
            listener.shutdown()
            listener.leave_silent()
        deadline = time.monotonic() + _SILENT_END
        while any(not one.is_established for one in self._ae.active_associations) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _running(self) -> list[PromptAssociation]:
        found = cast(list[PromptAssociation], self._ae.active_associations)
        return [one for one in found if one.is_established or one.is_leaving]

    def _asked(self, association: PromptAssociation, message: Any, context_id: int) -> bool:
        """Whether a request was answered here; pynetdicom answers the others, by way of the handlers."""
        return decline(association, message, context_id, self._operations) or self._services.serve(
            association, message, context_id
        )

    def _on_requested(self, event: Event) -> None:
        origin, request, association = origin_of(event), event.assoc.requestor.primitive, event.assoc
        cast(Listener, association._server).heard(association)
        association.ended.append(self._archive.close)  # type: ignore[attr-defined]
        called = str(request.called_ae_title).strip() if request else ""
        rejection = self._rejection(origin, called, request)
        if rejection is None:
            entered = self._gate.enter(origin)
            if not isinstance(entered, Rejection):
                association.ended.append(entered)  # type: ignore[attr-defined]
                contexts = request.presentation_context_definition_list if request else ()
                narrow_to_one(contexts, self._syntaxes, self._stored)
                return
            rejection = entered
        log.warning("association of %r from %s rejected: %s", origin.source, origin.address, rejection.why)
        try:
            if rejection not in _PASSING:
                self._record_rejection(origin, called, rejection)
        finally:
            association.acse.send_reject(rejection.result, rejection.source, rejection.diagnostic)
            association.kill()

    def _rejection(self, origin: Caller, called: str, request: A_ASSOCIATE | None) -> Rejection | None:
        """Why it is not let in, whatever room there is; None where it is."""
        if self._closing:
            return CLOSING
        if request is None or request.application_context_name != APPLICATION_CONTEXT_NAME:
            return OTHER_CONTEXT
        return self._admission.rejection(origin, called)

    def _record_rejection(self, origin: Caller, called: str, rejection: Rejection) -> None:
        detail = {"called": called, "why": rejection.why}
        if origin.presented is not None:
            detail["certificate"] = origin.presented.fingerprint
        self._refusals.note(Actor(origin.source, origin.address), "association-rejected", detail)

    def _on_refused(self, address: str, why: str) -> None:
        """Somebody did not get as far as an association."""
        log.warning("TLS with %s failed: %s", address, why)
        try:
            self._refusals.note(Actor("", address), "connection-refused", {"why": why})
        finally:
            self._archive.close()


def _end_soon(running: Sequence[PromptAssociation]) -> None:
    late = [one for one in running if not one.is_leaving]
    if late:
        log.info("stopping: what is open ends once nothing is under way in it (associations: %d)", len(late))
    for one in late:
        one.leave()
