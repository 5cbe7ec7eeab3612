"""Tells whose certificate was presented: by its fingerprint, its subject, the names in it, and who issued it."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ..settings import FINGERPRINT

_END_OF_LIST = b"-----END X509 CRL-----"
_LEAST_RSA, _LEAST_EC, _LEAST_DIGEST = 2048, 256, 32


@dataclass(frozen=True)
class Presented:
    """The certificate whose key somebody proved to have, and those it was verified with, up to one we trust (DER)."""

    certificate: bytes
    chain: tuple[bytes, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as it is configured."""
        return fingerprint_of(self.certificate)

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The certificate, taken apart. Raises ValueError."""
        return x509.load_der_x509_certificate(self.certificate)

    def is_one_of(self, configured: Iterable[str]) -> bool:
        """Whether it is one of these fingerprints, or has one of these subjects."""
        return any(is_same(self, one) for one in configured)

    def names(self, host: str) -> bool:
        """Whether it was made for that host: a DNS name or an IP address among its alternative names."""
        try:
            found = self.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return False
        try:
            return ipaddress.ip_address(host) in found.get_values_for_type(x509.IPAddress)
        except ValueError:
            return host.lower() in (name.lower() for name in found.get_values_for_type(x509.DNSName))

    def comes_from(self, authorities: Collection[bytes]) -> bool:
        """Whether one of these certificates vouches for it, or is it."""
        return not authorities or any(one in authorities for one in self.chain)


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate, as it is configured."""
    return FINGERPRINT + hashlib.sha256(certificate).hexdigest()


def is_same(presented: Presented, configured: str) -> bool:
    """Whether that is the certificate that `configured` means, a fingerprint or a subject (RFC 4514)."""
    if configured.startswith(FINGERPRINT):
        return configured == presented.fingerprint
    try:
        return x509.Name.from_rfc4514_string(configured) == presented.parsed.subject
    except ValueError:
        return False


def presented_by(sock: ssl.SSLSocket) -> Presented:
    """What the other side of an established TLS connection presented."""
    certificate = sock.getpeercert(binary_form=True)
    if not certificate:
        raise ssl.SSLError("no certificate was presented")
    return Presented(certificate, _verified_chain(sock) or (certificate,))


def _verified_chain(sock: ssl.SSLSocket) -> tuple[bytes, ...]:
    """The chain that OpenSSL verified. Python shows it from 3.13 on; what it calls for that is there before."""
    if hasattr(sock, "get_verified_chain"):
        return tuple(sock.get_verified_chain())
    chain = cast(Any, sock)._sslobj.get_verified_chain() or ()
    return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain)


def certificates_in(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file. Raises OSError, ValueError."""
    found = x509.load_pem_x509_certificates(path.read_bytes())
    if not found:
        raise ValueError("no certificate in it")
    return found


def lists_in(path: Path) -> list[tuple[str, datetime | None]]:
    """Issuer and last moment of all revocation lists of a PEM file. Raises OSError, ValueError."""
    blocks = path.read_bytes().split(_END_OF_LIST)[:-1]
    lists = [x509.load_pem_x509_crl(block + _END_OF_LIST) for block in blocks]
    if not lists:
        raise ValueError("no revocation list in it")
    return [(one.issuer.rfc4514_string(), one.next_update_utc) for one in lists]


def weakness(certificate: x509.Certificate) -> str:
    """What is too weak in a certificate for PS3.15 B.13; "" where nothing is."""
    key, signed_by = certificate.public_key(), certificate.signature_hash_algorithm
    least = _LEAST_EC if isinstance(key, ec.EllipticCurvePublicKey) else _LEAST_RSA
    if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and key.key_size < least:
        return f"a key of {key.key_size} bits: at least {least} are asked for"
    if signed_by is not None and signed_by.digest_size < _LEAST_DIGEST:
        return f"a signature over {signed_by.name}"
    return ""


def lifetimes(certificates: Sequence[x509.Certificate]) -> list[tuple[str, datetime, datetime]]:
    """Subject, first and last moment of each."""
    return [(one.subject.rfc4514_string(), one.not_valid_before_utc, one.not_valid_after_utc) for one in certificates]
