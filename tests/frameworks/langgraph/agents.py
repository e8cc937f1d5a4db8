# SPDX-License-Identifier: Apache-2.0
"""Agents of langchain, a plan-and-execute loop and an error handler, on models that follow from their messages alone."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.tools import ToolRuntime
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import InjectedState
from typing_extensions import TypedDict

from nervenet import Mesh
from nervenet.integrations.langgraph import DurableGraph, durable_graph
from tests.frameworks.langgraph.graphs import Log

mesh = Mesh("agents")


class Model(FakeMessagesListChatModel):
    """Answers with the response whose number is the number of answers so far, as a model without memory."""

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> Any:
        self.i = sum(isinstance(one, AIMessage) for one in messages) % len(self.responses)
        result = super()._generate(messages, stop, run_manager, **options)
        for generation in result.generations:
            generation.message = generation.message.model_copy(update={"id": None})
        return result


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def count_messages(state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Count the messages so far."""
    return f"{len(state['messages'])} messages"


@tool
def who(runtime: ToolRuntime) -> str:
    """Say who asks."""
    user = runtime.context.user if runtime.context else "nobody"
    return f"{user}, {len(runtime.state['messages'])} messages"


@dataclass
class User:
    user: str


TOOLS = [add, count_messages, who]
THREE = AIMessage(
    "",
    tool_calls=[
        {"name": "add", "args": {"a": 1, "b": 2}, "id": "call-1"},
        {"name": "count_messages", "args": {}, "id": "call-2"},
        {"name": "who", "args": {}, "id": "call-3"},
    ],
)


def question() -> Any:
    return {"messages": [("user", "Who asks for 1 + 2?")]}


_agent = create_agent(Model(responses=[THREE, AIMessage("3")]), TOOLS, context_schema=User, system_prompt="Be brief.")
react_graph = durable_graph(mesh, _agent, name="react")
react = react_graph.workflow()

_approving = HumanInTheLoopMiddleware(interrupt_on={"add": True}, description_prefix="May it?")
_careful = create_agent(Model(responses=[THREE, AIMessage("3")]), TOOLS, context_schema=User, middleware=[_approving])
APPROVAL = "May it?\n\nTool: add\nArgs: {'a': 1, 'b': 2}"
approved_graph = durable_graph(mesh, _careful, name="approved")
approved = approved_graph.workflow()


# ── plan and execute ─────────────────────────────────────────────────────────────────────────────────────────────────


class Plan(TypedDict, total=False):
    goal: str
    plan: list[str]
    past: Annotated[list[tuple[str, str]], operator.add]
    answer: str


async def planner(state: Plan) -> Plan:
    return {"plan": [f"{word} {state['goal']}" for word in ("boil", "pour", "serve")]}


async def execute(state: Plan) -> Plan:
    task = state["plan"][0]
    return {"past": [(task, f"{task}: done")]}


async def replan(state: Plan) -> Plan:
    left = state["plan"][1:]
    return {"plan": left} if left else {"plan": [], "answer": "; ".join(said for _, said in state["past"])}


def finished(state: Plan) -> Literal["execute", "__end__"]:
    return END if state.get("answer") else "execute"


_plan = StateGraph(Plan)
_plan.add_node("planner", planner)
_plan.add_node("execute", execute)
_plan.add_node("replan", replan)
_plan.add_edge(START, "planner")
_plan.add_edge("planner", "execute")
_plan.add_edge("execute", "replan")
_plan.add_conditional_edges("replan", finished)
plan_graph = durable_graph(mesh, _plan.compile(), name="plan")
plan = plan_graph.workflow()

GRAPHS: dict[str, DurableGraph] = {"react": react_graph, "approved": approved_graph, "plan": plan_graph}

# ── error handlers, which langgraph has since 1.1 ────────────────────────────────────────────────────────────────────

try:
    from langgraph.errors import NodeError
except ImportError:
    pass
else:

    def breaks(state: Log) -> Log:
        raise KeyError("broken")

    def repair(state: Log, error: NodeError) -> Log:
        return {"log": [f"repaired {error.node}: {type(error.error).__name__} {error.error}"]}

    _handled = StateGraph(Log)
    _handled.add_node("breaks", breaks, error_handler=repair)
    _handled.add_edge(START, "breaks")
    handled_graph = durable_graph(mesh, _handled.compile(), name="handled")
    handled = handled_graph.workflow()
    GRAPHS["handled"] = handled_graph
