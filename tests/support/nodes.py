# SPDX-License-Identifier: Apache-2.0
"""Nodes with their gRPC side in this process, on real servers, and clients that talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nervenet import Client, Mesh
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.node.node import Node
from nervenet.node.services import serve
from tests.support.running import Running


class NodesHere(Running):
    """One namespace. `async with` closes all that was started in it."""

    def __init__(self, mesh: Mesh, redis_url: str, etcd_url: str, namespace: str) -> None:
        self.mesh = mesh
        self.redis_url, self.etcd_url, self.namespace = redis_url, etcd_url, namespace
        self.nodes: list[Node] = []
        super().__init__()

    def config(self, **settings: Any) -> Config:
        given = {"redis": self.redis_url, "etcd": self.etcd_url, "namespace": self.namespace, **settings}
        return Config.load(environ={}, **given)

    @asynccontextmanager
    async def serving(self, **settings: Any) -> AsyncIterator[Node]:
        """A node for the length of a block."""
        config = self.config(listen="127.0.0.1:0", **settings)
        async with Node.open(self.mesh.workflows, config, serve=serve) as node:
            yield node

    async def node(self, **settings: Any) -> Node:
        """A node until the end of the test."""
        node = await self.stack.enter_async_context(self.serving(**settings))
        self.nodes.append(node)
        return node

    async def client(self, node: Node) -> Client:
        client: Client = await self.stack.enter_async_context(Client(node.address, namespace=self.namespace))
        return client

    async def raw(self, node: Node | str, **settings: Any) -> RawClient:
        """Calls with plain messages, at that node or address."""
        address = node if isinstance(node, str) else node.address
        return await self.stack.enter_async_context(RawClient(self.config(address=address, **settings)))
