# SPDX-License-Identifier: Apache-2.0
"""Who calls a server of this process: the one place that knows every means of identity, and which one counts.

    identity = Identity(config)                      # ConfigError: a means is configured, and cannot be used
    caller = identity.of_header("Bearer s3cret")     # raises Unauthorized or Unavailable if the call must be refused
    await identity.follow()                          # for ever: reads again what may have changed

Everything fails closed (docs/decisions/0022, docs/decisions/0039).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import Unauthorized
from nervenet.security.caller import Caller
from nervenet.security.certificate import Certificates
from nervenet.security.shared_token import SharedToken

if TYPE_CHECKING:
    import ssl

    from nervenet.config import Config

__all__ = ["Identity"]

NOBODY: Final = Caller("", "none")
"""The caller of a process that wants no credentials."""
_SHARED: Final = Caller("", "shared")
_BY_CERTIFICATE: Final = Caller("", "mtls")
"""Its certificate says who it is, which only the connection knows: `of_grpc` and `of_ssl` tell."""


class Identity:
    """One for each server."""

    def __init__(self, config: Config, clock: Clock = SYSTEM) -> None:
        self._certificates = None if config.tls in (None, "on", "off") else Certificates()
        self._shared = SharedToken(config, clock) if config.has_token else None

    def of_header(self, authorization: str) -> Caller:
        """The caller with this header. `needs_certificate` says whether its certificate names it.

        Raises:
            Unauthorized: The credentials are missing or wrong.
            Unavailable: This process cannot judge now.
        """
        if self._shared is not None:
            self._shared.check(authorization)
        if self._certificates is not None:
            return _BY_CERTIFICATE
        return NOBODY if self._shared is None else _SHARED

    def needs_certificate(self, caller: Caller) -> bool:
        """Whether the caller is known only when its certificate is read."""
        return caller is _BY_CERTIFICATE

    def of_grpc(self, auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
        """The caller with the certificate in `context.auth_context()`. Raises Unauthorized."""
        assert self._certificates is not None
        return _named(self._certificates.of_grpc(auth_context))

    def of_ssl(self, tls: ssl.SSLObject | None) -> Caller:
        """The caller at the other end of a connection of Python's ssl. Raises Unauthorized."""
        assert self._certificates is not None
        return _named(self._certificates.of_ssl(tls))

    async def follow(self) -> None:
        """Read again what may have changed, without end."""
        if self._shared is not None:
            await self._shared.follow()


def _named(caller: Caller | None) -> Caller:
    if caller is None:
        raise Unauthorized(
            "your certificate names nobody: it needs a URI, a DNS name or an address as its subjectAltName, or a CN",
            code="UNAUTHENTICATED",
            reason="BAD_CERTIFICATE",
        )
    return caller
