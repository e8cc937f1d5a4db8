# SPDX-License-Identifier: Apache-2.0
"""What watchers see: updates, states, tokens, what nodes write, questions; the last state, and the exact history."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.messages import AIMessageChunk, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from nervenet import Client, Mesh, Resolution
from nervenet.dev import running
from nervenet.integrations.langgraph import durable_graph
from nervenet.integrations.langgraph.codec import Values
from nervenet.testing import Journal
from tests.frameworks.langgraph import agents, graphs
from tests.frameworks.langgraph.cases import CASES


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[Client]:
    graphs.mesh.include(agents.mesh)
    async with running(graphs.mesh) as client:
        yield client


shared_loop = pytest.mark.asyncio(loop_scope="module")


@shared_loop
async def test_every_mode_reaches_a_watcher(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "PAUSE", 1.0)
    graph = graphs.talking_graph
    handle = await client.start(graphs.talking, graph.encode({"messages": [HumanMessage("hi", id="1")]}))
    seen = [chunk async for chunk in graph.astream(client, handle)]
    modes = [mode for mode, _ in seen]
    updates = [data for mode, data in seen if mode == "updates"]
    assert [next(iter(update)) for update in updates] == ["talk", "say_bye", "by_id"]
    assert [data for mode, data in seen if mode == "custom"] == [{"progress": 1}, {"progress": 2}]
    tokens = [data for mode, data in seen if mode == "messages"]
    assert "".join(chunk.content for chunk, _ in tokens) == "hello brave new world" and len(tokens) > 3
    assert all(isinstance(chunk, AIMessageChunk) and about["langgraph_node"] == "talk" for chunk, about in tokens)
    last = [data for mode, data in seen if mode == "values"][-1]
    assert last == graph.decode(await handle.result()) == await graph.get_state(client, handle.id)
    assert modes.index("messages") < modes.index("updates"), "tokens come while the node runs"


@shared_loop
async def test_a_watcher_is_told_when_a_node_begins_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "PAUSE", 1.0)
    graphs.TRIES.clear()
    handle = await client.start(graphs.faltering, {})
    seen = [one async for one in graphs.faltering_graph.astream(client, handle, modes=["custom", "restart", "updates"])]
    assert seen == [
        ("custom", {"try": 1}),
        ("restart", {"node": "falters", "attempt": 2}),
        ("custom", {"try": 2}),
        ("updates", {"falters": {"log": [2]}}),
    ]


@shared_loop
async def test_a_watcher_chooses_modes(client: Client) -> None:
    handle = await client.start(graphs.loop, {})
    assert {mode async for mode, _ in graphs.loop_graph.astream(client, handle, modes=["updates"])} == {"updates"}
    with pytest.raises(ValueError, match="no stream mode 'debug'"):
        _ = [one async for one in graphs.loop_graph.astream(client, handle, modes=["debug"])]


@shared_loop
async def test_two_questions_are_answered_out_of_order_by_two_people(client: Client) -> None:
    graph = graphs.asking_graph
    handle = await client.start(graphs.asking, {})
    asked: dict[str, str] = {}
    order = []
    async for mode, _ in graph.astream(client, handle, modes=["interrupt", "updates"]):
        if mode == "interrupt":
            asked |= {one.question: one.id async for one in client.escalations(workflow_id=handle.id)}
            if {"left?", "right?"} <= set(asked) and not order:
                for question, name in (("right?", "bob"), ("left?", "ana")):
                    await client.resolve(asked[question], Resolution.complete(name.upper(), resolver=name))
                    order.append(question)
            for question in ("first?", "second?"):
                if question in asked and question not in order:
                    order.append(question)
                    await client.resolve(asked[question], Resolution.complete(question[0]))
    assert (await handle.result())["said"] == ["left ANA", "right BOB", "both f s"]
    assert order == ["right?", "left?", "first?", "second?"]


@shared_loop
async def test_an_agent_of_langchain_on_a_mesh(client: Client) -> None:
    given = agents.react_graph.encode(agents.question(), context=agents.User("ana"))
    messages = agents.react_graph.decode(await client.run(agents.react, given))["messages"]
    assert [one.content for one in messages][-4:] == ["3", "2 messages", "ana, 2 messages", "3"]


@shared_loop
async def test_a_state_above_64_kib_is_not_shown_but_runs(client: Client) -> None:
    handle = await client.start(graphs.loop, {"log": ["x" * 70_000]})
    assert len((await handle.result())["log"]) == 6
    assert await graphs.loop_graph.get_state(client, handle.id) is None
    assert "64 KiB" in (await handle.info()).view["note"]


def test_the_history_has_the_objects_of_every_step(tmp_path: Path) -> None:
    case = CASES["react"]
    case.run(crash_everywhere=False).journal.dump(tmp_path / "react.json")
    steps = case.graph.history(Journal.load(tmp_path / "react.json"))
    assert [[node for node, _ in step.updates] for step in steps] == [[], ["model"], ["tools"] * 3, ["model"]]
    assert [len(step.values["messages"]) for step in steps] == [1, 2, 5, 6]
    assert isinstance(steps[0].values["messages"][0], HumanMessage)
    assert [step.entries for step in steps] == [1, 2, 5, 6]


def test_the_history_of_a_run_that_has_not_ended() -> None:
    journal = CASES["loop"].run(crash_everywhere=False).journal
    steps = graphs.loop_graph.history(Journal(journal.workflow_id, journal.run, journal.entries[:3]))
    assert [step.values.get("n") for step in steps][-2:] == [1, 2]


def test_pieces_that_cannot_travel_are_shown_as_words() -> None:
    from nervenet.integrations.langgraph.readable import readable

    shown: Any = readable({"at": object(), "who": agents.User("ana"), 1: {2.5, 1.5}})
    assert shown["who"] == {"user": "ana"} and shown["1"] == [1.5, 2.5] and shown["at"].startswith("<object")
    assert Values([]).encode({"~": 1}) == {"~": "dict", "items": [["~", 1]]}


@shared_loop
async def test_a_watcher_is_told_when_a_node_begins_again_with_an_answer() -> None:
    watched = threading.Event()

    def begin(state: graphs.Log) -> graphs.Log:
        return {"log": ["begun"]}

    def ask(state: graphs.Log) -> graphs.Log:
        watched.wait(20)  # what is said before somebody watches is told to nobody
        get_stream_writer()("before the question")
        return {"log": [interrupt("Which?")]}

    builder: Any = StateGraph(graphs.Log)
    builder.add_node("begin", begin)
    builder.add_node("ask", ask)
    builder.add_edge(START, "begin")
    builder.add_edge("begin", "ask")
    mesh = Mesh("answered")
    graph = durable_graph(mesh, builder.compile(), name="answered")
    workflow = graph.workflow()
    seen: list[Any] = []
    async with running(mesh) as client:
        handle = await client.start(workflow, {}, id="answered")
        async for mode, data in graph.astream(client, handle, modes=["updates", "custom", "restart", "interrupt"]):
            if mode == "updates":
                watched.set()
                continue
            seen.append(data if mode == "restart" else mode)
            if mode == "interrupt":
                (question,) = [one async for one in client.escalations(workflow_id=handle.id)]
                await client.resolve(question.id, Resolution.complete("this"))
    assert seen == ["custom", "interrupt", {"node": "ask", "attempt": 1}, "custom"]
