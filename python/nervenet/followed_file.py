# SPDX-License-Identifier: Apache-2.0
"""A file that is read again while the process runs. Readers see memory only.

    rows = FollowedFile("tokens_file tokens.toml", read=file.read_bytes, parse=rows_of)     # ConfigError: it cannot be used now
    rows.value                  # what counts
    await rows.follow()         # without end: looks once a second
    rows.look_if_due()          # or so, where nothing follows: at most one look each second

Tokens, the policy, certificates and the keys of codecs are followed by this one class. What differs is said by its arguments:
how many readings must agree, and for how long the last good content counts when the new one cannot be used. A process that
runs for long has a task that follows. A client in somebody else's process has none: it asks `look_if_due` where a request leaves.

Rejected: inotify, which does not see the swap of a symbolic link by which Kubernetes replaces a mounted secret.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nervenet.clock import SYSTEM, Clock
from nervenet.errors import ConfigError, detail
from nervenet.timing import FILE_LOG_AGAIN, FILE_LOOK_AGAIN, FILE_LOOK_EVERY

__all__ = ["ALWAYS", "FollowedFile"]

S = TypeVar("S")
T = TypeVar("T")

ALWAYS: Final = math.inf

_log = logging.getLogger(__name__)


class FollowedFile(Generic[S, T]):
    """The content of one file, or of files that belong together. It may be asked from any thread.

    Args:
        name: What it is, for the log.
        read: Reads what two looks compare: a text, or times and sizes. Any error means that it cannot be used now.
        parse: Makes the content of it; called only for what has changed. Any error means the same.
        noun: What the log calls the content.
        keep: Seconds for which the last good content counts while there is no new one that can be used. After them `value` is None.
        readings: How many readings in a row must find the same before it counts: 2 where the first may have read half of a
            file that is being written, and half of it would be good too.
        nothing: What is so when nothing counts, for the log.
        on_change: Called with each new content, before `value` has it.
        on_look: Called after each look.
        in_thread: `follow` looks in a thread, because `parse` takes long.
        clock: Of `keep` and of the looks.

    Raises:
        ConfigError: It cannot be used now.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], S],
        parse: Callable[[S], T],
        *,
        noun: str = "content",
        keep: float = ALWAYS,
        readings: int = 1,
        nothing: str = "",
        on_change: Callable[[T], None] | None = None,
        on_look: Callable[[], None] | None = None,
        in_thread: bool = False,
        clock: Clock = SYSTEM,
    ) -> None:
        self._name, self._noun, self._nothing = name, noun, nothing
        self._read, self._parse = read, parse
        self._keep, self._readings, self._in_thread = keep, readings, in_thread
        self._on_change, self._on_look = on_change, on_look
        self._clock = clock
        self._lock = threading.RLock()
        self._seen: S = read()
        self._unconfirmed: S = self._seen
        self._agreeing = 0
        """How many looks in a row have found it."""
        self.value: T | None = parse(self._seen)
        """What counts. None: nothing does."""
        self.version = 1
        """Rises with each new content."""
        self.problem = ""
        """Why the file cannot be used as it is now; "" where it can."""
        self._good_at = clock.monotonic()
        self._next = self._good_at + FILE_LOOK_EVERY
        self._logged = ""
        self._logged_at = -math.inf
        self._complained = False

    def __repr__(self) -> str:
        state = "nothing counts" if self.value is None else "broken" if self.problem else f"version {self.version}"
        return f"<FollowedFile {self._name}, {state}>"

    async def follow(self) -> None:
        """Look repeatedly, without end."""
        while True:  # noqa: ASYNC110  # a file has no event
            await asyncio.sleep(await asyncio.to_thread(self.look) if self._in_thread else self.look())

    def look_if_due(self) -> int:
        """Look if the last look was some time ago; the version that counts. It costs a reading of the clock."""
        if self._clock.monotonic() >= self._next:
            self.look()
        return self.version

    def look(self) -> float:
        """Look now; returns the seconds until the next look."""
        with self._lock:
            pause = self._look(self._clock.monotonic())
            self._next = self._clock.monotonic() + pause
            if self._on_look is not None:
                self._on_look()
            return pause

    def _look(self, now: float) -> float:
        try:
            found = self._read()
        except Exception as error:  # noqa: BLE001  # what cannot be read must not end who follows
            self._agreeing = 0
            return self._doubt(now, self._words(error))
        if found == self._seen and self.value is not None:
            return self._is_good(now)
        if not self._is_confirmed(found):
            return self._doubt(now, "")
        try:
            value = self._parse(found)
        except Exception as error:  # noqa: BLE001  # the same for what cannot be used
            return self._doubt(now, self._words(error))
        self._seen = found
        if value != self.value:
            if self._on_change is not None:
                self._on_change(value)
            self.value = value
            self.version += 1
        return self._is_good(now)

    def _is_confirmed(self, found: S) -> bool:
        """Whether what was found was there before, or has been there for enough looks."""
        self._agreeing = self._agreeing + 1 if self._agreeing and found == self._unconfirmed else 1
        self._unconfirmed = found
        return found == self._seen or self._agreeing >= self._readings

    def _is_good(self, now: float) -> float:
        if self._complained:
            _log.warning("%s can be used again", self._name)
        self._complained, self.problem, self._good_at, self._agreeing = False, "", now, 0
        return FILE_LOOK_EVERY

    def _doubt(self, now: float, why: str) -> float:
        """What is there does not count: because of `why`, or, without one, because it may be half of what is being written."""
        before, self.problem = self.problem, why or self.problem
        is_over = self.value is not None and now - self._good_at >= self._keep
        if is_over:
            self.value = None
            why = why or f"{self._name} holds another text at each look: write it in one go"
        if why and (before or is_over):  # the first look may see files that are being written: two are news
            self._complain(now, f"{why}; until then {self._what_counts()}")
        return FILE_LOOK_AGAIN if self._keep < ALWAYS or not why else FILE_LOOK_EVERY

    def _what_counts(self) -> str:
        if self.value is None:
            return self._nothing
        return f"the last good {self._noun} counts" + (
            "" if self._keep == ALWAYS else f", for {self._keep:g} s at most"
        )

    def _complain(self, now: float, line: str) -> None:
        if line == self._logged and (self._complained or now - self._logged_at < FILE_LOG_AGAIN):
            return
        self._logged, self._logged_at, self._complained = line, now, True
        _log.error("%s", line)

    def _words(self, error: Exception) -> str:
        return str(error) if isinstance(error, ConfigError) else f"{self._name}: {detail(error)}"
