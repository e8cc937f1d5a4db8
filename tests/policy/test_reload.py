# SPDX-License-Identifier: Apache-2.0
"""A changed policy counts without a restart, in open streams' next calls too; one that is broken changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nervenet.config import Config
from nervenet.errors import ConfigError, RequestError, Unauthorized
from nervenet.rpc.access import Access
from nervenet.security import Caller
from nervenet.security.policies import Policies
from nervenet.timing import FILE_LOOK_AGAIN, FILE_LOOK_EVERY
from nervenet.v1 import agent_service_pb2 as agent_pb
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.gateway.world import hello
from tests.policy.world import GuardedMesh

ONE = 'version: 1\nroles:\n  - {role: viewer, namespaces: ["*"], means: [jwt], subjects: [a]}\n'
TWO = ONE.replace("viewer", "client")
A = Caller("a", "jwt")
START = "/nervenet.v1.CoordinatorService/StartWorkflow"


def allowed(policies: Policies) -> bool:
    answer = policies.current.decide(A, START, "default")
    return bool(getattr(answer, "allowed", False))


def test_a_new_text_counts_when_two_readings_have_found_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(ONE)
    policies = Policies(path)
    path.write_text(TWO)
    assert (policies.look(), allowed(policies)) == (FILE_LOOK_AGAIN, False)
    assert (policies.look(), allowed(policies)) == (FILE_LOOK_EVERY, True)


def test_a_broken_policy_keeps_the_last_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(TWO)
    policies = Policies(path)
    with caplog.at_level(logging.WARNING):
        for broken in ("version: 1\nroles: [{role: x}]", None):
            path.unlink() if broken is None else path.write_text(broken)
            for _ in range(3):
                policies.look()
            assert allowed(policies)
            assert policies.broken
        assert len(caplog.records) == 2, "each new mistake is logged once"
        assert f"{path}:2:" in caplog.text
        path.write_text(ONE)
        policies.look()
        policies.look()
    assert not policies.broken
    assert not allowed(policies)


def test_a_process_does_not_start_with_a_broken_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nroles: [{role: x}]")
    with pytest.raises(ConfigError, match=r"policy.yaml:2:16: role is one of"):
        Access(Config.load(environ={}, policy=path), "node")
    with pytest.raises(ConfigError, match="policy is"):
        Config.load(environ={}, policy=tmp_path / "none.yaml")


async def test_a_node_takes_a_right_away_and_gives_it_back(guarded: GuardedMesh) -> None:
    text = 'version: 1\nroles:\n  - {role: ROLE, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/ada]}\n'
    await guarded.guarded(text.replace("ROLE", "client"))
    ada = await guarded.by("ada")

    async def may() -> bool:
        try:
            await ada.call("StartWorkflows", requests=[])
        except Unauthorized:
            return False
        return True

    assert await may()
    guarded.write_policy(text.replace("ROLE", "viewer"))
    await until_answers(may, False)
    guarded.write_policy(text.replace("ROLE", "client"))
    await until_answers(may, True)


IDLE = """
version: 1
roles:
  - {role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/node"]}
  - {role: operator, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/operator"]}
  - {role: client, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/ada"]}
  - {role: agent, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/work"], capabilities: [work, ocr]}
"""
LIMITED = "subjects: [spiffe://test/nervenet/ada], workflows: [other]"


async def ends(stream: AsyncIterator[Any]) -> tuple[str, str]:
    """How a stream ends that is told nothing more."""
    async with asyncio.timeout(20):
        with pytest.raises(RequestError) as error:
            async for _ in stream:
                pass
    return error.value.code, error.value.reason


async def test_an_idle_watch_ends_when_its_workflow_is_none_of_the_callers_any_more(guarded: GuardedMesh) -> None:
    await guarded.guarded(IDLE)
    ada, operator = await guarded.by("ada"), await guarded.by("operator")
    await ada.call("StartWorkflow", workflow_id="w", definition="call", input={"json": "1"})
    watched = ada.stream("WatchWorkflow", workflow_id="w")
    await anext(watched)
    others = operator.stream("WatchWorkflow", workflow_id="w")
    await anext(others)
    guarded.write_policy(IDLE.replace('subjects: ["spiffe://test/nervenet/ada"]', LIMITED))
    assert await ends(watched) == ("NOT_FOUND", "WORKFLOW_NOT_FOUND"), "in the words of one that does not exist"
    await operator.call("CancelWorkflow", workflow_id="w")
    async with asyncio.timeout(20):
        assert [answer async for answer in others], "who may still see it sees its end"


async def test_streams_of_requests_end_when_the_policy_takes_the_right_away(guarded: GuardedMesh) -> None:
    await guarded.guarded(IDLE)
    ada = await guarded.by("ada")
    await ada.call("StartWorkflow", workflow_id="w", definition="call", input={"json": "1"})
    asked = [pb.AwaitWorkflowsRequest(workflow_ids=["w"])]
    awaiting = asyncio.ensure_future(ends(guarded.talk("ada", "AwaitWorkflows", asked)))
    async with guarded.stream("work") as ocr, guarded.stream("work") as work:
        for stream, capability in ((ocr, "ocr"), (work, "work")):
            await stream.say(hello=hello(capability))
            await stream.hear("welcome")
        limited = IDLE.replace('subjects: ["spiffe://test/nervenet/ada"]', LIMITED)
        guarded.write_policy(limited.replace("[work, ocr]", "[work]"))
        assert await ocr.end() == ("PERMISSION_DENIED", "OUT_OF_LIMITS")
        assert await awaiting == ("UNAVAILABLE", "POLICY_CHANGED"), "it opens it again, and waits for what it may see"
        await work.say(status=agent_pb.Status())
        await work.hear("status_ack")
        guarded.write_policy(limited.replace("role: agent", "role: viewer").replace(", capabilities: [work, ocr]", ""))
        assert await work.end() == ("PERMISSION_DENIED", "ROLE_MISSING")


async def until_answers(ask: Callable[[], Awaitable[bool]], wanted: bool) -> None:
    async with asyncio.timeout(20):
        while await ask() is not wanted:
            await asyncio.sleep(0.05)
