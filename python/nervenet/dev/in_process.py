# SPDX-License-Identifier: Apache-2.0
"""`running`: a whole mesh within this process and loop, for tests and notebooks; only the servers are processes.

Settings of the environment and of `nervenet.toml` do not count here: a test must not reach somebody's real mesh.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from nervenet.agent.runtime import AgentRuntime, chosen
from nervenet.client.client import Client
from nervenet.config import Config
from nervenet.dev.folder import locked
from nervenet.dev.servers import backing
from nervenet.mesh import Mesh
from nervenet.node.node import Node
from nervenet.node.services import serve


@asynccontextmanager
async def running(*meshes: Mesh, data: Path | None = None) -> AsyncIterator[Client]:
    """A client of these meshes, served by one node and one agent on embedded servers until the block is left.

    With `data` workflows outlive the block: a later one on the same folder continues them.
    """
    if not meshes:
        raise ValueError("running() needs a mesh: async with nervenet.dev.running(mesh) as client: …")
    whole = Mesh(meshes[0].name)
    whole.include(*meshes)
    async with AsyncExitStack() as stack:
        if data is not None:
            stack.enter_context(locked(data))
            shutil.rmtree(data / "etcd", ignore_errors=True)  # nobody of before is alive, see supervisor
        redis, etcd = await stack.enter_async_context(backing(data))
        config = Config.load(
            environ={},
            directory=redis.data,
            redis=redis.url,
            etcd=etcd.url,
            listen="127.0.0.1:0",
            drain="5s",
            replay_check=True,
        )
        node = await stack.enter_async_context(Node.open(whole.workflows, config, serve=serve))
        stack.push_async_callback(node.drain)
        config = replace(config, address=node.address)
        if any(agent.fn is not None for agent in whole.agents.values()):
            await stack.enter_async_context(AgentRuntime.open(chosen(whole), config, name=whole.name))
        yield await stack.enter_async_context(Client(config=config))
