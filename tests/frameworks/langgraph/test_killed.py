# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the node and of the agent in the middle of each kind of graph: the result is that of an undisturbed run, and no
request to the model is paid twice. The one that was running is sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from nervenet import Resolution, WorkflowHandle
from tests.frameworks.langgraph import desk
from tests.frameworks.llm_server import Rule, StandIn, ToolCall
from tests.support.mesh import ProcessMesh, owner_of
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
PATIENCE = 120.0


@pytest.fixture
def host(tmp_path: Path, redis_url: str, etcd_url: str, llm: StandIn) -> Iterator[ProcessMesh]:
    """Two nodes and two agents."""
    app = "tests/frameworks/langgraph/desk.py"
    with ProcessMesh(tmp_path, redis_url, etcd_url, app=app, **llm.environment) as mesh:
        mesh.up(mesh.node(), mesh.node())
        mesh.up(mesh.agent("--name", "first"), mesh.agent("--name", "second"))
        yield mesh


async def recorded(handle: WorkflowHandle[Any], names: Collection[str]) -> None:
    """Wait until these entries are in the journal."""
    missing = set(names)
    async for event in handle.watch():
        missing.discard(event.name)
        if not missing:
            return
    raise AssertionError(f"{handle.id} ended without {missing}")


async def kill_half_way(
    host: ProcessMesh, llm: StandIn, handle: WorkflowHandle[Any], held: str, before: Collection[str]
) -> None:
    """Wait until the request `held` runs and everything before it is recorded; kill the agent that sent it, and the owner."""
    await recorded(handle, before)
    await until(lambda: llm.asked()[held] == 1, f"the model is asked: {held}", 60, host)
    (line,) = host.effects(held.replace(" ", "_"))
    agent = next(one for one in host.processes if one.kind == "agent" and line == f"pid {one.pid}")
    owner = await owner_of(handle, host.nodes)
    agent.kill()
    owner.kill()


def paid_once(llm: StandIn, held: str, *others: str) -> None:
    """Every content once; the held one was sent again by another agent and answered once."""
    assert llm.paid_twice() == {}
    assert llm.asked() == Counter({**dict.fromkeys(others, 1), held: 2})
    assert llm.paid() == Counter(dict.fromkeys([*others, held], 1))


def held(text: str, reply: str, **more: Any) -> tuple[Rule, Rule]:
    """The first request waits for ever, the second is answered."""
    return Rule(f"^{text}$", hold_after=0, times=1, reply=reply, **more), Rule(f"^{text}$", reply=reply, **more)


async def test_an_agent_with_three_tools_in_parallel(host: ProcessMesh, llm: StandIn) -> None:
    cities = ("Oslo", "Rome", "Bern")
    llm.script(
        *held("forecast for Rome", "rain in Rome"),
        Rule("^weather$", tools=[ToolCall("forecast", {"city": city}) for city in cities]),
        Rule(r"forecast for (\w+)", reply=r"sun in \1"),
        Rule("in Bern", role="tool", reply="Take an umbrella to Rome."),
    )
    async with host.client() as client:
        run = await client.start(desk.react, {"messages": [{"role": "user", "content": "weather"}]}, id="react")
        await kill_half_way(host, llm, run, "forecast for Rome", ["task:react-tools", "task:react-tools.3"])
        messages = (await run.result(timeout=PATIENCE))["messages"]
    assert [one["content"] for one in messages[2:]] == [
        "sun in Oslo",
        "rain in Rome",
        "sun in Bern",
        "Take an umbrella to Rome.",
    ]
    paid_once(llm, "forecast for Rome", "weather", "forecast for Oslo", "forecast for Bern", "sun in Bern")


async def test_a_map_reduce_over_fifty_items(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(*held("item 25", "<25>"), Rule(r"item (\d+)", reply=r"<\1>"))
    async with host.client() as client:
        run = await client.start(desk.map_reduce, {"count": 50}, id="map")
        others = [f"task:map_reduce-work{f'.{n}' if n > 1 else ''}" for n in range(1, 51) if n != 26]
        await kill_half_way(host, llm, run, "item 25", others)
        assert (await run.result(timeout=PATIENCE))["total"] == " ".join(f"<{n}>" for n in range(50))
    paid_once(llm, "item 25", *(f"item {n}" for n in range(50) if n != 25))


async def test_a_loop_that_plans_and_executes(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(
        Rule("^plan tea$", reply="boil, pour, serve"),
        *held("do pour", "poured"),
        Rule(r"^do (\w+)$", reply=r"\1: done"),
        Rule("^sum up", reply="tea is served"),
    )
    async with host.client() as client:
        run = await client.start(desk.plan, {"goal": "tea"}, id="plan")
        await kill_half_way(host, llm, run, "do pour", ["task:plan-replan"])
        result = await run.result(timeout=PATIENCE)
    assert result["past"] == [["boil", "boil: done"], ["pour", "poured"], ["serve", "serve: done"]]
    assert result["answer"] == "tea is served"
    paid_once(llm, "do pour", "plan tea", "do boil", "do serve", "sum up boil: done; poured; serve: done")


async def test_two_people_answer_two_questions_out_of_order(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(
        Rule("^write", reply="a draft"),
        *held("sales said great", "sales: ok"),
        Rule(r"^(\w+) said (\w+)$", reply=r"\1: \2"),
    )
    async with host.client() as client:
        run = await client.start(desk.review, {}, id="review")
        await recorded(run, ["escalated:ask#1", "escalated:ask.2#1"])
        asked = {one.question: one async for one in client.escalations(workflow_id="review")}
        assert asked["legal?"].context["draft"] == "a draft"
        await client.resolve(asked["sales?"].id, Resolution.complete("great", resolver="bob"))
        await kill_half_way(host, llm, run, "sales said great", [f"task:{asked['sales?'].step}"])
        async with host.client() as another:  # a request that answers a question is not repeated at another node
            await another.resolve(asked["legal?"].id, Resolution.complete("fine", resolver="ana"))
        assert (await run.result(timeout=PATIENCE))["said"] == ["legal: fine", "sales: ok"]
    paid_once(llm, "sales said great", "write the draft", "legal said fine")


async def test_a_subgraph_in_a_workflow_of_the_user(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(*held("read bees", "read"), Rule(r"^(\w+) bees$", reply=r"\1"))
    async with host.client() as client:
        run = await client.start(desk.notes, "bees", id="notes")
        await kill_half_way(host, llm, run, "read bees", ["task:notes-research-search"])
        assert await run.result(timeout=PATIENCE) == ["search", "read", "publish"]
    paid_once(llm, "read bees", "search bees", "publish bees")


async def test_a_conversation_of_three_turns(host: ProcessMesh, llm: StandIn) -> None:
    llm.script(
        Rule("^one$", reply="first"),
        *held("two", "second", anywhere="^first$"),
        Rule("^three$", anywhere="^second$", reply="third"),
    )
    async with host.client() as client:
        thread = await desk.chat.open(client, "thread")
        said = []
        for text in ("one", "two", "three"):
            turn = await desk.chat.send(client, "thread", {"messages": [("user", text)]}, turn=text)
            if text == "two":
                await recorded(thread, ["task:thread-turn"])
                await until(lambda: llm.asked()["two"] == 1, "the second turn runs", 60, host)
                await kill_half_way(host, llm, turn, "two", ["start"])
            said.append((await desk.chat.reply(turn)).output["messages"])
        assert [[one.content for one in messages] for messages in said] == [
            ["one", "first"],
            ["one", "first", "two", "second"],
            ["one", "first", "two", "second", "three", "third"],
        ]
        assert len({one.id for one in said[-1]}) == 6 and said[-1][:4] == said[1]
    paid_once(llm, "two", "one", "three")
