# SPDX-License-Identifier: Apache-2.0
"""Certificates: until when the one of this machine is valid.

Python decodes a certificate only in a handshake. So the certificate is shown to a client in this process, which trusts this one
alone; nothing leaves the process.
"""

from __future__ import annotations

import ssl
from typing import Final

from nervenet.cli.doctor.check import Check, error, ok, warning
from nervenet.config import Config

DAY_MS: Final = 86_400_000
SOON: Final = 14
"""Days before the end from which on the certificate is reported."""


def certificate_checks(config: Config, now_ms: int) -> list[Check]:
    """The certificate in the settings. Nothing if there is none."""
    if config.tls_cert is None or config.tls_key is None:
        return []
    try:
        ends_ms = valid_until(config.tls_cert, config.tls_key)
    except (ssl.SSLError, OSError) as fault:
        reason = getattr(fault, "verify_message", "") or str(fault)
        return [
            error("certificate", f"{config.tls_cert}: {reason}", "renew it, and start the processes that use it again")
        ]
    return [judge(config.tls_cert, ends_ms, now_ms)]


def judge(file: str, ends_ms: int, now_ms: int) -> Check:
    """The check, from the moment at which the certificate ends."""
    days = (ends_ms - now_ms) / DAY_MS
    said = f"{file} is valid for {days:.0f} days"
    if days < SOON:
        return warning("certificate", said, "renew it, and start the processes that use it again")
    return ok("certificate", said)


def valid_until(certificate: str, key: str) -> int:
    """The end of a certificate's time, in milliseconds.

    Raises:
        ssl.SSLError: It has expired, is not valid yet, or does not fit the key.
        OSError: A file cannot be read.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trusted as it is, without its authority
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    done = False
    while not done:
        done = _step(one)
        _step(other)
    told = one.getpeercert()
    assert told is not None
    return int(ssl.cert_time_to_seconds(str(told["notAfter"]))) * 1000


def _step(side: ssl.SSLObject) -> bool:
    """Whether this side of the handshake is done."""
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
