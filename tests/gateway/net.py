# SPDX-License-Identifier: Apache-2.0
"""A mesh of nodes in this process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from nervenet import Client
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.node.node import Node
from nervenet.node.services import serve
from tests.gateway.app import mesh
from tests.gateway.world import Speaker


class Net:
    """One namespace on real servers."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        self.redis_url, self.etcd_url, self.namespace = redis_url, etcd_url, namespace
        self.stack = AsyncExitStack()
        self.nodes: list[Node] = []

    def config(self, **settings: Any) -> Config:
        given = {"redis": self.redis_url, "etcd": self.etcd_url, "namespace": self.namespace, **settings}
        return Config.load(environ={}, **given)

    async def node(self, **settings: Any) -> Node:
        config = self.config(listen="127.0.0.1:0", **settings)
        node: Node = await self.stack.enter_async_context(Node.open(mesh.workflows, config, serve=serve))
        self.nodes.append(node)
        return node

    async def client(self, node: Node) -> Client:
        client: Client = await self.stack.enter_async_context(Client(node.address, namespace=self.namespace))
        return client

    async def raw(self, node: Node) -> RawClient:
        return await self.stack.enter_async_context(RawClient(self.config(address=node.address)))

    async def speaker(self, handlers: dict[str, Any], *, at: Any = None, **more: Any) -> Speaker:
        addresses = at or (lambda: [node.address for node in self.nodes])
        return await self.stack.enter_async_context(Speaker(addresses, handlers, **more))
