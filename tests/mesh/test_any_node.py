# SPDX-License-Identifier: Apache-2.0
"""Three nodes and two agents, started by the command line alone: any node answers for any workflow."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nervenet import Resolution, WorkflowFailed
from nervenet.errors import AlreadyClosed, WorkflowCanceled
from tests.mesh import stories
from tests.support.environment import Result
from tests.support.mesh import ProcessMesh, owner_of, settled
from tests.support.processes import NervenetProcess
from tests.support.waiting import until


@pytest.fixture(scope="module", autouse=True)
def nodes(host: ProcessMesh) -> list[NervenetProcess]:
    nodes = host.up(host.node(), host.node(), host.node())
    host.up(host.agent("--only", "say", "--name", "speaker"), host.agent("--only", "note,say", "--name", "clerk"))
    return list(nodes)


async def another(host: ProcessMesh, nodes: list[NervenetProcess], workflow_id: str) -> NervenetProcess:
    """A node that does not own the workflow."""
    async with host.client() as client:
        owner = await owner_of(client.handle(workflow_id), nodes)
    return next(node for node in nodes if node is not owner)


def rows(ran: Result) -> list[dict[str, Any]]:
    """What `--json` prints of a list: an object in each line."""
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_the_mesh_is_known_at_each_node(host: ProcessMesh, nodes: list[NervenetProcess]) -> None:
    for node in nodes:
        lines = host.run("agents", "list", at=node).stdout.splitlines()
        assert {line.partition("-")[0] for line in lines[1:3]} == {"speaker", "clerk"}, lines
    found = rows(host.run("nodes", "list", "--json", at=nodes[0]))
    assert {one["nodeId"] for one in found} == {node.id for node in nodes}


async def test_a_whole_life_through_a_node_that_does_not_own_it(
    host: ProcessMesh, nodes: list[NervenetProcess]
) -> None:
    async with host.client(nodes[0]) as client:
        await client.start(stories.talk, "ada", id="talk-1")
    far = await another(host, nodes, "talk-1")
    await host.effect("ada", "said #1")
    listed = rows(host.run("nodes", "list", "--json", at=far))
    assert sum(node.get("ownedWorkflows", 0) for node in listed) == 1, listed

    async with host.client(far) as client:
        run = client.handle("talk-1", stories.talk)
        assert (await run.info()).at == "say"
        parts = run.partials(stories.say, str)
        told = [await anext(parts) for _ in range(3)]
        assert [part.value for part in told] == ["once", "upon", "a"], "what was said before anybody listened"
        host.open("ada")
        assert (await anext(parts)).value == "time"
        await parts.aclose()

        await run.signal(stories.go, "more")
        await settled(run, "WAITING_FOR_HUMAN", host)
        (asked,) = [one async for one in client.escalations() if one.workflow_id == "talk-1"]
        assert (asked.id, asked.question, list(asked.choices)) == ("talk-1/ask#1", "Publish?", ["yes", "no"])
        await client.resolve(asked.id, Resolution.complete("yes", comment="good", resolver="ana"))
        assert await run.result(timeout=10) == "ada: once upon a time, more: yes"
        with pytest.raises(AlreadyClosed):
            await client.resolve(asked.id, Resolution.complete("no"))

        seen = [(event.sequence, event.name) async for event in run.watch(after=0)]
        assert [name for _, name in seen][:2] == ["start", "task:say"] and seen[-1][1] == "close"
        assert {"escalated:ask#1", "decided:ask#1", "task:ask"} < {name for _, name in seen}
        assert [number for number, _ in seen] == list(range(1, len(seen) + 1))


async def test_the_command_line_sees_the_same_there(host: ProcessMesh, nodes: list[NervenetProcess]) -> None:
    assert host.run("start", "talk", '"eve"', "--id", "talk-2", at=nodes[0]).stdout == "talk-2\n"
    far = await another(host, nodes, "talk-2")
    host.open("eve")
    assert host.run("result", "talk-2", "--timeout", "0.2s", at=far).returncode == 7
    assert host.run("signal", "talk-2", "go", '"on"', at=far).returncode == 0
    async with host.client(far) as client:
        await settled(client.handle("talk-2"), "WAITING_FOR_HUMAN", host)
    assert "talk-2/ask" in host.run("escalations", "list", at=far).stdout
    assert host.run("escalations", "resolve", "talk-2/ask", "--answer", "no", at=far).returncode == 0
    second = host.run("escalations", "resolve", "talk-2/ask", "--answer", "yes", at=far)
    assert second.returncode == 4 and "decided" in second.stderr, second.stderr
    done = host.run("result", "talk-2", at=far)
    assert (done.returncode, json.loads(done.stdout)) == (0, "eve: once upon a time, on: no"), done.stderr
    watched = host.run("watch", "talk-2", at=far)
    assert watched.returncode == 0 and len(watched.stdout.splitlines()) >= 7
    shown = json.loads(host.run("show", "talk-2", "--json", at=far).stdout)["workflow"]
    assert shown["state"] == "WORKFLOW_STATE_SUCCEEDED" and shown["nodeId"] != far.id


async def test_a_cancel_through_a_node_that_does_not_own_it(host: ProcessMesh, nodes: list[NervenetProcess]) -> None:
    assert host.run("start", "talk", '"bob"', "--id", "talk-3", at=nodes[0]).returncode == 0
    far = await another(host, nodes, "talk-3")
    await host.effect("bob", "said #1")
    assert host.run("cancel", "talk-3", "--reason", "enough", at=far).returncode == 0
    async with host.client(far) as client:
        with pytest.raises(WorkflowCanceled, match="enough"):
            await client.handle("talk-3").result(timeout=10)
    ended = host.run("result", "talk-3", at=far)
    assert ended.returncode == 1 and ended.stdout == "" and "canceled" in ended.stderr


async def test_the_question_of_a_canceled_workflow_leaves_the_list(
    host: ProcessMesh, nodes: list[NervenetProcess]
) -> None:
    host.open("question")
    async with host.client(nodes[0]) as client:
        run = await client.start(stories.talk, "question", id="talk-4")
        await run.signal(stories.go, "on")
        await settled(run, "WAITING_FOR_HUMAN", host)
    far = await another(host, nodes, "talk-4")
    async with host.client(far) as client:
        run = client.handle("talk-4")
        await run.cancel("never mind")
        await settled(run, "CANCELED", host)
        with pytest.raises(AlreadyClosed):
            await client.resolve("talk-4/ask", Resolution.complete("yes"))

        async def gone() -> bool:
            listed = host.run("escalations", "list", "--json", at=far)
            return not rows(listed) and "openCount" not in listed.stderr

        await until(gone, "nothing waits for a human", 10, host)


async def test_results_are_awaited_at_every_node_at_once(host: ProcessMesh, nodes: list[NervenetProcess]) -> None:
    names = {f"errand-{n}": f"e{n}" for n in range(6)}
    async with host.client(nodes[0]) as first:
        await first.start_many(stories.errand, names)
    waiting = []
    clients = [host.client(node) for node in nodes]
    try:
        for client in clients:
            waiting += [asyncio.ensure_future(client.handle(key, stories.errand).result(timeout=20)) for key in names]
        for name in names.values():
            host.open(name)
        results = await asyncio.gather(*waiting)
    except WorkflowFailed as error:
        raise AssertionError(error.failure) from error
    finally:
        for client in clients:
            await client.close()
    assert results == [["first!", f"{name}: once upon a time", "last!"] for name in names.values()] * 3
    assert all(host.effects(key) == ["first", "last"] for key in names)
