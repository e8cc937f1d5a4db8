# SPDX-License-Identifier: Apache-2.0
"""Holds an address for several processes, which all listen there (SO_REUSEPORT): the system gives each connection to one.

    with HeldPort("listen", "127.0.0.1:0") as port:
        port.address                            # port 0 has become a number

The socket is bound before it is opened to others: so a second supervisor, or any other program, that wants the address is told
that it is in use. It does not listen, so it gets no connection itself.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final, Self

from nervenet.config import split_host_port
from nervenet.errors import ConfigError

__all__ = ["HeldPort", "can_share"]

_REUSE_PORT: Final = getattr(socket, "SO_REUSEPORT", None)


def can_share() -> bool:
    """Whether this system lets several processes listen at one address."""
    return _REUSE_PORT is not None


class HeldPort:
    """Raises ConfigError if the address cannot be bound. `setting`: its name, for the message."""

    def __init__(self, setting: str, where: str) -> None:
        host, port = split_host_port(where)
        try:
            family, kind, _, _, at = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.socket(family, kind)
            try:
                self._bind(at)
                assert _REUSE_PORT is not None
                self._socket.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
            except OSError:
                self._socket.close()
                raise
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"{setting} {where}: {why} (NERVENET_{setting.upper()} sets another; port 0 takes any)"
            ) from None
        number = self._socket.getsockname()[1]
        self.address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"

    def _bind(self, at: Any) -> None:
        try:
            self._socket.bind(at)  # alone, so that nobody else gets the address even before a process listens
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            self._socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # connections of the one before may linger
            self._socket.bind(at)

    def __repr__(self) -> str:
        return f"<HeldPort {self.address}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
