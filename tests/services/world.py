# SPDX-License-Identifier: Apache-2.0
"""Nodes with their control plane, and raw calls to them: what the tests of the services stand on."""

from __future__ import annotations

from typing import Any

from nervenet import Agent, Context, Mesh, Signal
from tests.support.nodes import NodesHere

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


@mesh.workflow
async def fans(ctx: Context, width: int) -> list[str]:
    """Many steps that are alike."""
    return await ctx.map(greet, [str(each) for each in range(width)], concurrency=width)


class World(NodesHere):
    """Nodes that run these workflows."""

    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)
