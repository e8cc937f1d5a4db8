# SPDX-License-Identifier: Apache-2.0
"""KEDA's questions and the answers of a node: a pool starts at zero, grows, never loses work, and ends at zero."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest

from nervenet.errors import ConfigError, InvalidRequest, RequestError
from nervenet.node.services.scaled_pool import Demand, read_pool
from nervenet.node.services.scaler import AGE, TASKS
from tests.kubernetes.scaling import Keda, Pool, ScaledMesh, held, held_in
from tests.support.certificates import Authority
from tests.support.waiting import until

SCALER = {"scaler": "127.0.0.1:0"}
ZERO_TO_ONE = 2.0
"""Seconds within which KEDA hears of the first task of a pool that has no agent."""


@pytest.fixture
async def scaled(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[ScaledMesh]:
    scaled = ScaledMesh(redis_url, etcd_url, namespace)
    async with scaled.stack:
        yield scaled


async def test_a_pool_starts_at_zero_within_two_seconds_of_its_first_task(scaled: ScaledMesh) -> None:
    there = await scaled.node()
    here = await scaled.node(**SCALER)
    keda, client = await scaled.keda(here.scaler), await scaled.client(there)
    stream = keda.stream()
    assert await anext(stream) is False and not await keda.is_active()

    run = await client.start(held, "first")  # on another node than the one that KEDA listens to
    async with asyncio.timeout(ZERO_TO_ONE):
        assert await anext(stream) is True
    assert await keda.is_active() and (await keda.metrics())[TASKS] == 1

    pool = Pool()
    async with scaled.agent(pool):  # what KEDA starts
        await pool.begun.acquire()
        assert await keda.is_active(), "a task that runs keeps its agent"
        pool.release.set()
        assert await run.result() == "first"
        async with asyncio.timeout(20):
            assert await anext(stream) is False
    assert not await keda.is_active()


async def test_tasks_that_wait_and_tasks_that_run_both_need_agents(scaled: ScaledMesh) -> None:
    node = await scaled.node(**SCALER)
    keda, client = await scaled.keda(node.scaler, slots="2", maxAge="10s"), await scaled.client(node)
    assert await keda.targets() == {TASKS: 2, AGE: 10}
    pool = Pool(slots=2)
    async with scaled.agent(pool):
        runs = [await client.start(held, f"task {n}") for n in range(5)]
        await pool.begun.acquire()
        await pool.begun.acquire()

        async def tasks() -> bool:
            return (await keda.metrics())[TASKS] == 5

        await until(tasks, "two run, three wait")
        assert (await keda.metrics())[AGE] > 0
        pool.release.set()
        for run in runs:
            await run.result()

        async def nothing() -> bool:
            return await keda.metrics() == {TASKS: 0, AGE: 0} and not await keda.is_active()

        await until(nothing, "the pool has nothing to do")


async def test_a_pool_hears_only_of_tasks_that_its_agents_can_take(scaled: ScaledMesh) -> None:
    node = await scaled.node(**SCALER)
    client = await scaled.client(node)
    europe = await scaled.keda(node.scaler, labels="zone=eu, gpu=yes")
    america = await scaled.keda(node.scaler, labels="zone=us")
    other_version = await scaled.keda(node.scaler, labels="zone=eu", version="2")
    both = await scaled.keda(node.scaler, capability="other,hold", labels="zone=eu")
    await client.start(held_in, "eu")
    await until(europe.is_active, "the task that asks for zone=eu")
    assert not await america.is_active()
    assert await other_version.is_active() and await both.is_active()  # a task that asks for no version takes any


async def test_a_task_that_nobody_announced_is_found_all_the_same(scaled: ScaledMesh) -> None:
    node = await scaled.node(**SCALER)
    keda = await scaled.keda(node.scaler)
    stream = keda.stream()
    assert await anext(stream) is False
    await node.context.queues.make_queue("hold", "", b"")
    await node.context.queues.send_queue("hold", b"from a node of another release")
    async with asyncio.timeout(20):
        assert await anext(stream) is True


async def test_a_stream_ends_well_when_its_node_leaves(scaled: ScaledMesh) -> None:
    """KEDA opens a stream that ended well again at once, and one that was cut later and later."""
    async with scaled.serving(**SCALER) as node:
        keda = await scaled.keda(node.scaler)
        stream = keda.stream()
        assert await anext(stream) is False
    assert [answer async for answer in stream] == []


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "name what the pool's agents serve"),
        ({"capability": "9 lives"}, "names of capabilities"),
        ({"capabilty": "hold"}, "there is no such key; there are capability"),
        ({"capability": "hold", "slots": "many"}, "a whole number, at least 1"),
        ({"capability": "hold", "slots": "0"}, "a whole number, at least 1"),
        ({"capability": "hold", "maxAge": "soon"}, "a duration"),
        ({"capability": "hold", "labels": "zone"}, "key=value"),
        ({"capability": "hold", "namespace": "b"}, "this node does not serve 'b'"),
    ],
)
def test_metadata_that_is_not_understood_is_refused(metadata: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_pool(metadata, ["a"])


def test_a_pool_grows_with_the_age_of_its_oldest_task() -> None:
    """KEDA's HPA starts as many agents as `age() / maxAge` says: with 4 agents and a wait of twice maxAge, 8."""
    assert Demand(waiting=9, running=4, oldest_ms=60_000, agents=4).age() / 30 == 8
    assert Demand(waiting=1, running=0, oldest_ms=60_000, agents=0).age() / 30 == 2
    assert Demand(waiting=0, running=4, oldest_ms=0, agents=4).age() == 0


@dataclass
class Refused:
    code: grpc.StatusCode
    words: str


async def refusal(keda: Keda) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await keda.is_active()
    return Refused(caught.value.code(), caught.value.details() or "")


async def test_a_mistake_in_a_scaled_object_is_told_in_words(scaled: ScaledMesh) -> None:
    node = await scaled.node(**SCALER)
    refused = await refusal(await scaled.keda(node.scaler, slot="2"))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT and "scalerMetadata[slot]" in refused.words


async def test_keda_needs_no_token_and_reaches_nothing_else_there(scaled: ScaledMesh) -> None:
    node = await scaled.node(**SCALER, token="s3cret")
    assert node.scaler is not None and not await (await scaled.keda(node.scaler)).is_active()
    raw = await scaled.raw(node.scaler, token="s3cret")
    with pytest.raises(RequestError, match="there is no method"):
        await raw.call("ListWorkflows")
    beside = await refusal(await scaled.keda(node.address))
    assert beside.code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED), "not at the node's own port"


async def test_a_port_that_others_can_reach_is_not_opened_without_certificates(scaled: ScaledMesh) -> None:
    """A token does not help there: KEDA cannot send one."""
    with pytest.raises(ConfigError, match=r"which others can reach.*no way to know who calls it"):
        await scaled.node(scaler="0.0.0.0:0", token="s3cret")
    node = await scaled.node(scaler="0.0.0.0:0", token="s3cret", insecure=True)
    assert node.scaler is not None


async def test_with_a_ca_file_keda_needs_a_certificate(scaled: ScaledMesh, tmp_path: Path) -> None:
    authority, strangers = Authority(tmp_path / "ours"), Authority(tmp_path / "strangers")
    ca, cert, key = authority.issue("node")
    node = await scaled.node(**SCALER, tls=str(ca), tls_cert=str(cert), tls_key=str(key))
    assert node.scaler is not None
    kedas = authority.issue("keda", san="URI:spiffe://cluster.local/nervenet/viewer/keda")  # as the chart's certificate
    an_agents = authority.issue("agent", san="URI:spiffe://cluster.local/nervenet/agent/pool")
    theirs = strangers.issue("keda")

    async def asked(*pair: bytes) -> bool:
        credentials = grpc.ssl_channel_credentials(ca.read_bytes(), *pair)
        async with grpc.aio.secure_channel(node.scaler or "", credentials) as channel:
            return await Keda(channel, capability="hold").is_active()

    assert await asked(kedas.key.read_bytes(), kedas.cert.read_bytes()) is False
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asked(an_agents.key.read_bytes(), an_agents.cert.read_bytes())
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    for pair in ((), (theirs.key.read_bytes(), theirs.cert.read_bytes())):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked(*pair)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
