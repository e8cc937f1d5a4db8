# SPDX-License-Identifier: Apache-2.0
"""A role that is limited to some workflows: everything else does not exist for who has it. Rules that look at the request."""

from __future__ import annotations

from typing import Any

import pytest

from nervenet.client.raw import RawClient
from nervenet.errors import NotFound, RequestError, Unauthorized
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.policy.world import GuardedMesh
from tests.support.waiting import until

POLICY = """
version: 1
roles:
  - {role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/node"]}
  - {role: operator, namespaces: ["*"], means: [mtls], subjects: ["spiffe://test/nervenet/operator"]}
  - role: client
    namespaces: ["*"]
    means: [mtls]
    subjects: [spiffe://test/nervenet/billing]
    workflows: [call, "call_*"]
    labels: {team: billing}
  - {role: client, namespaces: ["*"], means: [mtls], subjects: [spiffe://test/nervenet/everything]}
rules:
  - name: many is for operators
    deny: [StartWorkflow, StartWorkflows]
    when: workflow == "many" && !("operator" in roles)
    because: it starts a thousand tasks
"""
BILLING = {"team": "billing"}


@pytest.fixture
async def mesh(guarded: GuardedMesh) -> GuardedMesh:
    await guarded.guarded(POLICY)
    return guarded


async def start(client: RawClient, workflow_id: str, definition: str = "call", **labels: str) -> None:
    await client.call(
        "StartWorkflow", workflow_id=workflow_id, definition=definition, labels=labels, input={"json": "1"}
    )


async def refused(call: Any) -> tuple[str, str]:
    with pytest.raises(RequestError) as error:
        await call
    return error.value.code, error.value.reason


async def test_a_limited_client_starts_what_it_may(mesh: GuardedMesh) -> None:
    billing = await mesh.by("billing")
    await start(billing, "mine", **BILLING)
    for definition, labels in (("many", BILLING), ("call", {}), ("call", {"team": "sales"})):
        told = await refused(start(billing, "other", definition, **labels))
        assert told in (("PERMISSION_DENIED", "OUT_OF_LIMITS"), ("PERMISSION_DENIED", "DENIED_BY_RULE"))
    operator = await mesh.by("operator")
    with pytest.raises(NotFound):
        await operator.call("GetWorkflow", workflow_id="other")


async def test_what_it_may_not_see_is_told_like_what_is_not_there(mesh: GuardedMesh) -> None:
    operator, billing = await mesh.by("operator"), await mesh.by("billing")
    await start(operator, "theirs", team="sales")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("GetWorkflow", {}),
        ("ListJournal", {}),
        ("SignalWorkflow", {"signal": "go"}),
        ("CancelWorkflow", {}),
        ("ListEscalations", {}),
    ]
    for rpc, more in calls:
        told = []
        for each in ("theirs", "nobodys"):
            try:
                answer = await billing.call(rpc, workflow_id=each, **more)
                told.append((rpc, str(answer)))
            except RequestError as error:
                told.append((error.reason, error.message.replace(each, "…")))
        assert told[0] == told[1], rpc
        assert told[0][0] in ("WORKFLOW_NOT_FOUND", rpc)
    there = await refused(billing.call("GetEscalation", escalation_id="theirs/a#1"))
    assert there == await refused(billing.call("GetEscalation", escalation_id="nobodys/a#1"))
    workflow = (await operator.call("GetWorkflow", workflow_id="theirs")).workflow
    assert workflow.state == 1, "and nothing of it had an effect: it is RUNNING"


async def test_it_waits_for_what_it_may_not_see_as_for_what_is_not_there(mesh: GuardedMesh) -> None:
    await start(await mesh.by("operator"), "theirs", team="sales")
    unknown: set[str] = set()
    requests = [pb.AwaitWorkflowsRequest(workflow_ids=[each]) for each in ("theirs", "nobodys")]
    async for answer in mesh.talk("billing", "AwaitWorkflows", requests):
        assert not answer.workflows
        unknown |= set(answer.unknown_workflow_ids)
    assert unknown == {"theirs", "nobodys"}


async def test_it_lists_only_with_a_filter_that_keeps_its_limits(mesh: GuardedMesh) -> None:
    operator, billing = await mesh.by("operator"), await mesh.by("billing")
    await start(operator, "theirs", team="sales")
    await start(billing, "mine", **BILLING)
    for request in ({}, {"definition": "call"}, {"labels": BILLING}, {"definition": "many", "labels": BILLING}):
        assert await refused(billing.call("ListWorkflows", **request)) == ("PERMISSION_DENIED", "OUT_OF_LIMITS")
    found = await billing.call("ListWorkflows", definition="call", labels=BILLING)
    assert [workflow.workflow_id for workflow in found.workflows] == ["mine"]
    with pytest.raises(Unauthorized, match="name its workflow_id"):
        await billing.call("ListEscalations")


async def test_it_takes_no_id_from_a_workflow_of_others(mesh: GuardedMesh) -> None:
    operator, billing = await mesh.by("operator"), await mesh.by("billing")
    await start(operator, "theirs", team="sales")
    assert await refused(start(billing, "theirs", **BILLING)) == ("NOT_FOUND", "WORKFLOW_NOT_FOUND")


async def test_in_a_batch_each_start_has_its_own_outcome(mesh: GuardedMesh) -> None:
    client = await mesh.by("everything")
    payload = {"json": "1"}
    requests = [
        {"workflow_id": "one", "definition": "call", "input": payload},
        {"workflow_id": "two", "definition": "many", "input": payload},
    ]
    answer = await client.call("StartWorkflows", requests=requests)
    assert [(each.created, each.error.reason) for each in answer.outcomes] == [(True, ""), (False, "DENIED_BY_RULE")]
    assert "it starts a thousand tasks" in answer.outcomes[1].error.message
    operator = await mesh.by("operator")
    await start(operator, "three", "many")


async def test_the_archive_shows_nobody_more_than_redis_did(guarded: GuardedMesh) -> None:
    archive = (guarded.folder / "archive").as_uri()
    node = await guarded.guarded(POLICY, archive=archive, retention="1s")
    operator, billing = await guarded.by("operator"), await guarded.by("billing")
    await start(operator, "theirs", team="sales")
    await start(billing, "mine", **BILLING)
    for each in ("theirs", "mine"):
        await operator.call("CancelWorkflow", workflow_id=each)

        async def is_archived(each: str = each) -> bool:
            told = await operator.call("GetWorkflow", workflow_id=each)
            return bool(told.workflow.archived)

        await until(is_archived, f"{each} is read from the archive", 30)
    assert (await billing.call("GetWorkflow", workflow_id="mine")).workflow.archived
    for rpc in ("GetWorkflow", "ListJournal"):
        assert await refused(billing.call(rpc, workflow_id="theirs")) == ("NOT_FOUND", "WORKFLOW_NOT_FOUND")
    assert await refused(billing.call("ListWorkflows", archived=True)) == ("PERMISSION_DENIED", "OUT_OF_LIMITS")
    found = await billing.call("ListWorkflows", archived=True, definition="call", labels=BILLING)
    assert [workflow.workflow_id for workflow in found.workflows] == ["mine"]
    assert node.context.archive is not None


BLIND = 'subject.endsWith("/billing")'
BLIND_TO_SALES = 'labels["team"] == "sales"'


@pytest.mark.parametrize(
    ("denied", "name", "told"),
    [
        ("false", "operator", True),
        (BLIND, "operator", True),
        (BLIND, "billing", False),
        (BLIND_TO_SALES, "everything", False),
    ],
)
async def test_who_may_not_await_is_not_told_the_end_with_the_start(
    guarded: GuardedMesh, denied: str, name: str, told: bool
) -> None:
    """Also who may await some workflows: those are then awaited by a call that is decided by itself."""
    rule = f"rules:\n  - {{name: blind, deny: [AwaitWorkflows], when: '{denied}', because: it starts only}}"
    await guarded.guarded(POLICY.replace("rules:", rule))
    start: dict[str, Any] = {"workflow_id": "w", "definition": "call", "labels": BILLING, "input": {"json": "1"}}
    start |= {"timeout": {"nanos": 100_000_000}, "wait": {"seconds": 20}}  # nobody serves it: it ends by its timeout
    (outcome,) = (await (await guarded.by(name)).call("StartWorkflows", requests=[start])).outcomes
    assert outcome.created and outcome.HasField("workflow") is told, outcome
