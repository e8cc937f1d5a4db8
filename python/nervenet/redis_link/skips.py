# SPDX-License-Identifier: Apache-2.0
"""Unreadable data that was skipped: counted, and logged once for each place.

Agents in any language and other releases write to Redis too. So what is read is decoded by total functions: the result
is a value, or the data is skipped here (one member of a list, one wake), or the call raises `Unreadable` (the head of
one workflow). A wrong byte affects the thing that it belongs to, and nothing else.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final

__all__ = ["SkipCounter"]

MOST_PLACES: Final = 1_000
"""The number of places that are remembered as logged. The one that was skipped least recently is forgotten first."""

_log = logging.getLogger(__name__)


class SkipCounter:
    """One for each link. `count` is the number of unreadable things since the process began."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<SkipCounter {self.count} in {len(self._logged)} places>"

    def skip(self, where: str, why: object) -> None:
        """Count and log something unreadable. `where` is the key, without its content: that may differ each time."""
        self.count += 1
        if where in self._logged:
            self._logged.move_to_end(where)
            return
        self._logged[where] = None
        if len(self._logged) > MOST_PLACES:
            self._logged.popitem(last=False)
        _log.error("%s cannot be read and is skipped (logged once): %s", where, why)

    def blocking(self) -> None:
        """Count something unreadable that is not skipped: its workflow is BLOCKED, which has a log line of its own."""
        self.count += 1

    def text(self, raw: bytes, where: str) -> str | None:
        """The text, or None (skipped) if it is not UTF-8."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.skip(where, f"{raw[:40]!r} is not UTF-8 text")
            return None
