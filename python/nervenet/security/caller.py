# SPDX-License-Identifier: Apache-2.0
"""The identity of a caller, as its credentials prove it. It says nothing about what the caller may do: rules do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Caller"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call.

    Attributes:
        subject: Its name: a SPIFFE id or another SAN of its certificate, the `sub` of its JWT, or the name of its token.
            "" where nothing was proven.
        means: What proves it. `none`: a process that needs no credentials; `shared`: the one token of the setting `token`.
        claims: What the credentials say: the claims of a JWT, `{"san": […]}` of a certificate, `{"roles": […], …}` of a
            row in the file of tokens.
        expires: Seconds since 1970 from which the credentials no longer count; None: no end is known.
    """

    subject: str
    means: Literal["none", "shared", "token", "jwt", "mtls"]
    claims: Mapping[str, Any] = field(default_factory=dict)
    expires: float | None = None
