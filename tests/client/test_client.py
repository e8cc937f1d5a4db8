# SPDX-License-Identifier: Apache-2.0
"""`Client` against real nodes: values in and out, errors by type, and nodes that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nervenet import Client, Resolution, StartOptions, Workflow, WorkflowFailed, errors
from nervenet.node.node import Node
from tests.services.world import World, approve, asks, echo, fails, waits
from tests.support.waiting import until


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[World]:
    world = World(redis_url, etcd_url, namespace)
    async with world.stack:
        yield world


async def client_of(world: World, *nodes: Node) -> Client:
    address = ",".join(node.address for node in nodes)
    return await world.stack.enter_async_context(Client(address, config=world.config()))


async def test_typed_values_go_in_and_come_out(world: World) -> None:
    client = await client_of(world, await world.node())
    big = {"n": 2**70, "text": "ü"}
    assert await client.run(echo, big) == big
    assert await client.run("echo", [1, None]) == [1, None]
    typed = Workflow.remote("echo", dict, dict)
    run = await client.start(typed, {"a": 1}, id="named", options=StartOptions(labels={"team": "legal"}))
    assert run.created and await run.result(timeout=10) == {"a": 1}
    again = await client.start(typed, {"a": 1}, id="named")
    assert not again.created and await again.result() == {"a": 1}
    assert [w.id async for w in client.list(labels={"team": "legal"})] == ["named"]
    with pytest.raises(errors.AlreadyExists):
        await client.start(typed, {"a": 2}, id="named")


async def test_failures_and_cancels_are_raised_with_their_record(world: World) -> None:
    client = await client_of(world, await world.node())
    with pytest.raises(WorkflowFailed) as failed:
        await client.run(fails, "broken pipe")
    assert failed.value.failure.type == "ValueError" and "broken pipe" in failed.value.failure.message
    run = await client.start(waits)
    with pytest.raises(TimeoutError):
        await run.result(timeout=0.05)
    assert (await run.info()).state == "RUNNING"
    await run.cancel("enough")
    with pytest.raises(errors.WorkflowCanceled):
        await run.result(timeout=10)
    with pytest.raises(errors.NotFound):
        await client.handle("nobody").result()


async def test_many_starts_each_with_its_own_outcome(world: World) -> None:
    client = await client_of(world, await world.node(), await world.node())
    runs = await client.start_many(echo, {f"e-{i}": i for i in range(300)})
    results = await asyncio.gather(*(run.result() for run in runs.values()))
    assert results == list(range(300))
    outcomes = await asyncio.gather(
        client.start(echo, 1, id="good"), client.start(echo, 1, id="bad id"), return_exceptions=True
    )
    assert not isinstance(outcomes[0], BaseException) and isinstance(outcomes[1], errors.InvalidRequest)


async def test_a_human_is_asked_and_answers(world: World) -> None:
    client = await client_of(world, await world.node())
    run = await client.start(asks, "Release?", id="r")

    async def listed() -> Any:
        return [e async for e in client.escalations()]

    (question,) = await until(listed)
    assert (question.id, question.question, question.choices) == ("r/ask#1", "Release?", ("yes", "no"))
    with pytest.raises(errors.InvalidRequest):
        await client.resolve(question.id, Resolution.complete("maybe"))
    await client.resolve(question.id, Resolution.complete("yes", resolver="ana"))
    assert await run.result(timeout=10) == "yes"
    with pytest.raises(errors.AlreadyClosed, match="ana"):
        await client.resolve(question.id, Resolution.complete("no"))


async def test_results_and_watches_go_on_at_another_node_when_theirs_stops(world: World) -> None:
    other = await world.node()
    async with world.serving() as first:
        client = await client_of(world, first, other)
        run = await client.start(waits, id="w")
        seen: list[str] = []

        async def watch() -> None:
            async for event in run.watch():
                seen.append(event.name)  # noqa: PERF401  # another task looks at it meanwhile

        watching, result = asyncio.create_task(watch()), asyncio.create_task(run.result())
        await until(lambda: seen == ["start"])
        await first.drain()
    await run.signal(approve, "ok")
    async with asyncio.timeout(15):
        assert await result == "ok"
        await watching
    assert [name.partition(":")[0] for name in seen] == ["start", "signal", "close"]
    assert [event.name async for event in run.watch(after=3)] == []


async def test_no_node_is_told_in_a_sentence_with_the_cure() -> None:
    async with Client("127.0.0.1:1,127.0.0.1:2") as client:
        with pytest.raises(errors.Unavailable, match=r"no node answered at 127.0.0.1:1,127.0.0.1:2 \(from argument\)"):
            await client.start("echo", 1)


async def test_an_input_that_is_too_large_is_refused_and_its_neighbours_are_not(world: World) -> None:
    client = await client_of(world, await world.node())
    large = "x" * (8 << 20)
    outcomes = await asyncio.gather(client.run(echo, "small"), client.run(echo, large), return_exceptions=True)
    assert outcomes[0] == "small"
    assert isinstance(outcomes[1], errors.Overloaded) and outcomes[1].reason == "PAYLOAD_TOO_LARGE"


async def test_a_workflow_as_data_is_put_and_run(world: World) -> None:
    client = await client_of(world, await world.node())
    data = {"name": "twice", "version": 1, "steps": [{"name": "two", "value": "input + input"}], "output": "steps.two"}
    flow = await client.put_definition(data)
    assert (flow.name, flow.version, await client.run(flow, "ab")) == ("twice", 1, "abab")
    newer = {**data, "version": 2, "steps": [{"name": "two", "value": "input"}]}
    assert await client.run(await client.put_definition(newer), "ab") == await client.run("twice", "ab") == "ab"
    assert await client.run(await client.put_definition(data), "ab") == "abab"
    for broken, path in ((data | {"steps": [{"nam": "x"}]}, "steps[0].nam"), (data | {"output": "1 +"}, "output")):
        with pytest.raises(errors.InvalidRequest) as refused:
            await client.put_definition(broken)
        assert [field for field, _ in refused.value.fields] == [f"definition.{path}"]
