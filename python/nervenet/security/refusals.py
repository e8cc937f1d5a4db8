# SPDX-License-Identifier: Apache-2.0
"""The refusals of callers whose credentials do not hold. None of them quotes what the caller has sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from nervenet.errors import Unauthorized, Unavailable

__all__ = ["NOTHING_DONE", "bad_token", "credentials_wanted", "expired", "keys_unknown", "unreadable"]

NOTHING_DONE: Final = frozenset({"TOKEN_UNREADABLE", "KEYS_UNAVAILABLE", "CREDENTIALS_EXPIRED"})
"""Reasons of refusals before anything of a call was done, which another try may not meet."""


def credentials_wanted(what: str) -> Unauthorized:
    """A call without credentials, to a process that wants some."""
    return Unauthorized(f"this process wants {what}", code="UNAUTHENTICATED", reason="BAD_TOKEN")


def bad_token(why: str) -> Unauthorized:
    """Credentials that were never good here."""
    return Unauthorized(why, code="UNAUTHENTICATED", reason="BAD_TOKEN")


def expired(why: str) -> Unauthorized:
    """Credentials that were good and are no longer. A caller with newer ones calls again."""
    return Unauthorized(why, code="UNAUTHENTICATED", reason="CREDENTIALS_EXPIRED")


def unreadable(what: str) -> Unavailable:
    """This process is at fault, the caller may well be right."""
    return Unavailable(
        f"this process cannot read its own {what}, so it serves nobody: its log says why; ask another node",
        code="UNAVAILABLE",
        reason="TOKEN_UNREADABLE",
    )


def keys_unknown(why: str, after: float) -> Unavailable:
    """The caller's JWT cannot be judged now, because the keys of its issuer are not known. `after`: seconds."""
    refusal = Unavailable(why, code="UNAVAILABLE", reason="KEYS_UNAVAILABLE")
    refusal.retry_after = timedelta(seconds=after)
    return refusal
