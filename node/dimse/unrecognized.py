"""Answers a message that no service takes, with the status PS3.7 C has for it; pynetdicom would abort the association
over it, and with it everything else the peer has to ask, or would not answer at all where an argument is missing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

log = logging.getLogger("lethe.receive")

_ALSO_NAMED = {
    "1.2.840.10008.3.1.2.3.4": "1.2.840.10008.3.1.2.3.3",  # MPPS Retrieve (PS3.4 F.8)
    **{f"1.2.840.10008.5.1.4.34.6.{one}": "1.2.840.10008.5.1.4.34.6.1" for one in (2, 3, 5)},  # UPS (PS3.4 CC.3.1)
}
"""What is done by the first is done to instances of the second, and requests name either."""
NO_SUCH_SOP_CLASS, SOP_CLASS_NOT_SUPPORTED, UNRECOGNIZED_OPERATION = 0x0118, 0x0122, 0x0211
MISTYPED_ARGUMENT, CANNOT_UNDERSTAND = 0x0212, 0xC000


def decline(association: Association, message: Any, context_id: int, operations: Mapping[str, Collection[str]]) -> bool:
    """Answer a request that is not among `operations`, which are listed by SOP Class, such as N-ACTION; False where it
    is."""
    context = association._accepted_cx.get(context_id)
    if message.MessageID is None:
        log.warning("%s: an association is aborted: it has no Message ID to answer to", message.msg_type)
        association.abort()
        return True
    status = _status(message, str(context.abstract_syntax), operations) if context else None
    if context is None or status is None:
        return False
    log.warning("%s is not answered here: 0x%04X", message.msg_type, status)
    response = type(message)()
    response.MessageIDBeingRespondedTo = message.MessageID
    response.Status = status
    if hasattr(response, "AffectedSOPClassUID"):
        response.AffectedSOPClassUID = context.abstract_syntax
    association.dimse.send_msg(response, context_id)
    return True


def _status(message: Any, sop_class: str, operations: Mapping[str, Collection[str]]) -> int | None:
    """Why a message is not answered; None where it is."""
    named = getattr(message, "AffectedSOPClassUID", None) or getattr(message, "RequestedSOPClassUID", None)
    if str(named or "") not in (sop_class, _ALSO_NAMED.get(sop_class)):
        return NO_SUCH_SOP_CLASS if message.msg_type.startswith("N-") else SOP_CLASS_NOT_SUPPORTED
    if message.msg_type not in operations.get(sop_class, ()):
        return UNRECOGNIZED_OPERATION
    if isinstance(message, C_STORE):  # with a data set it is not brought here
        return CANNOT_UNDERSTAND
    return None if message.is_valid_request else MISTYPED_ARGUMENT
