# SPDX-License-Identifier: Apache-2.0
"""The descriptors for server reflection: protobuf's pool, extended by methods.

The contract of reflection allows a client to ask for `package.Service.Method`, and some do (ghz). protobuf's pool finds
messages, fields and services by name, but no methods, and grpcio-reflection uses the pool directly.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pool

__all__ = ["SYMBOLS"]


class _Symbols:
    """Wraps a pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, name: str) -> Any:  # noqa: N802  # the pool's name
        """The file of a symbol. Raises KeyError, as the pool does."""
        try:
            return self._pool.FindFileContainingSymbol(name)
        except KeyError:
            return self._pool.FindMethodByName(name).containing_service.file


SYMBOLS: Final[Any] = _Symbols(descriptor_pool.Default())  # the part of a pool that reflection uses
