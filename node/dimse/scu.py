"""Sends: one association to one peer carries many instances, each in the transfer syntax it is stored in."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lethe.storage.errors import Refused, Unavailable

from ..config import Config, Peer
from .association import PromptAssociation
from .calling import associate
from .commands import StoreRequest
from .contexts import VERIFICATION_SYNTAXES
from .credentials import Credentials, credentials_of, secure_for
from .meta import read_file_meta

log = logging.getLogger("lethe.send")

MOST_CONTEXTS = 128  # PS3.8 9.3.2.2: odd numbers from 1 to 255
Context = tuple[str, str]
"""SOP Class UID and transfer syntax UID."""


@dataclass(frozen=True)
class Mover:
    """Who asked for it by C-MOVE, and with which message (PS3.7 9.1.1.1)."""

    ae_title: str
    message_id: int


class Destination:
    """An association to a peer that is opened when there is something to send and kept while it fits."""

    def __init__(
        self, peer: Peer, ae_title: str, *, answer_seconds: float = 60, credentials: Credentials | None = None
    ) -> None:
        self.peer = peer
        self._credentials = credentials
        self._ae = AE(ae_title)
        self._ae.acse_timeout, self._ae.dimse_timeout, self._ae.network_timeout = 30, answer_seconds, answer_seconds
        self._ae.connection_timeout = 10
        self._association: PromptAssociation | None = None
        self._proposed: frozenset[Context] = frozenset()
        self._accepted: dict[Context, int] = {}
        self._messages = itertools.count(1)

    def __enter__(self) -> Destination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, contexts: Iterable[Context]) -> None:
        """Have an association that proposes these contexts (at most 128). Raises Unavailable.

        A peer that accepts none of them is there all the same: `send` then says so of each.
        """
        wanted = frozenset(contexts)
        if self._association is not None and self._association.is_established and wanted <= self._proposed:
            return
        self.close()
        proposed = [build_context(sop_class, syntax) for sop_class, syntax in sorted(wanted)[:MOST_CONTEXTS]]
        self._association = association = self._associate(proposed)
        self._proposed = wanted
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
            for context in association.accepted_contexts
        }

    def accepted(self, sop_class: str) -> frozenset[str]:
        """The transfer syntaxes in which the peer takes objects of that SOP Class, of those that were proposed."""
        return frozenset(syntax for accepted, syntax in self._accepted if accepted == sop_class)

    def close(self) -> None:
        """Release the association if there is one."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association, self._proposed, self._accepted = None, frozenset(), {}

    def echo(self) -> int:
        """The status of a C-ECHO. Raises Unavailable."""
        association = self._associate([build_context(Verification, VERIFICATION_SYNTAXES)])
        try:
            return self._status(association.send_c_echo())
        finally:
            association.release()

    def send(self, path: Path, context: Context, *, mover: Mover | None = None) -> int:
        """Store one Part 10 file there, for `mover` if somebody asked for it. Returns the status word the peer answered
        with.

        Raises Refused where the peer did not accept the context, Unavailable where the connection broke.
        """
        association = self._association
        if association is not None and context in self._proposed and context not in self._accepted:
            raise Refused(f"{self.peer.name} accepts no presentation context for {context[0]} in {context[1]}")
        if association is None or not association.is_established:
            raise Unavailable(f"{self.peer.name}: the association is gone")
        try:
            with path.open("rb") as file:
                meta = read_file_meta(file)
                request = StoreRequest(
                    self._accepted[context],
                    next(self._messages) & 0xFFFF,
                    context[0],
                    meta.sop_instance,
                    *((mover.ae_title, mover.message_id) if mover else ()),
                )
                status = association.store(file, os.fstat(file.fileno()).st_size - meta.end, request)
        except (RuntimeError, OSError, ValueError) as error:
            raise Unavailable(f"{self.peer.name}: the association broke ({type(error).__name__})") from error
        if status is None:
            raise Unavailable(f"{self.peer.name}: no answer, or the association broke")
        return status

    def _associate(self, contexts: list[PresentationContext]) -> PromptAssociation:
        address = (self.peer.host, self.peer.port)
        secure = secure_for(self.peer, self._credentials)
        try:
            association = associate(self._ae, address, ae_title=self.peer.ae_title, contexts=contexts, secure=secure)
        except OSError as error:
            raise Unavailable(f"{self.peer.name} has no network address") from error
        accepts_nothing = association.rejected_contexts and not association.accepted_contexts
        if not association.is_established and not accepts_nothing:
            why = "rejected the association" if association.is_rejected else "does not answer"
            failure = association.connection.failure if association.connection else ""
            raise Unavailable(f"{self.peer.name} {why}{failure and f' (TLS: {failure})'}")
        return association

    def _status(self, response: object) -> int:
        status = getattr(response, "Status", None)
        if status is None:
            raise Unavailable(f"{self.peer.name}: no answer, or the association broke")
        return int(status)


def destination_of(config: Config, peer: Peer) -> Destination:
    """A destination as the configuration has it."""
    node = config.node
    return Destination(peer, node.ae_title, answer_seconds=node.answer_seconds, credentials=credentials_of(config))


def context_of(path: Path) -> Context | None:
    """What a file says it is; None where it says nothing, or is not there."""
    try:
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception:
        return None


def is_stored(status: int) -> bool:
    """Whether a C-STORE status means that the peer has the object: success, or a warning (PS3.4 Table B.2-1)."""
    return status == 0x0000 or 0xB000 <= status <= 0xBFFF


def may_work_later(status: int) -> bool:
    """Whether a failure is about the peer's state and not about the object: out of resources, processing failure."""
    return 0xA700 <= status <= 0xA7FF or status in (0x0110, 0x0213)
