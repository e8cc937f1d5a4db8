# SPDX-License-Identifier: Apache-2.0
"""Every node answers for every workflow: reading, waiting, watching and steering through a node that does not own it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nervenet import errors
from nervenet.records import Payload, Start
from nervenet.rpc.methods import METHODS
from nervenet.streams.answers import NewWorkflow
from nervenet.wire import encode_entry
from tests.services.world import World
from tests.support.waiting import until


async def test_the_owner_tells_what_is_pending_and_why_through_any_node(world: World) -> None:
    one, other = await world.node(), await world.node()
    here, there = await world.raw(one), await world.raw(other)
    await here.call("StartWorkflow", workflow_id="c", definition="calls", input={"json": '"Ada"'})
    for raw in (here, there):
        told = (await raw.call("GetWorkflow", workflow_id="c")).workflow
        (task,) = told.tasks
        assert not told.partial and told.node_id == one.node_id and told.at == "greet"
        assert (task.step, task.capability, task.attempt, task.waits_for) == (
            "greet",
            "greet",
            1,
            "no live agent serves it",
        )
        assert task.schedule_time.seconds > 0 and told.input.value.string_value == "Ada"


async def test_with_its_owner_out_of_reach_the_rest_is_told_and_marked_partial(world: World) -> None:
    node = await world.node()
    start = encode_entry(Start("waits", 1, "3.11", Payload("none", b""), b"0" * 16), "n-gone")
    new = NewWorkflow("orphan", "n-gone", "waits", 1, "3.11", b"r" * 32, start, 1_000, 1 << 50)
    await node.context.journal.create(new)
    told = (await (await world.raw(node)).call("GetWorkflow", workflow_id="orphan")).workflow
    assert told.partial and told.node_id == "n-gone" and told.definition == "waits"


async def test_a_long_poll_answers_at_the_end_or_still_running_when_its_time_is_over(world: World) -> None:
    owner, other = await world.node(), await world.node()
    raw = await world.raw(other)
    await (await world.raw(owner)).call("StartWorkflow", workflow_id="w", definition="waits")
    running = await raw.call("GetWorkflow", workflow_id="w", wait={"nanos": 50_000_000})
    assert running.workflow.state == 1 and running.workflow.view.value.struct_value["waiting"] is True
    short = await raw.call("GetWorkflow", timeout=0.8, workflow_id="w", wait={"seconds": 60})
    assert short.workflow.state == 1  # not a DEADLINE_EXCEEDED of our own making
    polling = asyncio.create_task(raw.call("GetWorkflow", workflow_id="w", wait={"seconds": 20}))
    await raw.call("SignalWorkflow", workflow_id="w", signal="approve", payload={"json": '"ok"'}, request_id="s")
    assert (await asyncio.wait_for(polling, 5)).workflow.output.value.string_value == "ok"


async def test_one_stream_awaits_what_runs_here_there_is_over_or_never_was(world: World) -> None:
    one, other = await world.node(), await world.node()
    here, there = await world.raw(one), await world.raw(other)
    await here.call(
        "StartWorkflow", workflow_id="over", definition="fails", input={"json": '"no"'}, wait={"seconds": 9}
    )
    await here.call("StartWorkflow", workflow_id="here", definition="waits")
    await there.call("StartWorkflow", workflow_id="there", definition="waits")
    channel = here.nodes.channel()
    call = channel["AwaitWorkflows"](metadata=here.nodes.metadata())
    request = METHODS["AwaitWorkflows"].request
    await call.write(request(workflow_ids=["over", "here", "there", "never", "not an id"]))
    for which in ("here", "there"):
        said = {"payload": {"json": f'"{which}"'}, "request_id": "s"}
        await here.call("SignalWorkflow", workflow_id=which, signal="approve", **said)
    states: dict[str, str] = {}
    unknown: set[str] = set()
    async with asyncio.timeout(10):
        while len(states) + len(unknown) < 5:
            answer = await call.read()
            unknown.update(answer.unknown_workflow_ids)
            for workflow in answer.workflows:
                states[workflow.workflow_id] = workflow.output.value.string_value or workflow.failure.type
    call.cancel()
    assert states == {"over": "ValueError", "here": "here", "there": "there"}
    assert unknown == {"never", "not an id"}


async def test_a_watch_begins_anywhere_grows_with_the_journal_and_ends_with_the_workflow(world: World) -> None:
    owner, other = await world.node(), await world.node()
    raw = await world.raw(other)
    await (await world.raw(owner)).call("StartWorkflow", workflow_id="w", definition="waits")
    names: list[str] = []

    async def watch(after: int) -> list[str]:
        seen = []
        async for answer in raw.stream("WatchWorkflow", workflow_id="w", after_sequence=after):
            if answer.HasField("entry"):
                seen.append(answer.entry.name)
                names.append(answer.entry.name)
        return seen

    from_start = asyncio.create_task(watch(0))
    await until(lambda: names == ["start"])
    await raw.call("SignalWorkflow", workflow_id="w", signal="approve", payload={"json": '"ok"'}, request_id="s-1")
    async with asyncio.timeout(5):
        assert await from_start == ["start", "signal:s-1", "close"]
        assert await watch(1) == ["signal:s-1", "close"]
        assert await watch(3) == []
    with pytest.raises(errors.NotFound):
        await watch_one(raw, "nobody")


async def watch_one(raw: Any, workflow_id: str) -> None:
    async for _ in raw.stream("WatchWorkflow", workflow_id=workflow_id):
        return


async def test_signals_and_cancels_are_recorded_once_through_any_node(world: World) -> None:
    owner, other = await world.node(), await world.node()
    raw = await world.raw(other)
    await (await world.raw(owner)).call("StartWorkflow", workflow_id="w", definition="calls", input={"json": '"x"'})
    signal = {"workflow_id": "w", "signal": "approve", "payload": {"json": "1"}, "request_id": "s", "undeclared": True}
    first, again = await raw.call("SignalWorkflow", signal), await raw.call("SignalWorkflow", signal)
    assert (first.created, again.created) == (True, False) and first.sequence == again.sequence == 2
    with pytest.raises(errors.AlreadyExists) as reused:
        await raw.call("SignalWorkflow", {**signal, "payload": {"json": "2"}})
    assert reused.value.reason == "REQUEST_ID_REUSED"
    assert (await raw.call("CancelWorkflow", workflow_id="w", reason="enough")).created
    closed = await raw.call("GetWorkflow", workflow_id="w", wait={"seconds": 10})
    assert closed.workflow.state == 7
    with pytest.raises(errors.AlreadyClosed) as late:
        await raw.call("SignalWorkflow", {**signal, "request_id": "late"})
    assert late.value.reason == "WORKFLOW_CLOSED" and late.value.metadata["state"] == "CANCELED"
    with pytest.raises(errors.NotFound):
        await raw.call("CancelWorkflow", workflow_id="nobody")


async def test_a_list_is_newest_first_and_its_pages_lose_and_repeat_nothing(world: World) -> None:
    raw = await world.raw(await world.node())
    ids = [f"w-{i:02}" for i in range(23)]
    for i, each in enumerate(ids):
        start = {"workflow_id": each, "definition": "waits" if i % 3 == 0 else "echo", "labels": {"n": str(i % 2)}}
        await raw.call("StartWorkflows", requests=[start])
    done = {"states": ["WORKFLOW_STATE_SUCCEEDED"]}

    async def count() -> bool:
        return len((await raw.call("ListWorkflows", done)).workflows) == 15

    await until(count)
    seen, token = [], ""
    while True:
        page = await raw.call("ListWorkflows", page_size=5, page_token=token)
        assert page.namespace_count == 23
        seen += [workflow.workflow_id for workflow in page.workflows]
        if not (token := page.next_page_token):
            break
    assert seen == ids[::-1]
    odd = await raw.call("ListWorkflows", {**done, "labels": {"n": "1"}, "definition": "echo"})
    assert [w.workflow_id for w in odd.workflows] == [
        each for i, each in reversed(list(enumerate(ids))) if i % 3 and i % 2
    ]
    of_another_list = (await raw.call("ListWorkflows", done, page_size=1)).next_page_token
    for token in ("garbage", "e30", of_another_list):
        with pytest.raises(errors.InvalidRequest) as refused:
            await raw.call("ListWorkflows", page_token=token)
        assert [name for name, _ in refused.value.fields] == ["page_token"]


async def test_a_journal_is_read_in_pages_with_plain_values(world: World) -> None:
    raw = await world.raw(await world.node())
    await raw.call("StartWorkflow", workflow_id="w", definition="waits")
    for i in range(7):
        await raw.call(
            "SignalWorkflow",
            workflow_id="w",
            signal="other",
            undeclared=True,
            payload={"json": json.dumps({"i": i})},
            request_id=f"s{i}",
        )
    first = await raw.call("ListJournal", workflow_id="w", page_size=3)
    assert [entry.name for entry in first.entries] == ["start", "signal:s0", "signal:s1"]
    assert first.entries[1].signal.payload.value.struct_value["i"] == 0
    rest = await raw.call("ListJournal", workflow_id="w", page_token=first.next_page_token)
    assert [entry.sequence for entry in rest.entries] == [4, 5, 6, 7, 8] and not rest.next_page_token
    later = await raw.call("ListJournal", workflow_id="w", after_sequence=6, payload_format="PAYLOAD_FORMAT_OMIT")
    assert [entry.signal.payload.size_bytes for entry in later.entries] == [8, 8]
