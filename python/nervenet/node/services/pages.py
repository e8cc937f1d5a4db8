# SPDX-License-Identifier: Apache-2.0
"""Pages: their size, and tokens that say where the next one begins.

A token is opaque to callers and checked when it comes back: it carries the kind of list and the cursor. It is no
secret: a caller that makes one up only chooses where to begin to read what it may read anyway.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from nervenet.rpc.status import invalid

__all__ = ["Room", "page_size", "token_in", "token_out"]

DEFAULT: Final = 50
MOST: Final = 1_000
PAGE_BYTES: Final = 1 << 20


def page_size(asked: int) -> int:
    if asked < 0:
        raise invalid("page_size", f"{asked} is below zero")
    return min(asked or DEFAULT, MOST)


class Room:
    """What is left of a page's bytes. The first message always fits."""

    def __init__(self, size: int = PAGE_BYTES) -> None:
        self._left = size
        self._first = True

    def takes(self, size: int) -> bool:
        self._left -= size
        fits = self._first or self._left >= 0
        self._first = False
        return fits


def token_out(kind: str, *cursor: str | int | float) -> str:
    return base64.urlsafe_b64encode(json.dumps([kind, *cursor]).encode()).decode().rstrip("=")


def token_in(kind: str, token: str, *types: type) -> tuple[Any, ...] | None:
    """The cursor, whose parts have these types; None for no token."""
    if not token:
        return None
    try:
        found = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
        if not isinstance(found, list) or found[:1] != [kind] or [type(part) for part in found[1:]] != list(types):
            raise ValueError(found)
    except (ValueError, RecursionError):
        raise invalid("page_token", "not a token of this list: pass next_page_token of the answer before") from None
    return tuple(found[1:])
