"""Makes an association of its own for one normalized message (N-...) to a peer, and gives the peer's status."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role
from pynetdicom.association import Association
from pynetdicom.events import Event, EventType

from lethe.storage.errors import Unavailable

from ..config import Peer
from .calling import associate, refusal_of, unbroken
from .credentials import Credentials, secure_for

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
"""Those of messages that are no stored objects."""


@contextmanager
def errand(
    peer: Peer,
    ae_title: str,
    sop_class: str,
    *,
    as_scp: Sequence[str] = (),
    handlers: Sequence[tuple[EventType, Callable[[Event], object]]] = (),
    credentials: Credentials | None = None,
) -> Iterator[Association]:
    """An association for messages of one SOP Class; for those in `as_scp` we propose ourselves as SCP. Raises
    Unavailable."""
    ae = AE(ae_title)
    ae.acse_timeout, ae.dimse_timeout, ae.network_timeout, ae.connection_timeout = 30, 60, 60, 10
    try:
        association = associate(
            ae,
            (peer.host, peer.port),
            ae_title=peer.ae_title,
            contexts=[build_context(sop_class, list(SYNTAXES))],
            roles=[build_role(uid, scp_role=True) for uid in as_scp],
            handlers=handlers,
            secure=secure_for(peer, credentials),
        )
    except OSError as error:
        raise Unavailable(f"{peer.name} has no address") from error
    if not association.is_established:
        if association.rejected_contexts and not association.accepted_contexts:
            raise Unavailable(f"{peer.name} does not offer {UID(sop_class).name}")
        raise Unavailable(f"{peer.name} {refusal_of(association)}")
    try:
        with unbroken(peer):
            yield association
    finally:
        if association.is_established:
            association.release()


def status_of(peer: Peer, answer: Any) -> int:
    """The status of the data set that pynetdicom gives for a response. Raises Unavailable where there was none."""
    status = getattr(answer[0], "Status", None)
    if status is None:
        raise Unavailable(f"{peer.name}: no answer, or the association broke")
    return int(status)


def is_taken(status: int) -> bool:
    """Whether a status is a success or a warning (PS3.7 C)."""
    return status == 0x0000 or status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF
