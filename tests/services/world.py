# SPDX-License-Identifier: Apache-2.0
"""Nodes with their control plane, and raw calls to them: what the tests of the services stand on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from nervenet import Agent, Context, Mesh, Signal
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.node.node import Node
from nervenet.node.services import serve

mesh = Mesh("services")
greet = Agent.remote("greet", str, str)
approve = Signal("approve", str)


@mesh.workflow
async def echo(ctx: Context, value: Any) -> Any:
    return value


@mesh.workflow
async def fails(ctx: Context, words: str) -> str:
    raise ValueError(words)


@mesh.workflow
async def waits(ctx: Context) -> str:
    ctx.publish({"waiting": True})
    return await ctx.receive(approve)


@mesh.workflow
async def asks(ctx: Context, question: str) -> str:
    return (await ctx.ask(question, choices=["yes", "no"])).value


@mesh.workflow
async def asks_twice(ctx: Context, question: str) -> str:
    one = await ctx.ask(question, choices=["yes", "no"])
    return one.value + (await ctx.ask(f"{question} Sure?", choices=["yes", "no"])).value


@mesh.workflow
async def counts(ctx: Context, question: str) -> int:
    return (await ctx.ask(question, answer=int)).value


@mesh.workflow
async def calls(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name)


class World:
    """One namespace on real servers."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        self.redis_url, self.etcd_url, self.namespace = redis_url, etcd_url, namespace
        self.stack = AsyncExitStack()

    def config(self, **settings: Any) -> Config:
        given = {"redis": self.redis_url, "etcd": self.etcd_url, "namespace": self.namespace, **settings}
        return Config.load(environ={}, **given)

    @asynccontextmanager
    async def serving(self, **settings: Any) -> AsyncIterator[Node]:
        config = self.config(listen="127.0.0.1:0", **settings)
        async with Node.open(mesh.workflows, config, serve=serve) as node:
            yield node

    async def node(self, **settings: Any) -> Node:
        return await self.stack.enter_async_context(self.serving(**settings))

    async def raw(self, node: Node | str, **settings: Any) -> RawClient:
        address = node if isinstance(node, str) else node.address
        return await self.stack.enter_async_context(RawClient(self.config(address=address, **settings)))


async def eventually(look: Callable[[], Any], within: float = 10.0) -> Any:
    """What `look` (maybe async) gives once it gives something."""
    async with asyncio.timeout(within):
        while True:
            found = look()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)
