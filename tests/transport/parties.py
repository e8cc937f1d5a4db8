# SPDX-License-Identifier: Apache-2.0
"""Who has which certificate: the files of one test, and the kinds of certificates that a handshake can meet.

ours = Authorities(folder)
server, client = ours.party("server"), ours.party("client")
server.get("expired")                        # its files now hold a certificate that has expired
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography import x509

from nervenet.security.issue import DevAuthority, IssuedPem, spiffe_id

HERE: Final = ("127.0.0.1", "localhost")


class Files(NamedTuple):
    """Where somebody's files are."""

    ca: Path
    cert: Path
    key: Path


class Party:
    """One process' files: its certificate, its key, and the authorities that it trusts."""

    def __init__(self, folder: Path, ours: Authorities, role: str) -> None:
        folder.mkdir()
        self.ours, self.role = ours, role
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "tls.pem", folder / "tls.key"
        self.shows = True
        self.trust(ours.first)
        self.get("good")

    def get(self, kind: str) -> int:
        """A new certificate of a kind, written to the files; its serial number."""
        return self.put(self.ours.issue(kind, self.role))

    def put(self, issued: IssuedPem) -> int:
        """Write this certificate: key and certificate one after the other, as no process should rely on."""
        replace(self.key, issued.key)
        replace(self.cert, issued.certificate)
        return serial_of(issued.certificate)

    def trust(self, *authorities: DevAuthority) -> None:
        replace(self.ca, b"".join(one.pem for one in authorities))

    @property
    def serial(self) -> int:
        return serial_of(self.cert.read_bytes())

    def settings(self, transport: str, *, server: bool = False) -> dict[str, Any]:
        """What `Config` gets for this transport. With plain TLS a server asks for no certificate and a client shows none."""
        if transport == "plain":
            return {"tls": "off"}
        pair = {"tls_cert": str(self.cert), "tls_key": str(self.key)} if self.shows else {}
        if transport == "mtls" or server:
            return {"tls": str(self.ca), **pair, "tls_mutual": transport == "mtls"}
        return {"tls": str(self.ca)}


class Authorities:
    """The authority that a test's processes trust, one that they get later, and one that they never trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first, self.second, self.stranger = (DevAuthority.create() for _ in range(3))

    def party(self, name: str, role: str = "node") -> Party:
        """`role`: what its certificate says that it is, for the rules of who may do what."""
        return Party(self.folder / name, self, role)

    def callers(self, kind: str = "good") -> dict[str, Party]:
        """One of each role, with certificates of this kind."""
        found = {role: self.party(role, role) for role in ("operator", "node", "agent")}
        for party in found.values():
            party.get(kind)
        return found

    def issue(self, kind: str, role: str = "node") -> IssuedPem:
        """good, second (by the second authority), expired, wrong-ca, wrong-name, client-only, self-signed."""
        match kind:
            case "good":
                return self.first.issue("party", hosts=HERE, uri=spiffe_id(role))
            case "second":
                return self.second.issue("party", hosts=HERE, uri=spiffe_id(role))
            case "expired":
                return self.first.issue("party", hosts=HERE, days=-1, uri=spiffe_id(role))
            case "wrong-ca":
                return self.stranger.issue("party", hosts=HERE, uri=spiffe_id(role))
            case "wrong-name":
                return self.first.issue("party", hosts=["elsewhere.example"], uri=spiffe_id(role))
            case "client-only":
                return self.first.issue("party", hosts=HERE, uri=spiffe_id(role), for_servers=False)
            case "self-signed":
                return self_signed()
        raise AssertionError(kind)


def self_signed() -> IssuedPem:
    """A certificate that signs itself, good for a server at this address in every other way."""
    authority = DevAuthority.create()
    issued = authority.issue("127.0.0.1", hosts=HERE)
    leaf = x509.load_pem_x509_certificate(issued.certificate)
    from cryptography.hazmat.primitives import hashes, serialization

    key: Any = serialization.load_pem_private_key(issued.key, None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
        .add_extension(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=False)
    )
    signed = builder.sign(key, hashes.SHA256())
    return IssuedPem(signed.public_bytes(serialization.Encoding.PEM), issued.key)


def serial_of(pem: bytes) -> int:
    return x509.load_pem_x509_certificate(pem).serial_number


def replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


async def shown_at(address: str, party: Party, alpn: str = "h2") -> int:
    """The serial number of the certificate that a new connection to this address meets."""
    import asyncio

    context = ssl.create_default_context(cafile=str(party.ca))
    context.load_cert_chain(party.cert, party.key)
    context.set_alpn_protocols([alpn])
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(found).serial_number
