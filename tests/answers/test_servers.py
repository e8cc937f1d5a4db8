# SPDX-License-Identifier: Apache-2.0
"""A full node, a Redis that is away and an etcd that is away: what every command says, within seconds, and what goes on.

One mesh of one node and one agent, on servers of its own, goes through all three.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nervenet.dev.servers import etcd, valkey
from tests.answers.asking import METRICS, Operator, Said, has
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)
APP = "tests/answers/app.py"
PATIENCE = 12.0
"""Seconds that a command may wait for a server that is away, beyond what commands take on this machine at that time."""
NOTHING_LOST = "Nothing is lost: the mesh goes on when it is back. What is wrong, and what to do: nervenet doctor"
PLACES = (
    "list",
    "show order-1",
    "top --once",
    "doctor",
    "agents list",
    "nodes list",
    "start order '\"bob\"' --id order-2",
)


async def _ask(operator: Operator) -> dict[str, Said]:
    return await asyncio.to_thread(operator.asks_all, PLACES)


async def _shows(operator: Operator, words: str) -> str:
    """The pages, once a line has these words."""

    async def there() -> str:
        page = await asyncio.to_thread(operator.metrics)
        return page if has(page, words) else ""

    page: str = await until(there, f"a page shows {words}", 30)
    return page


@pytest.mark.long
async def test_a_full_node_then_a_dead_redis_then_a_dead_etcd(tmp_path: Path) -> None:
    async with valkey(options={"appendonly": "yes"}) as redis, etcd() as registry:
        with ProcessMesh(tmp_path, redis.url, registry.url, app=APP, **METRICS) as mesh:
            node = await mesh.node(NERVENET_MAX_WORKFLOWS="1").until_ready()
            await mesh.agent("--only", "crawl").until_ready()
            async with mesh.client() as client:
                await client.start("order", "ada", id="order-1")
            operator = Operator(mesh)

            await _shows(operator, 'nervenet_node_full{role="node"} 1')
            a_full_node(await _ask(operator), node.id)
            await _shows(operator, 'nervenet_workflow_refused_total{role="node",reason="NODE_FULL"} 1')

            redis.kill()
            await _shows(operator, 'nervenet_redis_connected{role="node"} 0')
            a_dead_redis(await _ask(operator), redis.url)

            await redis.restart()
            await _shows(operator, 'nervenet_redis_connected{role="node"} 1')
            registry.kill()
            await _shows(operator, 'nervenet_lease_remaining_seconds{role="node"} 0')
            a_dead_etcd(await _ask(operator), registry.url, node.id)


def _soon(said: dict[str, Said]) -> float:
    """`nodes list` needs neither Redis nor etcd."""
    return 3 * said["nodes list"].seconds + PATIENCE


def a_full_node(said: dict[str, Said], node_id: str) -> None:
    refused = said[PLACES[-1]]
    assert refused.code == 6
    assert f"{node_id}, the only node that has its code, has as many workflows as it may" in refused.text
    assert "come again later, or start another node" in refused.text
    assert has(said["list"].text, "order-1 … ● running … waits for signal paid")
    assert has(said["show order-1"].text, "● order-1   running … node " + node_id)
    assert has(said["top --once"].text, "1 node (1 full)"), said["top --once"].text
    assert has(said["nodes list"].text, f"{node_id} … 1/1 … ! full")
    doctor = said["doctor"]
    assert doctor.code == 1
    assert has(doctor.text, f"✗ nodes.room … no node takes workflows; full: {node_id}"), doctor.text
    assert "→ start another node, or raise NERVENET_MAX_WORKFLOWS or NERVENET_MAX_MEMORY" in doctor.text


def a_dead_redis(said: dict[str, Said], url: str) -> None:
    where, soon = f"cannot reach Redis at {url}", _soon(said)
    for place in ("list", "show order-1", PLACES[-1]):
        one = said[place]
        assert one.code == 5 and where in one.text and NOTHING_LOST in one.text, (place, one)
        assert one.seconds < soon, (place, one)
    top = said["top --once"]
    assert top.code == 5 and top.seconds < soon
    assert has(top.text, f"✗ workflows and queues cannot be read: {where}"), top.text
    assert "→ nervenet doctor says what to do" in top.text
    assert has(top.text, "crawl … ✓ active"), "who is alive is known without Redis"
    doctor = said["doctor"]
    assert doctor.code == 1 and doctor.seconds < soon
    assert has(doctor.text, f"✗ redis … does not answer: {where}"), doctor.text
    assert "→ start it, or set NERVENET_REDIS to its address" in doctor.text
    assert (
        has(doctor.text, f"✗ queues … cannot be read: {where}")
        and has(doctor.text, "✗ workflows.stuck … the same as queues")
        and "✓ etcd.members" in doctor.text
    )
    agents = said["agents list"]
    assert agents.code == 0 and has(agents.text, f"queues cannot be read: {where}"), agents.text
    assert said["nodes list"].code == 0


def a_dead_etcd(said: dict[str, Said], url: str, node_id: str) -> None:
    where = f"etcd at {url.removeprefix('http://')} does not answer {node_id}, so who is alive may be out of date"
    soon = _soon(said)
    assert has(said["list"].text, "order-1 … ● running … waits for signal paid"), (
        "workflows go on, and are read, without etcd"
    )
    assert has(said["show order-1"].text, "waits for signal paid")
    for place in ("top --once", "agents list", "nodes list"):
        one = said[place]
        assert one.code == 0 and one.seconds < soon
        assert f"! {where}. What runs goes on; no workflow of a dead node is adopted → nervenet doctor" in one.text, (
            one.text
        )
    doctor = said["doctor"]
    assert doctor.code == 1 and doctor.seconds < soon
    assert has(doctor.text, "✗ etcd … does not answer: …")
    assert "→ start it, or set NERVENET_ETCD to its address" in doctor.text
    assert has(doctor.text, f"✗ nodes.registry … {where}"), doctor.text
