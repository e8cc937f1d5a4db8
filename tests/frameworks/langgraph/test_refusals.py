# SPDX-License-Identifier: Apache-2.0
"""What is not supported is refused where it is written, in a sentence with the line and the cure."""

from __future__ import annotations

import inspect
import operator
import threading
from typing import Annotated, Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, Send, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from nervenet import CallOptions, Mesh, WorkflowFailed
from nervenet.integrations.langgraph import NotSupported, durable_graph
from nervenet.testing import WorkflowTest, run_agent


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def node(state: State) -> State:
    return {"log": ["node"]}


def builder(**nodes: Any) -> StateGraph[State, Any, State, State]:
    made = StateGraph(State)
    for name, function in (nodes or {"node": node}).items():
        made.add_node(name, function)
        made.add_edge(START, name)
    return made


def here(offset: int = 0) -> str:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return f"test_refusals.py:{frame.f_back.f_lineno + offset}"


def refused(compiled: Any, *words: str, **options: Any) -> None:
    with pytest.raises(NotSupported) as error:
        durable_graph(Mesh("m"), compiled, **{"name": "desk", **options})
    said = str(error.value)
    assert "test_refusals.py:" in said
    for word in words:
        assert word in said, said


def test_a_checkpointer() -> None:
    compiled = builder().compile(checkpointer=InMemorySaver())
    with pytest.raises(NotSupported) as error:
        durable_graph(Mesh("m"), compiled, name="desk")
    assert str(error.value) == (
        f"{here(-2)}: graph 'desk' is compiled with a checkpointer (InMemorySaver), but the journal of the workflow is the "
        "checkpoint: compile() it without checkpointer="
    )
    outer = builder(inner=builder().compile(checkpointer=True))
    refused(outer.compile(), "graph 'inner'", "checkpointer")


def test_a_lambda_without_a_name() -> None:
    made: Any = StateGraph(State)
    made.add_node(lambda state: {"log": [1]})
    made.add_edge(START, "<lambda>")
    refused(made.compile(), here(-2), "no name by which an agent can find it", "add_node('a name', …)")
    builder_ = builder(named=lambda state: {"log": [1]})
    durable_graph(Mesh("m"), builder_.compile(), name="desk")


def test_a_cache_policy() -> None:
    made = builder()
    made.add_node("cached", node, cache_policy=CachePolicy())
    refused(
        made.compile(cache=InMemoryCache()),
        f"node 'cached' (test_refusals.py:{node.__code__.co_firstlineno})",
        "cache_policy",
        "remove it",
    )


def test_the_functional_api() -> None:
    @entrypoint()
    async def flow(text: str) -> str:
        return text

    refused(flow, "not Pregel", "@mesh.workflow")


def test_names_that_collide() -> None:
    refused(
        builder(**{"a b": node, "a-b": node}).compile(), "'a-b'", "'desk-a-b'", "node 'a b' of the same graph", "rename"
    )
    mesh = Mesh("m")

    @mesh.agent(name="desk-node")
    async def other(text: str) -> str:
        return text

    with pytest.raises(NotSupported, match=r"'desk-node', which is the agent at test_refusals.py:\d+: rename the node"):
        durable_graph(mesh, builder().compile(), name="desk")
    assert list(mesh.agents) == ["desk-node"], "nothing was registered"


@pytest.mark.parametrize("argument", ["options", "slots", "local", "inline"])
def test_arguments_that_name_no_node(argument: str) -> None:
    given: Any = {"options": {"nod": CallOptions()}, "slots": {"nod": 1}, "local": {"nod"}, "inline": {"nod"}}[argument]
    refused(
        builder().compile(), f"{argument}= names 'nod'", "none" if argument == "inline" else "node", **{argument: given}
    )


def failed(compiled: Any, given: Any, **options: Any) -> str:
    """The words with which a run of the graph fails."""
    mesh = Mesh("m")
    graph = durable_graph(mesh, compiled, name="desk", **options)
    test = WorkflowTest()
    for agent in graph.agents.values():

        async def handle(request: Any, agent: Any = agent) -> Any:
            return await run_agent(agent, request)

        test.stub(agent, handle)
    run = test.run(graph.workflow(), graph.encode(given))
    with pytest.raises(WorkflowFailed) as error:
        _ = run.result
    return str(error.value)


def returns_a_lock(state: State) -> Any:
    return {"log": ["fine", {"lock": threading.Lock()}]}


class Unknown(BaseModel):
    x: int = 1


def returns_an_unknown_class(state: State) -> Any:
    return {"log": [Unknown(x=2)]}


def test_a_state_that_cannot_be_encoded() -> None:
    words = failed(builder(node=returns_a_lock).compile(), {})
    line = returns_a_lock.__code__.co_firstlineno
    assert f"node 'node' (test_refusals.py:{line}): log[1].lock: a value of _thread.lock cannot travel" in words
    assert "make other things in the node" in words
    words = failed(builder(node=returns_an_unknown_class).compile(), {})
    assert "log[0]: " in words and "types=[Unknown]" in words
    graph = durable_graph(Mesh("m"), builder().compile(), name="desk")
    with pytest.raises(TypeError, match=r"log\[0\]: .*types=\[Unknown\]"):
        graph.encode({"log": [Unknown()]})


def test_an_unknown_class_is_known_by_types() -> None:
    mesh = Mesh("m")
    graph = durable_graph(mesh, builder(node=returns_an_unknown_class).compile(), name="desk", types=[Unknown])
    assert graph.decode(graph.encode({"log": [Unknown(x=3)]})["input"]) == {"log": [Unknown(x=3)]}


def asks(state: State) -> Any:
    return {"log": [interrupt("?")]}


def test_a_local_node_that_asks() -> None:
    words = failed(builder(asks=asks).compile(), {}, local={"asks"})
    assert "the local node 'asks' (test_refusals.py:" in words and "take it out of local=" in words


def test_a_graph_in_a_node_that_asks_twice_at_once() -> None:
    inner = builder(one=asks, two=asks).compile()

    async def calls(state: State) -> Any:
        return await inner.ainvoke({"log": []})

    assert "add that graph as a node" in failed(builder(calls=calls).compile(), {})


@pytest.mark.skipif("timeout" not in inspect.signature(Send).parameters, reason="Send has a timeout since 1.2")
def test_a_send_with_a_timeout() -> None:
    made = StateGraph(State)
    made.add_node("node", node)
    send: Any = Send
    made.add_conditional_edges(START, lambda state: [send("node", {}, timeout=5)], ["node"])
    words = failed(made.compile(), {})
    assert "Send('node', …, timeout=…)" in words and "test_refusals.py:" in words and "add_node(…, timeout=…)" in words
