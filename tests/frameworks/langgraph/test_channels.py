# SPDX-License-Identifier: Apache-2.0
"""Channels whose values are replayed, and functions that run in the workflow."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph import channels
from langgraph.graph import START, StateGraph, add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict

from nervenet import Context, Mesh
from nervenet.integrations.langgraph import durable_graph
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.output import Output
from tests.frameworks.langgraph.kit import result_of, scripted

DeltaChannel: Any = getattr(channels, "DeltaChannel", None)


def each_added(state: Any, writes: list[Any]) -> list[Any]:
    found = list(state or [])
    for write in writes:
        found = add_messages(found, write)  # type: ignore[assignment]
    return found


def appended(state: Any, writes: list[Any]) -> list[Any]:
    """Gives no ids, as LangGraph's own reducer for messages in a DeltaChannel."""
    return [*(state or []), *(one for write in writes for one in write)]


@pytest.mark.skipif(DeltaChannel is None, reason="langgraph has DeltaChannel since 1.2")
@pytest.mark.parametrize("reducer", [each_added, appended])
def test_a_delta_channel_of_messages_is_the_same_in_each_replay(reducer: Any) -> None:
    State: Any = TypedDict("State", {"messages": Annotated[list[Any], DeltaChannel(reducer)]})  # a local reducer

    def first(state: Any) -> Any:
        return {"messages": [AIMessage("a")]}

    def second(state: Any) -> Any:
        return {"messages": [AIMessage(f"{len(state['messages'])} before")]}

    builder, mesh = StateGraph(State), Mesh("m")
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    graph = durable_graph(mesh, builder.compile(), name="d")

    @mesh.workflow
    async def twice(ctx: Context, text: str) -> list[str]:
        outcome = await graph.advance(ctx, {"messages": [AIMessage(text)]})
        outcome = await graph.advance(ctx, {"messages": [AIMessage("again")]}, state=outcome.state)
        ids = {message.id for message in outcome.output["messages"]}
        assert None not in ids and len(ids) == 6, "each message has an id, so that RemoveMessage finds it"
        return [message.content for message in outcome.output["messages"]]

    assert scripted(graph).run(twice, "hi").result == ["hi", "a", "2 before", "again", "a", "5 before"]


class Log(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def test_a_local_node_may_be_a_runnable_of_a_coroutine_function() -> None:
    async def later(state: Log) -> Log:
        return {"log": ["later"]}

    builder: Any = StateGraph(Log)
    builder.add_node("later", RunnableLambda(later))
    builder.add_edge(START, "later")
    graph = durable_graph(Mesh("m"), builder.compile(), name="d", local={"later"})
    assert result_of(graph, scripted(graph).run(graph.workflow(), graph.encode({}))) == {"log": ["later"]}


def test_an_output_has_defaults_of_its_own() -> None:
    class Found(BaseModel):
        names: list[str] = []
        count: int = 0

    output = Output(Values([Found]), Found)
    output.decode(output.encode({"count": 1}))["names"].append("x")
    assert Found().names == [] and output.decode(output.encode({"count": 1}))["names"] == []
