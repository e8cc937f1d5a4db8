# SPDX-License-Identifier: Apache-2.0
"""A node, an agent, or both, inside the process and event loop of a user's program: for `Mesh.serve`, `Mesh.run` and
`nervenet.dev.running`.

    async with serving(mesh, Config.load(), node=False, agents=[think]) as client:
        ...                                    # a web application, a notebook, a test

Signals, logging and telemetry stay as the program has them. Leaving drains: the agent finishes what it runs, then the node
moves its workflows to other nodes. A node that fails ends the block: it is cancelled at its next `await`, and NervenetError
says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nervenet.config import split_host_port
from nervenet.errors import ConfigError, NervenetError, detail
from nervenet.imports import refuse_here
from nervenet.process.exporting import exporting
from nervenet.process.words import in_words

if TYPE_CHECKING:
    from nervenet.agent.runtime import AgentRuntime
    from nervenet.client.client import Client
    from nervenet.config import Config
    from nervenet.definitions import Agent, MeshDefinitions
    from nervenet.metrics import Registry
    from nervenet.node.node import Node

__all__ = ["Together", "serving", "together"]

_log = logging.getLogger("nervenet.process")


class Together(NamedTuple):
    """What runs here. `config` is how a client connects: through the node of this process, if there is one. `metrics` is where
    the metrics of both are; None: nowhere."""

    node: Node | None
    agent: AgentRuntime | None
    config: Config
    metrics: str | None


@asynccontextmanager
async def serving(
    mesh: MeshDefinitions, config: Config, *, node: bool, agents: bool | Collection[Agent[Any, Any]]
) -> AsyncIterator[Client]:
    """A client of the mesh, whose roles run here until the block is left."""
    from nervenet.client.client import Client

    async with together(mesh, config, node=node, agents=agents) as here, Client(config=here.config) as client:
        watching = asyncio.create_task(_tell_if_broken(here.agent), name=f"agent of mesh {mesh.name}")
        try:
            yield client
        finally:
            watching.cancel()


@asynccontextmanager
async def together(
    mesh: MeshDefinitions, config: Config, *, node: bool, agents: bool | Collection[Agent[Any, Any]]
) -> AsyncIterator[Together]:
    """Both roles serve once the block is entered. Raises ConfigError and Unavailable where one cannot."""
    refuse_here(f"mesh {mesh.name}")
    if node and len(config.namespaces) > 1:
        raise ConfigError(
            f"namespaces is {','.join(config.namespaces)} (from {config.sources['namespaces']}): a mesh in your own process "
            "serves one. Use `nervenet node` for several, or set NERVENET_NAMESPACE instead"
        )
    if node:
        config = config.for_namespace(config.served_namespaces[0])
    chosen = _chosen(mesh, agents)
    async with AsyncExitStack() as stack:
        here, worker, failure = None, None, _NodeFailure()
        exports = await stack.enter_async_context(exporting(config, mesh.name))
        if node:
            with in_words("a node"):
                here = await _node(mesh, config, stack, failure, exports.registry("node"))
            config = _through(here, config)
        if chosen:
            from nervenet.agent.runtime import AgentRuntime

            with in_words("an agent"):
                agent = AgentRuntime.open(chosen, config, name=mesh.name, metrics=exports.registry("agent"))
                worker = await stack.enter_async_context(agent)
        with failure:
            yield Together(here, worker, config, exports.address)


class _NodeFailure:
    """Ends the block beside which a node serves when the node has failed, as `asyncio.timeout` ends its block."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._node = ""
        self._block: asyncio.Task[Any] | None = None
        self._cancels = 0

    def failed(self, node_id: str, error: Exception) -> None:
        """The node has failed: end the block."""
        if self.error is None:
            self._node, self.error = node_id, error
            if self._block is not None:
                self._block.cancel()

    def __enter__(self) -> None:
        self._block = asyncio.current_task()
        self._cancels = 0 if self._block is None else self._block.cancelling()
        if self.error is not None and self._block is not None:
            self._block.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        block, self._block = self._block, None
        if self.error is None or block is None:
            return
        cancels = block.uncancel()
        if kind is None or (issubclass(kind, asyncio.CancelledError) and cancels <= self._cancels):
            words = f"node {self._node} has failed and stopped, its workflows continue on other nodes"
            raise NervenetError(f"{words}: {detail(self.error)}") from self.error


async def _node(
    mesh: MeshDefinitions, config: Config, stack: AsyncExitStack, failure: _NodeFailure, metrics: Registry
) -> Node:
    from nervenet.node.guards.crash_line import last_line
    from nervenet.node.node import Node
    from nervenet.node.services import serve

    node = await stack.enter_async_context(
        Node.open(mesh.workflows, config, serve=serve, last_line=last_line, on_failure=failure.failed, metrics=metrics)
    )

    async def drain() -> None:
        if failure.error is not None:  # it can't: with its lease others see that it is gone
            return
        try:
            async with asyncio.timeout(config.drain_ms / 1000):
                await node.drain()
        except TimeoutError:
            _log.warning("%s: not drained in time: other processes continue the rest", node.node_id)

    stack.push_async_callback(drain)
    return node


def _chosen(mesh: MeshDefinitions, agents: bool | Collection[Agent[Any, Any]]) -> list[Agent[Any, Any]]:
    """The agents to serve. True also fits a mesh without agents of its own; a named agent must have a handler here."""
    if isinstance(agents, bool):
        return [agent for agent in mesh.agents.values() if agents and agent.fn is not None]
    if not agents:
        return []
    from nervenet.agent.runtime import chosen

    return chosen(mesh, [agent.name for agent in agents])


def _through(node: Node, config: Config) -> Config:
    """Settings of the agent and client beside this node: the address of the node, and no port that it uses."""
    changed: dict[str, Any] = {"address": config.advertised(node.address)}
    if config.listen is not None:
        host, _, _ = config.listen.rpartition(":")
        changed["listen"] = f"{host}:0"
    if config.advertise is not None and ":" in config.advertise.strip("[]"):
        changed["advertise"] = split_host_port(changed["address"])[0]
    return replace(config, **changed, sources={**config.sources, **dict.fromkeys(changed, "this process's node")})


async def _tell_if_broken(agent: AgentRuntime | None) -> None:
    """Log the failure of the agent: the program around it continues, and nothing else awaits it."""
    if agent is None:
        return
    try:
        await agent.stopped()
    except Exception as error:  # noqa: BLE001  # whatever it is, people must hear it
        _log.critical("%s no longer takes tasks: %s", agent.agent_id, detail(error))
