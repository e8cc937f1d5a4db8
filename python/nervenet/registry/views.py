# SPDX-License-Identifier: Apache-2.0
"""The records of the registry as plain values: agents, their load, nodes. Made when a record changes, and read often.

`record` has the stored JSON, so that a service can return the whole record without reading etcd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

NONE: Final[Mapping[str, str]] = MappingProxyType({})


class CapabilityView(NamedTuple):
    """One capability of an agent. `slots` 0: as many at the same time as the agent has."""

    name: str
    version: str = ""
    labels: Mapping[str, str] = NONE
    slots: int = 0
    input_schema: str = ""  # for calls that can be checked


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
        """Whether its gateway has lost it. It may come back for a while."""
        return self.transport == "GATEWAY" and self.state == "STARTING"

    @property
    def stream(self) -> str:
        """The process whose inbox gets its tasks: the agent itself, or the node whose gateway it is connected to."""
        return self.inbox or self.id


class LoadView(NamedTuple):
    """The load of an agent at `sample_ms` by its own clock. The key survives outages, so only the sample has its
    age."""

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

    `signals` are pairs of a name and a JSON Schema. `marked`: the schemas mark where the code accepts more than they
    do.
    """

    name: str
    version: int
    runtime: str
    fingerprint: str = ""
    input_schema: str = ""
    signals: tuple[tuple[str, str], ...] = ()
    complete: bool = False
    marked: bool = False


@dataclass(slots=True, frozen=True)
class NodeView:
    """One incarnation of a node. `state` is ACTIVE or DRAINING; `owned` is approximate."""

    id: str
    address: str = ""
    definitions: frozenset[DefinitionView] = frozenset()
    state: str = "ACTIVE"
    owned: int = 0
    max_workflows: int = 0
    record: bytes = field(default=b"", repr=False)
    refuses: bool = False  # as the node itself reports, for any reason
    release: tuple[int, ...] = ()

    @property
    def full(self) -> bool:
        return self.refuses or 0 < self.max_workflows <= self.owned

    def runs(self, name: str, version: int, runtime: str) -> bool:
        """Whether it has this definition. Only such nodes can own its workflows."""
        return any((d.name, d.version, d.runtime) == (name, version, runtime) for d in self.definitions)
