# SPDX-License-Identifier: Apache-2.0
"""What the processes of test_killed.py run: graphs whose nodes and tools ask a model over HTTP."""

from __future__ import annotations

import operator
import os
from functools import lru_cache
from typing import Annotated, Any, Literal

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send, interrupt
from openai import AsyncOpenAI
from typing_extensions import TypedDict

from nervenet import Context, Mesh
from nervenet.integrations.langgraph import durable_graph
from tests.support.story import record

mesh = Mesh("desk")


# ── the model ────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache
def endpoint() -> AsyncOpenAI:
    return AsyncOpenAI(max_retries=0)


async def ask(text: str) -> str:
    """One request to the model; the test reads in which process it runs."""
    record(text.replace(" ", "_"), f"pid {os.getpid()}")
    reply = await endpoint().chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": text}])
    return reply.choices[0].message.content or ""


class Model(BaseChatModel):
    """The same endpoint as a chat model of langchain, with tools."""

    @property
    def _llm_type(self) -> str:
        return "stand-in"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(one) for one in tools])

    def _generate(self, *args: Any, **options: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **options: Any) -> ChatResult:
        last = str(messages[-1].content)
        record(last.replace(" ", "_"), f"pid {os.getpid()}")
        said: Any = convert_to_openai_messages(messages)
        reply = (
            (await endpoint().chat.completions.create(model="gpt-5-mini", messages=said, **options)).choices[0].message
        )
        calls = reply.model_dump().get("tool_calls") or []
        made = AIMessage(reply.content or "", additional_kwargs={"tool_calls": calls} if calls else {})
        return ChatResult(generations=[ChatGeneration(message=made)])


# ── an agent with three tools in parallel ────────────────────────────────────────────────────────────────────────────


@tool
async def forecast(city: str) -> str:
    """The weather of a city."""
    return await ask(f"forecast for {city}")


react_graph = durable_graph(mesh, create_agent(Model(), [forecast], system_prompt="Be brief."), name="react")
react = react_graph.workflow()


# ── map-reduce over Send ─────────────────────────────────────────────────────────────────────────────────────────────


class Map(TypedDict, total=False):
    count: int
    out: Annotated[list[str], operator.add]
    total: str


class Item(TypedDict):
    item: int


def fan_out(state: Map) -> list[Send]:
    return [Send("work", {"item": item}) for item in range(state["count"])]


async def work(one: Item) -> Map:
    return {"out": [await ask(f"item {one['item']}")]}


def total(state: Map) -> Map:
    return {"total": " ".join(state["out"])}


_map = StateGraph(Map)
_map.add_node("work", work, input_schema=Item)
_map.add_node("total", total)
_map.add_conditional_edges(START, fan_out, ["work"])
_map.add_edge("work", "total")
map_graph = durable_graph(mesh, _map.compile(), name="map_reduce", slots={"work": 30})
map_reduce = map_graph.workflow()


# ── plan and execute ─────────────────────────────────────────────────────────────────────────────────────────────────


class Plan(TypedDict, total=False):
    goal: str
    plan: list[str]
    past: Annotated[list[tuple[str, str]], operator.add]
    answer: str


async def planner(state: Plan) -> Plan:
    return {"plan": (await ask(f"plan {state['goal']}")).split(", ")}


async def execute(state: Plan) -> Plan:
    step = state["plan"][0]
    return {"past": [(step, await ask(f"do {step}"))]}


async def replan(state: Plan) -> Plan:
    left = state["plan"][1:]
    return (
        {"plan": left}
        if left
        else {"plan": [], "answer": await ask("sum up " + "; ".join(said for _, said in state["past"]))}
    )


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


# ── two people ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Review(TypedDict, total=False):
    draft: str
    said: Annotated[list[str], operator.add]


async def write(state: Review) -> Review:
    return {"draft": await ask("write the draft")}


def _reviewer(name: str) -> Any:
    async def review(state: Review) -> Review:
        words = interrupt({"question": f"{name}?", "draft": state["draft"]})
        return {"said": [await ask(f"{name} said {words}")]}

    return review


_review = StateGraph(Review)
_review.add_node("write", write)
for _name in ("legal", "sales"):
    _review.add_node(_name, _reviewer(_name))
    _review.add_edge("write", _name)
_review.add_edge(START, "write")
review_graph = durable_graph(mesh, _review.compile(), name="review")
review = review_graph.workflow()


# ── a subgraph, in a workflow of the user ────────────────────────────────────────────────────────────────────────────


class Notes(TypedDict, total=False):
    topic: str
    notes: Annotated[list[str], operator.add]


def _asks(words: str) -> Any:
    async def node(state: Notes) -> Notes:
        return {"notes": [await ask(f"{words} {state['topic']}")]}

    return node


_research = StateGraph(Notes)
_research.add_node("search", _asks("search"))
_research.add_node("read", _asks("read"))
_research.add_edge(START, "search")
_research.add_edge("search", "read")
_desk = StateGraph(Notes)
_desk.add_node("research", _research.compile())
_desk.add_node("publish", _asks("publish"))
_desk.add_edge(START, "research")
_desk.add_edge("research", "publish")
desk_graph = durable_graph(mesh, _desk.compile(), name="notes")


@mesh.workflow
async def notes(ctx: Context, topic: str) -> list[str]:
    found: list[str] = (await desk_graph.ainvoke(ctx, {"topic": topic}))["notes"]
    return found


# ── a conversation ───────────────────────────────────────────────────────────────────────────────────────────────────


async def reply(state: MessagesState) -> Any:
    answer = await Model().ainvoke(state["messages"])
    return {"messages": [answer]}


_chat = StateGraph(MessagesState)
_chat.add_node("reply", reply)
_chat.add_edge(START, "reply")
chat_graph = durable_graph(mesh, _chat.compile(), name="chat")
chat = chat_graph.conversation(name="thread")
