# SPDX-License-Identifier: Apache-2.0
"""Two tenants on one node: each has its own of everything, and what goes wrong for one does not touch the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from nervenet import errors
from nervenet.config import Config
from nervenet.errors import ConfigError
from nervenet.redis_link.opening import open_link
from nervenet.v1 import agent_pb2
from tests.support.waiting import until
from tests.tenants.world import Tenancy, asks, breaks, echo, go, mesh, node_of, stamps, thinks, waits


@pytest.fixture
async def tenancy(redis_url: str, etcd_url: str) -> AsyncIterator[Tenancy]:
    async with Tenancy(redis_url, etcd_url) as tenancy:
        yield tenancy


@asynccontextmanager
async def health_of(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield health_pb2_grpc.HealthStub(channel)


async def status(stub: Any, name: str = "") -> str:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


# ── each has its own ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_both_use_the_same_ids(tenancy: Tenancy) -> None:
    ours, theirs = await tenancy.client(tenancy.ours), await tenancy.client(tenancy.theirs)
    assert await ours.run(echo, "of ours", id="order-1") == "of ours"
    assert await theirs.run(echo, "of theirs", id="order-1") == "of theirs"
    await ours.start(waits, "", id="same")
    run = await theirs.start(waits, "", id="same")
    await ours.handle("same").signal(go, "on")
    assert await ours.handle("same").result() == "on"
    assert (await run.info()).state == "RUNNING"


async def test_tasks_go_to_agents_of_their_tenant(tenancy: Tenancy) -> None:
    ours, theirs = await tenancy.agent(tenancy.ours), await tenancy.agent(tenancy.theirs)
    for namespace, agent in ((tenancy.ours, ours), (tenancy.theirs, theirs)):
        client, raw = await tenancy.client(namespace), await tenancy.raw(namespace)
        assert await client.run(stamps, namespace, id="letter") == f"stamped {namespace}"
        entries = (await raw.call("ListJournal", workflow_id="letter")).entries
        (actor,) = {entry.actor for entry in entries if entry.name.startswith("task:")}
        assert actor == agent.agent_id


async def test_a_gateway_agent_gets_tasks_of_its_tenant_only(tenancy: Tenancy) -> None:
    """Both serve `model`. Only one tenant has a task."""
    ours = await tenancy.speaker(tenancy.ours, "ours speaks")
    theirs = await tenancy.speaker(tenancy.theirs, "theirs speaks")
    client = await tenancy.client(tenancy.theirs)
    run = await client.start(thinks, "", id="thought")
    async for part in run.partials("model", str):
        assert part.value == "theirs speaks"
        break
    assert theirs.began and not ours.began


async def test_a_drained_node_of_one_tenant_serves_the_other_one(tenancy: Tenancy) -> None:
    process = tenancy.process
    raw = await tenancy.raw(tenancy.theirs)
    await raw.call("DrainNode", node_id=node_of(process, tenancy.theirs).node_id)
    await until(lambda: _state_of_nodes(raw), "their node is draining in the registry")
    assert not node_of(process, tenancy.ours).status.draining
    assert await (await tenancy.client(tenancy.ours)).run(echo, "goes on") == "goes on"
    async with health_of(process.address) as stub:
        assert await status(stub) == "SERVING"


async def _state_of_nodes(raw: Any) -> bool:
    return {node.state for node in (await raw.call("ListNodes")).nodes} == {agent_pb2.NODE_STATE_DRAINING}


# ── which namespaces there are is no secret that a call tells ────────────────────────────────────────────────────────


async def test_a_namespace_that_is_not_served_is_refused_without_naming_others(tenancy: Tenancy) -> None:
    raw = await tenancy.raw("somebody", tenancy.nodes[0].address)
    with pytest.raises(errors.Unauthorized) as refused:
        await raw.call("ListWorkflows")
    assert refused.value.reason == "WRONG_NAMESPACE"
    assert tenancy.ours not in refused.value.message and tenancy.theirs not in refused.value.message


async def test_whoever_has_no_token_does_not_learn_whether_a_namespace_is_served(redis_url: str, etcd_url: str) -> None:
    async with Tenancy(redis_url, etcd_url) as tenancy:
        process = await tenancy.several(token="s3cret")
        told = set()
        for namespace in (tenancy.ours, "somebody"):
            with pytest.raises(errors.Unauthorized) as refused:
                await (await tenancy.raw(namespace, process.address)).call("ListWorkflows")
            told.add((refused.value.reason, refused.value.message))
        assert {reason for reason, _ in told} == {"BAD_TOKEN"} and len(told) == 1


async def test_a_call_that_names_none_is_of_the_first_one(tenancy: Tenancy) -> None:
    client = await tenancy.client(tenancy.ours)
    await client.run(echo, "", id="first")
    async with httpx.AsyncClient(base_url=f"http://{tenancy.http[tenancy.ours]}") as door:
        answer = await door.post("/nervenet.v1.CoordinatorService/ListWorkflows", json={})
    assert [one["workflowId"] for one in answer.json()["workflows"]] == ["first"]


# ── faults stay where they are ───────────────────────────────────────────────────────────────────────────────────────


async def test_one_that_is_full_refuses_and_the_other_one_does_not(redis_url: str, etcd_url: str) -> None:
    async with Tenancy(redis_url, etcd_url) as tenancy:
        process = await tenancy.several(max_workflows=2)
        tenancy._at(process, tenancy.ours, tenancy.theirs)
        for node in tenancy.nodes[:1]:  # the other process takes no starts of theirs
            node_of(node, tenancy.theirs).status.draining = True
            await node_of(node, tenancy.theirs).drain()
        remaining = node_of(process, tenancy.theirs)
        await until(
            lambda: remaining.placement.able("waits", 1) == [remaining.node_id], "their other node takes no starts"
        )
        theirs, ours = await tenancy.client(tenancy.theirs), await tenancy.client(tenancy.ours)
        for number in range(2):
            await theirs.start(waits, "", id=f"w-{number}")
        with pytest.raises(errors.Overloaded):
            await theirs.start(waits, "", id="w-2")
        assert await ours.run(echo, "has room") == "has room"


async def test_a_blocked_workflow_and_broken_records_touch_only_their_tenant(tenancy: Tenancy) -> None:
    ours, theirs = await tenancy.client(tenancy.ours), await tenancy.client(tenancy.theirs)
    await theirs.start(breaks, "on purpose", id="broken")
    link = await open_link(tenancy.config(tenancy.theirs).require("redis", "a test"))
    wake = f"nn:{tenancy.theirs}:wake:{{{node_of(tenancy.process, tenancy.theirs).node_id}}}"
    await link.call("DEL", wake)
    for key in (f"nn:{tenancy.theirs}:wf:{{rubbish}}", wake):
        await link.call("SET", key, "another type of value")
    with pytest.raises(errors.RequestError):
        await (await tenancy.raw(tenancy.theirs)).call("GetWorkflow", workflow_id="rubbish")
    assert await ours.run(echo, "is well") == "is well"
    await until(lambda: _is(link, wake, "stream"), "their wake is a stream again")
    assert await theirs.run(echo, "is well again") == "is well again"
    await link.close()


async def test_a_process_wants_calls_as_long_as_one_of_its_nodes_is_well(tenancy: Tenancy) -> None:
    nodes = [node_of(tenancy.process, namespace) for namespace in (tenancy.ours, tenancy.theirs)]
    async with health_of(tenancy.process.address) as stub:
        assert await status(stub) == "SERVING"
        for node in nodes:
            node.failing.add("a part")
        await until(lambda: _has_status(stub, "NOT_SERVING"), "neither is well")
        nodes[0].failing.clear()
        await until(lambda: _has_status(stub, "SERVING"), "one is well")


async def _has_status(stub: Any, wanted: str) -> bool:
    return await status(stub) == wanted


async def _is(link: Any, key: str, kind: str) -> bool:
    return bool(await link.call("TYPE", key) == kind.encode())


async def test_a_node_that_fails_comes_back_and_the_other_one_goes_on(tenancy: Tenancy) -> None:
    """What a process with one namespace answers by ending itself."""
    process = tenancy.process
    ours, theirs = await tenancy.client(tenancy.ours), await tenancy.client(tenancy.theirs)
    run = await theirs.start(waits, "", id="goes-on")
    our_id, old = node_of(process, tenancy.ours).node_id, node_of(process, tenancy.theirs)
    old._end("the wake reader", RuntimeError("on purpose"))
    await until(lambda: process.ids.get(tenancy.theirs, old.node_id) != old.node_id, "a new node serves them")
    assert process.ids[tenancy.ours] == our_id
    await run.signal(go, "after it")
    assert await asyncio.wait_for(run.result(), 30) == "after it"
    assert await ours.run(echo, "noticed nothing") == "noticed nothing"
    async with health_of(process.address) as stub:
        assert await status(stub, old.node_id) == "SERVICE_UNKNOWN"
        assert await status(stub, process.ids[tenancy.theirs]) == "SERVING"


# ── what is shown of them ────────────────────────────────────────────────────────────────────────────────────────────


async def test_metrics_of_each_have_its_label_and_those_of_the_process_none(tenancy: Tenancy) -> None:
    await (await tenancy.client(tenancy.ours)).run(echo, "")
    await (await tenancy.client(tenancy.theirs)).start(asks, "", id="question")
    page = await _page(tenancy.metrics)
    lines = [line for line in page.splitlines() if 'definition="asks"' in line or 'definition="echo"' in line]
    assert lines
    for line in lines:
        owner = tenancy.theirs if 'definition="asks"' in line else tenancy.ours
        assert f'nervenet_namespace="{owner}"' in line
    of_process = [
        line for line in page.splitlines() if line.startswith(("process_", "nervenet_redis_", "nervenet_loop"))
    ]
    assert of_process and not [line for line in of_process if "nervenet_namespace" in line]


async def test_two_pages_that_ask_for_the_same_see_their_own(tenancy: Tenancy) -> None:
    """One node, one method, one request: the answers that streams share are of one namespace."""
    for namespace in (tenancy.ours, tenancy.theirs):
        await (await tenancy.client(namespace)).run(echo, "", id=f"of-{namespace}")
    body = {"reads": {"all": {"method": "nervenet.v1.CoordinatorService/ListWorkflows"}}}

    async def first_event(namespace: str) -> str:
        async with (
            asyncio.timeout(20),
            httpx.AsyncClient(base_url=f"http://{tenancy.http[namespace]}") as door,
            door.stream("POST", "/live", json=body, headers={"nervenet-namespace": namespace}) as answer,
        ):
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    return line
        raise AssertionError

    of_ours, of_theirs = await asyncio.gather(first_event(tenancy.ours), first_event(tenancy.theirs))
    assert f"of-{tenancy.ours}" in of_ours and tenancy.theirs not in of_ours
    assert f"of-{tenancy.theirs}" in of_theirs and tenancy.ours not in of_theirs


async def test_a_browser_names_the_namespace_in_the_address(tenancy: Tenancy) -> None:
    await (await tenancy.client(tenancy.theirs)).run(echo, "", id="done")
    async with httpx.AsyncClient(base_url=f"http://{tenancy.http[tenancy.ours]}") as door:
        refused = await door.get(f"/live/workflows/done?namespace={tenancy.ours}")
        assert refused.status_code == 404 and refused.json()["code"] == "not_found"
        shown = await door.get(f"/live/workflows/done?namespace={tenancy.theirs}")
        assert shown.status_code == 200 and "event: end" in shown.text


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrong", ["", ",", "a,,b", "a,a", "a b", "a:b", ",".join(f"n{i}" for i in range(51))])
def test_wrong_namespaces_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="namespaces is"):
        Config.load(environ={}, namespaces=wrong)


def test_a_client_has_one_namespace() -> None:
    with pytest.raises(ConfigError, match="NERVENET_NAMESPACES"):
        Config.load(environ={"NERVENET_NAMESPACE": "a,b"})
    config = Config.load(environ={"NERVENET_NAMESPACES": "a, b", "NERVENET_NAMESPACE": "c"})
    assert (config.namespace, config.served_namespaces) == ("c", ("a", "b"))
    assert Config.load(environ={"NERVENET_NAMESPACE": "c"}).served_namespaces == ("c",)


async def test_a_program_of_ones_own_serves_one(redis_url: str, etcd_url: str) -> None:
    config = Config.load(environ={}, namespaces="a,b", redis=redis_url, etcd=etcd_url, listen="127.0.0.1:0")
    with pytest.raises(ConfigError, match="nervenet node"):
        async with mesh.serve(config=config, agents=False):
            pass


async def _page(address: str) -> str:
    async with httpx.AsyncClient() as door:
        return (await door.get(f"http://{address}/metrics")).text
