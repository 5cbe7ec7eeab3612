"""Listens: answers C-ECHO and C-STORE, and says success only for what survives pulling the plug.

A data set is streamed to disk as it arrives and never decoded here.
"""

from __future__ import annotations

import logging
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pynetdicom import AE, _config, evt
from pynetdicom.events import Event, EventType

from lethe.storage.archive import Archive
from lethe.storage.audit import Actor
from lethe.storage.database import transaction
from lethe.storage.errors import Refused, Unavailable
from lethe.storage.intake import Arrival, Origin, Planner

from ..choices import Ability
from .admission import CLOSING, Admission, Rejection, origin_of
from .contexts import support_storage
from .services import NOT_AUTHORIZED, Service, Services

log = logging.getLogger("lethe.receive")

SUCCESS, PROCESSING_FAILURE = 0x0000, 0x0110  # PS3.7 C
OUT_OF_RESOURCES, WRONG_SOP_CLASS, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000  # PS3.4 Table B.2-1
_C_STORE_RQ = 0x0001
_MOST_ASSOCIATIONS = 100
_LONGEST_PDU = 131_072
_LEAST_FREE = 64 << 20  # so that there is room to say no while a data set is still being written


class Receiver:
    """Accepts the associations that `admission` lets in, hands what they store to the archive, and leaves other
    messages to `services`."""

    def __init__(
        self,
        archive: Archive,
        admission: Admission,
        plan_for: Planner,
        *,
        services: Sequence[Service] = (),
    ) -> None:
        self._archive = archive
        self._admission = admission
        self._services = Services(services, admission)
        self._plan_for = plan_for
        self._closing = False
        self._misnamed: set[tuple[int, int | None]] = set()
        self._ae = AE(admission.ae_title)
        self._ae.maximum_associations = _MOST_ASSOCIATIONS
        self._ae.maximum_pdu_size = _LONGEST_PDU
        self._ae.acse_timeout, self._ae.dimse_timeout, self._ae.network_timeout = 30, 60, 60
        support_storage(self._ae)
        self._services.support(self._ae)

    def start(self, host: str, port: int) -> int:
        """Listen, without blocking. Returns the port, which is chosen where 0 is given."""
        # pynetdicom then writes each data set, with file meta, to a temporary file; ours must be on the data folder's
        # file system, so that it can be adopted by a rename.
        _config.STORE_RECV_CHUNKED_DATASET = True
        tempfile.tempdir = str(self._archive.files.incoming())
        handlers: list[tuple[EventType, Callable[[Event], object]]] = [
            (evt.EVT_CONN_OPEN, answer_at_once),
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_DIMSE_RECV, self._on_message),
            (evt.EVT_C_STORE, self.on_store),
            (evt.EVT_CONN_CLOSE, _drop_unfinished),
            *self._services.handlers(),
        ]
        server = self._ae.start_server((host, port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        assert server is not None and server.socket is not None
        return int(server.socket.getsockname()[1])

    def stop(self, patience: float = 30.0) -> None:
        """Turn new associations away, let running ones end for `patience` seconds, then close."""
        self._closing = True
        deadline = time.monotonic() + patience
        while any(one.is_established for one in self._ae.active_associations) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._ae.shutdown()
        tempfile.tempdir = None

    def on_store(self, event: Event) -> int:
        """Take over one object. The status is a promise: 0x0000 only after file and jobs are durable."""
        origin, request = origin_of(event), event.request
        if (id(event.assoc), request.MessageID) in self._misnamed:
            self._misnamed.discard((id(event.assoc), request.MessageID))
            return WRONG_SOP_CLASS
        if not self._admission.may(origin, Ability.STORE):
            log.warning("%s may not store", origin.source)
            return NOT_AUTHORIZED
        if shutil.disk_usage(self._archive.folder).free < _LEAST_FREE:
            log.error("%s: cannot store now: the disk of the data folder is full", origin.source)
            return OUT_OF_RESOURCES
        try:
            uid = str(request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
            plan = self._plan_for(Arrival(origin, Path(event.dataset_path), time.time()))
            acceptance = self._archive.accept(event.dataset_path, uid, origin, plan.projects, plan.stage, plan.handling)
            log.debug("%s: %s", origin.source, acceptance)
            return SUCCESS
        except Refused as refusal:
            log.warning("%s: refused: %s", origin.source, refusal)
            return CANNOT_UNDERSTAND
        except (Unavailable, OSError) as error:
            log.error("%s: cannot store now: %s", origin.source, type(error).__name__)
            return OUT_OF_RESOURCES
        except Exception:  # a handler that raises leaves its temporary file behind (pynetdicom 3.0.4)
            log.exception("%s: not stored", origin.source)
            return PROCESSING_FAILURE

    def _on_message(self, event: Event) -> None:
        """Catch a C-STORE whose SOP Class is not that of its presentation context; pynetdicom would abort the
        association over it, and with it everything else the peer has to send."""
        command = event.message.command_set
        context = event.assoc._accepted_cx.get(event.message.context_id or 0)
        if context is None or command.get("CommandField") != _C_STORE_RQ:
            return
        if command.get("AffectedSOPClassUID") != context.abstract_syntax:
            command.AffectedSOPClassUID = context.abstract_syntax
            self._misnamed.add((id(event.assoc), int(command.MessageID)))

    def _on_requested(self, event: Event) -> None:
        origin, request = origin_of(event), event.assoc.requestor.primitive
        called = str(request.called_ae_title).strip() if request else ""
        rejection = CLOSING if self._closing else self._admission.rejection(origin, called)
        if rejection is None:
            return
        log.warning("association of %r from %s rejected: %s", origin.source, origin.address, rejection.why)
        try:
            if rejection is not CLOSING:
                self._record_rejection(origin, called, rejection)
        finally:
            event.assoc.acse.send_reject(rejection.result, rejection.source, rejection.diagnostic)
            event.assoc.kill()

    def _record_rejection(self, origin: Origin, called: str, rejection: Rejection) -> None:
        with transaction(self._archive.database):
            actor, detail = Actor(origin.source, origin.address), {"called": called, "why": rejection.why}
            self._archive.audit.record(actor, "association-rejected", "", detail)


def answer_at_once(event: Event) -> None:
    """Without this, an answer may wait 40 ms for the peer's delayed acknowledgement (Nagle)."""
    association_socket = event.assoc.dul.socket
    if association_socket is not None and association_socket.socket is not None:
        association_socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _drop_unfinished(event: Event) -> None:
    """A connection that broke in the middle of a data set leaves its temporary file; it was never acknowledged."""
    message = getattr(event.assoc.dimse, "message", None)
    unfinished = getattr(message, "_data_set_file", None)
    if unfinished is not None:
        unfinished.close()
        Path(unfinished.name).unlink(missing_ok=True)
