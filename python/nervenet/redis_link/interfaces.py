# SPDX-License-Identifier: Apache-2.0
"""What a reader and a subscription need of the link that made them: two narrow protocols.

They stand below `link`, so that a link can make readers and subscriptions, and neither of these knows the link's class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.redis_link.connection import Arg, Connection
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.redis_link.faults import RedisRefused

__all__ = ["CommandRouter", "ConnectionSource"]


class ConnectionSource(Protocol):
    """Opens connections to one server, or to any server of a cluster."""

    async def connect(self, wait: float | None = None, *, watched: bool = True) -> tuple[Connection, ServerIdentity]:
        """A new connection, and the server that answered. Tries for `wait` seconds; without `wait`, for ever."""
        ...

    def check_server(self, server: ServerIdentity) -> None:
        """Compare the server of a new connection with the server that gets the commands."""
        ...

    async def reached(self, server: ServerIdentity) -> None:
        """Return once the server of a new connection gets the commands, too. Raises `ConnectionLost` if another one does."""
        ...


class CommandRouter(Protocol):
    """Finds the server that has the key of a command."""

    name: str
    patience: float

    def server_of(self, args: Sequence[Arg]) -> ConnectionSource:
        """The source of connections to the server of this command; raises `ConnectionLost` while there is none."""
        ...

    def follow_redirect(self, refused: RedisRefused) -> ConnectionSource:
        """The source of connections to the server that a MOVED or ASK names."""
        ...
