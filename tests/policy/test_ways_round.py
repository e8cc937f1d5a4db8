# SPDX-License-Identifier: Apache-2.0
"""Ways round the policy: what a caller tries that may do something, to reach what it may not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nervenet.client.raw import RawClient
from nervenet.errors import RequestError
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.policy.world import GuardedMesh, audited

POLICY = """
version: 1
roles:
  - {role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/node"]}
  - {role: operator, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/operator"]}
  - {role: client, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/clerk]}
  - {role: agent, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/work], capabilities: [work]}
  - role: client
    namespaces: ["*"]
    means: [mtls]
    subjects: [spiffe://test/nervenet/billing]
    workflows: [nervenet.task]
    labels: {team: billing}
rules:
  - name: pay is for operators
    deny: ["*"]
    when: (workflow == "call_queue" || "pay" in labels) && !("operator" in roles)
"""
BILLING, SALES = {"team": "billing"}, {"team": "sales"}


@pytest.fixture
async def mesh(guarded: GuardedMesh) -> GuardedMesh:
    await guarded.guarded(POLICY)
    return guarded


async def start(client: RawClient, workflow_id: str, definition: str = "call", **labels: str) -> None:
    await client.call(
        "StartWorkflow", workflow_id=workflow_id, definition=definition, labels=labels, input={"json": "1"}
    )


async def told(call: Any) -> tuple[str, str]:
    with pytest.raises(RequestError) as error:
        await call
    return error.value.code, error.value.reason


async def test_a_rule_that_denies_workflows_hides_them_in_lists(mesh: GuardedMesh) -> None:
    operator, clerk = await mesh.by("operator"), await mesh.by("clerk")
    await start(operator, "plain")
    await start(operator, "salary", pay="yes")
    assert await told(clerk.call("GetWorkflow", workflow_id="salary")) == ("PERMISSION_DENIED", "DENIED_BY_RULE")
    requests: tuple[dict[str, Any], ...] = ({}, {"definition": "call"}, {"include_waits": True}, {"labels": {}})
    for request in requests:
        seen = await clerk.call("ListWorkflows", **request)
        assert [each.workflow_id for each in seen.workflows] == ["plain"], request
    everything = await operator.call("ListWorkflows")
    assert {each.workflow_id for each in everything.workflows} == {"plain", "salary"}
    waits = await clerk.call("ListWaits")
    assert {each.workflow_id for each in waits.workflows} <= {"plain"}


async def test_a_task_of_others_is_not_had_by_its_request_id(mesh: GuardedMesh) -> None:
    operator, billing = await mesh.by("operator"), await mesh.by("billing")
    async with await mesh.speaker("work", {"work": lambda task: {"secret": 42}}):
        task: dict[str, Any] = {"capability": "work", "input": {"json": "1"}, "wait": {"seconds": 10}}
        await operator.call("RunTask", request_id="r-1", labels=SALES, **task)
        refusal = await told(billing.call("RunTask", request_id="r-1", labels=BILLING, **task))
        assert refusal == ("NOT_FOUND", "WORKFLOW_NOT_FOUND")


async def test_who_is_limited_to_workflows_sees_no_tasks_of_agents(mesh: GuardedMesh) -> None:
    billing = await mesh.by("billing")
    refusal = await told(billing.call("ListActiveTasks", agent_id="a-aaaaaaaa"))
    assert refusal == ("PERMISSION_DENIED", "OUT_OF_LIMITS")


async def test_a_large_batch_is_on_record_with_each_workflow(guarded: GuardedMesh) -> None:
    log = guarded.folder / "audit.jsonl"
    await guarded.guarded(POLICY, audit=log)
    clerk = await guarded.by("clerk")
    requests = [{"workflow_id": f"w-{i}", "definition": "call", "input": {"json": "1"}} for i in range(250)]
    requests[7]["definition"] = "call_queue"
    await clerk.call("StartWorkflows", requests=requests)
    noted = [each for line in audited(log) if line["decision"] == "allowed" for each in line["target"]["workflow_ids"]]
    assert noted == [f"w-{i}" for i in range(250) if i != 7]


async def test_a_stream_tells_nothing_more_once_the_policy_has_taken_the_right_away(mesh: GuardedMesh) -> None:
    clerk = await mesh.by("clerk")
    for workflow_id in ("over", "w"):
        await start(clerk, workflow_id)
    await clerk.call("CancelWorkflow", workflow_id="over")
    stream = mesh.talk("clerk", "AwaitWorkflows", [pb.AwaitWorkflowsRequest(workflow_ids=["over", "w"])])
    first = await anext(stream)
    assert [each.workflow_id for each in first.workflows] == ["over"], (
        "the stream has begun, and waits for the other one"
    )
    mesh.write_policy(POLICY.partition("rules:")[0].replace("nervenet/clerk", "nervenet/nobody"))
    async with asyncio.timeout(20):
        assert await told(anext(stream)) == ("PERMISSION_DENIED", "NO_ROLE"), "without anything happening"
