# SPDX-License-Identifier: Apache-2.0
"""Workflows and agents in which something worth counting happens."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from nervenet import CallOptions, Context, Mesh, RetryPolicy, Task

mesh = Mesh("metrics")
gates: dict[str, asyncio.Event] = {}


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


@mesh.agent
async def greet(task: Task, name: str) -> str:
    task.usage("small-model", input_tokens=100, output_tokens=7)
    return f"Hello, {name}"


@mesh.agent
async def fail(name: str) -> str:
    raise LookupError(f"no {name}")


@mesh.agent
async def wait(name: str) -> str:
    await gate(name).wait()
    return name


@mesh.workflow
async def welcome(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name)


@mesh.workflow
async def doomed(ctx: Context, name: str) -> str:
    again = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=10))
    return await ctx.call(fail, name, options=CallOptions(retry=again))


@mesh.workflow
async def patient(ctx: Context, name: str) -> str:
    return await ctx.call(wait, name)


@mesh.workflow
async def sleeper(ctx: Context, name: str) -> str:
    await asyncio.sleep(3600)
    return name


@mesh.workflow
async def asker(ctx: Context, name: str) -> str:
    return (await ctx.ask(f"Send {name}?", choices=["yes", "no"])).value


@mesh.workflow
async def hasty(ctx: Context, name: str) -> str:
    answer = await ctx.ask("Now?", choices=["yes", "no"], deadline=timedelta(milliseconds=50), default="no")
    return answer.value


@mesh.workflow
async def nobody(ctx: Context, name: str) -> str:
    return await ctx.call("unserved", name)


@mesh.workflow
async def nobody_then_sleep(ctx: Context, name: str) -> str:
    ctx.publish(await ctx.call("unserved", name))
    await asyncio.sleep(3600)
    return name


@mesh.workflow
async def endless(ctx: Context, name: str) -> str:
    while True:
        pass


@mesh.workflow
async def empty(ctx: Context, name: str) -> str:
    return name
