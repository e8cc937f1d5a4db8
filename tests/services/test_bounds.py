# SPDX-License-Identifier: Apache-2.0
"""A mesh that has too much says so, and takes the rest up again when it has room."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from nervenet import Agent, Context, Mesh, Signal, errors
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.node.node import Node
from nervenet.node.services import serve
from tests.node.hand import Task
from tests.node.hand import World as Hands
from tests.services.world import World
from tests.support.waiting import until

mesh = Mesh("bounds")
work = Agent.remote("work", int, int)
poke = Signal("poke", str)


@mesh.workflow
async def waits(ctx: Context) -> str:
    return await ctx.receive(poke)


@mesh.workflow
async def works(ctx: Context, n: int) -> int:
    return await ctx.call(work, n)


@mesh.workflow
async def chatters(ctx: Context) -> str:
    """Would fill any journal; books what it did, undoes it at the end."""
    try:
        while True:
            await asyncio.sleep(0.001)
    finally:
        ctx.publish("cleaned up")
        await asyncio.sleep(0.001)


@mesh.workflow
async def counts(ctx: Context, done: int) -> int:
    """The same with a fresh journal in time."""
    while done < 300:
        if ctx.entries > 60:
            ctx.continue_as_new(counts, done)
        await asyncio.sleep(0.001)
        done += 1
    return done


async def node(world: World, **settings: Any) -> tuple[Node, RawClient]:
    config: Config = world.config(listen="127.0.0.1:0", **settings)
    one = await world.stack.enter_async_context(Node.open(mesh.workflows, config, serve=serve))
    return one, await world.raw(one)


async def test_a_full_node_gives_starts_to_others_and_a_full_mesh_refuses_them(world: World) -> None:
    one, raw = await node(world, max_workflows=3)
    two, _ = await node(world, max_workflows=3)
    await until(lambda: len(one.placement.able("waits", 1)) == 2)
    for i in range(6):
        await raw.call("StartWorkflow", workflow_id=f"w{i}", definition="waits")
    await until(lambda: (len(one.hosted.coordinators), len(two.hosted.coordinators)) == (3, 3))
    await until(lambda: one.context.table.nodes[two.node_id].full)
    with pytest.raises(errors.Overloaded) as refused:
        await raw.call("StartWorkflow", workflow_id="w6", definition="waits")
    assert refused.value.reason == "NODE_FULL" and refused.value.retry_after is not None

    await raw.call("StartWorkflow", workflow_id="w0", definition="waits")  # it is there: no new one
    await raw.call("SignalWorkflow", workflow_id="w0", signal="poke", payload={"json": '"go"'})
    await until(lambda: len(one.hosted.coordinators) == 2)
    await raw.call("StartWorkflow", workflow_id="w6", definition="waits")


async def test_a_batch_fills_a_node_to_its_limit_and_no_further(world: World) -> None:
    one, raw = await node(world, max_workflows=5)
    batch = [{"workflow_id": f"w{i}", "definition": "waits"} for i in range(8)]
    outcomes = (await raw.call("StartWorkflows", requests=batch)).outcomes
    assert [bool(o.error.reason) for o in outcomes] == [False] * 5 + [True] * 3
    assert len(one.hosted.coordinators) == 5


async def test_tasks_wait_at_their_owners_while_a_queue_is_full_and_lone_ones_are_refused(world: World) -> None:
    one, raw = await node(world, max_queued=5)
    for i in range(5):
        await raw.call("StartWorkflow", workflow_id=f"w{i}", definition="works", input={"json": str(i)})
    queue = one.context.keys.queue("work", "")

    async def length() -> int:
        found: int = await one.context.link.call("XLEN", queue)
        return found

    async def five() -> bool:
        return await length() == 5

    await until(five)

    tries = itertools.count()

    async def refused() -> errors.Overloaded | None:
        name = f"alone-{next(tries)}"
        try:
            await raw.call("RunTask", request_id=name, capability="work", input={"json": "9"})
        except errors.Overloaded as error:
            return error
        await raw.call("CancelWorkflow", workflow_id=f"task/{name}")
        return None

    error = await until(refused)
    assert error.reason == "QUEUE_FULL" and error.retry_after is not None and "NERVENET_MAX_QUEUED" in str(error)
    before = await length()
    for i in range(5, 20):
        await raw.call("StartWorkflow", workflow_id=f"w{i}", definition="works", input={"json": str(i)})

    async def told() -> bool:
        tasks = (await raw.call("GetWorkflow", workflow_id="w19")).workflow.tasks
        return bool(tasks) and "no live agent serves it" in tasks[0].waits_for

    await until(told)
    assert await length() == before

    hands = Hands(world.redis_url, world.etcd_url, world.namespace)
    async with hands.agent("work", slots=2) as agent:
        queued = asyncio.ensure_future(agent.serve(one_more, queue))
        serving = asyncio.ensure_future(agent.serve(one_more))
        for i in range(20):
            done = await raw.call("GetWorkflow", workflow_id=f"w{i}", wait={"seconds": 30})
            assert done.workflow.output.value.number_value == i + 1
        serving.cancel()
        queued.cancel()


async def one_more(task: Task) -> bytes:
    return str(int(task.envelope.input.data) + 1).encode()


async def test_a_journal_that_grows_too_long_ends_its_run_with_time_to_clean_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    _, raw = await node(world, journal_limit=100)
    await raw.call("StartWorkflow", workflow_id="c", definition="chatters")
    done = (await raw.call("GetWorkflow", workflow_id="c", wait={"seconds": 30})).workflow
    assert done.failure.type == "JournalFull"
    assert "ctx.continue_as_new" in done.failure.message and "NERVENET_JOURNAL_LIMIT" in done.failure.message
    assert done.view.value.string_value == "cleaned up"
    warned = "c: its journal has 80 entries and must end at 100: ctx.continue_as_new(...) begins a fresh one"
    assert [record.getMessage() for record in caplog.records].count(warned) == 1


async def test_continue_as_new_in_time_knows_no_limit(world: World) -> None:
    _, raw = await node(world, journal_limit=100)
    await raw.call("StartWorkflow", workflow_id="c", definition="counts", input={"json": "0"})
    done = (await raw.call("GetWorkflow", workflow_id="c", wait={"seconds": 30})).workflow
    assert (done.output.value.number_value, done.run) == (300, 5)


async def test_signals_alone_cannot_fill_a_journal(world: World) -> None:
    _, raw = await node(world, journal_limit=100)
    other, there = await node(world, journal_limit=100)
    await raw.call("StartWorkflow", workflow_id="c", definition="chatters")
    await raw.call("CancelWorkflow", workflow_id="c")
    await raw.call("StartWorkflow", workflow_id="w", definition="works", input={"json": "1"})
    for i in range(89):
        said = {"signal": "poke", "payload": {"json": f'"{i}"'}, "undeclared": True}
        await raw.call("SignalWorkflow", workflow_id="w", **said)
    for way in (raw, there):
        with pytest.raises(errors.Overloaded) as refused:
            await way.call("SignalWorkflow", workflow_id="w", signal="poke", payload={"json": '"more"'})
        assert refused.value.reason == "JOURNAL_FULL" and "continue_as_new" in str(refused.value)
    assert other.hosted.get("w") is None
    still = (await raw.call("GetWorkflow", workflow_id="w")).workflow
    assert not still.HasField("close_time")


async def test_what_is_closed_is_gone_after_its_retention_and_nothing_of_it_is_left(world: World) -> None:
    one, raw = await node(world, retention="2s")
    await raw.call("StartWorkflow", workflow_id="w", definition="waits")
    await raw.call("SignalWorkflow", workflow_id="w", signal="poke", payload={"json": '"go"'})
    assert (
        await raw.call("GetWorkflow", workflow_id="w", wait={"seconds": 10})
    ).workflow.output.value.string_value == "go"

    async def gone() -> bool:
        try:
            await raw.call("GetWorkflow", workflow_id="w")
        except errors.NotFound:
            return True
        return False

    await until(gone)
    assert await one.context.link.call("KEYS", f"nn:{world.namespace}:wf:{{w}}*") == []
    assert (await raw.call("ListWorkflows")).workflows == []
    await raw.call("StartWorkflow", workflow_id="w", definition="waits")  # the id is free again
