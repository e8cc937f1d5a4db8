# SPDX-License-Identifier: Apache-2.0
"""The descriptors that server reflection looks in: protobuf's own pool, in which methods are found too.

Reflection's contract counts `package.Service.Method` among the symbols that a client may ask for, and clients do (ghz).
protobuf's pool knows messages, their fields and services by that way only, and grpcio-reflection asks it as it is.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pool

__all__ = ["SYMBOLS"]


class _Symbols:
    """Stands before a pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, name: str) -> Any:  # noqa: N802  # the pool's name
        """Raises KeyError, as the pool does."""
        try:
            return self._pool.FindFileContainingSymbol(name)
        except KeyError:
            return self._pool.FindMethodByName(name).containing_service.file


SYMBOLS: Final[Any] = _Symbols(descriptor_pool.Default())  # as much of a pool as reflection asks for
