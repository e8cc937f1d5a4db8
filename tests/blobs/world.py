# SPDX-License-Identifier: Apache-2.0
"""Nodes and agents with a blob store, and what lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nervenet import Client
from nervenet.agent.runtime import AgentRuntime
from nervenet.client.raw import RawClient
from nervenet.node.node import Node
from tests.blobs.stories import mesh
from tests.support.nodes import NodesHere
from tests.support.waiting import until

LIMIT = 4096
"""The threshold of these tests."""


class World(NodesHere):
    """`url`: where large values go."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str, url: str) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)
        self.url = url

    @property
    def folder(self) -> Path:
        return Path(self.url.removeprefix("file://")) / self.namespace

    async def up(self, *, agent: bool = True, **settings: Any) -> tuple[Node, RawClient]:
        """A node, an agent of all capabilities, and calls to the node."""
        given = {"blobs": self.url, "blob_threshold": LIMIT, **settings}
        node = await self.node(**given)
        if agent:
            await self.agent(node, **given)
        return node, await self.raw(node)

    async def agent(self, node: Node, **settings: Any) -> AgentRuntime:
        config = self.config(address=node.address, **settings)
        return await self.stack.enter_async_context(AgentRuntime.open(mesh.agents.values(), config, name="worker"))

    async def client_with(self, node: Node, **settings: Any) -> Client:
        return Client(config=self.config(address=node.address, **settings))

    def objects(self, workflow_id: str = "") -> list[Path]:
        """The files of the store, or of one workflow."""
        return sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and (not workflow_id or path.parent.name == workflow_id)
        )

    async def in_redis(self, node: Node) -> bytes:
        """Everything that Redis has of this namespace."""
        link, found = node.context.link, list[bytes]()
        for key in await link.call("KEYS", f"nn:{self.namespace}:*"):
            kind = await link.call("TYPE", key)
            read = {"stream": ("XRANGE", key, "-", "+"), "hash": ("HGETALL", key), "string": ("GET", key)}
            command = read.get(kind.decode() if isinstance(kind, bytes) else kind)
            if command is not None:
                found += flat(await link.call(*command))
        return b"\n".join(found)

    async def forgotten(self, node: Node, *workflow_ids: str) -> None:
        """Until Redis has nothing of these workflows any more."""
        for each in workflow_ids:

            async def gone(each: str = each) -> bool:
                return await node.context.link.call("EXISTS", node.context.keys.head(each)) == 0

            await until(gone, f"Redis has forgotten {each}", 30)


def flat(reply: Any) -> list[bytes]:
    if isinstance(reply, (list, tuple)):
        return [part for each in reply for part in flat(each)]
    if isinstance(reply, dict):
        return [part for pair in reply.items() for part in flat(pair)]
    return [reply if isinstance(reply, bytes) else str(reply).encode()]


async def start(raw: RawClient, workflow_id: str, definition: str, value: Any, **more: Any) -> Any:
    given = {"json": json.dumps(value)}
    return await raw.call("StartWorkflow", workflow_id=workflow_id, definition=definition, input=given, **more)


async def result(raw: RawClient, workflow_id: str) -> Any:
    """How it ended, as the workflow's message."""
    asked = {"wait": {"seconds": 30}, "payload_format": "PAYLOAD_FORMAT_RAW"}
    told = (await raw.call("GetWorkflow", workflow_id=workflow_id, **asked)).workflow
    return json.loads(told.output.json) if told.output.json else told


async def run(raw: RawClient, workflow_id: str, definition: str, value: Any) -> Any:
    """From its start to its result."""
    await start(raw, workflow_id, definition, value)
    return await result(raw, workflow_id)
