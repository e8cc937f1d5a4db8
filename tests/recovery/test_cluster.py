# SPDX-License-Identifier: Apache-2.0
"""A mesh of processes on a Redis Cluster whose slots move and whose first master dies, while workflows run and come in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nervenet.dev.servers import Server
from nervenet.redis_link.slots import slot_of
from nervenet.streams.keys import Keys
from tests.recovery.load import Load
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.redis_cluster import Clustered


def slots_in_use(
    host: ProcessMesh, nodes: tuple[NervenetProcess, ...], agents: tuple[NervenetProcess, ...]
) -> list[int]:
    """Those of the keys that every workflow needs, and of some workflows that are waiting."""
    keys = Keys(host.namespace)
    used = [keys.running, keys.queue("note"), keys.queues("note")]
    used += [key for node in nodes for key in (keys.wake(node.id), keys.owned(node.id))]
    used += [keys.inbox(agent.id) for agent in agents]
    used += [keys.head(f"errand-e{n}") for n in range(10)]
    return sorted({slot_of(key) for key in used})


long = pytest.mark.skipif(not os.environ.get("FAILOVER"), reason="`make failover` runs it: half a minute")


@pytest.mark.long
async def test_slots_move_and_a_master_dies_under_a_running_mesh(tmp_path: Path, shared_etcd: Server) -> None:
    async with Clustered(replica=True) as redis:
        with ProcessMesh(tmp_path, redis.url, shared_etcd.url) as host:
            nodes = host.up(host.node(), host.node())
            agents = host.up(host.agent("--only", "note,say", "--name", "clerk"))
            async with host.client() as client:
                load = Load(host, client)
                await load.wait_at_gates(20)
                await load.more(10)
                await redis.give_away(slots_in_use(host, nodes, agents))
                await load.more(20)
                await redis.failover()
                await load.more(20)
                await load.finish()


@long
async def test_a_cluster_fails_over_there_and_back(tmp_path: Path, shared_etcd: Server) -> None:
    async with Clustered(replica=True) as redis:
        with ProcessMesh(tmp_path, redis.url, shared_etcd.url) as host:
            host.up(host.node(), host.node())
            host.up(host.agent("--only", "note,say", "--name", "clerk"))
            async with host.client() as client:
                load = Load(host, client)
                for how in (signal.SIGSTOP, signal.SIGKILL):
                    await load.wait_at_gates(8)
                    await load.more(20)
                    await redis.failover(how)
                    await load.more(20)
                    await redis.resume_old()
                await load.more(20)
                await load.finish()
