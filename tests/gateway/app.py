# SPDX-License-Identifier: Apache-2.0
"""Workflows that call what only gateway agents serve: for nodes in this process, and for `nervenet node`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from nervenet import Agent, CallOptions, Context, Mesh, RetryPolicy, Selection, Timeouts

mesh = Mesh("gateway")
work = Agent.remote("work", Any, Any)
ONCE = CallOptions(retry=RetryPolicy(max_attempts=1))
QUICK = RetryPolicy(max_attempts=3, initial_interval=timedelta(milliseconds=10))


@mesh.workflow
async def call(ctx: Context, value: Any) -> Any:
    return await ctx.call(work, value)


@mesh.workflow
async def call_queue(ctx: Context, value: Any) -> Any:
    return await ctx.call(work, value, options=CallOptions(selection=Selection(policy="queue")))


@mesh.workflow
async def call_once(ctx: Context, value: Any) -> Any:
    return await ctx.call(work, value, options=ONCE)


@mesh.workflow
async def call_again(ctx: Context, value: Any) -> Any:
    return await ctx.call(work, value, options=CallOptions(retry=QUICK))


@mesh.workflow
async def call_hastily(ctx: Context, value: Any) -> Any:
    hasty = CallOptions(retry=QUICK, timeouts=Timeouts(attempt=timedelta(seconds=1)))
    return await ctx.call(work, value, options=hasty)


@mesh.workflow
async def many(ctx: Context, count: int) -> list[Any]:
    return await asyncio.gather(*(ctx.call("work", n) for n in range(count)))
