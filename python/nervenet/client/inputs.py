# SPDX-License-Identifier: Apache-2.0
"""What users hand to a call → payload bytes: one value, encoded by the target's type when the call is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nervenet.definitions import Target
from nervenet.payloads import ANY, check_size
from nervenet.records import NOTHING, Payload

__all__ = ["encoded"]


def encoded(target: Target[..., Any] | str, args: Sequence[Any], limit: int | None = None) -> Payload:
    """The one input. TypeError for two, InvalidPayload where it does not fit the declared type."""
    name = target if isinstance(target, str) else target.name
    if len(args) > 1:
        raise TypeError(f"{name!r} takes one value, got {len(args)}: make them one model or dataclass")
    if not isinstance(target, str):
        payload = target.input.encode(args[0] if args else None)
    else:
        payload = ANY.encode(args[0]) if args and args[0] is not None else NOTHING
    if limit is not None:
        check_size(payload, limit, f"{name}: input")
    return payload
