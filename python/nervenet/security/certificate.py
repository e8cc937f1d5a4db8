# SPDX-License-Identifier: Apache-2.0
"""The name in the certificate that the other side of a connection has shown.

    Certificates().of_grpc(context.auth_context())       # Caller("spiffe://example.com/agent/7", "mtls", {"san": […], "cn": "7"}, …)

The TLS handshake has already proven that the certificate is valid and that an authority of ours signed it. Here only its names
are read. The subject is a SPIFFE id, else another URI, a DNS name, an IP address, and the CN where the certificate has none of them: names of
the SAN count more than the CN (RFC 6125), and a URI is how SPIFFE names a workload.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final

from nervenet.security.caller import Caller

__all__ = ["Certificates"]

_PEM: Final = "x509_pem_cert"
_SANS: Final = ("peer_uri", "peer_dns", "peer_ip")
"""Where gRPC has the names of a SAN, in the order in which they count."""
_OF_SSL: Final = {"peer_uri": "URI", "peer_dns": "DNS", "peer_ip": "IP Address"}
_CN: Final = "x509_common_name"
_REMEMBERED: Final = 1_000
"""Certificates whose names are kept. Each takes about 3 kB."""


class Certificates:
    """Makes callers of certificates. Each certificate is read once."""

    def __init__(self) -> None:
        self._callers: dict[bytes, Caller | None] = {}
        """By certificate, in PEM."""

    def of_grpc(self, auth_context: Mapping[str, Iterable[bytes]]) -> Caller | None:
        """The caller that `context.auth_context()` tells of. None: it has shown no certificate, or one without a name."""
        pem = next(iter(auth_context.get(_PEM, ())), b"")
        if not pem:
            return None
        if pem not in self._callers:
            names = {key: _texts(auth_context.get(key, ())) for key in (*_SANS, _CN)}
            self._remember(pem, _caller(names, _expiry_of(pem)))
        return self._callers[pem]

    def of_ssl(self, tls: ssl.SSLObject | None) -> Caller | None:
        """The caller at the other end of a connection of Python's ssl. None as above."""
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        shown: Any = tls.getpeercert() if tls is not None else None
        if not der or not shown:  # it is empty where the certificate was not verified
            return None
        if der not in self._callers:
            san = shown.get("subjectAltName", ())
            names = {key: [text for kind, text in san if kind == _OF_SSL[key]] for key in _SANS}
            names[_CN] = [text for part in shown.get("subject", ()) for kind, text in part if kind == "commonName"]
            self._remember(der, _caller(names, float(ssl.cert_time_to_seconds(shown["notAfter"]))))
        return self._callers[der]

    def _remember(self, certificate: bytes, caller: Caller | None) -> None:
        if len(self._callers) >= _REMEMBERED:
            del self._callers[next(iter(self._callers))]
        self._callers[certificate] = caller


def _caller(names: Mapping[str, list[str]], expires: float | None) -> Caller | None:
    """A DNS name and a CN may hold any text: one that looks like a URI must not pass for a SPIFFE id."""
    uris = sorted(names["peer_uri"], key=lambda uri: not uri.startswith("spiffe://"))
    san = uris + [name for name in (*names["peer_dns"], *names["peer_ip"]) if "://" not in name]
    cn = next(iter(names[_CN]), "")
    subject = san[0] if san else "" if "://" in cn else cn
    return Caller(subject, "mtls", {"san": san, "cn": cn}, expires) if subject else None


def _texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode(errors="replace") for value in values]


def _expiry_of(pem: bytes) -> float | None:
    """When it ends, in seconds since 1970. None where the extra `security` is missing: Python itself cannot tell."""
    try:
        from cryptography import x509
    except ImportError:
        return None
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
