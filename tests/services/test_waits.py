# SPDX-License-Identifier: Apache-2.0
"""What workflows wait for: told by any node, in words and as data; filters by it; where a step's time went, and its input."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from nervenet import Agent, AgentError, CallOptions, Context, Mesh, RetryPolicy, Signal, Task, errors
from nervenet.agent.runtime import AgentRuntime
from nervenet.records import Payload, Start
from nervenet.streams.answers import NewWorkflow
from nervenet.v1 import workflow_pb2
from nervenet.wire import encode_entry
from tests.support.nodes import NodesHere
from tests.support.waiting import until

mesh = Mesh("waits")
paid = Signal("paid", str)
audited = Signal("audited", str)
nobody = Agent.remote("nobody", str, str)
PATIENT = CallOptions(retry=RetryPolicy(initial_interval=timedelta(seconds=30), jitter=0, max_attempts=4))
DEADLINE = timedelta(days=6)


@mesh.agent(slots=30)
async def fetch(task: Task, item: dict[str, Any]) -> int:
    if item["n"] == 14:
        raise AgentError("no price", type="BadItem", retryable=False)
    return int(item["n"])


async def forever(task: Task) -> str:
    task.progress(0.5)
    await asyncio.sleep(3600)
    return "never"


@mesh.agent(slots=8)
async def hang(task: Task, name: str) -> str:
    return await forever(task)


@mesh.agent
async def stumble(task: Task, name: str) -> str:
    if task.attempt == 1:
        raise AgentError("not yet", type="Early")
    return await forever(task)


@mesh.agent
async def limited(name: str) -> str:
    raise AgentError("429", type="RateLimited")


@mesh.workflow
async def awaits(ctx: Context) -> str:
    async with asyncio.timeout(3600):
        return await ctx.receive(paid) + await ctx.receive(audited)


@mesh.workflow
async def sleeps(ctx: Context, seconds: float) -> None:
    await asyncio.sleep(seconds)


@mesh.workflow
async def asks(ctx: Context) -> str:
    return (await ctx.ask("Send it?", choices=["yes", "no"], deadline=DEADLINE)).value


@mesh.workflow
async def lonely(ctx: Context, number: int) -> None:
    await asyncio.gather(*(ctx.call(nobody, str(n)) for n in range(number)))


@mesh.workflow
async def hangs(ctx: Context, name: str) -> str:
    return await ctx.call(hang, name)


@mesh.workflow
async def retries(ctx: Context, name: str) -> str:
    return await ctx.call(limited, name, options=PATIENT)


@mesh.workflow
async def endless(ctx: Context) -> None:
    while True:
        await asyncio.sleep(0)


@mesh.workflow
async def mixed(ctx: Context) -> None:
    await asyncio.gather(ctx.call(hang, "x"), ctx.call(hang, "y"), ctx.call(stumble, "z"))


@mesh.workflow
async def parent(ctx: Context) -> str:
    child = await ctx.start(awaits)
    return await child.result()


@mesh.workflow
async def fan(ctx: Context, number: int) -> int:
    found = await asyncio.gather(*(ctx.call(fetch, {"n": n + 1}) for n in range(number)), return_exceptions=True)
    return sum(each if isinstance(each, int) else _raised(each) for each in found)


def _raised(error: BaseException) -> int:
    raise error


class World(NodesHere):
    def __init__(self, redis_url: str, etcd_url: str, namespace: str) -> None:
        super().__init__(mesh, redis_url, etcd_url, namespace)

    async def agent(self) -> AgentRuntime:
        config = self.config(address=self.nodes[0].address, drain="1s")  # some of its tasks never end
        return await self.stack.enter_async_context(AgentRuntime.open(mesh.agents.values(), config, name="ocr"))


@pytest.fixture
async def world(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[World]:
    world = World(redis_url, etcd_url, namespace)
    async with world.stack:
        yield world


async def start(raw: Any, workflow_id: str, definition: str, value: str = "") -> None:
    given = {"input": {"json": value}} if value else {}
    await raw.call("StartWorkflow", workflow_id=workflow_id, definition=definition, **given)


async def waits_of(raw: Any, workflow_id: str) -> list[Any]:
    return list((await raw.call("GetWorkflow", workflow_id=workflow_id)).workflow.waits)


async def listed(raw: Any, **filters: Any) -> dict[str, Any]:
    page = await raw.call("ListWorkflows", include_waits=True, **filters)
    return {one.workflow_id: one for one in page.workflows}


async def wait_for(raw: Any, workflow_id: str, kind: str) -> Any:
    """Its first wait, once that is of this kind."""

    async def there() -> Any:
        waits = await waits_of(raw, workflow_id)
        return waits[0] if waits and workflow_pb2.WaitKind.Name(waits[0].kind) == f"WAIT_KIND_{kind}" else None

    return await until(there, f"{workflow_id} waits for {kind}")


async def reports(raw: Any) -> bool:
    return bool((await wait_for(raw, "hung", "RUNNING")).fraction == 0.5)


async def test_any_node_tells_what_a_page_of_workflows_waits_for_and_asks_their_owner_once(world: World) -> None:
    owner, other = await world.node(), await world.node()
    here, there = await world.raw(owner), await world.raw(other)
    await world.agent()
    await start(here, "signal", "awaits")
    await start(here, "sleep", "sleeps", "3600")
    await start(here, "human", "asks")
    await start(here, "queue", "lonely", "30")
    await start(here, "hung", "hangs", '"x"')
    await start(here, "retry", "retries", '"x"')
    await start(here, "child", "parent")
    await until(lambda: reports(here), "the handler has reported")
    await wait_for(here, "retry", "RETRY")
    await wait_for(here, "child", "CHILD")
    found = await listed(there)
    first = {each: one.waits[0].words for each, one in found.items()}
    assert first["signal"].startswith("waits for signal paid since 20")
    assert first["sleep"].startswith("sleeps until 20")
    assert first["human"].startswith("asks a human: Send it? (due 20")
    assert first["queue"].startswith("nobody ×30 queued, the oldest since 20")
    assert first["queue"].endswith(": no live agent serves it")
    assert first["hung"].startswith("hang running since 20") and " on ocr-" in first["hung"]
    assert first["hung"].endswith(", 50 %")
    assert first["retry"].startswith("retries limited at 20")
    assert first["retry"].endswith(" after RateLimited: 429 (attempt 2 of 4)")
    assert first["child"].startswith("waits for child child/awaits since 20")
    limit = found["signal"].waits[1]
    assert limit.words.startswith("gives up at 20") and limit.due_time.seconds - limit.since_time.seconds == 3600
    queue = found["queue"].waits[0]
    assert (queue.kind, queue.count, queue.capability) == (workflow_pb2.WAIT_KIND_QUEUED, 30, "nobody")
    retry = found["retry"].waits[0]
    assert (retry.attempt, retry.max_attempts, retry.last_failure.type) == (2, 4, "RateLimited")
    assert not any(one.partial for one in found.values())
    bare = await there.call("ListWorkflows")
    assert not any(one.waits for one in bare.workflows)


async def test_a_task_whose_only_agent_is_ejected_says_so(world: World) -> None:
    node = await world.node()
    raw = await world.raw(node)
    agent = await world.agent()
    await until(lambda: node.context.table.pools.candidates("hang"), "the node knows the agent")
    node.context.table.pools.eject(agent.agent_id, "it did not take a task of 'hang' in time, though it has room")
    await start(raw, "hung", "hangs", '"x"')

    async def told() -> Any:
        waits = await waits_of(raw, "hung")
        return waits[0] if waits and "gets no tasks" in waits[0].words else None

    wait = await until(told, "the reason is told")
    assert wait.words.endswith(
        f": {agent.agent_id} gets no tasks for a while: it did not take a task of 'hang' in time, though it has room"
    )


async def test_lists_are_filtered_by_what_workflows_wait_for(world: World) -> None:
    owner, other = await world.node(), await world.node()
    here, there = await world.raw(owner), await world.raw(other)
    await world.agent()
    for each, definition, value in (
        ("signal", "awaits", ""),
        ("queue", "lonely", "2"),
        ("hung", "hangs", '"x"'),
        ("retry", "retries", '"x"'),
        ("over", "sleeps", "0"),
    ):
        await start(here, each, definition, value)
    await wait_for(here, "hung", "RUNNING")
    await wait_for(here, "retry", "RETRY")
    assert set(await listed(there, waiting_for="SIGNAL PAID")) == {"signal"}
    assert set(await listed(there, waiting_for="no live agent")) == {"queue"}
    assert set(await listed(there, retrying=True)) == {"retry"}
    assert set(await listed(there, stuck=True)) == set()  # nothing is for as long as that

    async def both() -> bool:
        return set(await listed(there, stuck=True, stuck_after={"nanos": 200_000_000})) == {"queue", "hung"}

    await until(both, "both are stuck")
    found = await listed(there, stuck=True, stuck_after={"nanos": 1}, waiting_for="sign of life")
    assert "hang running without a sign of life since 20" in found["hung"].waits[0].words
    assert set(await listed(there, slow=True)) == set()
    assert set(await listed(there, slow=True, slow_after={"nanos": 1})) == {"signal", "queue", "hung", "retry"}
    assert set(await listed(there, slow=True, slow_after={"nanos": 1}, definition="awaits")) == {"signal"}
    assert set(await listed(there, stuck=True, states=["WORKFLOW_STATE_SUCCEEDED"])) == set()
    page = await there.call("ListWorkflows", include_counts=True, page_size=1)
    counts = {workflow_pb2.WorkflowState.Name(one.state): one.count for one in page.state_counts}
    assert counts == {"WORKFLOW_STATE_RUNNING": 4, "WORKFLOW_STATE_SUCCEEDED": 1} and page.uncounted == 0


async def test_what_is_tried_again_is_found_among_much_that_is_not(world: World) -> None:
    raw = await world.raw(await world.node())
    await world.agent()
    await start(raw, "mixed", "mixed")

    async def again() -> Any:
        found = await listed(raw, retrying=True, waiting_for="stumble running")
        return found.get("mixed")

    found = await until(again, "the second attempt runs")
    words = [re.sub(r" since \S+ on [\w-]+(, 50 %)?", "", wait.words) for wait in found.waits]
    assert sorted(words) == ["hang ×2 running, the oldest", "stumble running (attempt 2 of 5)"]


async def test_slow_is_older_than_nearly_all_runs_of_its_kind_took(world: World) -> None:
    raw = await world.raw(await world.node())
    for n in range(20):
        await start(raw, f"quick-{n}", "sleeps", "0.01")
    await start(raw, "slow", "sleeps", "3600")
    await start(raw, "signal", "awaits")

    async def alone() -> bool:
        return set(await listed(raw, slow=True)) == {"slow"}

    await until(alone, "the one that sleeps on is slow")


async def test_an_owner_that_is_gone_or_does_not_answer_costs_its_rows_only(world: World) -> None:
    node = await world.node()
    raw = await world.raw(node)
    await start(raw, "here", "awaits")
    entry = encode_entry(Start("elsewhere", 1, "3.11", Payload("none", b""), b"0" * 16), "n-gone")
    score = await node.context.ownership.running_add("orphan")
    new = NewWorkflow("orphan", "n-gone", "elsewhere", 1, "3.11", b"r" * 32, entry, score, 1 << 50)
    await node.context.journal.create(new)
    found = await listed(raw)
    assert found["here"].waits[0].signal == "paid"
    (orphan,) = found["orphan"].waits
    assert orphan.words == "its node n-gone is gone, no live node has elsewhere v1 on 3.11: start one" and orphan.stuck
    assert set(await listed(raw, stuck=True)) == {"orphan"}


async def test_a_blocked_workflow_is_stuck_and_says_why(world: World) -> None:
    owner, other = await world.node(), await world.node()
    here, there = await world.raw(owner), await world.raw(other)
    await start(here, "loop", "endless")

    async def stuck() -> bool:
        return set(await listed(there, stuck=True)) == {"loop"}

    await until(stuck, "it is BLOCKED")
    (wait,) = (await listed(there))["loop"].waits
    assert wait.words.startswith("blocked since 20") and wait.reason and wait.stuck
    (same,) = await waits_of(there, "loop")
    assert same == wait


async def test_a_workflow_tells_its_unread_signals_children_and_timers(world: World) -> None:
    raw = await world.raw(await world.node())
    await start(raw, "w", "awaits")
    for n in range(2):
        await raw.call("SignalWorkflow", workflow_id="w", signal="audited", payload={"json": '"x"'}, request_id=f"s{n}")

    async def unread() -> Any:
        found = (await raw.call("GetWorkflow", workflow_id="w")).workflow
        return found if found.unread_signals and found.unread_signals[0].count == 2 else None

    found = await until(unread, "both signals are there")
    assert [one.signal for one in found.unread_signals] == ["audited"]
    kinds = [workflow_pb2.WaitKind.Name(one.kind) for one in found.waits]
    assert kinds == ["WAIT_KIND_SIGNAL", "WAIT_KIND_TIME_LIMIT"]
    await start(raw, "p", "parent")
    await wait_for(raw, "p", "CHILD")

    async def running() -> Any:
        tasks = (await raw.call("GetWorkflow", workflow_id="p")).workflow.tasks
        return tasks[0] if tasks else None

    child = await until(running, "the child is a step")
    assert (child.step, child.child_workflow_id, child.capability, child.state) == ("awaits", "p/awaits", "awaits", 2)


async def test_where_the_time_of_a_step_went(world: World) -> None:
    raw = await world.raw(await world.node())
    await world.agent()
    await start(raw, "r", "retries", '"x"')
    await wait_for(raw, "r", "RETRY")
    (task,) = (await raw.call("GetWorkflow", workflow_id="r")).workflow.tasks
    phases = [span.phase for span in task.spans]
    assert phases[-1] == 3 and not task.spans[-1].HasField("end_time") and task.max_attempts == 4
    assert task.failed_attempts[0].type == "RateLimited"
    await start(raw, "h", "asks")
    await wait_for(raw, "h", "HUMAN")
    await asyncio.sleep(0.05)
    answer = {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}}
    await raw.call("ResolveEscalation", escalation_id="h/ask", resolution=answer)
    closed = (await raw.call("GetWorkflow", workflow_id="h", wait={"seconds": 10})).workflow
    (asked,) = closed.tasks
    assert [span.phase for span in asked.spans] == [4] and asked.human_duration.ToMilliseconds() >= 50
    assert not asked.HasField("run_duration") and not closed.waits


async def test_the_input_of_the_one_item_that_failed_is_told_by_any_node(world: World) -> None:
    owner, other = await world.node(), await world.node()
    here, there = await world.raw(owner), await world.raw(other)
    await world.agent()
    await start(here, "big", "fan", "300")
    await here.call("GetWorkflow", workflow_id="big", wait={"seconds": 30}, timeout=40)
    found = (await there.call("GetWorkflow", workflow_id="big")).workflow
    (failed,) = (task for task in found.tasks if task.state == 5)
    assert failed.step == "fetch.14" and not failed.HasField("input")
    told = (await there.call("GetWorkflow", workflow_id="big", input_steps=["fetch.14", "fetch.300", "fetch"])).workflow
    inputs = {task.step: task.input.value.struct_value["n"] for task in told.tasks if task.HasField("input")}
    assert inputs == {"fetch": 1, "fetch.14": 14, "fetch.300": 300}
    with pytest.raises(errors.InvalidRequest):
        await there.call("GetWorkflow", workflow_id="big", input_steps=["x"] * 101)


async def test_what_a_node_hosts_it_tells_for_many_ids_and_leaves_out_the_rest(world: World) -> None:
    owner, other = await world.node(), await world.node()
    here, there = await world.raw(owner), await world.raw(other)
    await start(here, "one", "awaits")
    ids = ["one", "unknown"]
    answer = await here.call("ListWaits", workflow_ids=ids)
    assert [(one.workflow_id, one.run, one.waits[0].signal) for one in answer.workflows] == [("one", 1, "paid")]
    assert not (await there.call("ListWaits", workflow_ids=ids)).workflows
    with pytest.raises(errors.InvalidRequest):
        await here.call("ListWaits", workflow_ids=[str(n) for n in range(1001)])
