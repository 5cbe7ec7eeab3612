"""Opens associations to peers, of our own kind (`association.py`), and says where one broke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from pynetdicom import AE
from pynetdicom._globals import MODE_REQUESTOR
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from lethe.storage.errors import Unavailable

from ..config import Peer
from .association import PromptAssociation
from .secure import Secure, SecureConnection
from .storing import Storing
from .transport import Connection

LONGEST_PDU = 1 << 17


_TRANSIENT, _CONGESTED = 2, 3
_WHY: dict[tuple[int | None, int | None], str] = {  # PS3.8 Table 9-21: by source and reason
    (1, 2): "it does not take the application context of DICOM",
    (1, 3): "it does not know our AE title {us}",
    (1, 7): "it is not called {them}",
    (2, 2): "it speaks another version of the protocol",
    (_CONGESTED, 1): "it is busy",
    (_CONGESTED, 2): "it has as many associations as it takes",
}


@contextmanager
def unbroken(peer: Peer) -> Iterator[None]:
    """Unavailable for what pynetdicom raises where the association with that peer, or its context, is gone."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        raise Unavailable(f"{peer.name}: the association broke ({type(error).__name__})") from error


def associate(
    ae: AE,
    address: tuple[str, int],
    *,
    ae_title: str,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
    secure: Secure | None = None,
    storing: Storing | None = None,
    begun: Callable[[PromptAssociation], None] | None = None,
) -> PromptAssociation:
    """Ask `ae_title` at that address for an association that proposes these contexts, over TLS if given what makes it.
    What the peer stores to us on it goes to `storing`. `begun` is told of it before the peer is waited for.

    Look at `is_established`, as with `AE.associate`. Raises OSError where the host has no address.
    """
    remote = AddressInformation.from_addr_port(*address)
    local = AddressInformation("" if remote.is_ipv4 else "::", 0)
    opened, stored = (storing.open, storing.store) if storing is not None else (None, None)
    association = PromptAssociation(ae, MODE_REQUESTOR, opened=opened, stored=stored, longest_pdu=LONGEST_PDU)
    if storing is not None:
        association.ended.append(storing.close)
    association.name = f"RequestorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"
    if secure is None:
        association.connection = Connection(association, address=local)
    else:
        association.connection = SecureConnection(association, address=local, secure=secure)
    association.set_socket(association.connection)
    association.acceptor.ae_title = ae_title
    association.acceptor.address_info = remote
    us = association.requestor
    us.address_info, us.ae_title, us.maximum_length = local, ae.ae_title, LONGEST_PDU
    us.implementation_class_uid = ae.implementation_class_uid
    us.implementation_version_name = ae.implementation_version_name
    for item in roles:
        us.add_negotiation_item(item)
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    us.requested_contexts = list(contexts)
    for handler in handlers:
        association.bind(*handler)
    if begun is not None:
        begun(association)
    association.request()
    if association.is_established:
        association.start()
    return association


def refusal_of(association: PromptAssociation) -> str:
    """Why an association did not come to be, in words."""
    if not association.is_rejected:
        failure = association.connection.failure if association.connection else ""
        return f"does not answer{failure and f' (TLS: {failure})'}"
    answer = _rejection(association)
    why = _WHY.get((answer.result_source, answer.diagnostic), "") if answer else ""
    them, us = association.acceptor.ae_title, association.requestor.ae_title
    return f"rejected the association{why and f': {why}'}".format(them=them, us=us)


def may_let_in_later(association: PromptAssociation) -> bool:
    """Whether a rejection is for now only."""
    answer = _rejection(association)
    return answer is not None and answer.result == _TRANSIENT


def _rejection(association: PromptAssociation) -> A_ASSOCIATE | None:
    """The answer that was none we wanted."""
    answer = association.acceptor.primitive
    return answer if isinstance(answer, A_ASSOCIATE) and answer.result else None
