# SPDX-License-Identifier: Apache-2.0
"""LangGraph graphs for the tests of a checkpointer. Their nodes are pure, so two runs differ in ids and times alone."""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, interrupt

Graph = CompiledStateGraph[Any, Any, Any, Any]
Builder = Callable[[Any], Graph]


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Work(TypedDict, total=False):
    text: str
    log: Annotated[list[str], operator.add]
    items: list[int]
    sums: Annotated[list[int], operator.add]


def chat(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """Answers each message with one of 200 characters."""

    def answer(state: Chat) -> dict[str, Any]:
        turn = len(state["messages"])
        return {"messages": [AIMessage(f"answer {turn} ".ljust(200, "."), id=f"a{turn}")]}

    return StateGraph(Chat).add_node("answer", answer).add_edge(START, "answer").compile(checkpointer=saver)


def steps(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """Three steps in a row, each of which adds to a log."""
    graph = StateGraph(Work)
    for name in ("one", "two", "three"):
        graph.add_node(name, lambda state, name=name: {"log": [f"{name} of {len(state.get('log', []))}"], "text": name})
    graph.add_edge(START, "one").add_edge("one", "two").add_edge("two", "three")
    return graph.compile(checkpointer=saver)


def map_reduce(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """One task for each item, by Send, and a sum."""
    graph = StateGraph(Work)
    graph.add_node("square", lambda item: {"sums": [item * item]})
    graph.add_node("total", lambda state: {"text": str(sum(state["sums"]))})
    graph.add_conditional_edges(START, lambda state: [Send("square", item) for item in state["items"]], ["square"])
    graph.add_edge("square", "total")
    return graph.compile(checkpointer=saver)


def questions(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """Two nodes ask at the same time, and one of them asks a second time."""

    def left(state: Work) -> dict[str, Any]:
        return {"log": [f"left {interrupt('left?')}"]}

    def right(state: Work) -> dict[str, Any]:
        return {"log": [f"right {interrupt('right?')} {interrupt('sure?')}"]}

    def last(state: Work) -> dict[str, Any]:
        return {"text": " | ".join(sorted(state["log"]))}

    graph = StateGraph(Work).add_node("left", left).add_node("right", right).add_node("last", last)
    graph.add_edge(START, "left").add_edge(START, "right").add_edge(["left", "right"], "last")
    return graph.compile(checkpointer=saver)


def nested(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """A subgraph that asks, inside a graph, inside a graph."""

    def ask(state: Work) -> dict[str, Any]:
        return {"log": [f"inner {interrupt('inner?')}"]}

    inner = StateGraph(Work).add_node("ask", ask).add_edge(START, "ask").compile()
    middle = StateGraph(Work).add_node("inner", inner).add_edge(START, "inner").compile()
    graph = StateGraph(Work).add_node("before", lambda state: {"log": ["before"]}).add_node("middle", middle)
    graph.add_node("after", lambda state: {"text": str(len(state["log"]))})
    graph.add_edge(START, "before").add_edge("before", "middle").add_edge("middle", "after")
    return graph.compile(checkpointer=saver)


def remembering(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """A subgraph with a memory of its own, which grows with each turn."""
    memory = StateGraph(Work).add_node("note", lambda state: {"sums": [len(state.get("sums", []))]})
    inner = memory.add_edge(START, "note").compile(checkpointer=True)

    def call(state: Work) -> dict[str, Any]:
        return {"text": str(inner.invoke({"text": "x"})["sums"])}

    return StateGraph(Work).add_node("call", call).add_edge(START, "call").compile(checkpointer=saver)


def commands(saver: BaseCheckpointSaver[Any] | None) -> Graph:
    """A loop by Command(goto) that ends at the third round."""

    def loop(state: Work) -> Command[Any]:
        rounds = len(state.get("log", []))
        return Command(update={"log": [f"round {rounds}"]}, goto="loop" if rounds < 2 else END)

    return StateGraph(Work).add_node("loop", loop).add_edge(START, "loop").compile(checkpointer=saver)


def slow(saver: BaseCheckpointSaver[Any] | None, folder: Path) -> Graph:
    """Six steps. Each notes in a file that it has begun; step3 and later ones wait until a file `go-<step>` is
    there."""
    graph = StateGraph(Work)
    names = [f"step{n}" for n in range(6)]

    def step(state: Work, name: str) -> dict[str, Any]:
        with (folder / "begun").open("a") as begun:
            begun.write(f"{name}\n")
        while name >= "step3" and not (folder / f"go-{name}").exists():
            time.sleep(0.02)
        return {"log": [name]}

    for name in names:
        graph.add_node(name, lambda state, name=name: step(state, name))
    graph.add_edge(START, names[0])
    for before, after in itertools.pairwise(names):
        graph.add_edge(before, after)
    return graph.compile(checkpointer=saver)
