# SPDX-License-Identifier: Apache-2.0
"""A support desk: a model sorts a letter, looks things up with tools, and writes an answer; a person confirms refunds.

Try it:

    pip install 'nervenet[llm]'
    export OPENAI_API_KEY=… OPENAI_MODEL=gpt-4o-mini      # or OPENAI_BASE_URL of any compatible endpoint
    nervenet dev llm.py
    python llm.py letter-1 "My order 1017 arrived broken. I want my money back."

Kill any process meanwhile: no call of the model that has ended is made again, and the text starts again where it broke.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from nervenet import Client, Context, Mesh
from nervenet.integrations.llm import ChatReply, ChatRequest, Message, OutputSchema, Tool, llm_agent

mesh = Mesh("desk")
llm = llm_agent(mesh, model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), slots=16)


class Letter(BaseModel):
    """What a letter is about."""

    topic: Literal["refund", "question"]
    order: str


@dataclass
class Order:
    number: str


@mesh.agent
async def order_status(order: Order) -> str:
    """Tell where an order is."""
    return f"order {order.number} was delivered on Monday"


@mesh.agent
async def order_price(order: Order) -> str:
    """Tell what an order cost."""
    return f"order {order.number} cost 42 euros"


TOOLS = {agent.name: agent for agent in (order_status, order_price)}


async def with_tools(ctx: Context, request: ChatRequest) -> ChatReply:
    """Let the model call tools, several at a time, until it answers."""
    while (reply := await ctx.call(llm, request)).tool_calls:
        calls = [ctx.call(TOOLS[call.name], call.input(TOOLS[call.name])) for call in reply.tool_calls]
        results = await asyncio.gather(*calls)
        answers = [Message.tool(call, result) for call, result in zip(reply.tool_calls, results, strict=True)]
        request = request.with_messages(reply.message, *answers)
    return reply


@mesh.workflow
async def desk(ctx: Context, text: str) -> str:
    sort = ChatRequest.ask(text, system="Sort this letter.", output=OutputSchema.of(Letter))
    letter = (await ctx.call(llm, sort)).parse(Letter)
    granted = "no refund was asked for"
    if letter.topic == "refund":
        granted = (await ctx.ask(f"Refund order {letter.order}?", choices=["granted", "refused"])).value
    write = ChatRequest.ask(
        f"{text}\n\nThe refund: {granted}.",
        system="Answer this letter politely. Look up what you need.",
        tools=[Tool.of(agent) for agent in TOOLS.values()],
    )
    return (await with_tools(ctx, write)).text


async def main(letter: str, text: str) -> None:
    async with Client() as client:
        run = await client.start(desk, text, id=letter)
        async for part in run.partials(llm, str):
            print("\n[again] " * part.restarted + part.value, end="", flush=True)
        print("\n---\n" + await run.result())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
