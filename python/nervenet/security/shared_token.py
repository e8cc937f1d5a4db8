# SPDX-License-Identifier: Apache-2.0
"""The one token that all callers of a mesh share, on the server's side. It fails closed (docs/decisions/0022).

    shared = SharedToken(config)             # ConfigError: a token is configured, and cannot be read
    shared.check("Bearer s3cret")         # raises Unauthorized or Unavailable if the call must be refused
    await shared.follow()                 # for ever: a rotated token is valid within 1.25 s

While the file is unreadable, as it is for a moment when it is rewritten, the last good token is accepted for `TOKEN_GRACE`
seconds, then none. A new text is accepted when two readings have found it: the first may have read half of a file that is
being written.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import ConfigError, Unauthorized, Unavailable
from nervenet.timing import TOKEN_GRACE, TOKEN_LOOK_AGAIN, TOKEN_LOOK_EVERY

if TYPE_CHECKING:
    from nervenet.config import Config

__all__ = ["TOKEN_GRACE", "SharedToken"]

LOG_EVERY: Final = 10.0

_log = logging.getLogger(__name__)


class SharedToken:
    """One for each server."""

    def __init__(self, config: Config, clock: Clock = SYSTEM) -> None:
        self._config = config
        self._clock = clock
        self._needs_no_token = not config.has_token
        self._accepted: bytes | None = None if self._needs_no_token else self._read()
        """The only valid value of the header; None: there is none."""
        self._unconfirmed: bytes | None = None
        self._confirmed_at = clock.monotonic()
        self._logged_at = float("-inf")

    def __repr__(self) -> str:
        return f"<SharedToken {'none wanted' if self._needs_no_token else 'unreadable' if self._accepted is None else 'wanted'}>"

    def check(self, authorization: str) -> None:
        """Raise Unauthorized or Unavailable if a call with this header must be refused."""
        if self._needs_no_token:
            return
        if self._accepted is not None and hmac.compare_digest(self._accepted, str(authorization).encode()):
            return
        if self._accepted is None and authorization:
            raise Unavailable(
                "this process cannot read its own token, so it serves nobody: its log says why; ask another node",
                code="UNAVAILABLE",
                reason="TOKEN_UNREADABLE",
            )
        words = "the token is not accepted" if authorization else "this process wants a token (NERVENET_TOKEN)"
        raise Unauthorized(words, code="UNAUTHENTICATED", reason="BAD_TOKEN")

    async def follow(self) -> None:
        """Read the file repeatedly, without end."""
        while True:  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(self.look())

    def look(self) -> float:
        """Read it once; returns the seconds until the next reading."""
        if self._config.token_file is None:
            return TOKEN_LOOK_EVERY
        now = self._clock.monotonic()
        try:
            found = self._read()
        except Exception as error:  # noqa: BLE001  # any error: without a readable token no call is served
            self._unconfirmed = None
            self._doubt(now, str(error))
            return TOKEN_LOOK_AGAIN
        if found not in (self._accepted, self._unconfirmed):
            self._unconfirmed = found
            self._doubt(now, "")
            return TOKEN_LOOK_AGAIN
        if self._logged_at > self._confirmed_at:
            _log.warning("token_file %s can be read again", self._config.token_file)
        self._accepted, self._unconfirmed, self._confirmed_at = found, None, now
        return TOKEN_LOOK_EVERY

    def _doubt(self, now: float, why: str) -> None:
        over = self._accepted is not None and now - self._confirmed_at >= TOKEN_GRACE
        if over:
            self._accepted = None
        if over and not why:
            why = f"token_file {self._config.token_file} holds another text at each reading: write the token in one go"
        if over or (why and now - self._logged_at >= LOG_EVERY):
            self._logged_at = now
            until = (
                "nobody is served"
                if self._accepted is None
                else f"the last good token counts, for {TOKEN_GRACE:g} s at most"
            )
            _log.error("%s; until then %s", why, until)

    def _read(self) -> bytes:
        token = self._config.current_token()
        if not token:
            raise ConfigError("the token is empty")
        return f"Bearer {token}".encode()
