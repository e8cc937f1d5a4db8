# SPDX-License-Identifier: Apache-2.0
"""From the input of a call to bytes: one value, encoded with the target's type when the call is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nervenet.definitions import Target
from nervenet.errors import Overloaded
from nervenet.payloads import ANY, InvalidPayload, format_size
from nervenet.records import NOTHING, Payload

__all__ = ["encoded"]


MAX_INPUT: Final = 4 << 20
"""No mesh can be set to take more. Its own limit is the node's to know, and to name."""


def encoded(target: Target[..., Any] | str, args: Sequence[Any]) -> Payload:
    """The one input as bytes.

    Raises:
        TypeError: There is more than one input.
        InvalidPayload: It does not fit the declared type.
        Overloaded: It is above 4 MiB.
    """
    name = target if isinstance(target, str) else target.name
    if len(args) > 1:
        raise TypeError(f"{name!r} takes one value, got {len(args)}: make them one model or dataclass")
    if not isinstance(target, str):
        try:
            payload = target.input.encode(args[0] if args else None)
        except InvalidPayload as error:
            raise InvalidPayload(f"{name}: {error}") from None
    else:
        payload = ANY.encode(args[0]) if args and args[0] is not None else NOTHING
    if payload.size > MAX_INPUT:
        raise Overloaded(
            f"{name}: input is {format_size(payload.size)}, the largest possible is {format_size(MAX_INPUT)}; "
            "store it and pass a URI.",
            code="RESOURCE_EXHAUSTED",
            reason="PAYLOAD_TOO_LARGE",
        )
    return payload
