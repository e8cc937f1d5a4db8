# SPDX-License-Identifier: Apache-2.0
"""A workflow for each thing that an operator finds at night."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from nervenet import Agent, AgentError, CallOptions, Context, Mesh, RetryPolicy, Signal, Task

mesh = Mesh("ops")
paid = Signal("paid", str)
translate = Agent.remote("translate", str, str)
PATIENT = CallOptions(retry=RetryPolicy(initial_interval=timedelta(minutes=10), jitter=0))


@mesh.agent(slots=30)
async def fetch(item: dict[str, int]) -> int:
    if item["n"] == 14:
        raise AgentError(f"item {item['n']} has no price", type="BadItem", retryable=False)
    return item["n"]


@mesh.agent(slots=4)
async def crawl(task: Task, url: str) -> str:
    task.progress(0.1)
    await asyncio.sleep(3600)
    return url


@mesh.agent
async def ask_model(prompt: str) -> str:
    raise AgentError("429", type="RateLimited")


@mesh.agent
async def scan(path: str) -> str:
    raise OSError(f"{path}: the disk is full")


@mesh.workflow
async def order(ctx: Context) -> str:
    async with asyncio.timeout(3600):
        return await ctx.receive(paid)


@mesh.workflow
async def nap(ctx: Context, hours: int) -> None:
    await asyncio.sleep(hours * 3600)


@mesh.workflow
async def letter(ctx: Context) -> str:
    return (await ctx.ask("Send it?", choices=["yes", "no"], deadline=timedelta(days=7))).value


@mesh.workflow
async def abroad(ctx: Context, text: str) -> str:
    return await ctx.call(translate, text)


@mesh.workflow
async def crawls(ctx: Context, url: str) -> str:
    return await ctx.call(crawl, url)


@mesh.workflow
async def chat(ctx: Context, prompt: str) -> str:
    return await ctx.call(ask_model, prompt, options=PATIENT)


@mesh.workflow
async def scans(ctx: Context, path: str) -> str:
    return await ctx.call(scan, path, options=PATIENT)


@mesh.workflow
async def prices(ctx: Context, number: int) -> int:
    calls = (ctx.call(fetch, {"n": n + 1}) for n in range(number))
    found = await asyncio.gather(*calls, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return len(found)
