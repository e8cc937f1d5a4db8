# SPDX-License-Identifier: Apache-2.0
"""Streams that break, nodes that leave, tasks that are to stop: nothing runs twice, nothing is lost, results count once."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from nervenet import errors, timing
from nervenet.node.gateway import agent_monitor, connect, gateway
from nervenet.node.gateway.gateway import excess
from nervenet.v1 import agent_pb2, common_pb2, task_pb2
from nervenet.v1 import agent_service_pb2 as pb
from tests.gateway.net import Net
from tests.gateway.world import Stream, connected, failed, hello, refused, result, value_of
from tests.support.waiting import until


class Gates:
    """A handler that counts its beginnings, and ends when it may."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.began: list[tuple[str, int]] = []

    async def __call__(self, task: task_pb2.TaskEnvelope) -> Any:
        self.began.append((task.task_id, task.attempt))
        await self.open.wait()
        return value_of(task.input)


async def test_a_stream_that_breaks_costs_nothing_when_its_agent_is_back(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    work = Gates()
    speaker = await net.speaker({"work": work})
    run = await client.start("many", 3)
    await until(lambda: len(work.began) == 3, "all three run")
    for turn in (1, 2):
        await speaker.cut()
        await until(lambda turn=turn: len(speaker.welcomes) > turn, "it is back")
        assert speaker.welcomes[-1].agent_id == speaker.welcomes[0].agent_id
    await asyncio.sleep(0.2)
    work.open.set()
    assert await run.result(timeout=20) == [0, 1, 2]
    assert len(work.began) == 3 and {attempt for _, attempt in work.began} == {1}
    await until(lambda: len(speaker.acked) == 3, "all are acknowledged")
    assert all(ack.recorded for ack in speaker.acked)


async def test_it_comes_back_at_another_node_with_what_it_runs(net: Net) -> None:
    one, other = await net.node(), await net.node()
    client = await net.client(other)
    work = Gates()
    speaker = await net.speaker({"work": work}, at=lambda: [one.address, other.address])
    assert speaker.at == one.address
    run = await client.start("many", 3)
    await until(lambda: len(work.began) == 3, "all three run")
    await speaker.cut()
    agent_id = speaker.agent_id
    await until(lambda: other.gateway.agents.get(agent_id), "the other node has it")
    await until(lambda: agent_id not in one.gateway.agents, "the first one has let go")
    await until(lambda: other.context.table.agents[agent_id].inbox == other.node_id, "the registry says so")
    journal, here = other.context.journal, time.time_ns() // 1_000_000
    for step in ("work", "work.2", "work.3"):

        async def is_renewed(step: str = step) -> bool:
            look = await journal.look(run.id, (step,))
            return look is not None and step in look.claims and look.claims[step].until_ms > here + 7_000

        await until(is_renewed, f"the other node keeps the claim on {step}")
    work.open.set()
    assert await run.result(timeout=20) == [0, 1, 2]
    assert len(work.began) == 3, "nothing ran twice"
    await until(lambda: len(speaker.acked) == 3, "all are acknowledged")
    assert all(ack.recorded for ack in speaker.acked)


async def test_a_result_whose_acknowledgement_was_lost_counts_once(net: Net) -> None:
    one, other = await net.node(), await net.node()
    client = await net.client(other)
    said = hello("work")
    async with connected(one.address, said) as stream:
        run = await client.start("call", "x")
        task = await stream.hear("task")
        said.agent.agent_id, said.lease_id = stream.welcome.agent_id, stream.welcome.lease_id
        await stream.say(task_completion=result(task, "mine"))
        assert await run.result(timeout=10) == "mine"
    said.running.append(pb.HeldTask(task=task))
    async with connected(other.address, said) as stream:
        assert stream.welcome.agent_id == said.agent.agent_id
        await stream.say(task_completion=result(task, "mine"))
        ack = await stream.hear("result_ack")
        assert (ack.task_id, ack.attempt) == (task.task_id, 1)


async def test_a_task_that_never_arrived_is_pushed_again(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    said = hello("work")
    async with connected(node.address, said) as stream:
        run = await client.start("call", "x")
        task = await stream.hear("task")
        said.agent.agent_id, said.lease_id = stream.welcome.agent_id, stream.welcome.lease_id
    async with connected(node.address, said) as stream:
        again = await stream.hear("task")
        assert (again.task_id, again.attempt) == (task.task_id, task.attempt)
        await stream.say(task_completion=result(again, "done"))
        assert (await stream.hear("result_ack")).recorded
        assert await run.result(timeout=10) == "done"


@pytest.mark.parametrize("policy", ["least_loaded", "queue"])
async def test_the_tasks_of_an_agent_that_dies_go_on_after_a_second_and_a_late_result_harms_nobody(
    net: Net, policy: str
) -> None:
    """Its stream is closed without a goodbye, and it does not come back: that is taken for its death."""
    node, other = await net.node(), await net.node()
    client = await net.client(other)
    said = hello("work")
    async with connected(node.address, said) as stream:
        run = await client.start("call" if policy == "least_loaded" else "call_queue", "x")
        task = await stream.hear("task")
        said.agent.agent_id, said.lease_id = stream.welcome.agent_id, stream.welcome.lease_id
        killed = time.monotonic()
    heir = await net.speaker({"work": lambda task: f"attempt {task.attempt}"}, name="heir")
    assert await run.result(timeout=20) == "attempt 2"
    took = time.monotonic() - killed
    assert took < 3, f"{took:.1f} s: promised is about 1.3 s"
    (first,) = (await run.info()).message.tasks[0].failed_attempts
    assert first.code == common_pb2.FAILURE_CODE_AGENT_LOST
    await until(lambda: len(heir.acked) == 1, "it is acknowledged")
    said.running.append(pb.HeldTask(task=task))
    async with connected(node.address, said) as stream:
        assert (await stream.hear("task_cancel")).task_id == task.task_id
        await stream.say(task_completion=result(task, "late"))
        assert not (await stream.hear("result_ack")).recorded


async def test_who_went_to_another_node_in_time_is_not_taken_for_dead(net: Net) -> None:
    one, other = await net.node(), await net.node()
    client = await net.client(one)
    work = Gates()
    speakers = [
        await net.speaker(
            {"work": work}, at=lambda: [one.address, other.address], name=f"s{n}", as_late_as_allowed=True
        )
        for n in range(4)
    ]
    run = await client.start("many", 16)
    await until(lambda: len(work.began) == 16, "all run")
    for speaker in speakers:
        await speaker.cut()
    await until(lambda: len(other.gateway.agents) == 4, "all have moved")
    await asyncio.sleep(timing.RETURN_WINDOW + 1)
    work.open.set()
    assert await run.result(timeout=20) == list(range(16))
    assert len(work.began) == 16 and all(len(speaker.welcomes) == 2 for speaker in speakers)
    assert {welcome.agent_id for speaker in speakers for welcome in speaker.welcomes} == {s.agent_id for s in speakers}


async def test_a_checkpoint_that_was_sent_into_a_broken_stream_is_brought_along(net: Net) -> None:
    one, other = await net.node(), await net.node()
    client = await net.client(other)
    said = hello("work")
    async with connected(one.address, said) as stream:
        run = await client.start("call", "x")
        task = await stream.hear("task")
        said.agent.agent_id, said.lease_id = stream.welcome.agent_id, stream.welcome.lease_id
    said.running.append(pb.HeldTask(task=task, checkpoint={"json": '"half"'}))
    async with connected(other.address, said) as stream:
        beating = asyncio.create_task(beat(stream))
        await until(
            lambda: other.context.link.call("HGET", other.context.keys.checkpoints(run.id), "work"), "it is stored"
        )
        beating.cancel()
    await net.speaker({"work": lambda task: value_of(task.checkpoint)}, name="heir")
    assert await run.result(timeout=20) == "half"


async def test_who_lost_its_lease_gets_a_new_id_and_keeps_what_it_runs(net: Net, monkeypatch: Any) -> None:
    node = await net.node()
    client = await net.client(node)
    work = Gates()
    speaker = await net.speaker({"work": work})
    old = speaker.welcomes[0]
    run = await client.start("call", "x")
    await until(lambda: work.began, "it runs")
    await node.etcd.revoke(old.lease_id)
    await until(lambda: len(speaker.welcomes) > 1, "it is asked to come again", within=15)
    assert speaker.welcomes[-1].agent_id != old.agent_id and speaker.welcomes[-1].lease_id != old.lease_id
    await until(lambda: speaker.welcomes[-1].agent_id in node.context.table.agents, "under its new id")
    work.open.set()
    assert await run.result(timeout=10) == "x"
    await until(lambda: speaker.acked, "it is acknowledged")
    assert len(work.began) == 1 and speaker.acked[0].recorded


async def test_a_cancelled_workflow_reaches_the_handler_and_frees_the_credit(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    work = Gates()
    speaker = await net.speaker({"work": work}, credit=1)
    run = await client.start("call", "x")
    await until(lambda: work.began, "it runs")
    began = time.monotonic()
    await run.cancel("enough")
    await until(lambda: "task_cancel" in speaker.heard, "it is told")
    assert time.monotonic() - began < 3
    await until(lambda: speaker.acked, "its answer is acknowledged")
    assert not speaker.acked[0].recorded
    with pytest.raises(errors.WorkflowCanceled):
        await run.result(timeout=10)
    work.open.set()
    assert await (await client.start("call", "y")).result(timeout=10) == "y"


async def test_cancel_task_by_any_node(net: Net) -> None:
    one, other = await net.node(), await net.node()
    client, raw = await net.client(one), await net.raw(other)
    work = Gates()
    speaker = await net.speaker({"work": work}, at=lambda: [one.address])
    run = await client.start("call", "x")
    await until(lambda: work.began, "it runs")
    await until(lambda: speaker.agent_id in other.context.table.agents, "the other node knows it")
    assert (await raw.call("ListActiveTasks", agent_id=speaker.agent_id)).tasks[0].task_id == work.began[0][0]
    told = await raw.call("CancelTask", agent_id=speaker.agent_id, task_id=work.began[0][0], reason="no")
    assert told.found
    await until(lambda: "task_cancel" in speaker.heard, "it is told")
    assert not (await raw.call("CancelTask", agent_id=speaker.agent_id, task_id="nothing/work")).found
    await run.cancel()


async def test_an_attempt_that_takes_too_long_is_cancelled_and_recorded(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)

    async def handler(task: task_pb2.TaskEnvelope) -> Any:
        if task.attempt == 1:
            await asyncio.Event().wait()
        return f"attempt {task.attempt}"

    speaker = await net.speaker({"work": handler})
    run = await client.start("call_hastily", "x")
    assert await run.result(timeout=20) == "attempt 2"
    (first,) = (await run.info()).message.tasks[0].failed_attempts
    assert first.code == common_pb2.FAILURE_CODE_TIMEOUT and "attempt timeout" in first.message
    assert "task_cancel" in speaker.heard


async def test_who_does_not_answer_a_timeout_is_given_up_all_the_same(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        beating = asyncio.create_task(beat(stream))
        run = await client.start("call_hastily", "x")
        stuck = await stream.hear("task")
        await stream.hear("task_cancel")
        second = await stream.hear("task")
        assert (second.task_id, second.attempt) == (stuck.task_id, 2)
        await stream.say(task_completion=result(second, "second"))
        assert await run.result(timeout=10) == "second"
        assert (await stream.hear("result_ack")).attempt == 2
        await stream.say(task_completion=result(stuck, "late"))
        late = await stream.hear("result_ack")
        assert (late.attempt, late.recorded) == (1, False)
        beating.cancel()


async def beat(stream: Stream) -> None:
    while True:
        await stream.say(status=pb.Status())
        await asyncio.sleep(0.5)


async def test_a_silent_agent_is_cut_off(net: Net, monkeypatch: Any) -> None:
    monkeypatch.setattr(agent_monitor, "SILENT_AFTER", 1.0)
    node = await net.node()
    async with connected(node.address, hello("work")) as stream:
        assert await stream.end() == ("UNAVAILABLE", "AGENT_SILENT")
        agent = await until(lambda: node.context.table.agents.get(stream.welcome.agent_id), "it stands for its lease")
        await until(lambda: node.context.table.agents[agent.id].state == "STARTING", "nothing new for it meanwhile")


async def test_a_drained_agent_finishes_and_is_resumed(net: Net) -> None:
    one, other = await net.node(), await net.node()
    client, raw = await net.client(one), await net.raw(other)
    work = Gates()
    speaker = await net.speaker({"work": work}, at=lambda: [one.address])
    run = await client.start("call", "x")
    await until(lambda: work.began, "it runs")
    await until(lambda: speaker.agent_id in other.context.table.agents, "the other node knows it")
    drained = await raw.call("DrainAgent", agent_id=speaker.agent_id, grace={"seconds": 60})
    assert (drained.state, drained.active) == (agent_pb2.AGENT_STATE_DRAINING, 1)
    await until(lambda: "drain" in speaker.heard, "it is told")
    await until(lambda: one.context.table.agents[speaker.agent_id].state == "DRAINING", "everybody is told")
    waiting = await client.start("call", "y")
    work.open.set()
    assert await run.result(timeout=10) == "x"
    await until(lambda: one.context.table.agents[speaker.agent_id].state == "DRAINED", "everybody is told")
    assert len(work.began) == 1
    resumed = await raw.call("ResumeAgent", agent_id=speaker.agent_id)
    assert resumed.state == agent_pb2.AGENT_STATE_ACTIVE
    assert await waiting.result(timeout=10) == "y"
    assert "resume" in speaker.heard


async def test_what_outlasts_a_drain_goes_on_elsewhere_from_its_checkpoint(net: Net) -> None:
    node = await net.node()
    client, raw = await net.client(node), await net.raw(node)
    async with connected(node.address, hello("work")) as stream:
        beating = asyncio.create_task(beat(stream))
        run = await client.start("call", "x")
        task = await stream.hear("task")
        news = task_pb2.TaskProgress(attempt=1, checkpoint={"json": '"half"'})
        await stream.say(task_report=pb.TaskReport(task_id=task.task_id, progress=news))
        await raw.call("DrainAgent", agent_id=stream.welcome.agent_id, grace={"nanos": 100_000_000})
        await stream.hear("task_cancel")
        await stream.say(task_completion=failed(task, "stopped", code=common_pb2.FAILURE_CODE_CANCELED))
        await stream.hear("result_ack")
        await net.speaker({"work": lambda task: value_of(task.checkpoint)}, name="heir")
        assert await run.result(timeout=10) == "half"
        (first,) = (await run.info()).message.tasks[0].failed_attempts
        assert first.code == common_pb2.FAILURE_CODE_AGENT_DRAINED
        beating.cancel()


async def test_goodbye_gives_back_at_once_what_was_not_answered(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        run = await client.start("call", "x")
        await stream.hear("task")
        heir = await net.speaker({"work": lambda task: f"attempt {task.attempt}"}, name="heir")
        began = time.monotonic()
        await stream.say(goodbye=pb.Goodbye(reason="SIGTERM"))
        assert await stream.end() == ("OK", "")
        assert await run.result(timeout=10) == "attempt 2"
        assert time.monotonic() - began < 3 and heir.began


async def test_credit_zero_drains_an_agent_that_wants_to_stop(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        agent_id = stream.welcome.agent_id
        await stream.say(status=pb.Status(credit=0))
        await stream.hear("status_ack")
        await until(lambda: node.context.table.agents[agent_id].state == "DRAINED", "everybody is told")
        run = await client.start("call", "x")
        await stream.say(status=pb.Status(credit=1))
        task = await stream.hear("task")
        await stream.say(task_completion=result(task, "back"))
        assert await run.result(timeout=10) == "back"


async def test_a_node_that_drains_sends_its_agents_on(net: Net) -> None:
    stack = AsyncExitStack()
    async with stack:
        other = await net.node()
        leaving_net = Net(net.redis_url, net.etcd_url, net.namespace)
        async with leaving_net.stack:
            leaving = await leaving_net.node()
            client = await net.client(other)
            work = Gates()
            addresses = [leaving.address, other.address]
            speaker = await net.speaker({"work": work}, at=lambda: addresses)
            run = await client.start("many", 3)
            await until(lambda: len(work.began) == 3, "all run")
            began = time.monotonic()
            await leaving.drain()
            assert time.monotonic() - began < 3.5
            assert "reconnect" in speaker.heard
            assert await until(lambda: other.gateway.agents.get(speaker.agent_id), "it has moved")
            await until(lambda: not leaving.gateway.agents, "and is gone here")
            first = pb.ConnectRequestItem(hello=hello("work"))
            assert await refused(leaving.address, first) == ("UNAVAILABLE", "NODE_DRAINING")
        work.open.set()
        assert await run.result(timeout=20) == [0, 1, 2]
        assert len(work.began) == 3


@pytest.mark.parametrize(
    ("mine", "others", "count"),
    [
        (1000, [0], 50),
        (1000, [], 0),
        (30, [20], 0),
        (6, [0, 0], 0),
        (20, [0], 1),
        (1000, [990, 0, 0], 50),
        (0, [50], 0),
    ],
)
def test_how_many_agents_are_sent_on(mine: int, others: list[int], count: int) -> None:
    assert excess(mine, others) == count


async def test_agents_spread_over_a_node_that_comes_later(net: Net, monkeypatch: Any) -> None:
    monkeypatch.setattr(gateway, "SPREAD_EVERY", 0.1)
    one = await net.node()
    client = await net.client(one)
    speakers = [await net.speaker({"work": lambda task: value_of(task.input)}, name=f"s{n}") for n in range(24)]
    run = await client.start("many", 100)
    other = await net.node()
    await until(lambda: len(other.gateway.agents) >= 3, "some have moved")
    assert await run.result(timeout=20) == list(range(100))
    for speaker in speakers:
        assert all(welcome.agent_id == speaker.agent_id for welcome in speaker.welcomes)


async def test_redis_that_forgets_the_inbox_is_served_again(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    await net.speaker({"work": lambda task: value_of(task.input)})
    assert await (await client.start("call", 1)).result(timeout=10) == 1
    await node.context.link.call("DEL", node.context.keys.inbox(node.node_id))
    await until(lambda: node.context.link.call("EXISTS", node.context.keys.inbox(node.node_id)), "made again")
    assert await (await client.start("call", 2)).result(timeout=10) == 2


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def but(**changes: Any) -> pb.Hello:
    said = hello("work")
    said.MergeFrom(pb.Hello(**changes))
    return said


NO_BEGINNINGS = [
    pb.ConnectRequestItem(status=pb.Status()),
    pb.ConnectRequestItem(),
    pb.ConnectRequestItem(hello=pb.Hello()),
    pb.ConnectRequestItem(hello=hello(credit=1)),
    pb.ConnectRequestItem(hello=hello("work", credit=0)),
    pb.ConnectRequestItem(hello=hello("work", credit=1_000_000)),
    pb.ConnectRequestItem(hello=hello("work", name="no good")),
    pb.ConnectRequestItem(hello=hello("no good")),
    pb.ConnectRequestItem(hello=hello("work", "work")),
    pb.ConnectRequestItem(hello=hello({"name": "work", "slots": -1})),
    pb.ConnectRequestItem(hello=but(lease_id=7)),
    pb.ConnectRequestItem(hello=but(agent={"agent_id": "speaker-abcdefgh"})),
    pb.ConnectRequestItem(hello=but(running=[{"task": {"task_id": "w/work", "attempt": 1}}])),
    pb.ConnectRequestItem(
        hello=but(agent={"agent_id": "speaker-abcdefgh"}, lease_id=7, running=[{"task": {"task_id": "w"}}])
    ),
]


async def test_a_stream_that_does_not_begin_well_is_refused_with_a_reason(net: Net) -> None:
    node = await net.node()
    for first in NO_BEGINNINGS:
        assert await refused(node.address, first) == ("INVALID_ARGUMENT", "INVALID_FIELD"), first
    assert not node.gateway.agents


async def test_no_hello_within_its_time(net: Net, monkeypatch: Any) -> None:
    monkeypatch.setattr(connect, "HELLO_TIMEOUT", 0.2)
    node = await net.node()
    assert await refused(node.address) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_an_item_that_makes_no_sense_is_rejected_and_the_stream_goes_on(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        unknown = task_pb2.TaskEnvelope(task_id="nobody/work", attempt=3)
        for item in (
            {"task_completion": result(unknown, 1)},
            {"task_ack": pb.TaskAck(task_id="nobody/work", attempt=3)},
            {"task_report": pb.TaskReport(task_id="nobody/work", progress={"attempt": 3})},
        ):
            await stream.say(**item)
            told = await stream.hear("rejected")
            assert (told.reason, told.task_id, told.attempt) == ("TASK_NOT_FOUND", "nobody/work", 3)
        for wrong in ({"hello": hello("work")}, {"status": pb.Status(credit=-1)}):
            await stream.say(**wrong)
            told = await stream.hear("rejected")
            assert (told.reason, told.task_id) == ("INVALID_FIELD", "")
        await stream.say_all([pb.ConnectRequestItem()])
        assert (await stream.hear("rejected")).reason == "INVALID_FIELD"
        run = await client.start("call", "x")
        task = await stream.hear("task")
        report = pb.TaskReport(task_id=task.task_id, progress={"attempt": 1, "checkpoint": {"json": "{"}})
        await stream.say(task_report=report)
        assert (await stream.hear("rejected")).task_id == "", "the task goes on"
        await stream.say(task_completion=result(task, "fine"))
        assert await run.result(timeout=10) == "fine"


async def test_a_second_stream_of_an_agent_replaces_the_first(net: Net) -> None:
    node = await net.node()
    said = hello("work")
    async with connected(node.address, said) as first:
        said.agent.agent_id, said.lease_id = first.welcome.agent_id, first.welcome.lease_id
        async with connected(node.address, said) as second:
            assert second.welcome.agent_id == first.welcome.agent_id
            assert await first.end() == ("FAILED_PRECONDITION", "AGENT_REPLACED")
        said.lease_id += 1
        first_item = pb.ConnectRequestItem(hello=said)
        assert await refused(node.address, first_item) == ("INVALID_ARGUMENT", "INVALID_FIELD")


async def test_a_full_node_says_so(net: Net, monkeypatch: Any) -> None:
    monkeypatch.setattr(gateway, "MOST_AGENTS", 1)
    node = await net.node()
    async with connected(node.address, hello("work")):
        first = pb.ConnectRequestItem(hello=hello("work"))
        assert await refused(node.address, first) == ("RESOURCE_EXHAUSTED", "NODE_FULL")
