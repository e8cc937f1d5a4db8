# SPDX-License-Identifier: Apache-2.0
"""A file with secrets that is read again while the process runs: the last good content counts for seconds, then none.

    rows = RereadFile("tokens_file tokens.toml", lambda: read_rows("tokens.toml"))      # ConfigError: it cannot be read now
    rows.value                                                                          # None: it has been unreadable too long
    await rows.follow()                                                                 # without end

While the file is unreadable, as it is for a moment when it is rewritten, the last good content counts for `TOKEN_GRACE` seconds.
New content counts when two readings have found it: the first may have read half of a file that is being written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nervenet.clock import SYSTEM, Clock
from nervenet.timing import TOKEN_GRACE, TOKEN_LOOK_AGAIN, TOKEN_LOOK_EVERY

__all__ = ["LOG_EVERY", "RereadFile"]

T = TypeVar("T")

LOG_EVERY: Final = 10.0

_log = logging.getLogger(__name__)


class RereadFile(Generic[T]):
    """The content of one file.

    Args:
        name: What it is, for the log.
        read: Reads it. Any error means that it cannot be read now.
        clock: Of the grace.

    Raises:
        ConfigError: It cannot be read now.
    """

    def __init__(self, name: str, read: Callable[[], T], clock: Clock = SYSTEM) -> None:
        self._name = name
        self._read = read
        self._clock = clock
        self.value: T | None = read()
        """What counts. None: nothing does."""
        self._unconfirmed: T | None = None
        self._confirmed_at = clock.monotonic()
        self._logged_at = float("-inf")

    def __repr__(self) -> str:
        return f"<RereadFile {self._name}{', unreadable' if self.value is None else ''}>"

    async def follow(self) -> None:
        """Read it repeatedly, without end."""
        while True:  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(self.look())

    def look(self) -> float:
        """Read it once; returns the seconds until the next reading."""
        now = self._clock.monotonic()
        try:
            found = self._read()
        except Exception as error:  # noqa: BLE001  # any error: what cannot be read lets nobody in
            self._unconfirmed = None
            self._doubt(now, str(error))
            return TOKEN_LOOK_AGAIN
        if found not in (self.value, self._unconfirmed):
            self._unconfirmed = found
            self._doubt(now, "")
            return TOKEN_LOOK_AGAIN
        if self._logged_at > self._confirmed_at:
            _log.warning("%s can be read again", self._name)
        if found != self.value:
            self.value = found
        self._unconfirmed, self._confirmed_at = None, now
        return TOKEN_LOOK_EVERY

    def _doubt(self, now: float, why: str) -> None:
        over = self.value is not None and now - self._confirmed_at >= TOKEN_GRACE
        if over:
            self.value = None
        if over and not why:
            why = f"{self._name} holds another text at each reading: write the token in one go"
        if over or (why and now - self._logged_at >= LOG_EVERY):
            self._logged_at = now
            until = (
                "nobody is served"
                if self.value is None
                else f"the last good token counts, for {TOKEN_GRACE:g} s at most"
            )
            _log.error("%s; until then %s", why, until)
