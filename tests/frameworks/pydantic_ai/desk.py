# SPDX-License-Identifier: Apache-2.0
"""What the processes of test_killed.py run: an agent with tools, an MCP server and an approval, on a model over HTTP."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, RunContext
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.mcp import MCPToolset, StdioTransport
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from nervenet import CallOptions, Context, Mesh, RetryPolicy
from nervenet.integrations.pydantic_ai import durable_agent
from tests.support.environment import ROOT
from tests.support.story import FOLDER, record

mesh = Mesh("desk")
SOON = CallOptions(retry=RetryPolicy(initial_interval=timedelta(milliseconds=20)))


@dataclass
class Shop:
    name: str


class Refund(BaseModel):
    order: str
    euros: int


@cache
def endpoint() -> AsyncOpenAI:
    """The model's server; the test reads in which process a request began."""
    return AsyncOpenAI(
        api_key=os.environ.get("OPENAI_API_KEY", "none"), max_retries=0, default_headers={"x-pid": str(os.getpid())}
    )


shelf: MCPToolset[Shop] = MCPToolset(
    StdioTransport(
        sys.executable,
        ["-m", "tests.frameworks.pydantic_ai.shelf"],
        cwd=str(ROOT),
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'python'}", FOLDER: os.environ.get(FOLDER, ".")},
    ),
    id="shelf",
)
agent = Agent(
    OpenAIChatModel("gpt-5-mini", provider=OpenAIProvider(openai_client=endpoint())),
    deps_type=Shop,
    output_type=Refund,
    instructions="You work at a help desk.",
    toolsets=[shelf],
)


@agent.tool
async def status(ctx: RunContext[Shop], order: str) -> str:
    """The status of an order."""
    record("status", order)
    return f"order {order} of {ctx.deps.name} is broken"


@agent.tool_plain
def price(order: str) -> int:
    """The price of an order."""
    record("price", order)
    return 42


@agent.tool_plain(requires_approval=True)
async def refund(order: str) -> str:
    """Pay the money back."""
    record("refund", order)
    return f"refunded {order}"


desk = durable_agent(mesh, agent, name="desk", options={"model": SOON})


@mesh.workflow
async def decide(ctx: Context, question: str) -> dict[str, object]:
    """The output of the agent, and the tokens that it used."""
    result = await desk.run(ctx, question, deps=Shop("Bees"))
    return {**result.output.model_dump(), "requests": result.usage.requests, "tokens": ctx.usage.total}


# ── no tools: a chat, in one line and with an error that the workflow catches ────────────────────────────────────────

chat_agent = durable_agent(
    mesh,
    Agent(OpenAIChatModel("gpt-5-mini", provider=OpenAIProvider(openai_client=endpoint()))),
    name="chat",
    options={"model": SOON},
)
chat = chat_agent.workflow()


@mesh.workflow
async def careful(ctx: Context, question: str) -> str:
    """What became of the request."""
    try:
        return (await chat_agent.run(ctx, question)).output
    except ModelHTTPError as error:
        return f"{error.status_code} of {error.model_name}"
