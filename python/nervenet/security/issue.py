# SPDX-License-Identifier: Apache-2.0
"""An authority for a trial or a test: it makes certificates for processes on your own machines.

    authority = DevAuthority.create(days=365)
    issued = authority.issue("node", hosts=["localhost", "127.0.0.1"], days=30, uri=spiffe_id("node"))
    issued.certificate, issued.key            # PEM

For production use what your platform has (cert-manager, SPIRE, Vault): the key of this authority lies in a file.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from nervenet.clock import SYSTEM, Clock, new_id
from nervenet.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["DevAuthority", "IssuedPem", "spiffe_id"]

TRUST_DOMAIN = "nervenet.dev"


class IssuedPem(NamedTuple):
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


def spiffe_id(role: str) -> str:
    """The identity of a process with this role: what the built-in rules read a role from."""
    return f"spiffe://{TRUST_DOMAIN}/nervenet/{role}"


@dataclass(frozen=True, slots=True)
class DevAuthority:
    """A self-signed certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey
    clock: Clock = SYSTEM

    def __repr__(self) -> str:
        return f"<DevAuthority {self.certificate.subject.rfc4514_string()}>"

    @classmethod
    def create(cls, name: str = "", *, days: float = 365, clock: Clock = SYSTEM) -> Self:
        """A new authority, with a name that no other one has. Raises ConfigError if the library `cryptography` is missing."""
        library = _cryptography()
        x509, key = library.x509, _new_key()
        named = _name(name or new_id("nervenet-dev-authority"))
        now = _now(clock)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(named)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, library.hashes.SHA256())
        )
        return cls(certificate, key, clock)

    @classmethod
    def load(cls, certificate: bytes, key: bytes, clock: Clock = SYSTEM) -> Self:
        """From PEM; the first certificate counts. Raises ConfigError."""
        library = _cryptography()
        try:
            loaded = library.serialization.load_pem_private_key(key, None)
            return cls(library.x509.load_pem_x509_certificates(certificate)[0], loaded, clock)
        except ValueError as error:
            raise ConfigError(f"the authority cannot be read: {error}") from None

    @property
    def pem(self) -> bytes:
        """Its certificate: what others trust."""
        return self.certificate.public_bytes(_cryptography().serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Its key, which must stay where it is."""
        return _key_pem(self.key)

    def issue(
        self, name: str, *, hosts: Iterable[str], days: float = 30, uri: str = "", for_servers: bool = True
    ) -> IssuedPem:
        """A certificate for clients, and for servers unless it is told otherwise.

        Args:
            name: Its common name, for people.
            hosts: Names and addresses at which it is dialled.
            days: How long it is valid; negative: it has expired.
            uri: Its SPIFFE id.
            for_servers: Whether a server may show it; clients may always.
        """
        library = _cryptography()
        x509, key, now = library.x509, _new_key(), _now(self.clock)
        ends = now + datetime.timedelta(days=days)
        begins = min(now, ends) - datetime.timedelta(minutes=5)
        names: list[Any] = [_general(host) for host in hosts]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        usages = x509.ExtendedKeyUsageOID
        uses = [*([usages.SERVER_AUTH] if for_servers else []), usages.CLIENT_AUTH]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(min(ends, self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, library.hashes.SHA256())
        )
        return IssuedPem(certificate.public_bytes(library.serialization.Encoding.PEM), _key_pem(key))


class _Library(NamedTuple):
    x509: Any
    hashes: Any
    serialization: Any
    ec: Any


def _cryptography() -> _Library:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise ConfigError("the library cryptography is missing: pip install 'nervenet[security]'") from None
    return _Library(x509, hashes, serialization, ec)


def _new_key() -> EllipticCurvePrivateKey:
    ec = _cryptography().ec
    key: EllipticCurvePrivateKey = ec.generate_private_key(ec.SECP256R1())
    return key


def _key_pem(key: EllipticCurvePrivateKey) -> bytes:
    serialization = _cryptography().serialization
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str) -> Any:
    x509 = _cryptography().x509
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _general(host: str) -> Any:
    x509 = _cryptography().x509
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> Any:
    return _cryptography().x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _now(clock: Clock) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(clock.now_ms() / 1000, datetime.UTC)
