# SPDX-License-Identifier: Apache-2.0
"""Who calls a server of this process: the one place that knows every means of identity, and which one counts.

    identity = Identity(config)                      # ConfigError: a means is configured, and cannot be used
    caller = identity.of_header("Bearer s3cret")     # raises Unauthorized or Unavailable if the call must be refused
    await identity.follow()                          # without end: reads again what may have changed, and ends streams

| configured | the call has | it is |
| --- | --- | --- |
| `tokens_file` | a token of that file | `token`, the row's name |
| `jwt_issuer` | a JWT | `jwt`, its `sub` |
| one of both | no token; mTLS | `mtls`, the name in its certificate |
| `token` or `token_file`, none of both | the shared token; mTLS | `mtls` |
| the same | the shared token; no mTLS | `shared` |
| mTLS alone | | `mtls` |
| nothing | | `none` |

Everything else is refused: a wrong token never falls back to the certificate. Where `tokens_file` or `jwt_issuer` is set, `token` and
`token_file` are what this process shows to others, and no caller is known by them: a JWT of a node's own must not be good for
others, or after its end. Everything fails closed (docs/decisions/0022, docs/decisions/0039).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import Unauthorized
from nervenet.security.caller import Caller
from nervenet.security.caller_streams import CallerStreams
from nervenet.security.certificate import Certificates
from nervenet.security.jwt_callers import JwtCallers, is_jwt
from nervenet.security.named_tokens import NamedTokens
from nervenet.security.refusals import bad_token, credentials_wanted, expired
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
_SCHEME: Final = "bearer "


class Identity:
    """One for each server."""

    def __init__(self, config: Config, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self.streams = CallerStreams(self.recheck, clock)
        """Those that are open: a server passes each stream through them."""
        self._certificates = Certificates() if config.wants_certificates else None
        self._named = None if config.tokens_file is None else NamedTokens(config.tokens_file, clock)
        self._jwts = None if config.jwt_issuer is None else JwtCallers(config, clock)
        self._shared = SharedToken(config, clock) if config.wants_shared_token else None

    def __repr__(self) -> str:
        means = (self._named, self._jwts, self._shared, self._certificates)
        return f"<Identity by {', '.join(type(one).__name__ for one in means if one is not None) or 'nothing'}>"

    def of_header(self, authorization: str) -> Caller:
        """The caller with this header. `needs_certificate` says whether its certificate names it.

        Raises:
            Unauthorized: The credentials are missing or wrong.
            Unavailable: This process cannot judge now.
        """
        if self._shared is not None:
            self._shared.check(authorization)
            return _SHARED if self._certificates is None else _BY_CERTIFICATE
        if self._named is None and self._jwts is None:
            return NOBODY if self._certificates is None else _BY_CERTIFICATE
        if not authorization and self._certificates is not None:
            return _BY_CERTIFICATE
        return self._living(self._bearer(authorization))

    def _bearer(self, authorization: str) -> Caller:
        if not authorization:
            raise credentials_wanted(
                "a token of yours (NERVENET_TOKEN_FILE, or NERVENET_TOKEN)"
                if self._jwts is None
                else "a JWT or a token of yours (NERVENET_TOKEN_FILE)"
            )
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise bad_token("authorization must be `Bearer` and a token")
        token = authorization[len(_SCHEME) :].strip()
        if self._jwts is not None and is_jwt(token):
            return self._jwts.caller(token)
        found = None if self._named is None else self._named.caller(token)
        if found is None:
            raise bad_token("the token is not accepted")
        return found

    def _living(self, caller: Caller) -> Caller:
        if caller.expires is not None and self._clock.now_ms() >= caller.expires * 1000:
            raise expired("your credentials have expired: get new ones")
        return caller

    @property
    def reads_certificates(self) -> bool:
        """Whether a certificate may name a caller (mTLS)."""
        return self._certificates is not None

    def needs_certificate(self, caller: Caller) -> bool:
        """Whether the caller is known only when its certificate is read."""
        return caller is _BY_CERTIFICATE

    def of_grpc(self, auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
        """The caller with the certificate in `context.auth_context()`. Raises Unauthorized."""
        assert self._certificates is not None
        return self._living(_named(self._certificates.of_grpc(auth_context)))

    def of_ssl(self, tls: ssl.SSLObject | None) -> Caller:
        """The caller at the other end of a connection of Python's ssl. Raises Unauthorized."""
        assert self._certificates is not None
        return self._living(_named(self._certificates.of_ssl(tls)))

    def recheck(self, caller: Caller) -> None:
        """Raise RequestError if the credentials of an open stream's caller no longer count."""
        self._living(caller)
        if caller.means == "token" and self._named is not None:
            self._named.recheck(caller)
        if caller.means == "jwt" and self._jwts is not None:
            self._jwts.recheck(caller)

    async def follow(self) -> None:
        """Read again what may have changed, and end the streams of callers whose credentials have ended; without end."""
        means = (self._named, self._jwts, self._shared, self.streams)
        async with asyncio.TaskGroup() as group:
            for one in means:
                if one is not None:
                    group.create_task(one.follow())


def _named(caller: Caller | None) -> Caller:
    if caller is None:
        raise Unauthorized(
            "your certificate names nobody: it needs a URI, a DNS name or an address as its subjectAltName, or a CN",
            code="UNAUTHENTICATED",
            reason="BAD_CERTIFICATE",
        )
    return caller
