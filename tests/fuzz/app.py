# SPDX-License-Identifier: Apache-2.0
"""What the node under test runs: something that ends, something that waits, something that asks, something that calls."""

from __future__ import annotations

from typing import Any

from nervenet import Agent, Context, Mesh, Signal

mesh = Mesh("fuzz")
go = Signal("go", Any)
odd: Agent[Any, Any] = Agent.remote("odd", Any, Any)
"""Served by the fuzzer itself, over the gateway, with results that nobody would expect."""


@mesh.agent(slots=50)
async def greet(name: Any) -> Any:
    return ["Hello", name]


@mesh.workflow
async def echo(ctx: Context, value: Any) -> Any:
    return value


@mesh.workflow
async def waits(ctx: Context, value: Any) -> Any:
    ctx.publish(value)
    return await ctx.receive(go)


@mesh.workflow
async def asks(ctx: Context, value: Any) -> Any:
    ctx.publish(value)
    return (await ctx.ask("Which?", choices=["yes", "no"])).value


@mesh.workflow
async def counts(ctx: Context, value: Any) -> Any:
    return (await ctx.ask("How many?", answer=int)).value


@mesh.workflow
async def greets(ctx: Context, value: Any) -> Any:
    return await ctx.call(greet, value)


@mesh.workflow
async def wonders(ctx: Context, value: Any) -> Any:
    return await ctx.call(odd, value)
