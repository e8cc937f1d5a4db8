# SPDX-License-Identifier: Apache-2.0
"""What is checked, feature by feature: each is a coroutine over a fresh agent, and its docstring stands in the README."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc.aio

from nervenet.v1 import agent_service_pb2 as agent_api
from nervenet.v1 import coordinator_service_pb2 as api
from nervenet.v1 import registry_service_pb2 as registry_api
from nervenet.v1.agent_pb2 import AGENT_STATE_ACTIVE
from nervenet.v1.common_pb2 import (
    FAILURE_CODE_APPLICATION,
    FAILURE_CODE_INVALID_INPUT,
    FAILURE_CODE_PAYLOAD_TOO_LARGE,
    FAILURE_CODE_TIMEOUT,
    PAYLOAD_FORMAT_RAW,
    Payload,
    RetryPolicy,
    Timeouts,
)
from nervenet.v1.workflow_pb2 import WORKFLOW_STATE_CANCELED, WORKFLOW_STATE_FAILED, WORKFLOW_STATE_SUCCEEDED
from tests.conformance.mesh import DEADLINE, Agent, Mesh, milliseconds
from tests.support.waiting import until

Feature = Callable[["World"], Awaitable[None]]
FEATURES: dict[str, Feature] = {}
QUICK = RetryPolicy(max_attempts=3, initial_interval=milliseconds(50), max_interval=milliseconds(50))
RENEWED_FOR_MS = 8_000
"""How long a long task takes: longer than a claim lives that nobody renews (6 s)."""


def feature(name: str) -> Callable[[Feature], Feature]:
    def taken(check: Feature) -> Feature:
        FEATURES[name] = check
        return check

    return taken


class World:
    """The mesh, one agent of the candidate's, and the file that its handlers write to."""

    def __init__(self, mesh: Mesh, agent: Agent, log: Path) -> None:
        self.mesh, self.agent, self.log = mesh, agent, log

    def work(self, **told: Any) -> Payload:
        return Payload(json=json.dumps({"log": str(self.log), **told}))

    async def succeed(self, payload: Payload, **options: Any) -> Any:
        """Run `conf_work`, which has to succeed; its output."""
        return json.loads(output_of(await self.mesh.run("conf_work", payload, **options)).json)

    def spawn(self, payload: Payload, **options: Any) -> asyncio.Task[Any]:
        return asyncio.ensure_future(self.mesh.run("conf_work", payload, **options))

    def noted(self, word: str, task_id: str = "") -> list[str]:
        """The lines that begin with this word, about this task."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(f"{word} {task_id}")]

    async def begun(self, count: int = 1) -> str:
        """Wait until this many handlers have begun; the id of the last one's task."""
        await until(lambda: len(self.noted("begin")) >= count, f"{count} handlers have begun")
        return self.noted("begin")[-1].split()[1]

    async def describe(self) -> Any:
        request = agent_api.DescribeAgentRequest(agent_id=self.agent.id)
        return await self.mesh.node.agents.DescribeAgent(request, timeout=DEADLINE)


def output_of(workflow: Any) -> Any:
    assert workflow.state == WORKFLOW_STATE_SUCCEEDED, f"not succeeded: {workflow}"
    return workflow.output


def failure_of(workflow: Any) -> tuple[Any, int]:
    """Its failure, and how many attempts it took."""
    assert workflow.state == WORKFLOW_STATE_FAILED, f"not failed: {workflow}"
    return workflow.failure, workflow.tasks[0].attempt


@feature("registration")
async def registration(world: World) -> None:
    """Registered within seconds as ACTIVE under its own name, with both capabilities and 4 slots; answers DescribeAgent."""
    record = world.agent.record
    assert {"conf_echo", "conf_work"} <= {one.name for one in record.capabilities}, record
    assert record.runtime, "no runtime is told"
    assert record.slots == 4, f"{record.slots} slots"
    described = await world.describe()
    assert described.agent.agent_id == record.agent_id
    await until(lambda: _loaded(world), "its load is known")


async def _loaded(world: World) -> bool:
    return bool((await world.describe()).load.slots == 4)


@feature("payloads: any JSON")
async def any_json(world: World) -> None:
    """Every JSON value comes back as it went: nested, numbers of every size, text of every script."""
    values = [
        {"nested": [1, [2, {"three": None}]], "true": True, "": ""},
        'héllo · 漢字 · עברית · 🪼 · e\u0301 · \u2028 · \x00\x1f\\"',
        [0, -1, 1.5, 1e-7, 1e300],
        [],
        {},
        "",
        0,
        False,
    ]
    for value in values:
        echoed = output_of(await world.mesh.run("conf_echo", Payload(json=json.dumps(value))))
        assert json.loads(echoed.json) == value, f"{value!r} became {echoed.json}"
    raw = '"🪼 漢字 \u2028"'  # not escaped on the way
    assert json.loads(output_of(await world.mesh.run("conf_echo", Payload(json=raw))).json) == json.loads(raw)


@feature("payloads: beyond 2^53")
async def big_integers(world: World) -> None:
    """Integers stay exact when they are passed on, and when the handler calculates with them."""
    numbers = [2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**64 + 1, 10**30]
    echoed = output_of(await world.mesh.run("conf_echo", Payload(json=json.dumps(numbers))))
    assert json.loads(echoed.json) == numbers, echoed.json
    answer = await world.succeed(world.work(number=2**53 + 1))
    assert answer["successor"] == 2**53 + 2, answer


@feature("payloads: empty, null, bytes")
async def empty(world: World) -> None:
    """JSON null, raw bytes (none, too) and no value at all: null and no value may come back as each other."""
    for payload in (Payload(), Payload(json="null")):
        output = output_of(await world.mesh.run("conf_echo", payload))
        assert output.WhichOneof("body") is None or output.json == "null", output
    for data in (b"", bytes(range(256))):
        output = output_of(await world.mesh.run("conf_echo", Payload(data=data)))
        assert (output.WhichOneof("body"), output.data) == ("data", data), output


@feature("payloads: large")
async def large(world: World) -> None:
    """900 KB go and come; a result above the limit is PAYLOAD_TOO_LARGE, never tried again, and the agent goes on."""
    text = "ü" * 450_000
    echoed = output_of(await world.mesh.run("conf_echo", Payload(json=json.dumps(text, ensure_ascii=False))))
    assert json.loads(echoed.json) == text
    failure, attempts = failure_of(await world.mesh.run("conf_work", world.work(size=2_000_000), retry=QUICK))
    assert (failure.code, attempts) == (FAILURE_CODE_PAYLOAD_TOO_LARGE, 1), failure
    await world.succeed(world.work())


@feature("failures and retries")
async def failures(world: World) -> None:
    """Type, words and details arrive; tried again unless told otherwise; a bug in a handler is a failure like any other;
    input that does not fit is INVALID_INPUT and never tried again."""
    told = {"type": "CardDeclined", "message": "no funds", "details": {"left": 2**60}}
    failure, attempts = failure_of(await world.mesh.run("conf_work", world.work(fail=told), retry=QUICK))
    assert (failure.code, failure.type, failure.message) == (FAILURE_CODE_APPLICATION, "CardDeclined", "no funds")
    assert json.loads(failure.details.json) == {"left": 2**60}, failure.details
    assert attempts == 3, attempts
    for final, payload in (
        (FAILURE_CODE_APPLICATION, world.work(fail={**told, "retryable": False})),
        (FAILURE_CODE_INVALID_INPUT, Payload(json='["not", "an", "object"]')),
    ):
        try:
            failure, attempts = failure_of(await world.mesh.run("conf_work", payload, retry=QUICK))
        except grpc.aio.AioRpcError as refused:  # an agent that marks its schemas is not even asked
            if (final, refused.code()) != (FAILURE_CODE_INVALID_INPUT, grpc.StatusCode.INVALID_ARGUMENT):
                raise
        else:
            assert (failure.code, attempts) == (final, 1), f"{failure} after {attempts}"
    failure, attempts = failure_of(await world.mesh.run("conf_work", world.work(crash=True), retry=QUICK))
    assert (failure.code, attempts) == (FAILURE_CODE_APPLICATION, 3), failure
    assert failure.type, failure
    assert failure.message, failure
    assert (await world.succeed(world.work(fail={**told, "until_attempt": 2}), retry=QUICK))["attempt"] == 3
    began = time.monotonic()
    await world.succeed(world.work(fail={**told, "until_attempt": 1, "retry_after_ms": 1500}), retry=QUICK)
    assert time.monotonic() - began >= 1.4, "retry_after was not heeded"


@feature("least-loaded share")
async def share(world: World) -> None:
    """Beside a second agent, 8 tasks at once on 2 × 4 slots run all at once, and an idle agent is preferred."""
    other = await world.mesh.agent(f"{world.agent.name}b")
    both = {world.agent.id, other.id}
    await world.mesh.until_agents(
        lambda there: both <= {one.agent.agent_id for one in there if one.load.slots and not one.load.active},
        "both are idle",
    )
    workflows = await asyncio.gather(*(world.spawn(world.work(sleep_ms=1500)) for _ in range(8)))
    ran = [workflow.tasks[0].agent_id for workflow in workflows]
    assert {ran.count(world.agent.id), ran.count(other.id)} == {4}, f"shared {ran.count(other.id)} to 8"
    assert await other.stop() == 0


@feature("claim and dedupe")
async def dedupe(world: World) -> None:
    """Copies of a task in its inbox and in the shared queue, while it runs and after it: the handler begins once."""
    running = world.spawn(world.work(sleep_ms=1500))
    task_id = await world.begun()
    ns, inbox = world.mesh.namespace, world.agent.record.inbox or world.agent.id
    copies = [
        fields[b"e"]
        for key in (f"nn:{ns}:inbox:{{{inbox}}}", f"nn:{ns}:queue:{{conf_work}}")
        for _, fields in await world.mesh.redis.xrange(key)
    ]
    assert copies, "the task's entry was not found"
    again = [(key, one) for one in copies for key in (f"nn:{ns}:inbox:{{{inbox}}}", f"nn:{ns}:queue:{{conf_work}}")]
    for key, one in again:
        await world.mesh.redis.xadd(key, {"e": one})
    assert output_of(await running)
    for key, one in again:
        await world.mesh.redis.xadd(key, {"e": one})
    await world.succeed(world.work())
    await until(lambda: _drained(world, inbox), "the copies are acknowledged")
    assert len(world.noted("begin", task_id)) == 1, world.noted("begin")


async def _drained(world: World, inbox: str) -> bool:
    return not await world.mesh.redis.xlen(f"nn:{world.mesh.namespace}:inbox:{{{inbox}}}")


@feature("long tasks are renewed")
async def renewed(world: World) -> None:
    """A task that takes longer than a claim lives is run once."""
    answer = await world.succeed(world.work(sleep_ms=RENEWED_FOR_MS))
    assert answer["attempt"] == 1, answer
    assert len(world.noted("begin")) == 1, world.noted("begin")


@feature("progress and partials")
async def progress(world: World) -> None:
    """Who watches sees how far a task is, and the pieces of its output in their order."""
    parts = [{"n": n} for n in range(20)]
    work = world.work(progress=[[0.25, "a quarter"]], emit=parts, sleep_ms=1000)
    running = world.spawn(work, request_id="watched")
    seen: list[Any] = []
    fractions: list[tuple[float, str]] = []
    request = api.WatchWorkflowRequest(
        workflow_id="task/watched", include_progress=True, include_partials=True, payload_format=PAYLOAD_FORMAT_RAW
    )
    await world.begun()
    async for message in world.mesh.node.coordinator.WatchWorkflow(request, timeout=DEADLINE):
        news = message.entry.progress
        if news.HasField("partial"):
            seen.append(json.loads(news.partial.json))
        if news.HasField("fraction"):
            fractions.append((news.fraction, news.message))
    await running
    assert seen == parts, seen
    assert (0.25, "a quarter") in fractions, fractions


@feature("checkpoints")
async def checkpoints(world: World) -> None:
    """What an attempt put by, the next one gets."""
    fail = {"type": "Again", "message": "once more", "until_attempt": 1}
    work = world.work(checkpoint={"page": 2**53 + 1}, sleep_ms=2500, fail=fail)
    answer = await world.succeed(work, retry=QUICK)
    assert answer["checkpoint"] == {"page": 2**53 + 1}, answer
    assert answer["attempt"] == 2, answer


@feature("cancel")
async def cancel(world: World) -> None:
    """A canceled task is stopped within seconds, and its slot is free again."""
    running = [world.spawn(world.work(sleep_ms=60_000), request_id=f"cancel-{n}") for n in range(4)]
    await world.begun(4)
    for n in range(4):
        request = api.CancelWorkflowRequest(workflow_id=f"task/cancel-{n}", reason="not wanted")
        await world.mesh.node.coordinator.CancelWorkflow(request, timeout=DEADLINE)
    for one in running:
        assert (await one).state == WORKFLOW_STATE_CANCELED
    await until(lambda: len(world.noted("canceled")) == 4, "the handlers were stopped", within=10)
    await world.succeed(world.work())


@feature("attempt timeout")
async def timeout(world: World) -> None:
    """An attempt that takes longer than it may is stopped, and is a TIMEOUT."""
    work, limit = world.work(sleep_ms=60_000), Timeouts(attempt=milliseconds(800))
    workflow = await world.mesh.run("conf_work", work, timeouts=limit, retry=RetryPolicy(max_attempts=1))
    failure, _ = failure_of(workflow)
    assert failure.code == FAILURE_CODE_TIMEOUT, failure
    await until(lambda: world.noted("canceled"), "the handler was stopped", within=10)


@feature("drain and resume")
async def drain(world: World) -> None:
    """Drained from afar it finishes what runs and takes nothing new; resumed it takes tasks again."""
    running = world.spawn(world.work(sleep_ms=1000))
    await world.begun()
    await _drain(world, world.agent)
    waiting = world.spawn(world.work())
    assert output_of(await running)
    done, _ = await asyncio.wait((waiting,), timeout=1.5)
    assert not done, "a drained agent took a task"
    assert len(world.noted("begin")) == 1
    await _resume(world, world.agent)
    assert output_of(await waiting)


async def _drain(world: World, agent: Agent) -> None:
    """Return once the whole mesh knows that it takes nothing."""
    request = agent_api.DrainAgentRequest(agent_id=agent.id, grace=milliseconds(20_000))
    await world.mesh.node.agents.DrainAgent(request, timeout=DEADLINE)
    await until(lambda: _inactive(world, agent), f"{agent.name} is no longer active")


async def _resume(world: World, agent: Agent) -> None:
    await world.mesh.node.agents.ResumeAgent(agent_api.ResumeAgentRequest(agent_id=agent.id), timeout=DEADLINE)


async def _inactive(world: World, agent: Agent) -> bool:
    for node in world.mesh.nodes:
        if node.alive:
            known = (await node.registry.ListAgents(registry_api.ListAgentsRequest(), timeout=DEADLINE)).agents
            if any(one.agent.agent_id == agent.id and one.agent.state == AGENT_STATE_ACTIVE for one in known):
                return False
    return True


@feature("agent killed")
async def killed(world: World) -> None:
    """kill -9 of the agent: its task runs on another one, counted as one lost attempt."""
    other = await world.mesh.agent(f"{world.agent.name}c")
    running = world.spawn(world.work(sleep_ms=2500))
    victim, other = await _who_runs(world, await world.begun(), other)
    victim.kill(signal.SIGKILL)
    workflow = await running
    assert json.loads(output_of(workflow).json)["attempt"] == 2, workflow
    assert workflow.tasks[0].agent_id == other.id, workflow


async def _who_runs(world: World, task_id: str, other: Agent) -> tuple[Agent, Agent]:
    """The agent that has the task, by its own account, and the one that has not."""
    request = agent_api.ListActiveTasksRequest(agent_id=other.id)
    tasks = (await world.mesh.node.agents.ListActiveTasks(request, timeout=DEADLINE)).tasks
    return (other, world.agent) if task_id in {task.task_id for task in tasks} else (world.agent, other)


@feature("node killed")
async def node_killed(world: World) -> None:
    """kill -9 of the node that it is connected to: it goes on at the other one, its task is not run again and counts once."""
    running = world.spawn(world.work(sleep_ms=5000))
    await world.begun()
    at = world.agent.record.control_endpoint
    node = next((node for node in world.mesh.nodes if node.address == at), world.mesh.nodes[0])
    node.kill()
    assert json.loads(output_of(await running).json)["attempt"] == 1
    assert len(world.noted("begin")) == 1, world.noted("begin")
    await node.start()
    name = world.agent.name
    await world.mesh.until_agents(lambda there: name in _names(there), "it is registered still, or again")
    await world.succeed(world.work())


def _names(there: list[Any]) -> list[str]:
    return [entry.agent.name for entry in there]


@feature("connections cut")
async def cut(world: World) -> None:
    """Every connection to Redis is closed at the server while a task runs: the task is not run again."""
    running = world.spawn(world.work(sleep_ms=2500))
    await world.begun()
    for _ in range(3):
        await world.mesh.redis.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.2)
    assert json.loads(output_of(await running).json)["attempt"] == 1
    assert len(world.noted("begin")) == 1, world.noted("begin")
    await world.succeed(world.work())


@feature("frozen and thawed")
async def frozen(world: World) -> None:
    """SIGSTOP for longer than its lease: another one does its task; thawed it comes back, and its late result counts for
    nothing."""
    other = await world.mesh.agent(f"{world.agent.name}d")
    running = world.spawn(world.work(sleep_ms=2500))
    victim, other = await _who_runs(world, await world.begun(), other)
    victim.kill(signal.SIGSTOP)
    try:
        workflow = await running
    finally:
        victim.kill(signal.SIGCONT)
    assert workflow.tasks[0].agent_id == other.id, workflow
    assert json.loads(output_of(workflow).json)["attempt"] == 2
    await victim.registered()
    assert await other.stop() == 0
    await world.succeed(world.work())


@feature("SIGTERM")
async def sigterm(world: World) -> None:
    """It finishes what it can within its grace, gives the rest to another one, leaves the registry and exits with 0."""
    other = await world.mesh.agent(f"{world.agent.name}e")
    await _drain(world, other)
    short, long = world.spawn(world.work(sleep_ms=1500)), world.spawn(world.work(sleep_ms=8_000))
    await world.begun(2)
    await _resume(world, other)
    assert await world.agent.stop() == 0
    gone, name = "no longer registered, nor under another id", world.agent.name
    # At once, not when its lease is over; the node that we ask hears of it a moment after the one it left.
    await world.mesh.until_agents(lambda there: name not in _names(there), gone, within=2)
    finished = await short
    assert finished.tasks[0].agent_id == world.agent.id, finished
    assert json.loads(output_of(finished).json)["attempt"] == 1
    handed = await long
    assert handed.tasks[0].agent_id == other.id, handed
    assert output_of(handed)


_counter = itertools.count(1)


async def check(mesh: Mesh, name: str) -> None:
    """One feature with an agent of its own, which is gone afterwards."""
    number = next(_counter)
    agent = await mesh.agent(f"{mesh.candidate.name}-{number}")
    try:
        await FEATURES[name](World(mesh, agent, mesh.folder / f"{agent.name}.handlers"))
    finally:
        await mesh.stop_agents()
        await mesh.until_agents(lambda there: not there, "the agents are gone from the registry")
