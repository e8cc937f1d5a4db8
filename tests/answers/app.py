# SPDX-License-Identifier: Apache-2.0
"""A workflow for each state that an operator has to understand. BROKEN=1 makes an agent that fails every task of `scan`."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from nervenet import Agent, AgentError, CallOptions, Context, Mesh, RetryPolicy, Signal, Task

mesh = Mesh("answers")
paid = Signal("paid", str)
fetch = Agent.remote("fetch", str, str)
BROKEN = bool(os.environ.get("BROKEN"))
HOUR = timedelta(hours=1)
PATIENT = CallOptions(retry=RetryPolicy(initial_interval=HOUR, max_interval=HOUR, jitter=0, max_attempts=5))
SOON = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=20), max_attempts=20))


@mesh.agent(slots=4)
async def crawl(task: Task, url: str) -> str:
    task.progress(0.1)
    await asyncio.sleep(3600)
    return url


@mesh.agent
async def ask_model(prompt: str) -> str:
    raise AgentError("429 from api", type="RateLimited")


@mesh.agent(slots=20, options=SOON)
async def scan(page: int) -> int:
    if BROKEN:
        raise OSError("no space left on device")
    return page


@mesh.workflow
async def order(ctx: Context, name: str) -> str:
    return await ctx.receive(paid)


@mesh.workflow
async def nap(ctx: Context, hours: int) -> None:
    await asyncio.sleep(3600 * hours)


@mesh.workflow
async def letter(ctx: Context, text: str) -> str:
    return (await ctx.ask("Send it?", choices=["yes", "no"], deadline=timedelta(days=7))).value


@mesh.workflow
async def download(ctx: Context, url: str) -> str:
    return await ctx.call(fetch, url)


@mesh.workflow
async def crawls(ctx: Context, url: str) -> str:
    return await ctx.call(crawl, url)


@mesh.workflow
async def chat(ctx: Context, prompt: str) -> str:
    return await ctx.call(ask_model, prompt, options=PATIENT)


@mesh.workflow
async def price(ctx: Context, item: str) -> int:
    prices = {"tea": 3}
    return prices[item]


@mesh.workflow
async def book(ctx: Context, pages: int) -> int:
    """All pages at once, so that both agents get some: one fails them, where the other succeeds."""
    return sum(await asyncio.gather(*(ctx.call(scan, page) for page in range(pages))))
