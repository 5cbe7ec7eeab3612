"""Is a certificate authority for the tests."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lethe.node.dimse.certificates import fingerprint_of


class Identity(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        return fingerprint_of(found.public_bytes(Encoding.DER))

    def overwrite(self, other: Identity) -> None:
        self.certificate.write_bytes(other.certificate.read_bytes())
        self.key.write_bytes(other.key.read_bytes())


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "CA of the tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "ca.pem"
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(self._name, self._key.public_key(), hosts=(), days=10, ca=True)
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        hosts: tuple[str, ...] = (),
        days: int = 5,
        curve: ec.EllipticCurve | None = None,
        digest: hashes.HashAlgorithm | None = None,
    ) -> Identity:
        key = ec.generate_private_key(curve or ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key(), hosts=hosts, days=days, ca=False, digest=digest)
        identity = Identity(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        identity.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        identity.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        identity.key.chmod(0o600)
        return identity

    def below(self, name: str) -> Authority:
        """A CA that this one vouches for: whoever has a certificate of it presents its own `file` as well."""
        lower = Authority(self.folder / name, name)
        signed = self._signed(lower._name, lower._key.public_key(), hosts=(), days=10, ca=True)
        lower.file.write_bytes(signed.public_bytes(Encoding.PEM))
        return lower

    def revoke(self, *identities: Identity) -> Path:
        """A list that revokes these, and those only."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=1))
        for identity in identities:
            number = x509.load_pem_x509_certificate(identity.certificate.read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - timedelta(days=1))
            builder = builder.add_revoked_certificate(one.build())
        path = self.folder / "revoked.crl"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        hosts: tuple[str, ...],
        days: int,
        ca: bool,
        digest: hashes.HashAlgorithm | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if hosts:
            names = [x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, digest or hashes.SHA256())
