# SPDX-License-Identifier: Apache-2.0
"""Agents for the test kit, on a model that follows from its messages alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, ExternalToolset, FunctionToolset, ModelRetry, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.tools import ToolDefinition

from nervenet import Context, Mesh, Workflow
from nervenet.integrations.pydantic_ai import DurableAgent, durable_agent

mesh = Mesh("desk")


@dataclass
class Shop:
    """What the agent depends on."""

    name: str
    tags: frozenset[str] = frozenset()


class Refund(BaseModel):
    """What the agent decides."""

    order: str
    euros: int


def scripted(*answers: ModelResponse) -> FunctionModel:
    """A model whose n-th answer in a run is the n-th of these."""

    def place(messages: list[ModelMessage]) -> int:
        return sum(isinstance(one, ModelResponse) for one in messages) % len(answers)

    async def whole(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        return answers[place(messages)]

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        for at, part in enumerate(answers[place(messages)].parts):
            if isinstance(part, TextPart):
                for word in part.content.split(" "):
                    yield f"{word} "
            elif isinstance(part, ToolCallPart):
                yield {at: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}

    return FunctionModel(whole, stream_function=stream, model_name="scripted")


def call(name: str, **args: Any) -> ToolCallPart:
    """A call of a tool with an id that follows from it."""
    return ToolCallPart(name, args, tool_call_id="-".join([name, *map(str, args.values())]))


def says(*parts: Any) -> ModelResponse:
    """An answer."""
    return ModelResponse([TextPart(part) if isinstance(part, str) else part for part in parts])


# ── tools, a toolset, approval, an external tool, structured output ──────────────────────────────────────────────────

files: FunctionToolset[Shop] = FunctionToolset(id="files")


@files.tool_plain
def read(path: str) -> str:
    """Read a file."""
    return f"the text of {path}"


carrier: ExternalToolset[Shop] = ExternalToolset(
    [ToolDefinition(name="parcel", parameters_json_schema={"type": "object", "properties": {"order": {}}})]
)
_desk = Agent(
    scripted(
        says(
            call("status", order="7"),
            call("status", order="8"),
            call("files_read", path="policy"),
            call("price", order="9"),
        ),
        says(call("price", order="7"), call("refund", order="7"), call("refund", order="8"), call("parcel", order="7")),
        says(call("final_result", order="7", euros=42)),
    ),
    deps_type=Shop,
    output_type=Refund,
    system_prompt="You work at a help desk.",
    instructions="Be brief.",
    toolsets=[files.prefixed("files"), carrier],
)


@_desk.instructions
def greet(ctx: RunContext[Shop]) -> str:
    """Made in each run."""
    return f"The shop is {ctx.deps.name}."


@_desk.tool
async def status(ctx: RunContext[Shop], order: str) -> dict[str, str]:
    """The status of an order."""
    return {"order": order, "shop": ctx.deps.name, "step": str(ctx.run_step)}


@_desk.tool(retries=2)
def price(ctx: RunContext[Shop], order: str) -> int:
    """The price of an order."""
    if order == "9":
        raise ModelRetry("there is no order 9")
    return len(ctx.deps.tags) + 40


@_desk.tool_plain(requires_approval=True)
async def refund(order: str) -> str:
    """Pay the money back."""
    return f"refunded {order}"


desk: DurableAgent[Shop, Refund] = durable_agent(mesh, _desk, name="desk", slots={"model": 4})
SHOP = Shop("Bees", frozenset({"honey", "wax"}))


@mesh.workflow
async def decide(ctx: Context, question: str) -> list[Any]:
    """The output, and all messages."""
    result = await desk.run(ctx, question, deps=SHOP)
    return [result.output.model_dump(), desk.dump(result.all_messages()), result.usage.requests]


# ── a conversation of two turns, whole answers instead of streams ────────────────────────────────────────────────────

_chat = Agent(scripted(says("first"), says("second")))
chat = durable_agent(mesh, _chat, name="chat", stream=False)


@mesh.workflow
async def talk(ctx: Context, question: str) -> list[Any]:
    """Two turns; the second one begins with the messages of the first as JSON."""
    first = await chat.run(ctx, question)
    second = await chat.run(ctx, "and then?", message_history=chat.dump(first.all_messages()))
    return [first.output, second.output, chat.dump(second.all_messages())]


# ── a tool that runs in the workflow, the run in one line ────────────────────────────────────────────────────────────

_sums = Agent(scripted(says(call("add", a=1, b=2), call("double", n=4)), says("done")), deps_type=Shop)


@_sums.tool_plain
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@_sums.tool_plain
def double(n: int) -> int:
    """Double."""
    return 2 * n


sums_agent = durable_agent(mesh, _sums, name="sums", local={"add"})
sums = sums_agent.workflow()
AGENTS: dict[str, DurableAgent[Any, Any]] = {"decide": desk, "talk": chat, "sums": sums_agent}


def workflow(name: str) -> Workflow[Any, Any]:
    """The workflow with this name."""
    return mesh.workflows[(name, 1)]
