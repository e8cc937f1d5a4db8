# SPDX-License-Identifier: Apache-2.0
"""A help desk: a Pydantic AI agent reads a letter, looks things up in parallel, pays money back when a person agrees, and answers.

Try it:

    pip install 'nervenet[pydantic-ai]' 'pydantic-ai-slim[openai]'
    export OPENAI_API_KEY=… OPENAI_MODEL=gpt-4o-mini      # or OPENAI_BASE_URL of any compatible endpoint
    nervenet dev help_desk_pydantic_ai.py
    python help_desk_pydantic_ai.py letter-1 "My order 1017 arrived broken. I want my money back."
    nervenet escalations                                   # in another terminal: approve or deny

Kill any process meanwhile, also while the question is open: no request to the model that has ended is made again.
"""

import asyncio
import os
import sys
from dataclasses import dataclass

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from nervenet import Client, Context, Mesh
from nervenet.integrations.pydantic_ai import durable_agent


@dataclass
class Shop:
    """What the agent works for. It travels by value."""

    name: str


class Reply(BaseModel):
    """What the customer gets."""

    text: str
    refunded_euros: int


orders: FunctionToolset[Shop] = FunctionToolset(id="orders")


@orders.tool
async def order_status(ctx: RunContext[Shop], number: str) -> str:
    """Tell where an order is."""
    return f"{ctx.deps.name} delivered order {number} on Monday"


@orders.tool_plain
async def order_price(number: str) -> str:
    """Tell what an order cost."""
    return f"order {number} cost 42 euros"


client_of_model = AsyncOpenAI(max_retries=0)  # nervenet retries, and honours Retry-After
agent = Agent(
    OpenAIChatModel(
        os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), provider=OpenAIProvider(openai_client=client_of_model)
    ),
    deps_type=Shop,
    output_type=Reply,
    instructions="Answer this letter politely. Look up what you need. Refund broken orders.",
    toolsets=[orders],
)


@agent.tool_plain(requires_approval=True)
async def refund(number: str) -> str:
    """Pay the price of an order back."""
    return f"order {number} is paid back"


mesh = Mesh("help-desk")
desk = durable_agent(mesh, agent, name="desk", slots={"model": 8, "orders": 32})


@mesh.workflow
async def answer(ctx: Context, letter: str) -> Reply:
    """Answer a letter."""
    return (await desk.run(ctx, letter, deps=Shop("Bees and more"))).output


async def main(id: str, letter: str) -> None:
    """Send a letter, and print what happens."""
    async with Client() as client:
        run = await client.start(answer, letter, id=id)
        async for kind, data in desk.astream(run):
            if kind == "tool":
                print(f"{data['step']}: done")
            elif kind == "question":
                print("a person is asked: nervenet escalations", flush=True)
        reply = await run.result()
        print(f"{reply.text} ({reply.refunded_euros} euros)")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
