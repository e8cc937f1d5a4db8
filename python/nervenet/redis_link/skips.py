# SPDX-License-Identifier: Apache-2.0
"""What was left out because it could not be read: counted, and logged once for each place.

Redis is written by agents in any language and by other releases. What is read from it is decoded by total functions: the
result is a value, or it is passed over here (one member of a list, one wake), or the call raises `Unreadable` (the head
of one workflow). So a wrong byte costs the thing that it belongs to, and nothing else.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Final

__all__ = ["Skips"]

MOST_PLACES: Final = 1_000
"""Places that are remembered as logged; the one that was heard of longest ago is forgotten first."""

_log = logging.getLogger(__name__)


class Skips:
    """One for each link. `count` is the number of things that were passed over since the process began."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Skips {self.count} in {len(self._logged)} places>"

    def skip(self, where: str, why: object) -> None:
        """Pass something over. `where` names the key (not its content, which may be different each time)."""
        self.count += 1
        if where in self._logged:
            self._logged.move_to_end(where)
            return
        self._logged[where] = None
        if len(self._logged) > MOST_PLACES:
            self._logged.popitem(last=False)
        _log.error("%s cannot be read and is passed over (logged once): %s", where, why)

    def text(self, raw: bytes, where: str) -> str | None:
        """UTF-8 text, or None and it is passed over."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.skip(where, f"{raw[:40]!r} is not UTF-8 text")
            return None
