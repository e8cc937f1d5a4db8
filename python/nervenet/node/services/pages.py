# SPDX-License-Identifier: Apache-2.0
"""Pages: their size, and tokens that say where the next one begins.

A token is opaque to callers and checked when it comes back: it carries a digest of the request's kind and filters, and the
cursor. It is no secret: a caller that makes one up only chooses where to begin reading what it may read anyway.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from nervenet.rpc.status import invalid

if TYPE_CHECKING:
    from google.protobuf.message import Message


DEFAULT: Final = 50
MOST: Final = 1_000
PAGE_BYTES: Final = 1 << 20
_FREE: Final = ("page_size", "page_token", "payload_format", "started_after")
"""Fields that may change between two pages. `started_after` is often "an hour ago", which moves."""


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


def token_out(request: Message, *cursor: str | int | float) -> str:
    """The token of the page behind the one that `request` asked for."""
    return base64.urlsafe_b64encode(json.dumps([_list_of(request), *cursor]).encode()).decode().rstrip("=")


def token_in(request: Any, *types: type) -> tuple[Any, ...] | None:
    """The cursor in the request's `page_token`, whose parts have these types; None without a token.

    Raises InvalidRequest for a token of another list, or of the same list with other filters.
    """
    token = request.page_token
    if not token:
        return None
    try:
        found = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True))
        if not isinstance(found, list) or [type(part) for part in found] != [str, *types]:
            raise ValueError(found)
    except (ValueError, RecursionError):
        found = None
    if found is None or found[0] != _list_of(request):
        words = (
            "it does not belong to this request: pass next_page_token of the answer before, and leave everything else but "
            "page_size as it was"
        )
        raise invalid("page_token", words)
    return tuple(found[1:])


def _list_of(request: Any) -> str:
    """Eight characters that stand for the list: the kind of request and its filters."""
    filters = type(request)()
    filters.CopyFrom(request)
    for field in _FREE:
        if field in request.DESCRIPTOR.fields_by_name:
            filters.ClearField(field)
    named = request.DESCRIPTOR.name.encode() + b"\0" + filters.SerializeToString(deterministic=True)
    return hashlib.blake2b(named, digest_size=4).hexdigest()
