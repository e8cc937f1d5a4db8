# SPDX-License-Identifier: Apache-2.0
"""Agents that do what they may not: serve another capability, claim another's task, answer twice or too late, beat for others."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nervenet.errors import NotFound, RequestError
from nervenet.v1 import agent_service_pb2 as pb
from nervenet.v1 import registry_service_pb2 as registry
from nervenet.v1 import task_pb2
from tests.gateway.world import failed, hello, result
from tests.policy.world import GuardedMesh
from tests.support.waiting import until

POLICY = """
version: 1
roles:
  - {role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/node"]}
  - {role: operator, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/operator"]}
  - {role: agent, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/work], capabilities: [work]}
  - {role: agent, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/thief], capabilities: [work]}
  - {role: agent, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/ocr], capabilities: ["ocr", "ocr-*"]}
"""
DENIED = ("PERMISSION_DENIED", "OUT_OF_LIMITS")
NOT_YOURS = ("PERMISSION_DENIED", "NOT_YOUR_AGENT")


@pytest.fixture
async def mesh(guarded: GuardedMesh) -> GuardedMesh:
    await guarded.guarded(POLICY)
    return guarded


def record(agent_id: str, *capabilities: str) -> dict[str, Any]:
    return {"agent_id": agent_id, "name": "a", "capabilities": [{"name": each} for each in capabilities]}


async def told(call: Any) -> tuple[str, str]:
    with pytest.raises(RequestError) as error:
        await call
    return error.value.code, error.value.reason


async def beat(mesh: GuardedMesh, caller: str, agent_id: str, lease: int) -> None:
    """One heartbeat. Raises RequestError."""
    requests = [registry.HeartbeatRequest(agent_id=agent_id, lease_id=lease)]
    await anext(mesh.talk(caller, "Heartbeat", requests))


async def test_it_serves_only_its_capabilities_over_the_gateway(mesh: GuardedMesh) -> None:
    for capabilities in (["work"], ["ocr", "work"], ["ocrx"]):
        stream = mesh.stream("ocr")
        await stream.say(hello=hello(*capabilities))
        assert await stream.end() == DENIED
        await stream.close()
    async with mesh.stream("ocr") as stream:
        await stream.say(hello=hello("ocr", "ocr-deskew"))
        assert (await stream.hear("welcome")).agent_id


async def test_it_registers_only_its_capabilities(mesh: GuardedMesh) -> None:
    ocr = await mesh.by("ocr")
    assert await told(ocr.call("RegisterAgent", agent=record("a-aaaaaaaa", "ocr", "work"))) == DENIED
    assert (await ocr.call("RegisterAgent", agent=record("a-aaaaaaaa", "ocr"))).lease_id


async def test_its_registration_is_its_own(mesh: GuardedMesh) -> None:
    work, thief, operator = await mesh.by("work"), await mesh.by("thief"), await mesh.by("operator")
    lease = (await work.call("RegisterAgent", agent=record("a-aaaaaaaa", "work"))).lease_id
    await beat(mesh, "work", "a-aaaaaaaa", lease)

    assert await told(beat(mesh, "thief", "a-aaaaaaaa", lease)) == NOT_YOURS
    assert await told(thief.call("DeregisterAgent", agent_id="a-aaaaaaaa", lease_id=lease)) == NOT_YOURS
    assert await told(thief.call("RegisterAgent", agent=record("a-aaaaaaaa", "work"))) == NOT_YOURS
    mine = (await thief.call("RegisterAgent", agent=record("b-bbbbbbbb", "work"))).lease_id
    assert await told(beat(mesh, "thief", "b-bbbbbbbb", lease)) == NOT_YOURS, "with a lease of another agent"
    assert await told(beat(mesh, "thief", "c-cccccccc", mine)) == ("NOT_FOUND", "AGENT_NOT_FOUND")
    assert await told(thief.call("RegisterAgent", agent=record("c-cccccccc", "work"), lease_id=lease)) == (
        "NOT_FOUND",
        "AGENT_NOT_FOUND",
    )

    agent = (await operator.call("GetAgent", agent_id="a-aaaaaaaa")).agent.agent
    assert agent.subject == "spiffe://test/nervenet/work"
    await work.call("RegisterAgent", agent=record("a-aaaaaaaa", "work"), lease_id=lease)
    await work.call("DeregisterAgent", agent_id="a-aaaaaaaa", lease_id=lease)


async def test_it_cannot_say_that_another_registered_it(mesh: GuardedMesh) -> None:
    work, operator = await mesh.by("work"), await mesh.by("operator")
    await work.call("RegisterAgent", agent=record("a-aaaaaaaa", "work") | {"subject": "spiffe://test/nervenet/ocr"})

    async def registered() -> str:
        try:
            return str((await operator.call("GetAgent", agent_id="a-aaaaaaaa")).agent.agent.subject)
        except NotFound:
            return ""

    async with asyncio.timeout(20):
        while not (subject := await registered()):
            await asyncio.sleep(0.02)
    assert subject == "spiffe://test/nervenet/work"


async def test_nobody_comes_back_as_another(mesh: GuardedMesh) -> None:
    async with mesh.stream("work") as stream:
        await stream.say(hello=hello("work"))
        welcome = await stream.hear("welcome")
        stolen = hello("work", agent_id=welcome.agent_id)
        stolen.lease_id = welcome.lease_id
        async with mesh.stream("thief") as thief:
            await thief.say(hello=stolen)
            assert await thief.end() == NOT_YOURS
        await stream.say(status=pb.Status())
        await stream.hear("status_ack")


async def running_task(mesh: GuardedMesh, stream: Any) -> task_pb2.TaskEnvelope:
    """A task that an agent has, and does not answer."""
    await stream.say(hello=hello("work"))
    stream.welcome = await stream.hear("welcome")
    operator = await mesh.by("operator")
    await operator.call("StartWorkflow", workflow_id="order", definition="call", input={"json": "1"})
    envelope: task_pb2.TaskEnvelope = await stream.hear("task")
    await stream.say(task_ack=pb.TaskAck(task_id=envelope.task_id, attempt=envelope.attempt))
    return envelope


async def output_of(mesh: GuardedMesh) -> str:
    operator = await mesh.by("operator")
    workflow = (await operator.call("GetWorkflow", workflow_id="order", wait={"seconds": 10})).workflow
    return str(workflow.output.value.string_value)


async def test_nobody_answers_for_another(mesh: GuardedMesh) -> None:
    async with mesh.stream("work") as stream, mesh.stream("thief") as thief:
        envelope = await running_task(mesh, stream)
        await thief.say(hello=hello("work"))
        welcome = await thief.hear("welcome")
        await thief.say(task_completion=result(envelope, "stolen"))
        assert (await thief.hear("rejected")).reason == "TASK_NOT_FOUND"
        # It comes back and says that it runs the task, but the claim is another's.
        back = hello("work", agent_id=welcome.agent_id)
        back.lease_id = welcome.lease_id
        back.running.add(task=envelope)
        async with mesh.stream("thief") as again:
            await again.say(hello=back)
            await again.hear("welcome")
            await again.say(task_completion=result(envelope, "stolen"))
            assert (await again.hear("rejected")).reason == "TASK_NOT_FOUND"
            await stream.say(task_completion=result(envelope, "mine"))
            assert (await stream.hear("result_ack")).recorded
        assert await output_of(mesh) == "mine"


async def test_it_comes_back_with_what_it_runs(mesh: GuardedMesh) -> None:
    async with mesh.stream("work") as stream:
        envelope = await running_task(mesh, stream)
        welcome = stream.welcome
    back = hello("work", agent_id=welcome.agent_id)
    back.lease_id = welcome.lease_id
    back.running.add(task=envelope)
    async with mesh.stream("work") as again:
        await again.say(hello=back)
        await again.hear("welcome")
        await again.say(task_completion=result(envelope, "mine"))
        assert (await again.hear("result_ack")).recorded


async def test_under_an_id_that_is_gone_it_begins_as_a_new_one(mesh: GuardedMesh) -> None:
    """Nobody can say whose that id was, so the tasks that it names are not its own."""
    async with mesh.stream("work") as stream, mesh.stream("thief") as thief:
        envelope = await running_task(mesh, stream)
        back = hello("work", agent_id="gone-aaaaaaaa")
        back.lease_id = stream.welcome.lease_id
        back.running.add(task=envelope)
        await thief.say(hello=back)
        welcome = await thief.hear("welcome")
        assert welcome.agent_id != "gone-aaaaaaaa"
        assert welcome.lease_id != stream.welcome.lease_id
        await thief.say(task_completion=result(envelope, "stolen"))
        assert (await thief.hear("rejected")).reason == "TASK_NOT_FOUND"


async def test_a_second_answer_changes_nothing(mesh: GuardedMesh) -> None:
    async with mesh.stream("work") as stream:
        envelope = await running_task(mesh, stream)
        for answer in ("first", "second"):
            await stream.say(task_completion=result(envelope, answer))
            await stream.hear("result_ack")
        assert await output_of(mesh) == "first"


async def test_an_answer_that_comes_after_the_attempt_was_given_up_is_not_recorded(mesh: GuardedMesh) -> None:
    async with mesh.stream("work") as stream:
        envelope = await running_task(mesh, stream)
        operator = await mesh.by("operator")
        await operator.call("CancelWorkflow", workflow_id="order")
        await stream.hear("task_cancel")
        await stream.say(task_completion=result(envelope, "too late"))
        assert not (await stream.hear("result_ack")).recorded
        workflow = (await operator.call("GetWorkflow", workflow_id="order", wait={"seconds": 10})).workflow
        assert not workflow.HasField("output")


# ── after an ejection ────────────────────────────────────────────────────────────────────────────────────────────────


async def goes_on(stream: Any) -> None:
    """Say that the agent lives, until cancelled."""
    while True:
        await stream.say(status=pb.Status())
        await asyncio.sleep(0.5)


class Answering:
    """Begins each task that comes to a stream and answers it, as long as it is given an answer. What else comes is in `stream.items`."""

    def __init__(self, stream: Any, answer: Any) -> None:
        self.stream, self.answer = stream, answer
        self.tasks = [asyncio.create_task(each) for each in (self._run(), goes_on(stream))]

    async def leave(self) -> None:
        """The stream ends."""
        for task in self.tasks:
            task.cancel()
        await self.stream.close()

    async def _run(self) -> None:
        while True:
            envelope = await self.stream.hear("task", 120)
            if self.answer is None:
                self.stream.items.append(pb.ConnectResponseItem(task=envelope))
                return
            await self.stream.say(task_ack=pb.TaskAck(task_id=envelope.task_id, attempt=envelope.attempt))
            await self.stream.say(task_completion=self.answer(envelope))

    async def hear(self, kind: str, task_id: str) -> Any:
        """What the node says about this task, while it reads the stream."""

        def heard() -> Any:
            items = (getattr(item, kind) for item in self.stream.items if item.HasField(kind))
            return next((item for item in items if item.task_id == task_id), None)

        return await until(heard, f"{kind} of {task_id}")


async def run_once(mesh: GuardedMesh, workflow_id: str) -> str:
    """What a task came to that is tried once; "" if it failed."""
    operator = await mesh.by("operator")
    start = {"workflow_id": workflow_id, "definition": "call_once", "input": {"json": "1"}}
    ended = await operator.call("StartWorkflow", start, wait={"seconds": 20})
    return str(ended.workflow.output.value.string_value)


@asynccontextmanager
async def ejected(mesh: GuardedMesh) -> AsyncIterator[tuple[Answering, task_pb2.TaskEnvelope]]:
    """An agent that is ejected, and the task of the workflow "order" that it has begun before: it fails all others, where
    another agent succeeds. Both stay connected; the other one goes on to answer "done"."""
    operator = await mesh.by("operator")
    async with mesh.stream("work") as stream, mesh.stream("thief") as other:
        envelope = await running_task(mesh, stream)
        await other.say(hello=hello("work"))
        await other.hear("welcome")
        fails = Answering(stream, lambda task: failed(task, "out of order"))
        works = Answering(other, lambda task: result(task, "done"))
        numbers, listed, why = itertools.count(), list[Any](), list[Any]()
        async with asyncio.timeout(60):
            while not why:
                await run_once(mesh, f"before-{next(numbers)}")
                listed = (await operator.call("ListAgents", include_ejections=True)).agents
                why = [each.reason for entry in listed for each in entry.ejections]
        assert why == [registry.EJECTION_REASON_FAILS_EVERYTHING]
        (out,) = [entry.agent.agent_id for entry in listed if entry.ejections]
        assert out == stream.welcome.agent_id
        fails.answer = None
        yield fails, envelope
        for agent in (fails, works):
            await agent.leave()


async def test_an_agent_that_is_ejected_ends_what_it_runs_and_gets_nothing_new(mesh: GuardedMesh) -> None:
    """Its claim of the task is still its own, so its answer counts."""
    async with ejected(mesh) as (agent, envelope):
        assert [await run_once(mesh, f"after-{number}") for number in range(8)] == ["done"] * 8
        await agent.stream.say(task_completion=result(envelope, "after the ejection"))
        assert (await agent.hear("result_ack", envelope.task_id)).recorded
        assert not [item for item in agent.stream.items if item.HasField("task")], "it was given nothing"
        assert await output_of(mesh) == "after the ejection"


async def test_an_agent_that_is_ejected_does_not_answer_what_another_has_done_meanwhile(mesh: GuardedMesh) -> None:
    """It goes away, so its task is another one's. Then it comes back with an answer."""
    async with ejected(mesh) as (agent, envelope):
        await agent.leave()
        assert await output_of(mesh) == "done"
        async with mesh.stream("work") as back:
            said = hello("work", agent_id=agent.stream.welcome.agent_id)
            said.lease_id = agent.stream.welcome.lease_id
            said.running.add(task=envelope)
            await back.say(hello=said)
            await back.hear("welcome")
            for attempt in (envelope.attempt, envelope.attempt + 1):
                task = task_pb2.TaskEnvelope(task_id=envelope.task_id, attempt=attempt)
                await back.say(task_completion=result(task, "after the ejection"))
                assert (await back.hear("rejected")).reason == "TASK_NOT_FOUND"
        assert await output_of(mesh) == "done"


async def test_an_agent_reads_nothing(mesh: GuardedMesh) -> None:
    work = await mesh.by("work")
    assert await told(work.call("ListAgents")) == ("PERMISSION_DENIED", "ROLE_MISSING")
    assert await told(work.call("GetWorkflow", workflow_id="order")) == ("PERMISSION_DENIED", "ROLE_MISSING")


async def test_capabilities_that_are_taken_away_are_gone_when_it_comes_back(mesh: GuardedMesh) -> None:
    async with mesh.stream("ocr") as stream:
        await stream.say(hello=hello("ocr"))
        welcome = await stream.hear("welcome")
    mesh.write_policy(POLICY.replace('["ocr", "ocr-*"]', '["ocr-*"]'))

    async def is_refused() -> bool:
        async with mesh.stream("ocr") as again:
            back = hello("ocr", agent_id=welcome.agent_id)
            back.lease_id = welcome.lease_id
            await again.say(hello=back)
            try:
                return await again.end(0.5) == DENIED
            except TimeoutError:
                return False

    async with asyncio.timeout(20):
        while not await is_refused():
            await asyncio.sleep(0.05)
