"""Says who may associate with us, and what he may ask once he is in.

A caller who is a peer by AE title and address comes in whatever he may do; each service then asks for the ability it
needs, so that a peer who may only store is told so and keeps its association.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pynetdicom.association import Association
from pynetdicom.events import Event

from lethe.storage.intake import Origin

from ..choices import NAMED_ABILITIES, Ability, Plain
from ..config import Peer
from ..loopback import is_loopback, unmapped
from .certificates import Presented
from .credentials import Credentials

log = logging.getLogger("lethe.receive")


@dataclass(frozen=True)
class Rejection:
    """Result, source and diagnostic of an A-ASSOCIATE-RJ (PS3.8 Table 9-21), and why in words."""

    result: int
    source: int
    diagnostic: int
    why: str


@dataclass(frozen=True)
class Caller(Origin):
    """Who is at the other end of an association, with the certificate he presented if he came by TLS."""

    presented: Presented | None = field(default=None, compare=False, repr=False)


UNKNOWN_CALLER = Rejection(1, 1, 3, "no peer has this AE title and address")
UNKNOWN_ADDRESS = Rejection(1, 1, 3, "the host of the peer with this AE title has no network address now")
WRONG_CERTIFICATE = Rejection(1, 1, 3, "its certificate is not that of the peer with this AE title")
WITHOUT_TLS = Rejection(1, 1, 1, "it has to come by TLS")
NOT_BY_TLS = Rejection(1, 1, 1, "the peer with this AE title is not set up for TLS")
OTHER_CONTEXT = Rejection(1, 1, 2, "it asks for another application context than that of DICOM")
WRONG_CALLED = Rejection(1, 1, 7, "it called an AE title that we do not have")
_ADDRESSES_HOLD = 30.0
CLOSING = Rejection(2, 3, 1, "shutting down")


class Admission:
    """Lets in `peers` and, if `trust_loopback`, anybody on this machine, that call us `ae_title` or one of `also`.

    By TLS only a peer comes in, with its own certificate, and one that is set up for TLS comes in no other way; without
    TLS those from `plain`.
    """

    def __init__(
        self,
        ae_title: str,
        peers: Sequence[Peer],
        *,
        trust_loopback: bool,
        also: Collection[str] = (),
        plain: Plain = Plain.ANYWHERE,
        credentials: Credentials | None = None,
    ) -> None:
        self.ae_title = ae_title
        self._called = {ae_title.strip(), *also}
        self.all_peers = tuple(peers)
        self._trust_loopback = trust_loopback
        self._plain = plain
        self._credentials = credentials
        self._secured_titles = frozenset(peer.ae_title for peer in peers if peer.tls)
        self._known_addresses: dict[str, tuple[float, frozenset[str]]] = {}

    def rejection(self, origin: Origin, called: str) -> Rejection | None:
        """Why this caller is not let in; None where he is."""
        if called not in self._called:
            return WRONG_CALLED
        if self._plain == Plain.LOOPBACK and _presented(origin) is None and not is_loopback(origin.address):
            return WITHOUT_TLS
        return None if self._is_trusted(origin) or self.peers(origin) else self._why_unknown(origin)

    def may(self, origin: Origin, ability: Ability) -> bool:
        """Whether this caller may ask for that. What shows patients is for peers alone that are named for it."""
        trusted = self._is_trusted(origin) and ability not in NAMED_ABILITIES
        return trusted or any(ability in peer.may for peer in self.peers(origin))

    def peers(self, origin: Origin) -> list[Peer]:
        """The configured peers with this AE title at this address, that came as they should."""
        return [peer for peer in self._named(origin) if self._came_as_it_should(peer, _presented(origin))]

    def _is_trusted(self, origin: Origin) -> bool:
        if _presented(origin) is not None or origin.source in self._secured_titles:
            return False
        return self._trust_loopback and is_loopback(origin.address)

    def _named(self, origin: Origin) -> list[Peer]:
        return [
            peer
            for peer in self.all_peers
            if peer.ae_title == origin.source and origin.address in self._addresses(peer.host)
        ]

    def _came_as_it_should(self, peer: Peer, presented: Presented | None) -> bool:
        if presented is None or not peer.tls:
            return presented is None and not peer.tls
        return self._credentials is not None and self._credentials.is_of(peer, presented)

    def _why_unknown(self, origin: Origin) -> Rejection:
        named = self._named(origin)
        if not named:
            hosts = [peer.host for peer in self.all_peers if peer.ae_title == origin.source]
            return UNKNOWN_CALLER if all(map(self._addresses, hosts)) else UNKNOWN_ADDRESS
        if _presented(origin) is None:
            return WITHOUT_TLS
        return WRONG_CERTIFICATE if any(peer.tls for peer in named) else NOT_BY_TLS

    def _addresses(self, host: str) -> frozenset[str]:
        """The network addresses of a configured host, asked for once in a while: every message needs them. While nobody
        can say them, those that were known last are its own."""
        until, addresses = self._known_addresses.get(host, (0.0, frozenset()))
        if time.monotonic() < until:
            return addresses
        try:
            addresses = frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(host, None))
        except OSError as error:
            if not addresses or not isinstance(error, socket.gaierror) or error.errno != socket.EAI_AGAIN:
                return frozenset()
            log.warning("%s: no name server answers; the addresses known before are used", host)
        self._known_addresses[host] = (time.monotonic() + _ADDRESSES_HOLD, addresses)
        return addresses


def caller_of(association: Association) -> Caller:
    """Who is at the other end of an association that was made to us."""
    request = association.requestor.primitive
    title = str(request.calling_ae_title).strip() if request else ""
    called = str(request.called_ae_title).strip() if request else ""
    address = unmapped(str(association.requestor.address or ""))
    return Caller(title, address, called, getattr(association, "presented", None))


def _presented(origin: Origin) -> Presented | None:
    return origin.presented if isinstance(origin, Caller) else None


def origin_of(event: Event) -> Caller:
    """Who is at the other end of the association an event happened in."""
    return caller_of(event.assoc)
