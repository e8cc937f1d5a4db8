# SPDX-License-Identifier: Apache-2.0
"""The one token that all callers of a mesh share, on the server's side. It fails closed (docs/decisions/0022).

shared = SharedToken(config)          # ConfigError: the token cannot be read
shared.check("Bearer s3cret")         # raises Unauthorized or Unavailable if the call must be refused
await shared.follow()                 # without end: a rotated token is valid within 1.25 s
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import ConfigError, Unauthorized
from nervenet.followed_file import FollowedFile
from nervenet.security.refusals import credentials_wanted, unreadable
from nervenet.timing import FILE_LOOK_EVERY, TOKEN_GRACE

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["SharedToken"]


class SharedToken:
    """One for each server of a mesh whose callers share a token."""

    def __init__(self, config: Config, clock: Clock = SYSTEM) -> None:
        self._config = config
        self._header = FollowedFile(
            f"token_file {config.token_file}",
            self._read,
            bytes,
            noun="token",
            keep=TOKEN_GRACE,
            readings=2,
            nothing="nobody is served",
            clock=clock,
        )
        """The only valid value of the header."""

    def __repr__(self) -> str:
        return f"<SharedToken {'unreadable' if self._header.value is None else 'wanted'}>"

    def check(self, authorization: str) -> None:
        """Raise Unauthorized or Unavailable if a call with this header must be refused."""
        accepted = self._header.value
        if accepted is not None and hmac.compare_digest(accepted, str(authorization).encode()):
            return
        if not authorization:
            raise credentials_wanted("a token (NERVENET_TOKEN)")
        if accepted is None:
            raise unreadable("token")
        raise Unauthorized("the token is not accepted", code="UNAUTHENTICATED", reason="BAD_TOKEN")

    async def follow(self) -> None:
        """Read the file repeatedly, without end."""
        if self._config.token_file is not None:
            await self._header.follow()

    def look(self) -> float:
        """Read it once; returns the seconds until the next reading."""
        return FILE_LOOK_EVERY if self._config.token_file is None else self._header.look()

    def _read(self) -> bytes:
        token = self._config.current_token()
        if not token:
            raise ConfigError("the token is empty")
        return f"Bearer {token}".encode()
