"""Sends: one association to one peer carries many instances, each in the form that fits (`fitting.py`)."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from types import TracebackType

from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lethe.storage.errors import Unavailable

from ..config import Config, Peer
from .association import PromptAssociation
from .calling import associate, refusal_of, unbroken
from .contexts import VERIFICATION_SYNTAXES
from .credentials import Credentials, secure_for
from .fitting import MOST_CONTEXTS, Context, Proposal, fitted, proposals
from .giving import Mover, give

log = logging.getLogger("lethe.send")


@dataclass(frozen=True)
class Sent:
    """What became of one instance: the status word the peer answered with, the transfer syntax it went in, its size."""

    status: int
    transfer_syntax: str
    size: int


class Destination:
    """An association to a peer that is opened when there is something to send and kept while it fits. What has to be
    written anew for the peer waits in `folder`."""

    def __init__(
        self,
        peer: Peer,
        ae_title: str,
        *,
        answer_seconds: float = 60,
        credentials: Credentials | None = None,
        folder: Path | None = None,
    ) -> None:
        self.peer = peer
        self._credentials = credentials
        self._folder = folder or Path(gettempdir())
        self._ae = AE(ae_title)
        self._ae.acse_timeout, self._ae.dimse_timeout, self._ae.network_timeout = 30, answer_seconds, answer_seconds
        self._ae.connection_timeout = 10
        self._association: PromptAssociation | None = None
        self._called: PromptAssociation | None = None
        self._proposed: tuple[Proposal, ...] = ()
        self._accepted: dict[Context, int] = {}
        self._messages = itertools.count(1)

    def __enter__(self) -> Destination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self, encodings: Iterable[Context], *, likely: Iterable[Context] = ()) -> None:
        """Have an association that proposes what objects that are stored so need (at most 128 contexts). A new one
        also proposes what `likely` and former ones need, as much as fits. Raises Unavailable.

        A peer that accepts none of them is there all the same: `send` then says so of each.
        """
        wanted = proposals(encodings)
        is_open = self._association is not None and self._association.is_established
        if is_open and set(wanted) <= set(self._proposed):
            return
        self._call(tuple(dict.fromkeys((*wanted, *proposals(likely), *self._proposed)))[:MOST_CONTEXTS])

    @property
    def takes_something(self) -> bool:
        """Whether the peer accepted anything of what was proposed last."""
        return bool(self._accepted)

    def close(self) -> None:
        """Release the association if there is one."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association, self._proposed, self._accepted = None, (), {}

    def break_off(self) -> None:
        """Hang up on a peer that somebody waits for; for another thread."""
        called = self._called
        if called is not None and called.connection is not None:
            called.connection.hang_up()

    def _note_called(self, association: PromptAssociation) -> None:
        self._called = association

    def echo(self) -> int:
        """The status of a C-ECHO. Raises Unavailable."""
        association = self._associate([build_context(Verification, VERIFICATION_SYNTAXES)])
        try:
            with unbroken(self.peer):
                return self._status(association.send_c_echo())
        finally:
            association.release()

    def send(self, path: Path, context: Context, *, mover: Mover | None = None) -> int:
        """As `deliver`: the status alone."""
        return self.deliver(path, context, mover=mover).status

    def deliver(self, path: Path, context: Context, *, mover: Mover | None = None) -> Sent:
        """Store one Part 10 file there that is stored so, for `mover` if somebody asked for it.

        Raises Refused where the peer accepts no form in which it can be sent, Unavailable where the connection broke.
        """
        if self._association is None:
            raise Unavailable(f"{self.peer.name}: the association is gone")
        accepted = {syntax for sop_class, syntax in self._accepted if sop_class == context[0]}
        try:
            with fitted(path, context, accepted, folder=self._folder, whom=self.peer.name) as (form, syntax):
                if form != path and not self._association.is_established:
                    self._call(self._proposed)  # the peer did not wait while it was decoded
                return self._store(form, (context[0], syntax), mover)
        except OSError as error:
            raise Unavailable(
                f"{self.peer.name}: it cannot be read or written here ({type(error).__name__})"
            ) from error

    def _store(self, path: Path, context: Context, mover: Mover | None) -> Sent:
        association = self._association
        if association is None or not association.is_established or context not in self._accepted:
            raise Unavailable(f"{self.peer.name}: the association is gone")
        with unbroken(self.peer):
            number = next(self._messages)
            status, size = give(association, path, self._accepted[context], number, mover=mover)
        if status is None:
            raise Unavailable(f"{self.peer.name}: no answer, or the association broke")
        return Sent(status, context[1], size)

    def _call(self, proposed: tuple[Proposal, ...]) -> None:
        self.close()
        contexts = [build_context(sop_class, list(syntaxes)) for sop_class, syntaxes in proposed]
        self._association = association = self._associate(contexts)
        self._proposed = proposed
        self._accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id or 0)
            for context in association.accepted_contexts
        }

    def _associate(self, contexts: list[PresentationContext]) -> PromptAssociation:
        address = (self.peer.host, self.peer.port)
        secure = secure_for(self.peer, self._credentials)
        try:
            association = associate(
                self._ae,
                address,
                ae_title=self.peer.ae_title,
                contexts=contexts,
                secure=secure,
                begun=self._note_called,
            )
        except OSError as error:
            raise Unavailable(f"{self.peer.name}: its host {self.peer.host} has no network address") from error
        accepts_nothing = association.rejected_contexts and not association.accepted_contexts
        if not association.is_established and not accepts_nothing:
            raise Unavailable(f"{self.peer.name} {refusal_of(association)}")
        return association

    def _status(self, response: object) -> int:
        status = getattr(response, "Status", None)
        if status is None:
            raise Unavailable(f"{self.peer.name}: no answer, or the association broke")
        return int(status)


def destination_of(
    config: Config, peer: Peer, credentials: Credentials | None, folder: Path | None = None
) -> Destination:
    """A destination as the configuration has it."""
    node = config.node
    return Destination(peer, node.ae_title, answer_seconds=node.answer_seconds, credentials=credentials, folder=folder)


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
