# SPDX-License-Identifier: Apache-2.0
"""What a gateway agent does when nothing goes wrong: handshake, credits, results, news, limits."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from nervenet import Mesh, Resolution, WorkflowHandle, errors
from nervenet.agent.runtime import AgentRuntime
from nervenet.cli.render import agents as render
from nervenet.cli.render.text import View
from nervenet.v1 import agent_service_pb2 as pb
from nervenet.v1 import common_pb2, task_pb2
from tests.gateway.net import Net
from tests.gateway.world import connected, failed, hello, refused, result, value_of
from tests.support.waiting import until


async def test_hello_is_answered_by_who_one_is_and_the_agent_is_registered(net: Net) -> None:
    node = await net.node()
    raw = await net.raw(node)
    able = {"name": "work", "version": "2", "labels": {"gpu": "yes"}, "slots": 3}
    async with connected(node.address, hello(able, name="ocr", credit=7, labels={"zone": "a"})) as stream:
        welcome = stream.welcome
        assert welcome.agent_id.startswith("ocr-") and welcome.lease_id and welcome.node_id == node.node_id
        assert welcome.namespace == net.namespace and node.address in welcome.nodes
        assert welcome.payload_limit == 1 << 20 and welcome.status_interval.ToMilliseconds() == 1000
        found = await until(lambda: node.context.table.agents.get(welcome.agent_id), "it is registered")
        assert (found.transport, found.inbox, found.state) == ("GATEWAY", node.node_id, "ACTIVE")
        described = await raw.call("DescribeAgent", agent_id=welcome.agent_id)
        record = described.agent
        assert (record.name, record.runtime, record.slots) == ("ocr", "test 1", 7)
        assert record.control_endpoint == node.address and dict(record.labels) == {"zone": "a"}
        assert dict(record.capabilities[0].labels) == {"gpu": "yes"} and described.load.slots == 7
        await stream.say(status=pb.Status())
        assert (await stream.hear("status_ack")).lease_ttl.seconds == 15
        await stream.say(goodbye=pb.Goodbye())
        assert await stream.end() == ("OK", "")
        await until(lambda: welcome.agent_id not in node.context.table.agents, "it is deregistered")


async def test_a_task_is_pushed_and_its_result_acknowledged_once_it_is_recorded(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        run = await client.start("call", {"n": 2**60, "text": "ünïcode 🦑", "nothing": None})
        task = await stream.hear("task")
        assert (task.capability, task.attempt, task.workflow_id, task.step) == ("work", 1, run.id, "work")
        assert value_of(task.input) == {"n": 2**60, "text": "ünïcode 🦑", "nothing": None}
        answer = result(task, value_of(task.input))
        await stream.say(task_ack=pb.TaskAck(task_id=task.task_id, attempt=1), task_completion=answer)
        ack = await stream.hear("result_ack")
        assert (ack.task_id, ack.attempt, ack.recorded) == (task.task_id, 1, True)
        assert await run.result(timeout=10) == {"n": 2**60, "text": "ünïcode 🦑", "nothing": None}
        await stream.say(task_completion=answer)
        again = await stream.hear("result_ack")
        assert again == ack, "the second copy is acknowledged like the first"
        assert (await tasks_of(run))[0].agent_id == stream.welcome.agent_id


async def test_no_more_is_in_flight_than_the_credit_allows(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    gate = asyncio.Event()

    async def handler(task: task_pb2.TaskEnvelope) -> Any:
        await gate.wait()
        return value_of(task.input)

    speaker = await net.speaker({"work": handler}, credit=3)
    run = await client.start("many", 20)
    await until(lambda: len(speaker.held) == 3, "three are here")
    await asyncio.sleep(0.3)
    assert len(speaker.held) == 3
    load = node.gateway.agents[speaker.agent_id].load(1)
    assert (load.active, load.slots) == (3, 3)
    await speaker.say(status=pb.Status(credit=5))
    await until(lambda: len(speaker.held) == 5, "two more")
    gate.set()
    assert await run.result(timeout=20) == list(range(20))
    assert speaker.most == 5


async def test_a_capability_has_slots_of_its_own(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    gate = asyncio.Event()

    async def handler(task: task_pb2.TaskEnvelope) -> Any:
        await gate.wait()
        return value_of(task.input)

    speaker = await net.speaker({"work": handler}, credit=8, capabilities=[{"name": "work", "slots": 2}])
    run = await client.start("many", 6)
    await until(lambda: len(speaker.held) == 2, "two are here")
    await asyncio.sleep(0.3)
    assert len(speaker.held) == 2
    gate.set()
    assert await run.result(timeout=20) == list(range(6))
    assert speaker.most == 2


async def test_failures_are_retried_by_the_mesh_and_questions_asked(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)

    def handler(task: task_pb2.TaskEnvelope) -> Any:
        if value_of(task.input) == "ask":
            question = task_pb2.Question(text="really?", choices=["yes", "no"])
            asked = task_pb2.TaskResult(question=question, attempt=task.attempt)
            return pb.TaskCompletion(task_id=task.task_id, result=asked)
        if task.attempt < 3:
            return failed(task, f"attempt {task.attempt} of {task.task_id}", type="Flaky")
        return f"at last, {task.attempt}"

    await net.speaker({"work": handler})
    run = await client.start("call_again", "x")
    assert await run.result(timeout=20) == "at last, 3"
    failed_attempts = (await tasks_of(run))[0].failed_attempts
    assert [failure.type for failure in failed_attempts] == ["Flaky", "Flaky"]
    asking = await client.start("call", "ask")
    escalation = await until(lambda: open_question(client), "somebody is asked")
    assert escalation.question == "really?" and list(escalation.choices) == ["yes", "no"]
    await client.resolve(escalation.id, Resolution.complete("yes"))
    assert await asking.result(timeout=10) == "yes"


async def tasks_of(run: WorkflowHandle[Any]) -> Any:
    return (await run.info()).message.tasks


async def open_question(client: Any) -> Any:
    return next(iter([each async for each in client.escalations()]), None)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ({"output": common_pb2.Payload(json="{nonsense")}, "InvalidResult"),
        ({"output": common_pb2.Payload(json='"' + "x" * (1 << 20) + '"')}, "PayloadTooLarge"),
        ({"output": common_pb2.Payload(json="NaN")}, "InvalidResult"),
        ({}, "InvalidResult"),
        ({"failure": common_pb2.Failure(message="no", type="Mine", retryable=False)}, "Mine"),
        ({"failure": common_pb2.Failure(message="bad", code=common_pb2.FAILURE_CODE_INVALID_INPUT)}, ""),
    ],
)
async def test_what_is_no_result_is_a_failure_that_says_so(net: Net, outcome: dict[str, Any], kind: str) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        run = await client.start("call", 1)
        task = await stream.hear("task")
        told = task_pb2.TaskResult(attempt=1, **outcome)
        await stream.say(task_completion=pb.TaskCompletion(task_id=task.task_id, result=told))
        assert (await stream.hear("result_ack")).recorded
        with pytest.raises(errors.WorkflowFailed) as failure:
            await run.result(timeout=10)
        assert kind in str(failure.value) or kind in repr((await tasks_of(run))[0].failure)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (common_pb2.Payload(json="null"), None),
        (common_pb2.Payload(), None),
        (common_pb2.Payload(text="plain"), "plain"),
        (common_pb2.Payload(json='"' + "é" * 500_000 + '"'), "é" * 500_000),
        (common_pb2.Payload(json="9007199254740993"), 2**53 + 1),
    ],
    ids=["null", "nothing", "text", "large", "beyond 2^53"],
)
async def test_payloads_of_every_form_arrive(net: Net, payload: common_pb2.Payload, value: Any) -> None:
    node = await net.node()
    client = await net.client(node)
    async with connected(node.address, hello("work")) as stream:
        run = await client.start("call", 1)
        task = await stream.hear("task")
        told = task_pb2.TaskResult(attempt=1, output=payload)
        await stream.say(task_completion=pb.TaskCompletion(task_id=task.task_id, result=told))
        assert await run.result(timeout=10) == value


async def test_progress_and_parts_reach_watchers_and_a_checkpoint_the_next_attempt(net: Net) -> None:
    node = await net.node()
    client, raw = await net.client(node), await net.raw(node)
    async with connected(node.address, hello("work")) as stream:
        run = await client.start("call_again", 1)
        task = await stream.hear("task")

        def report(**fields: Any) -> pb.TaskReport:
            return pb.TaskReport(task_id=task.task_id, progress=task_pb2.TaskProgress(attempt=task.attempt, **fields))

        await stream.say(task_report=report(fraction=0.5, message="half", partial={"json": '"a"'}))
        await stream.say(task_report=report(partial={"json": '"b"'}, checkpoint={"json": '{"at":7}'}))
        active = await until(lambda: active_message(raw, stream.welcome.agent_id), "it is listed")
        assert (active.message, active.fraction, active.task_id) == ("half", 0.5, task.task_id)
        parts = []
        async with asyncio.timeout(10):
            async for part in run.partials("work", str):
                parts.append(part.value)
                if len(parts) == 2:
                    break
        assert parts == ["a", "b"]
        keys = net.nodes[0].context.keys
        await until(lambda: node.context.link.call("HGET", keys.checkpoints(run.id), "work"), "the checkpoint is kept")
        await stream.say(task_completion=failed(task, "try again"))
        task = await stream.hear("task")
        assert task.attempt == 2 and value_of(task.checkpoint) == {"at": 7}
        await stream.say(task_completion=result(task, "done"))
        assert await run.result(timeout=10) == "done"


async def active_message(raw: Any, agent_id: str) -> Any:
    tasks = (await raw.call("ListActiveTasks", agent_id=agent_id)).tasks
    return tasks[0] if tasks and tasks[0].message else None


async def test_the_shared_queue_is_served_when_all_were_busy(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    run = await client.start("many", 30)
    queue = node.context.keys.queue("work")
    await until(lambda: node.context.link.call("XLEN", queue), "nobody is there: they wait in the queue")
    speaker = await net.speaker({"work": lambda task: value_of(task.input)}, credit=4)
    assert await run.result(timeout=20) == list(range(30))
    assert speaker.most <= 4

    async def is_empty() -> bool:
        return not await node.context.link.call("XLEN", queue)

    await until(is_empty, "done is dropped")


async def test_it_shares_the_work_with_an_agent_on_redis(net: Net) -> None:
    node = await net.node()
    client = await net.client(node)
    own = Mesh("redis")

    @own.agent(slots=4)
    async def work(n: int) -> int:
        await asyncio.sleep(0.05)
        return n

    async def handler(task: task_pb2.TaskEnvelope) -> Any:
        await asyncio.sleep(0.05)
        return value_of(task.input)

    config = net.config(address=node.address)
    async with AgentRuntime.open(own.agents.values(), config, name="python") as agent:
        speaker = await net.speaker({"work": handler}, credit=4)
        await until(lambda: {agent.agent_id, speaker.agent_id} <= node.context.table.agents.keys(), "both are known")
        for _ in range(10):  # never all slots at once: so it is selection that decides
            run = await client.start("many", 6)
            assert await run.result(timeout=30) == list(range(6))
        share = len(speaker.began)
        assert 20 <= share <= 40, f"{share} of 60 came to the gateway agent"


async def test_the_list_of_agents_says_how_tasks_reach_it(net: Net) -> None:
    node = await net.node()
    raw = await net.raw(node)
    said = hello("work", name="extract")
    said.agent.runtime = "go 1.23"
    async with connected(node.address, said) as stream:
        await until(lambda: stream.welcome.agent_id in node.context.table.loads, "known")
        header, line = (
            text.plain
            for text in render.listed(await raw.call("ListAgents"), View(True, 120, time.time_ns() // 1_000_000))
        )
        assert header.startswith("AGENT") and line.endswith("go, gateway") and "0/4" in line


async def test_a_tls_and_token_mesh_asks_them_of_agents_too(net: Net) -> None:
    node = await net.node(token="s3cret")
    assert await refused(node.address) == ("UNAUTHENTICATED", "BAD_TOKEN")
    elsewhere = [("authorization", "Bearer s3cret"), ("nervenet-namespace", "other")]
    assert await refused(node.address, metadata=elsewhere) == ("PERMISSION_DENIED", "WRONG_NAMESPACE")
    async with connected(node.address, hello("work"), [("authorization", "Bearer s3cret")]) as stream:
        assert stream.welcome.agent_id
