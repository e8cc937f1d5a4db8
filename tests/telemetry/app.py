# SPDX-License-Identifier: Apache-2.0
"""The mesh of these tests: handlers of every kind, each with a span of the user's own."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

from opentelemetry import baggage, trace

from nervenet import CallOptions, Context, Mesh, RetryPolicy

mesh = Mesh("traced")
tracer = trace.get_tracer("users.own")
"""Taken at import, as users do: before nervenet has set up anything."""


@mesh.agent
async def read(text: str) -> str:
    with tracer.start_as_current_span("read the file") as span:
        span.set_attribute("tenant", str(baggage.get_baggage("tenant")))
        await asyncio.sleep(0)
    trace.get_current_span().set_attribute("users.note", "on the handler's span")
    return text


@mesh.agent
def parse(text: str) -> str:
    with tracer.start_as_current_span("parse it"):
        return text.upper()


@mesh.agent(run="process")
def judge(text: str) -> int:
    with tracer.start_as_current_span("judge it"):
        return len(text) + (os.getpid() == 0)


@mesh.agent
async def shaky(text: str) -> str:
    """Fails once."""
    mark = Path(os.environ["TRACED_DIR"]) / text
    if not mark.exists():
        mark.touch()
        raise ConnectionError("the model is asleep")
    return text


@mesh.agent
def slow(text: str) -> str:
    """Says that it runs, and goes on when it is told to."""
    folder = Path(os.environ["TRACED_DIR"])
    (folder / f"{text}.runs").touch()
    end = time.monotonic() + 60
    while not (folder / f"{text}.go").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return text


@mesh.workflow
async def plain(ctx: Context, text: str) -> int:
    read_text = await ctx.call(read, text)
    return await ctx.call(judge, await ctx.call(parse, read_text))


@mesh.workflow
async def retried(ctx: Context, text: str) -> str:
    return await ctx.call(
        shaky, text, options=CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=50)))
    )


@mesh.workflow
async def interrupted(ctx: Context, text: str) -> str:
    first = await ctx.call(read, text)
    return await ctx.call(read, await ctx.call(slow, first))
