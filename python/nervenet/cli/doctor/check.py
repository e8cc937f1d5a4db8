# SPDX-License-Identifier: Apache-2.0
"""One check, and its words for numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["Check", "Status", "error", "named", "ok", "warning"]

Status = Literal["ok", "warning", "error"]


class Check(NamedTuple):
    """What one check found.

    Attributes:
        name: Part and subject, for scripts: `redis.persistence`.
        status: "error": something does not work, or data is at risk. "warning": it will be, or it may be meant.
        detail: What was found.
        remedy: What to do; empty if nothing is.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def ok(name: str, detail: str) -> Check:
    return Check(name, "ok", detail)


def warning(name: str, detail: str, remedy: str) -> Check:
    return Check(name, "warning", detail, remedy)


def error(name: str, detail: str, remedy: str) -> Check:
    return Check(name, "error", detail, remedy)


def named(found: Sequence[str], most: int = 5) -> str:
    """`a, b and 3 more`."""
    rest = len(found) - most
    return ", ".join(found[:most]) + (f" and {rest} more" if rest > 0 else "")
