# SPDX-License-Identifier: Apache-2.0
"""What the registry says, as plain values: agents, their load, nodes. Read often, made only when a record changes.

`record` keeps the stored JSON beside what selection needs, so that whoever serves the whole record need not read etcd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

NONE: Final[Mapping[str, str]] = MappingProxyType({})


class CapabilityView(NamedTuple):
    """One thing that an agent does. `slots` 0: as many at once as the agent has."""

    name: str
    version: str = ""
    labels: Mapping[str, str] = NONE
    slots: int = 0
    input_schema: str = ""  # where it may be checked


@dataclass(slots=True, frozen=True)
class AgentView:
    """One incarnation of an agent. `state` is STARTING, ACTIVE, DRAINING or DRAINED; `transport` REDIS or GATEWAY."""

    id: str
    name: str = ""
    capabilities: Mapping[str, CapabilityView] = field(default_factory=dict)
    state: str = "ACTIVE"
    transport: str = "REDIS"
    control_endpoint: str = ""
    inbox: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    slots: int = 1
    record: bytes = field(default=b"", repr=False)

    @property
    def away(self) -> bool:
        """Whether its gateway has lost sight of it; for a while it may come back."""
        return self.transport == "GATEWAY" and self.state == "STARTING"

    @property
    def stream(self) -> str:
        """Whose inbox its assigned tasks go to: its own, or that of the node whose gateway it is connected to."""
        return self.inbox or self.id


class LoadView(NamedTuple):
    """How busy an agent was at `sample_ms` by its own clock. The key outlives outages: judge age by the sample."""

    active: int = 0
    queued: int = 0
    slots: int = 0
    sample_ms: int = 0
    active_by_capability: Mapping[str, int] = MappingProxyType({})
    error_rate: float = 0.0
    average_ms: int = 0
    record: bytes = b""


class DefinitionView(NamedTuple):
    """A workflow definition that a node has code for; `python` is the minor that it replays alike on.

    `signals` are pairs of a name and a JSON Schema. `marked`: the schemas say where the code accepts more than they do.
    """

    name: str
    version: int
    python: str
    fingerprint: str = ""
    input_schema: str = ""
    signals: tuple[tuple[str, str], ...] = ()
    complete: bool = False
    marked: bool = False


@dataclass(slots=True, frozen=True)
class NodeView:
    """One incarnation of a node. `state` is ACTIVE or DRAINING; `owned` is about right."""

    id: str
    address: str = ""
    definitions: frozenset[DefinitionView] = frozenset()
    state: str = "ACTIVE"
    owned: int = 0
    max_workflows: int = 0
    record: bytes = field(default=b"", repr=False)
    refuses: bool = False  # it says so itself, for whatever reason
    release: tuple[int, ...] = ()

    @property
    def full(self) -> bool:
        return self.refuses or 0 < self.max_workflows <= self.owned

    def runs(self, name: str, version: int, python: str) -> bool:
        """Whether it has this definition; ownership moves only among nodes that have."""
        return any((d.name, d.version, d.python) == (name, version, python) for d in self.definitions)
