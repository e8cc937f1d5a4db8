# SPDX-License-Identifier: Apache-2.0
"""A mesh of processes whose Redis fails over to its replica, while workflows run and new ones come in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nervenet.dev.servers import Server
from tests.recovery.load import Load
from tests.support.mesh import ProcessMesh
from tests.support.redis_servers import Replicated, role_of, scripts_run


async def test_a_frozen_master_is_failed_over_and_what_comes_back_of_it_is_never_written_to(
    tmp_path: Path, shared_etcd: Server
) -> None:
    async with Replicated() as redis:
        with ProcessMesh(tmp_path, redis.url, shared_etcd.url) as host:
            host.up(host.node(), host.node())
            host.up(host.agent("--only", "note,say", "--name", "clerk"))
            async with host.client() as client:
                load = Load(host, client)
                await load.wait_at_gates(20)
                await load.more(20)
                old = redis.master
                await redis.failover(signal.SIGSTOP)
                await load.more(20)
                old.kill(signal.SIGCONT)
                assert role_of(old) == "master", "it does not know yet"
                written = scripts_run(old)
                await load.more(20)
                assert scripts_run(old) == written, "somebody wrote to a master of the past"
                await load.finish()
            for role in host.processes:
                assert "min-replicas-to-write" in role.log


@pytest.mark.skipif(not os.environ.get("FAILOVER"), reason="`make failover` runs it: a minute")
async def test_masters_fail_over_there_and_back(tmp_path: Path, shared_etcd: Server) -> None:
    async with Replicated() as redis:
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
                assert role_of(redis.replica) == "slave"
                await load.more(20)
                await load.finish()
