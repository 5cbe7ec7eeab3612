"""Says who may associate with us, and what he may ask once he is in.

A caller who is a peer by AE title and address comes in whatever he may do; each service then asks for the ability it
needs, so that a peer who may only store is told so and keeps its association.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pynetdicom.events import Event

from lethe.storage.intake import Origin

from ..choices import Ability
from ..config import Peer
from ..loopback import is_loopback


@dataclass(frozen=True)
class Rejection:
    """Result, source and diagnostic of an A-ASSOCIATE-RJ (PS3.8 Table 9-21), and why in words."""

    result: int
    source: int
    diagnostic: int
    why: str


UNKNOWN_CALLER = Rejection(1, 1, 3, "no peer has this AE title and address")
WRONG_CALLED = Rejection(1, 1, 7, "it called an AE title that we do not have")
CLOSING = Rejection(2, 3, 1, "shutting down")


class Admission:
    """Lets in `peers` and, if `trust_loopback`, anybody on this machine, that call us `ae_title` or one of `also`."""

    def __init__(
        self, ae_title: str, peers: Sequence[Peer], *, trust_loopback: bool, also: Collection[str] = ()
    ) -> None:
        self.ae_title = ae_title
        self._called = {ae_title.strip(), *also}
        self._peers = tuple(peers)
        self._trust_loopback = trust_loopback

    def rejection(self, origin: Origin, called: str) -> Rejection | None:
        """Why this caller is not let in; None where he is."""
        if called not in self._called:
            return WRONG_CALLED
        return None if self._is_trusted(origin) or self._known(origin) else UNKNOWN_CALLER

    def may(self, origin: Origin, ability: Ability) -> bool:
        """Whether this caller may ask for that."""
        return self._is_trusted(origin) or any(ability in peer.may for peer in self._known(origin))

    def _is_trusted(self, origin: Origin) -> bool:
        return self._trust_loopback and is_loopback(origin.address)

    def _known(self, origin: Origin) -> list[Peer]:
        return [peer for peer in self._peers if peer.ae_title == origin.source and _is_at(peer.host, origin.address)]


def origin_of(event: Event) -> Origin:
    """Who is at the other end of an association that was made to us."""
    request = event.assoc.requestor.primitive
    title = str(request.calling_ae_title).strip() if request else ""
    called = str(request.called_ae_title).strip() if request else ""
    return Origin(title, str(event.assoc.requestor.address or ""), called)


def _is_at(host: str, address: str) -> bool:
    """Whether a configured host is that network address."""
    try:
        return address in {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
