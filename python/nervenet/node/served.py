# SPDX-License-Identifier: Apache-2.0
"""The gRPC side of a node, as the parts below it see it: the way to agents, and the way to other processes' addresses.

The services implement these protocols (`services/peers.py`, `services/probes.py`); tests put other ones in their place.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class AgentControl(Protocol):
    """The control plane's way to agents."""

    async def cancel_task(
        self, endpoint: str, agent_id: str, task_id: str, run: int, attempt: int, reason: str
    ) -> bool:
        """Whether it runs there. Raises a NervenetError when the agent can't be told."""


class ProbeResult(enum.Enum):
    """Who answers at an address."""

    ITSELF = "the process that is registered there"
    ANOTHER = "another process"
    REFUSED = "nobody: the connection was refused"
    SILENT = "nobody, and nothing says why"
    UNCLEAR = "a process that did not say which one it is"


class Contact(Protocol):
    """The way to other processes' addresses, and what this node answers at its own."""

    async def introduce(self, node_id: str) -> None:
        """From now on this node answers under this id, and no longer under an earlier one."""

    async def ask(self, address: str, process_id: str, *, node: bool) -> ProbeResult:
        """Who is there? Within a second, over a connection of its own."""

    async def follow(self, address: str, node_id: str, met: Callable[[], None]) -> None:
        """Hold a stream until it breaks; `met` is called when it was that very node that took it."""


class Served(NamedTuple):
    """The gRPC side of a node, while it serves."""

    address: str
    control: AgentControl
    contact: Contact | None = None
    """None = this node certifies nobody's death."""
    http: str | None = None
    """Where it serves HTTP; None: nowhere."""
    scaler: str | None = None
    """Where it serves KEDA's external scaler; None: nowhere."""
