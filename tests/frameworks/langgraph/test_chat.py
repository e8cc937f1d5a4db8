# SPDX-License-Identifier: Apache-2.0
"""Threads with many turns: the state between turns, and a second message while a turn runs, on a node and an agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from nervenet import Client, Context, Mesh, WorkflowFailed
from nervenet.dev import running
from nervenet.integrations.langgraph import TurnRejected, durable_graph
from tests.frameworks.langgraph import chat
from tests.frameworks.langgraph.chat import CHATS
from tests.frameworks.langgraph.kit import scripted


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with running(chat.mesh) as client:
        yield client


def words(reply: Any) -> str:
    return str(reply.output["messages"][-1].content)


async def test_three_turns_have_the_state_that_a_thread_of_langgraph_has(client: Client) -> None:
    plain = chat._builder.compile(checkpointer=InMemorySaver())
    await CHATS["enqueue"].open(client, "thread")
    for turn, factor in enumerate((3, 5, 2)):
        given = {"messages": [("user", f"turn {turn}")], "factor": factor}
        expected = await plain.ainvoke(given, {"configurable": {"thread_id": "1"}})
        reply = await CHATS["enqueue"].say(client, "thread", given)
        assert words(reply) == expected["messages"][-1].content
        assert reply.output["factor"] == expected["factor"] and reply.output["turns"] == expected["turns"] == turn + 1
    info = await client.handle("thread").info()
    assert info.run == 2, "it has continued as new after two turns"
    assert (await chat.graph.get_state(client, "thread"))["turns"] == 3


async def test_messages_wait_for_their_turn(client: Client) -> None:
    chat_ = CHATS["enqueue"]
    await chat_.open(client, "queue")
    turns = [await chat_.send(client, "queue", {"messages": [("user", str(n))]}, turn=f"t{n}") for n in range(4)]
    replies = await asyncio.gather(*(chat_.reply(turn) for turn in turns))
    assert [words(reply).partition(",")[0] for reply in replies] == [f"{n + 1}: {2 * n + 1} messages" for n in range(4)]
    again = await chat_.say(client, "queue", {"messages": [("user", "2")]}, turn="t2")
    assert again == replies[2], "the same id is the same turn"


async def test_a_failed_turn_leaves_the_state_as_it_was(client: Client) -> None:
    chat_ = CHATS["enqueue"]
    await chat_.open(client, "failing")
    await chat_.say(client, "failing", {"messages": [("user", "one")]})
    with pytest.raises(WorkflowFailed, match="this turn fails"):
        await chat_.say(client, "failing", {"messages": [("user", "fail")]})
    assert words(await chat_.say(client, "failing", {"messages": [("user", "two")]})) == "2: 3 messages, factor 0"


def slow_chat(name: str, policy: Any) -> tuple[Mesh, Any, asyncio.Event, asyncio.Event]:
    """A chat whose second node waits until the test opens a gate."""
    mesh, begun, gate = Mesh(name), asyncio.Event(), asyncio.Event()

    async def wait(state: chat.Chat) -> Any:
        if "slow" in state["messages"][-1].content:
            begun.set()
            await gate.wait()
        return chat.answer(state)

    builder = chat.StateGraph(chat.Chat, input_schema=chat.ChatInput)
    builder.add_node("listen", chat.listen)
    builder.add_node("wait", wait)
    builder.add_edge(chat.START, "listen")
    builder.add_edge("listen", "wait")
    graph = durable_graph(mesh, builder.compile(), name=name)
    return mesh, graph.conversation(name=f"{name}-chat", while_busy=policy), begun, gate


async def test_a_busy_thread_rejects_a_second_message() -> None:
    mesh, chat_, begun, gate = slow_chat("rejecting", "reject")
    async with running(mesh) as client:
        await chat_.open(client, "r")
        first = await chat_.send(client, "r", {"messages": [("user", "slow one")]}, turn="first")
        await begun.wait()
        with pytest.raises(TurnRejected, match="turn first of r runs"):
            await chat_.say(client, "r", {"messages": [("user", "two")]})
        gate.set()
        assert words(await chat_.reply(first)).startswith("1: 1 messages")
        assert words(await chat_.say(client, "r", {"messages": [("user", "three")]})).startswith("2: 3 messages")


async def test_a_second_message_interrupts_a_turn_and_finds_its_steps_so_far() -> None:
    mesh, chat_, begun, _ = slow_chat("interrupting", "interrupt")
    async with running(mesh) as client:
        await chat_.open(client, "i")
        first = await chat_.send(client, "i", {"messages": [("user", "slow one")]})
        await begun.wait()
        second = await chat_.say(client, "i", {"messages": [("user", "two")]})
        stopped = await chat_.reply(first)
        assert stopped.interrupted and [one.content for one in stopped.state["messages"]] == ["slow one"]
        assert words(second).startswith("2: 2 messages"), "the node before the stopped one counts"


def test_a_turn_survives_a_crash_after_every_entry() -> None:
    given = {**chat.graph.encode({"messages": [("user", "hi")], "factor": 7}), "turn": "t", "state": None}
    found = scripted(chat.graph).run(CHATS["enqueue"].turn, given).result
    later = {**chat.graph.encode({"messages": [("user", "more")], "factor": 2}), "turn": "u", "state": found["state"]}
    state = chat.graph.decode(scripted(chat.graph).run(CHATS["enqueue"].turn, later).result["state"])
    assert state["factor"] == 0 and state["turns"] == 2, "0: the product of nothing in LangGraph"


async def test_a_workflow_of_the_user_takes_turns_itself() -> None:
    mesh = Mesh("own")
    graph = durable_graph(mesh, chat._builder.compile(), name="own")

    @mesh.workflow
    async def twice(ctx: Context, texts: list[str]) -> list[str]:
        state, said = None, []
        for text in texts:
            outcome = await graph.advance(ctx, {"messages": [("user", text)]}, state=state)
            state = outcome.state
            said.append(outcome.output["messages"][-1].content)
        return said

    assert scripted(graph).run(twice, ["a", "b"]).result == ["1: 1 messages, factor 0", "2: 3 messages, factor 0"]
