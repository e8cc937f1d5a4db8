# SPDX-License-Identifier: Apache-2.0
"""What the processes of these tests run: a model as an agent, and workflows that ask it. The model is the stand-in."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from nervenet import Agent, CallOptions, Context, Mesh, RetryPolicy
from nervenet.integrations.llm import ChatRequest, Message, OutputSchema, Tool, llm_agent
from tests.frameworks.llm.values import Forecast, Place

AT_ONCE = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=20)))

mesh = Mesh("desk")
llm = llm_agent(mesh, model="stand-in", slots=32, options=AT_ONCE)


@mesh.agent
async def forecast(place: Place) -> str:
    """Tell the weather of a city."""
    return f"rain in {place.city}"


@mesh.agent
async def search(text: str) -> str:
    """Search the web."""
    return f"{len(text)} results"


TOOLS: dict[str, Agent[Place, str] | Agent[str, str]] = {"forecast": forecast, "search": search}


@mesh.workflow
async def answer(ctx: Context, question: str) -> str:
    """One question, one call."""
    return (await ctx.call(llm, ChatRequest.ask(question))).text


@mesh.workflow
async def spent(ctx: Context, question: str) -> list[int]:
    """The tokens of one call, as the workflow sees them."""
    await ctx.call(llm, ChatRequest.ask(question))
    return [ctx.usage.input_tokens, ctx.usage.output_tokens]


@mesh.workflow
async def structured(ctx: Context, city: str) -> Forecast:
    """An answer in the form of a type."""
    request = ChatRequest.ask(f"forecast for {city}", output=OutputSchema.of(Forecast))
    return (await ctx.call(llm, request)).parse(Forecast)


@mesh.workflow
async def research(ctx: Context, question: str) -> str:
    """A loop with tools: each call of the model and of a tool is a step of its own, tools of one turn run in parallel."""
    request = ChatRequest.ask(question, tools=[Tool.of(one) for one in TOOLS.values()])
    while True:
        reply = await ctx.call(llm, request)
        if not reply.tool_calls:
            return reply.text
        calls = (ctx.call(TOOLS[call.name], call.input(TOOLS[call.name])) for call in reply.tool_calls)
        results = await asyncio.gather(*calls)
        answers = [Message.tool(call, result) for call, result in zip(reply.tool_calls, results, strict=True)]
        request = request.with_messages(reply.message, *answers)
