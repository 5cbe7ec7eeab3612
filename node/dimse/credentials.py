"""Holds our certificate and whom we trust, and shakes hands with them (PS3.15 B.12 and B.13, BCP 195: RFC 8996, 9325).

TLS 1.2 and 1.3, both sides with a certificate, which has not been revoked where there are lists that would say so.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lethe.storage.errors import Unavailable

from ..choices import TlsProfile
from ..config import Config, Peer
from ..errors import CertificateError
from ..settings import FINGERPRINT
from .certificates import Presented, certificates_in, lifetimes, lists_in, presented_by, weakness
from .kept import Kept
from .secure import Secure

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:!AESCCM8:@SECLEVEL=2"
"""Of TLS 1.2. Level 2: RSA keys of 2048 bits, curves of 224 bits, no SHA-1. Those of TLS 1.3 are OpenSSL's own."""
MODIFIED_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM:@SECLEVEL=2"
"""The same for B.13, which has CCM_8 as well. OpenSSL knows none of its suites with Camellia in GCM."""
_MOST_REMEMBERED = 1000
_SOON = timedelta(days=30)


class Credentials:
    """Certificate, key and CA files of a node and its peers. Changed files are used from the next association on."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        authorities: dict[str, Path],
        peers: Sequence[Peer],
        *,
        revoked: Path | None = None,
        profile: TlsProfile = TlsProfile.BCP195,
    ) -> None:
        """`authorities` has the CA file for each peer that uses TLS, by its name; `revoked` a list of each CA,
        those between included."""
        self._certificate, self._key, self._authorities = certificate, key, authorities
        self._revoked, self._profile = revoked, profile
        self._peers = tuple(peer for peer in peers if peer.name in authorities)
        every = sorted(set(authorities.values()))
        own = [certificate, key, *([revoked] if revoked else [])]
        self._server = Kept([*own, *every], partial(self._context, ssl.PROTOCOL_TLS_SERVER, every))
        self._clients = {
            name: Kept([*own, path], partial(self._context, ssl.PROTOCOL_TLS_CLIENT, [path]))
            for name, path in authorities.items()
        }
        self._presented: dict[bytes, Presented] = {}
        self._trusted = {path: Kept([path], partial(_encoded, path)) for path in every}

    def knows(self, peer: Peer) -> bool:
        """Whether it is set up to use TLS."""
        return peer.name in self._authorities

    def check(self) -> None:
        """Read everything once, as it has to be before the first connection. Raises CertificateError."""
        for peer in self._peers:
            for subject in peer.tls_certificates:
                _check_subject(subject, peer.name)
        self._server.current()
        self._demand_strength(_read(self._certificate)[0])
        for context in self._clients.values():
            context.current()
        for certificates in self._trusted.values():
            certificates.current()

    def receive(self, sock: socket.socket) -> ssl.SSLSocket:
        """TLS over a connection that was made to us; the handshake is still to be made."""
        return self._server.current().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def presented(self, sock: ssl.SSLSocket) -> Presented:
        """What a caller has presented, or had when the session of TLS 1.2 began that he resumes: of those OpenSSL does
        not keep the chain. Raises ssl.SSLError."""
        found = presented_by(sock)
        if sock.session_reused:
            return self._presented.get(found.certificate, found)
        self._demand_strong(found)
        if len(self._presented) >= _MOST_REMEMBERED:
            self._presented.clear()
        self._presented[found.certificate] = found
        return found

    def caller(self, peer: Peer) -> Secure:
        """What makes TLS of a connection to a peer that is known. Raises CertificateError."""
        self._trusted[self._authorities[peer.name]].current()
        return partial(self._call, peer, self._clients[peer.name].current())

    def is_of(self, peer: Peer, presented: Presented) -> bool:
        """Whether that is this peer's certificate: one of those configured for it, or else one that names its host and
        is not configured for another peer."""
        if not self.knows(peer):
            return False
        if not presented.comes_from(self._trusted[self._authorities[peer.name]].current()):
            return False
        if peer.tls_certificates:
            return presented.is_one_of(peer.tls_certificates)
        return presented.names(peer.host) and not any(presented.is_one_of(one.tls_certificates) for one in self._peers)

    def warnings(self, now: datetime) -> Iterator[str]:
        """What will not work for long, or does not work now: certificates that have expired or soon will."""
        for path in dict.fromkeys([self._certificate, *self._authorities.values()]):
            for subject, first, last in lifetimes(_read(path)):
                if now < first:
                    yield f"{path}: the certificate of {subject} is valid only from {first:%Y-%m-%d} on"
                elif now > last:
                    yield f"{path}: the certificate of {subject} has expired on {last:%Y-%m-%d}"
                elif now > last - _SOON:
                    yield f"{path}: the certificate of {subject} expires on {last:%Y-%m-%d}"
        for issuer, until in _lists(self._revoked) if self._revoked else ():
            if until is not None and now > until:
                yield f"{self._revoked}: the list of {issuer} has expired on {until:%Y-%m-%d}: its peers are refused"
        if self._key.stat().st_mode & 0o077:
            yield f"{self._key}: others than its owner can read this key"

    def _call(self, peer: Peer, context: ssl.SSLContext, sock: socket.socket) -> ssl.SSLSocket:
        secured = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=peer.host)
        try:
            secured.do_handshake()
            presented = presented_by(secured)
            if not self.is_of(peer, presented):
                raise ssl.SSLError("the certificate it presents is not this peer's")
            self._demand_strong(presented)
        except OSError:
            secured.close()
            raise
        return secured

    def _demand_strong(self, presented: Presented) -> None:
        """Raises ssl.SSLError for a certificate that the profile does not allow."""
        try:
            self._demand_strength(presented.parsed)
        except (CertificateError, ValueError) as error:
            raise ssl.SSLError(str(error)) from None

    def _demand_strength(self, certificate: x509.Certificate) -> None:
        why = weakness(certificate) if self._profile == TlsProfile.MODIFIED else ""
        if why:
            raise CertificateError(f"PS3.15 B.13 does not allow a certificate with {why}")

    def _context(self, protocol: int, authorities: Sequence[Path]) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False  # `is_of` says whose certificate it is
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_ciphers(MODIFIED_CIPHERS if self._profile == TlsProfile.MODIFIED else CIPHERS)
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options |= ssl.OP_NO_COMPRESSION
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.num_tickets = 0
        try:
            context.load_cert_chain(self._certificate, self._key, password="")
        except (OSError, ValueError) as error:
            raise _unusable(f"{self._certificate} with {self._key}", error) from None
        for path in authorities:
            _read(path)
            context.load_verify_locations(path)
        if self._revoked:
            _lists(self._revoked)
            context.load_verify_locations(self._revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN  # a CA between may be revoked as well (RFC 5280 6.1.3)
        return context


def secure_for(peer: Peer, credentials: Credentials | None) -> Secure | None:
    """What makes TLS of a connection to a peer; None for one that is called without. Raises Unavailable."""
    if not peer.tls:
        return None
    if credentials is None or not credentials.knows(peer):
        raise Unavailable(f"{peer.name} is to be called by TLS, and there is no certificate to do so")
    try:
        return credentials.caller(peer)
    except CertificateError as error:
        raise Unavailable(str(error)) from None


def credentials_of(config: Config) -> Credentials | None:
    """Those that are configured; None where there is no certificate."""
    node = config.node
    if not node.tls_certificate:
        return None
    authorities = {
        peer.name: config.folder / (peer.tls_ca or node.tls_ca)
        for peer in config.peers
        if peer.tls and (peer.tls_ca or node.tls_ca)
    }
    return Credentials(
        config.folder / node.tls_certificate,
        config.folder / node.tls_key,
        authorities,
        config.peers,
        revoked=config.folder / node.tls_crl if node.tls_crl else None,
        profile=node.tls_profile,
    )


def _check_subject(configured: str, peer: str) -> None:
    try:
        if not configured.startswith(FINGERPRINT):
            x509.Name.from_rfc4514_string(configured)
    except ValueError:
        raise CertificateError(f"peer {peer}: {configured!r} is no subject as RFC 4514 writes it") from None


def _encoded(path: Path) -> frozenset[bytes]:
    return frozenset(one.public_bytes(Encoding.DER) for one in _read(path))


def _read(path: Path) -> list[x509.Certificate]:
    try:
        return certificates_in(path)
    except (OSError, ValueError) as error:
        raise _unusable(str(path), error) from None


def _lists(path: Path) -> list[tuple[str, datetime | None]]:
    try:
        return lists_in(path)
    except (OSError, ValueError) as error:
        raise _unusable(str(path), error) from None


def _unusable(what: str, error: Exception) -> CertificateError:
    why = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not in PEM format"
    return CertificateError(f"{what}: {str(why).replace('_', ' ').lower()}")
