# SPDX-License-Identifier: Apache-2.0
"""Nodes and agents in this process, whose registries the tests read; and pages read as Prometheus reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from nervenet import Mesh
from nervenet.agent.runtime import AgentRuntime
from nervenet.metrics import Registry, catalog, exposition
from nervenet.metrics.instruments import Distribution
from nervenet.node.node import Node
from tests.support.nodes import NodesHere
from tests.support.waiting import until


def figure(registries: Iterable[Registry], name: str, **labels: str) -> float | None:
    """The sum of a metric's values with these labels (`_` for `.`), the count of a histogram; None: there is none."""
    assert name in catalog.BY_NAME, f"{name} is not in the table of metrics"
    found: float | None = None
    for registry in registries:
        collected = registry.one(name)
        for values, value in collected.points if collected is not None else ():
            own = {label.replace(".", "_"): given for label, given in zip(collected.metric.labels, values, strict=True)}  # type: ignore[union-attr]
            if labels.items() <= own.items():
                found = (found or 0) + (sum(value.counts) if isinstance(value, Distribution) else value)
    return found


class MetricWorld(NodesHere):
    """`moves` and `shows` are the only ways in which tests claim something: test_every_metric_is_proved reads them."""

    def __init__(self, mesh: Mesh, redis_url: str, etcd_url: str, namespace: str) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)
        self.registries: list[Registry] = []

    async def node(self, **settings: Any) -> Node:
        node = await super().node(**settings)
        registry = node.context.metrics.registry
        registry.exported = True
        self.registries.append(registry)
        return node

    async def agent(
        self, *only: str, mesh: Mesh | None = None, slots: int | None = None, blobs: str | None = None
    ) -> AgentRuntime:
        """An agent of this process with these capabilities; all without names."""
        own = (mesh or self.mesh).agents
        agents = [own[name] for name in only] if only else list(own.values())
        config = self.config(address=",".join(node.address for node in self.nodes), drain="1s", blobs=blobs)
        registry = Registry("agent")
        opened = AgentRuntime.open(agents, config, name="worker", slots=slots, metrics=registry)
        runtime = await self.stack.enter_async_context(opened)
        self.registries.append(registry)
        return runtime

    def value(self, name: str, **labels: str) -> float | None:
        return figure(self.registries, name, **labels)

    @asynccontextmanager
    async def moves(self, name: str, by: float = 1, **labels: str) -> AsyncIterator[None]:
        """The metric grows by at least `by` because of the block, within a while after it."""
        before = self.value(name, **labels) or 0
        yield
        await until(lambda: (self.value(name, **labels) or 0) - before >= by, f"{name} {labels} grows by {by}", of=self)

    async def shows(self, name: str, value: float, **labels: str) -> None:
        """The metric has exactly this value, after a while."""
        await until(lambda: self.value(name, **labels) == value, f"{name} {labels} is {value}", of=self)

    async def shows_more(self, name: str, than: float, **labels: str) -> None:
        await until(lambda: (self.value(name, **labels) or 0) > than, f"{name} {labels} is above {than}", of=self)

    def logs(self) -> str:
        lines = exposition.text(self.registries).decode().splitlines()
        return "\n".join(line for line in lines if not line.startswith("#") and "_bucket" not in line)


def samples(page: str) -> dict[str, list[Any]]:
    """A page, read by Prometheus' own parser for Python: the samples of each family by its name."""
    return {family.name: family.samples for family in text_string_to_metric_families(page)}


async def fetched(address: str, request: bytes | None = None) -> tuple[int, dict[str, str], str]:
    """One request by hand: status, header fields, body."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request or b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
    try:
        async with asyncio.timeout(15):
            answer = (await reader.read()).decode()
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    return int(first.split()[1]), dict(field.split(": ", 1) for field in fields), body
