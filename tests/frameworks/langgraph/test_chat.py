# SPDX-License-Identifier: Apache-2.0
"""Threads with many turns: the state between turns, and a second message while a turn runs, on a node and an agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from nervenet import Client, Context, Mesh, WorkflowFailed, WorkflowHandle
from nervenet.dev import running
from nervenet.integrations.langgraph import ThreadEnded, TurnNotStarted, TurnRejected, durable_graph
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


def slow_chat(name: str, policy: Any, turns: int = 50) -> tuple[Mesh, Any, asyncio.Event, asyncio.Event]:
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
    return mesh, graph.conversation(name=f"{name}-chat", while_busy=policy, turns_per_run=turns), begun, gate


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


async def test_a_message_that_does_not_fit_is_a_failed_turn_and_the_thread_goes_on(client: Client) -> None:
    chat_ = CHATS["enqueue"]
    await chat_.open(client, "full")
    await chat_.say(client, "full", {"messages": [("user", "x" * 400_000)]})
    with pytest.raises(WorkflowFailed, match=r"state and message together: .* limit 1 MiB") as failed:
        await chat_.say(client, "full", {"messages": [("user", "y" * 800_000)]})
    assert failed.value.failure.type == TurnNotStarted.__name__
    assert words(await chat_.say(client, "full", {"messages": [("user", "two")]})) == "2: 3 messages, factor 0"


@pytest.mark.parametrize("message", [{"hello": 1}, "hello", {"input": {}, "turn": "a b"}, {"input": {}, "turn": 3}])
async def test_a_signal_that_is_no_message_is_dropped(client: Client, message: Any) -> None:
    chat_ = CHATS["enqueue"]
    thread = await chat_.open(client, "odd")
    await thread.signal(chat_._say, message)
    assert words(await chat_.say(client, "odd", {"messages": [("user", "one")]})).startswith("1: 1 messages")


async def test_an_id_that_a_turn_cannot_have_is_refused_where_it_is_written(client: Client) -> None:
    await CHATS["enqueue"].open(client, "ids")
    for turn in ("a b", "a/b", "x" * 101):
        with pytest.raises(ValueError, match="an id of a turn has letters"):
            await CHATS["enqueue"].send(client, "ids", {"messages": []}, turn=turn)


async def test_a_reply_that_never_comes_is_an_error(client: Client) -> None:
    chat_ = CHATS["enqueue"]
    thread = await chat_.open(client, "ending")
    await thread.cancel("enough")
    with pytest.raises(WorkflowFailed):
        await thread.result()
    with pytest.raises(ThreadEnded, match=r"thread ending has ended \(CANCELED\)"):
        await asyncio.wait_for(chat_.reply(client.handle("ending/late", chat_.turn)), 20)
    with pytest.raises(ThreadEnded, match="there is no thread missing"):
        await asyncio.wait_for(chat_.reply(client.handle("missing/late", chat_.turn)), 20)


@pytest.mark.parametrize("policy", ["reject", "interrupt"])
async def test_a_message_that_is_sent_twice_is_one_turn(policy: str) -> None:
    mesh, chat_, begun, gate = slow_chat(f"twice-{policy}", policy)
    async with running(mesh) as client:
        await chat_.open(client, "t")
        for turn in ("before", "one"):
            first = await chat_.send(client, "t", {"messages": [("user", f"slow {turn}")]}, turn=turn)
            await begun.wait()
            if turn == "before":
                gate.set()
                await chat_.reply(first)
                gate.clear()
                begun.clear()
        for turn in ("one", "before"):
            await chat_.send(client, "t", {"messages": [("user", f"slow {turn}")]}, turn=turn)
        thread = client.handle("t")
        await until_signals(thread, 4)
        gate.set()
        reply = await chat_.reply(first)
        assert not reply.interrupted and words(reply).startswith("2: 3 messages")
        assert words(await chat_.say(client, "t", {"messages": [("user", "last")]})).startswith("3: 5 messages")


async def until_signals(thread: WorkflowHandle[Any], count: int) -> None:
    """Until the thread has got so many signals in its run."""
    seen = 0
    async for event in thread.watch():
        seen += event.kind == "signal"
        if seen == count:
            return


async def test_a_thread_continues_as_new_while_messages_keep_coming() -> None:
    mesh, chat_, begun, _ = slow_chat("storm", "interrupt", turns=2)
    async with running(mesh) as client:
        await chat_.open(client, "s")
        turns = []
        for n in range(5):
            turns.append(await chat_.send(client, "s", {"messages": [("user", f"slow {n}")]}, turn=f"t{n}"))
            await begun.wait()
            begun.clear()
        assert words(await chat_.say(client, "s", {"messages": [("user", "quick")]})).startswith("6: 6 messages")
        assert [(await chat_.reply(turn)).interrupted for turn in turns] == [True] * 5
        assert (await client.handle("s").info()).run >= 3


async def test_rejected_messages_count_and_fail_although_the_thread_continues_as_new() -> None:
    mesh, chat_, begun, gate = slow_chat("rejections", "reject", turns=3)
    async with running(mesh) as client:
        await chat_.open(client, "r")
        first = await chat_.send(client, "r", {"messages": [("user", "slow")]})
        await begun.wait()
        rejected = [await chat_.send(client, "r", {"messages": [("user", str(n))]}) for n in range(4)]
        await until_signals(client.handle("r"), 5)
        gate.set()
        assert words(await chat_.reply(first)).startswith("1: 1 messages")
        for turn in rejected:
            with pytest.raises(TurnRejected):
                await chat_.reply(turn)
        assert words(await chat_.say(client, "r", {"messages": [("user", "next")]})).startswith("2: 3 messages")
        assert (await client.handle("r").info()).run == 2


class Answer(TypedDict, total=False):
    answer: str


class Private(Answer, total=False):
    secret: str
    asked: str


async def test_the_output_of_an_interrupted_turn_is_that_of_the_output_schema() -> None:
    begun = asyncio.Event()

    async def wait(state: Private) -> Any:
        if state["asked"] == "slow":
            begun.set()
            await asyncio.Event().wait()
        return {"answer": state["asked"], "secret": "s"}

    mesh, builder = Mesh("private"), chat.StateGraph(Private, output_schema=Answer)
    builder.add_node("wait", wait)
    builder.add_edge(chat.START, "wait")
    chat_ = durable_graph(mesh, builder.compile(), name="private").conversation(
        name="private-chat", while_busy="interrupt"
    )
    async with running(mesh) as client:
        await chat_.open(client, "p")
        assert (await chat_.say(client, "p", {"asked": "one"})).output == {"answer": "one"}
        slow = await chat_.send(client, "p", {"asked": "slow"})
        await begun.wait()
        await chat_.say(client, "p", {"asked": "two"})
        stopped = await chat_.reply(slow)
        assert stopped.interrupted and stopped.output == {"answer": "one"} and stopped.state["secret"] == "s"
        assert "output" not in await slow.result(), "the state is in it already"
