"""Answers a request with as many responses as there are, while they are found: C-FIND, C-MOVE and C-GET.

pynetdicom's own service classes leave the number of remaining sub-operations in final responses (PS3.4 C.4.2.1.6), name
us as the Move Originator and hold whole data sets in memory; here what is asked yields `Reply` after `Reply`, and each
goes out as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_FIND, C_GET, C_MOVE
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import A_ABORT, A_P_ABORT, A_RELEASE

from lethe.dicomweb.elements import LONGEST_OF_SHORT
from lethe.storage.errors import Refused, TooWide, Unavailable
from lethe.storage.intake import Origin

from .association import PromptAssociation

log = logging.getLogger("lethe.receive")

SUCCESS, PENDING, PENDING_WITHOUT_SOME_KEYS, CANCELLED = 0x0000, 0xFF00, 0xFF01, 0xFE00
OUT_OF_RESOURCES, WRONG_IDENTIFIER, UNABLE = 0xA700, 0xA900, 0xC000  # PS3.4 Tables C.4-1 to C.4-3
_LONGEST_COMMENT = 64
_MOST_UNSENT = 200
_LISTED = ("AE", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI")
Request: TypeAlias = C_FIND | C_MOVE | C_GET


class WrongIdentifier(Refused):
    """The identifier does not fit the SOP Class: no level, or no unique key where there must be one; `tag` is that
    element."""

    def __init__(self, why: str, tag: str = "") -> None:
        super().__init__(why)
        self.tag = tag


@dataclass(frozen=True)
class Counts:
    """Sub-operations. `remaining` is None in a final response, where only a cancelled one may say it."""

    remaining: int | None
    completed: int
    failed: int
    warning: int


@dataclass(frozen=True)
class Reply:
    """One response: its status, its identifier as it is encoded, and what else the command says."""

    status: int
    identifier: bytes | None = None
    comment: str = ""
    offending: str = ""
    counts: Counts | None = None


@dataclass(frozen=True)
class Asked:
    """A request, and who makes it over which association."""

    association: PromptAssociation
    origin: Origin
    request: Request
    sop_class: str
    transfer_syntax: UID
    context_id: int

    def identifier(self) -> Dataset:
        """What is asked for. Raises WrongIdentifier."""
        data = self.request.Identifier
        syntax = self.transfer_syntax
        try:
            if data is not None:
                return _known(decode(data, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated))
        except Exception:  # whatever pydicom raises for bytes that are no data set
            log.info("%s: an identifier cannot be decoded", self.origin.source)
        raise WrongIdentifier("there is no identifier that can be decoded")

    def is_cancelled(self) -> bool:
        """Whether a C-CANCEL has come for it."""
        return self.request.MessageID in self.association.dimse.cancel_req

    def is_moot(self) -> bool:
        """Whether nobody waits for the answer any more, or it has taken too long for a node that is to stop."""
        dul = self.association.dul
        return (
            not dul.is_alive()
            or self.association.is_leaving
            or isinstance(dul.peek_next_pdu(), (A_ABORT, A_P_ABORT, A_RELEASE))
        )

    def negotiated(self) -> bytes:
        """What we answered to its SOP Class Extended Negotiation; empty where there was none."""
        return bytes(self.association.acceptor.sop_class_extended.get(UID(self.sop_class), b""))

    def is_relational(self) -> bool:
        """Whether relational queries or retrievals were agreed on, which is the first thing to be negotiated."""
        return self.negotiated()[:1] == b"\1"


Answer = Callable[[Asked], Iterator[Reply]]
Answers = Mapping[type[Any], Answer]
"""By kind of request."""


def respond(asked: Asked, answer: Answer) -> None:
    """Send what answers the request, and end with a failure if that fails."""
    replies = _guarded(asked, answer)
    try:
        for reply in replies:
            if asked.is_moot():
                return
            _send(asked, reply)
    finally:
        replies.close()  # so that what was done is put on record


def _guarded(asked: Asked, answer: Answer) -> Generator[Reply]:
    try:
        yield from answer(asked)
    except WrongIdentifier as error:
        yield Reply(WRONG_IDENTIFIER, comment=str(error), offending=error.tag)
    except TooWide as error:
        yield Reply(OUT_OF_RESOURCES, comment=str(error))
    except Refused as error:
        yield Reply(UNABLE, comment=str(error))
    except (Unavailable, OSError) as error:
        log.error("%s: cannot be answered now: %s", asked.origin.source, type(error).__name__)
        yield Reply(OUT_OF_RESOURCES, comment="not now; the same request may succeed later")
    except Exception:
        log.exception("%s: not answered", asked.origin.source)
        yield Reply(UNABLE)


def _known(identifier: Dataset) -> Dataset:
    """The identifier with the VRs of lists that are longer than their VR has room for, and so came as UN in explicit VR
    (PS3.5 6.2.2, note 6); pydicom leaves them UN."""
    for tag in list(identifier.keys()):
        element = identifier.get_item(tag)
        if isinstance(element, RawDataElement) and element.VR == "UN" and element.length > LONGEST_OF_SHORT:
            vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
            if vr in _LISTED:
                identifier[tag] = element._replace(VR=vr)
    return identifier


def _send(asked: Asked, reply: Reply) -> None:
    response = type(asked.request)()
    response.MessageID = response.MessageIDBeingRespondedTo = asked.request.MessageID
    response.AffectedSOPClassUID = UID(asked.sop_class)
    response.Status = reply.status
    if reply.comment:
        response.ErrorComment = reply.comment[:_LONGEST_COMMENT]  # type: ignore[assignment]
    if reply.offending:
        response.OffendingElement = [int(reply.offending, 16)]  # type: ignore[assignment]
    if reply.identifier is not None:
        response.Identifier = BytesIO(reply.identifier)
    if reply.counts is not None and not isinstance(response, C_FIND):
        response.NumberOfRemainingSuboperations = reply.counts.remaining
        response.NumberOfCompletedSuboperations = reply.counts.completed
        response.NumberOfFailedSuboperations = reply.counts.failed
        response.NumberOfWarningSuboperations = reply.counts.warning
    association = asked.association
    while association.dul.to_provider_queue.qsize() > _MOST_UNSENT and not asked.is_moot():
        time.sleep(0.002)  # a peer that reads slowly must not fill our memory
    association.dimse.send_msg(response, asked.context_id)
