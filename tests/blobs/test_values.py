# SPDX-License-Identifier: Apache-2.0
"""Large values lie in the store and small ones in Redis, and nobody who uses the mesh sees the difference."""

from __future__ import annotations

import json

import pytest

from tests.blobs.stories import text
from tests.blobs.world import LIMIT, World, result, run, start
from tests.gateway.world import Speaker, value_of
from tests.support.waiting import until

SIZE = 100_000


async def test_large_results_and_inputs_are_not_in_redis(world: World) -> None:
    node, raw = await world.up()
    found = await run(raw, "w", "there_and_back", SIZE)
    assert found == {"length": SIZE - 2, "words": text(SIZE, "g")}
    assert b"ggggg" not in await world.in_redis(node)
    assert len(world.objects("w")) == 3, "the result of one step, the input of the next one, the output"
    assert len(await world.in_redis(node)) < 20_000


@pytest.mark.parametrize(("size", "objects"), [(LIMIT - 1, 0), (LIMIT, 0), (LIMIT + 1, 2)])
async def test_a_value_goes_to_the_store_above_the_threshold_only(world: World, size: int, objects: int) -> None:
    _, raw = await world.up(agent=False)
    assert await run(raw, "w", "echo", text(size)) == text(size)
    assert len(world.objects("w")) == objects, "the input and the output"


async def test_every_answer_has_the_values(world: World) -> None:
    """The result, the steps, the journal, a watch, a stream of ends: in the form that the caller asks for."""
    node, raw = await world.up()
    await start(raw, "w", "there_and_back", SIZE)
    seen = [
        one.entry async for one in raw.stream("WatchWorkflow", workflow_id="w", payload_format="PAYLOAD_FORMAT_RAW")
    ]
    words = text(SIZE, "g")
    assert json.loads(next(one for one in seen if one.name.startswith("task:grow")).task.output.json) == words
    asked = {"workflow_id": "w", "payload_format": "PAYLOAD_FORMAT_RAW"}
    journal = (await raw.call("ListJournal", **asked)).entries
    assert json.loads(next(one for one in journal if one.name.startswith("task:grow")).task.output.json) == words
    steps = (await raw.call("GetWorkflow", include_task_payloads=True, input_steps=["measure"], **asked)).workflow.tasks
    assert {one.step: len(one.output.json) for one in steps} == {"grow": SIZE, "measure": 5}
    assert {one.step: len(one.input.json) for one in steps}["measure"] == SIZE
    told = (await raw.call("GetWorkflow", workflow_id="w")).workflow
    assert len(json.loads(told.output.json)["words"]) == SIZE - 2, "it is too large for a google.protobuf.Value"
    sizes = (await raw.call("ListJournal", workflow_id="w", payload_format="PAYLOAD_FORMAT_OMIT")).entries
    assert next(one for one in sizes if one.name.startswith("task:grow")).task.output.size_bytes == SIZE
    async with await world.client(node) as client:
        assert (await client.handle("w").result())["length"] == SIZE - 2


async def test_pages_of_a_journal_are_cut_by_the_values_that_they_have(world: World) -> None:
    _, raw = await world.up(agent=False)
    await start(raw, "w", "collects", 6)
    size = 500_000
    for n in range(6):
        signal = {"json": json.dumps(text(size))}
        await raw.call("SignalWorkflow", workflow_id="w", signal="more", payload=signal, request_id=f"s{n}")
    page, pages, found = "", 0, 0
    while True:
        told = await raw.call("ListJournal", workflow_id="w", page_token=page, payload_format="PAYLOAD_FORMAT_RAW")
        found += sum(len(one.signal.payload.json) for one in told.entries)
        pages, page = pages + 1, told.next_page_token
        if not page:
            break
    assert found == 6 * size
    assert pages >= 3


async def test_signals_are_recorded_once(world: World) -> None:
    _, raw = await world.up(agent=False)
    await start(raw, "w", "waits", text(SIZE, "a"))
    signal = {"json": json.dumps(text(SIZE, "b"))}
    for created in (True, False):
        told = await raw.call("SignalWorkflow", workflow_id="w", signal="more", payload=signal, request_id="one")
        assert told.created is created
    assert await result(raw, "w") == text(SIZE, "a") + text(SIZE, "b")


async def test_the_same_start_twice_is_one_workflow(world: World) -> None:
    _, raw = await world.up(agent=False)
    first = await start(raw, "w", "waits", text(SIZE))
    again = await start(raw, "w", "waits", text(SIZE))
    assert (first.created, again.created) == (True, False)


async def test_a_parent_has_its_own_copy_of_what_its_child_returned(world: World) -> None:
    _, raw = await world.up()
    assert await run(raw, "p", "parent", SIZE) == SIZE - 2
    assert len(world.objects("p")) == 1


async def test_a_signal_from_another_workflow_is_the_receivers(world: World) -> None:
    _, raw = await world.up(agent=False)
    await start(raw, "receiver", "waits", "")
    assert await run(raw, "sender", "forwards", text(SIZE, "s")) == "sent"
    assert await result(raw, "receiver") == text(SIZE, "s")
    assert len(world.objects("receiver")) == 2, "the signal and the output"


async def test_a_pool_process_gets_and_gives_values(world: World) -> None:
    _, raw = await world.up()
    assert await run(raw, "w", "doubled", text(SIZE)) == text(SIZE) * 2


async def test_a_single_task_has_large_values(world: World) -> None:
    node, raw = await world.up()
    asked = {"capability": "grow", "input": {"json": str(SIZE)}, "wait": {"seconds": 20}, "request_id": "one"}
    told = await raw.call("RunTask", payload_format="PAYLOAD_FORMAT_RAW", **asked)
    assert json.loads(told.workflow.output.json) == text(SIZE, "g")
    assert b"ggggg" not in await world.in_redis(node)


async def test_an_agent_of_the_gateway_needs_no_store(world: World) -> None:
    node, raw = await world.up(agent=False)
    heard: list[int] = []

    def measure(task: object) -> int:
        heard.append(len(value_of(task.input)))  # type: ignore[attr-defined]  # an envelope
        return heard[-1]

    metadata = [("nervenet-namespace", world.namespace)]
    speaker = Speaker(
        lambda: [node.address],
        {"grow": lambda task: text(value_of(task.input), "g"), "measure": measure},
        metadata=metadata,
    )
    async with speaker:
        found = await run(raw, "w", "there_and_back", SIZE)
    assert (found["length"], heard) == (SIZE - 2, [SIZE - 2])
    assert b"ggggg" not in await world.in_redis(node)


async def test_an_adopted_workflow_is_replayed_with_its_values(world: World) -> None:
    node, raw = await world.up(agent=False)
    await start(raw, "w", "waits", text(SIZE, "a"))
    await until(lambda: node.hosted.get("w") is not None)
    coordinator = node.hosted.get("w")
    assert coordinator is not None
    node.hosted.forget(coordinator)
    await node.loader.load("w")
    signal = {"json": json.dumps("!")}
    await raw.call("SignalWorkflow", workflow_id="w", signal="more", payload=signal)
    assert await result(raw, "w") == text(SIZE, "a") + "!"


async def test_a_restart_has_the_same_large_input(world: World) -> None:
    _, raw = await world.up(agent=False)
    await run(raw, "w", "echo", text(SIZE))
    await raw.call("RestartWorkflow", workflow_id="w", run=1)
    assert await result(raw, "w") == text(SIZE)
    again = await start(raw, "w", "echo", text(SIZE))
    assert not again.created, "the hash of the first start is still known"


async def test_without_the_setting_nothing_is_done(world: World) -> None:
    """No store, no task of its own, no wrapper around the services."""
    node, raw = await world.up(blobs=None)
    assert await run(raw, "w", "there_and_back", SIZE) == {"length": SIZE - 2, "words": text(SIZE, "g")}
    assert node.context.blobs is None
    assert not any("blob" in task.get_name().lower() for task in node._tasks)
    assert world.objects() == []
