# SPDX-License-Identifier: Apache-2.0
"""The graphs of these tests, each with the workflow that runs it once: one or two for each feature of LangGraph."""

from __future__ import annotations

import asyncio
import operator
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Literal

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph, add_messages
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, RetryPolicy, Send, interrupt
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nervenet import Mesh
from nervenet.integrations.langgraph import DurableGraph, durable_graph

mesh = Mesh("graphs")


class Log(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]
    n: int


# ── conditional edges and a loop ─────────────────────────────────────────────────────────────────────────────────────


def count(state: Log) -> Log:
    return {"n": state.get("n", 0) + 1, "log": [state.get("n", 0)]}


async def done(state: Log) -> Log:
    return {"log": ["done"]}


def again(state: Log) -> Literal["count", "done"]:
    return "count" if state.get("n", 0) < 4 else "done"


async def to_the_end(state: Log) -> str:
    return END


_loop = StateGraph(Log)
_loop.add_node("count", count)
_loop.add_node("done", done)
_loop.add_edge(START, "count")
_loop.add_conditional_edges("count", again)
_loop.add_conditional_edges("done", to_the_end, [END])
loop_graph = durable_graph(mesh, _loop.compile(), name="loop")
loop = loop_graph.workflow()


# ── parallel branches, reducers, a deferred join ─────────────────────────────────────────────────────────────────────


def larger(left: int, right: int) -> int:
    return max(left, right)


class Branches(TypedDict, total=False):
    names: Annotated[set[str], operator.or_]
    out: Annotated[list[str], operator.add]
    best: Annotated[int, larger]


def _branch(name: str) -> Any:
    async def branch(state: Branches) -> Branches:
        await asyncio.sleep(0)
        return {"out": [name], "names": {name, f"{name}{name}"}, "best": ord(name)}

    return branch


def join(state: Branches) -> Branches:
    return {"out": [f"join {','.join(state['out'])} of {len(state['names'])}, best {state['best']}"]}


_parallel = StateGraph(Branches)
for _name in "cab":
    _parallel.add_node(_name, _branch(_name))
    _parallel.add_edge(START, _name)
_parallel.add_node("late", _branch("d"))
_parallel.add_edge("c", "late")
_parallel.add_node("join", join, defer=True)
for _name in ("a", "b", "late"):
    _parallel.add_edge(_name, "join")
_parallel.add_edge("join", END)
parallel_graph = durable_graph(mesh, _parallel.compile(), name="parallel")
parallel = parallel_graph.workflow()


# ── Send ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Map(TypedDict, total=False):
    items: list[int]
    out: Annotated[list[int], operator.add]
    total: int


class One(TypedDict):
    item: int


def split(state: Map) -> Map:
    return {"items": list(range(len(state.get("items", ())) or 20))}


def fan_out(state: Map) -> list[Send]:
    return [Send("square", {"item": item}) for item in state["items"]]


def square(one: One) -> Map:
    return {"out": [one["item"] ** 2]}


def add_up(state: Map) -> Map:
    return {"total": sum(state["out"])}


_map = StateGraph(Map)
_map.add_node("split", split)
_map.add_node("square", square, input_schema=One)
_map.add_node("add_up", add_up)
_map.add_edge(START, "split")
_map.add_conditional_edges("split", fan_out, ["square"])
_map.add_edge("square", "add_up")
_map.add_edge("add_up", END)
map_graph = durable_graph(mesh, _map.compile(), name="map_reduce", slots={"square": 50}, local={"add_up"})
map_reduce = map_graph.workflow()


# ── Command ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def first(state: Log) -> Command[Literal["second", "third"]]:
    return Command(goto="third", update={"log": ["first"]})


def second(state: Log) -> Log:
    return {"log": ["never"]}


def third(state: Log) -> Command[Any]:
    return Command(goto=Send("fourth", {"n": 7}), update={"log": ["third"]})


def fourth(state: Log) -> Any:
    return [Command(update={"log": ["fourth", state["n"]]}), {"n": 1}]


_command = StateGraph(Log)
_command.add_node("first", first)
_command.add_node("second", second)
_command.add_node("third", third, destinations=("fourth",))
_command.add_node("fourth", fourth)
_command.add_edge(START, "first")
command_graph = durable_graph(mesh, _command.compile(), name="command")
command = command_graph.workflow()


# ── interrupts ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Said(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


def left(state: Said) -> Said:
    return {"said": [f"left {interrupt('left?')}"]}


async def right(state: Said) -> Said:
    return {"said": [f"right {interrupt({'question': 'right?', 'why': 1})}"]}


def both(state: Said) -> Said:
    one, two = interrupt("first?"), interrupt("second?")
    return {"said": [f"both {one} {two}"]}


_asking = StateGraph(Said)
for _function in (left, right, both):
    _asking.add_node(_function.__name__, _function)
_asking.add_edge(START, "left")
_asking.add_edge(START, "right")
_asking.add_edge(["left", "right"], "both")
_asking.add_edge("both", END)
asking_graph = durable_graph(mesh, _asking.compile(), name="asking")
asking = asking_graph.workflow()

_gated = StateGraph(Log)
_gated.add_node("count", count)
_gated.add_node("done", done)
_gated.add_edge(START, "count")
_gated.add_edge("count", "done")
gated_graph = durable_graph(mesh, _gated.compile(interrupt_before=["count"], interrupt_after=["done"]), name="gated")
gated = gated_graph.workflow()


# ── subgraphs: expanded, inline, called in a node, and a command to the parent ───────────────────────────────────────


def inner_one(state: Log) -> Log:
    return {"log": ["inner one"]}


def inner_two(state: Log) -> Log:
    return {"log": [f"inner two {interrupt('inner?')}"]}


def _inner() -> Any:
    inner = StateGraph(Log)
    inner.add_node("one", inner_one)
    inner.add_node("two", inner_two)
    inner.add_edge(START, "one")
    inner.add_edge("one", "two")
    return inner.compile()


def to_parent(state: Log) -> Command[Any]:
    return Command(graph=Command.PARENT, goto="after", update={"log": ["to parent"]})


_upper = StateGraph(Log)
_upper.add_node("to_parent", to_parent)
_upper.add_edge(START, "to_parent")
upper = _upper.compile()
called = _inner()


async def calls(state: Log) -> Log:
    found = await called.ainvoke({"log": [], "n": 0})
    return {"log": ["calls", *found["log"]]}


async def calls_upper(state: Log) -> Any:
    return await upper.ainvoke({"log": []})


def after(state: Log) -> Log:
    return {"log": ["after"], "n": state.get("n", 0) + 1}


def once_more(state: Log) -> Literal["upper", "__end__"]:
    return "upper" if state.get("n") == 1 else END


_outer = StateGraph(Log)
_outer.add_node("expanded", _inner())
_outer.add_node("inline", _inner())
_outer.add_node("calls", calls)
_outer.add_node("calls_upper", calls_upper, destinations=("after",))
_outer.add_node("upper", upper, destinations=("after",))
_outer.add_node("after", after)
_outer.add_edge(START, "expanded")
_outer.add_edge("expanded", "inline")
_outer.add_edge("inline", "calls")
_outer.add_edge("calls", "calls_upper")
_outer.add_conditional_edges("after", once_more)
outer_graph = durable_graph(mesh, _outer.compile(), name="outer", inline={"inline"})
outer = outer_graph.workflow()


# ── messages, streaming, shorthand in a reducer of the user ──────────────────────────────────────────────────────────


def last_three(left: list[AnyMessage], right: Any) -> list[AnyMessage]:
    joined: Any = add_messages(left, right)
    return joined[-3:]


class Talk(MessagesState):
    recent: Annotated[list[AnyMessage], last_three]


PAUSE = 0.0
"""Seconds for which `talk` waits before it ends, so that a watcher sees what it streams."""


async def talk(state: Talk, config: RunnableConfig) -> Any:
    writer = get_stream_writer()
    writer({"progress": 1})
    model = GenericFakeChatModel(messages=iter([AIMessage("hello brave new world")]))
    answer = await model.ainvoke(state["messages"], config)
    writer({"progress": 2})
    await asyncio.sleep(PAUSE)
    return {"messages": [answer], "recent": [answer, ("user", "shorthand")]}


def say_bye(state: Talk) -> Any:
    return {"messages": ("ai", "bye"), "recent": "and a text"}


def by_id(state: Talk) -> Any:
    """Ids are part of the next node's input: they must be the same in every replay."""
    return {
        "messages": [AIMessage(" ".join(str(message.id)[:4] for message in (*state["messages"], *state["recent"])))]
    }


_talking = StateGraph(Talk)
_talking.add_node("talk", talk)
_talking.add_node("say_bye", say_bye)
_talking.add_node("by_id", by_id)
_talking.add_edge(START, "talk")
_talking.add_edge("talk", "say_bye")
_talking.add_edge("say_bye", "by_id")
talking_graph = durable_graph(mesh, _talking.compile(), name="talking")
talking = talking_graph.workflow()


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Flaky(Exception):
    """Is worth another attempt."""


class Hopeless(Exception):
    """Is not."""


TRIES: list[str] = []


def flaky(state: Log) -> Log:
    TRIES.append("flaky")
    if len(TRIES) % 3:
        raise Flaky("not yet")
    return {"log": ["in the end"]}


def hopeless(state: Log) -> Log:
    TRIES.append("hopeless")
    raise Hopeless("never")


_retrying = StateGraph(Log)
_retrying.add_node(
    "flaky", flaky, retry_policy=RetryPolicy(max_attempts=3, retry_on=Flaky, initial_interval=0.2, jitter=False)
)
_retrying.add_edge(START, "flaky")
retrying_graph = durable_graph(mesh, _retrying.compile(), name="retrying")
retrying = retrying_graph.workflow()

_failing = StateGraph(Log)
_failing.add_node("hopeless", hopeless, retry_policy=RetryPolicy(max_attempts=3, retry_on=Flaky))
_failing.add_edge(START, "hopeless")
failing_graph = durable_graph(mesh, _failing.compile(), name="failing")
failing = failing_graph.workflow()


def falters(state: Log) -> Log:
    """Streams, fails, and streams again."""
    TRIES.append("falters")
    writer = get_stream_writer()
    writer({"try": len(TRIES)})
    time.sleep(PAUSE)
    if len(TRIES) == 1:
        raise Flaky("in the middle")
    return {"log": [len(TRIES)]}


_faltering = StateGraph(Log)
_faltering.add_node("falters", falters, retry_policy=RetryPolicy(retry_on=Flaky, initial_interval=0.1))
_faltering.add_edge(START, "falters")
faltering_graph = durable_graph(mesh, _faltering.compile(), name="faltering")
faltering = faltering_graph.workflow()

_plain = StateGraph(Log)
_plain.add_node("flaky", flaky)
_plain.add_edge(START, "flaky")
unretried_graph = durable_graph(mesh, _plain.compile(), name="unretried")
unretried = unretried_graph.workflow()


# ── typed states: pydantic, dataclass, enum; store, context, config ──────────────────────────────────────────────────


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Part(BaseModel):
    name: str
    size: int = 1


class Order(BaseModel):
    name: str
    parts: list[Part] = Field(default_factory=list)
    mood: Mood = Mood.GOOD
    pair: tuple[int, str] = (0, "")
    tags: Annotated[list[str], operator.add] = Field(default_factory=list)


@dataclass
class Who:
    user: str
    roles: list[str] = field(default_factory=list)


def order(state: Order, runtime: Runtime[Who]) -> Any:
    assert isinstance(state, Order) and runtime.store is not None
    runtime.store.put(("orders",), "k", {"name": state.name})
    return {
        "parts": [Part(name="wheel")],
        "pair": (2, "b"),
        "tags": [runtime.context.user, type(runtime.store).__name__],
    }


def check(state: Order, config: RunnableConfig, *, store: BaseStore) -> Any:
    assert isinstance(state.parts[0], Part) and state.pair == (2, "b")
    kept = store.get(("orders",), "k")
    said = config["configurable"]
    words = [str(kept and kept.value["name"]), said["desk"], "thread" if said["thread_id"] else "no thread"]
    return Order(name=state.name, mood=Mood.BAD, tags=words)


_typed = StateGraph(Order, context_schema=Who)
_typed.add_node("order", order)
_typed.add_node("check", check)
_typed.add_edge(START, "order")
_typed.add_edge("order", "check")
typed_graph = durable_graph(mesh, _typed.compile(store=InMemoryStore()), name="typed")
typed = typed_graph.workflow()


@dataclass
class Tree:
    name: str = ""
    path: Sequence[str] = ()
    when: timedelta = timedelta()


def grow(tree: Tree) -> Any:
    return {"name": f"{tree.name}!", "path": (*tree.path, tree.name), "when": tree.when + timedelta(days=1)}


_tree = StateGraph(Tree)
_tree.add_node("grow", grow)
_tree.add_node("grow_more", grow)
_tree.add_edge(START, "grow")
_tree.add_edge("grow", "grow_more")
tree_graph = durable_graph(mesh, _tree.compile(), name="tree")
tree = tree_graph.workflow()

GRAPHS: dict[str, DurableGraph] = {
    "asking": asking_graph,
    "command": command_graph,
    "failing": failing_graph,
    "gated": gated_graph,
    "loop": loop_graph,
    "map_reduce": map_graph,
    "outer": outer_graph,
    "parallel": parallel_graph,
    "retrying": retrying_graph,
    "talking": talking_graph,
    "tree": tree_graph,
    "typed": typed_graph,
    "unretried": unretried_graph,
}
HI = {"messages": [HumanMessage("hi", id="1")]}
