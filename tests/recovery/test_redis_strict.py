# SPDX-License-Identifier: Apache-2.0
"""`durability="strict"`: a server that does not sync before it answers is refused; what it acknowledged survives kills.

The long form is `python -m tests.recovery.strict`; this is the same, three times.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from nervenet.dev.servers import valkey
from nervenet.redis_link.durability import check_strict
from nervenet.redis_link.faults import UnfitServer
from nervenet.redis_link.opening import open_link
from nervenet.streams.keys import Keys
from tests.recovery import strict
from tests.recovery.redis_world import APP
from tests.support.mesh import ProcessMesh

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


async def test_only_a_server_that_syncs_before_it_answers_will_do() -> None:
    async with valkey(options=ALWAYS) as server:
        link = await open_link(server.url)
        await check_strict(link)
        await link.call("CONFIG", "SET", "appendfsync", "everysec")
        with pytest.raises(
            UnfitServer, match=r"needs `appendfsync always`, but Redis at .* has `appendfsync everysec`"
        ):
            await check_strict(link)
        await link.call("CONFIG", "SET", "appendonly", "no")
        with pytest.raises(UnfitServer, match="has `appendonly no`: a crash could take back what it acknowledged"):
            await check_strict(link)
        await link.call("ACL", "SETUSER", "default", "-config")
        with pytest.raises(UnfitServer, match=r"does not tell its appendonly .*: allow our user CONFIG GET"):
            await check_strict(link)
        await link.close()


async def test_a_node_leaves_when_its_server_is_strict_no_more(tmp_path: Path, etcd_url: str) -> None:
    async with valkey(tmp_path / "valkey", options=ALWAYS) as server:
        with ProcessMesh(tmp_path, server.url, etcd_url) as host:
            host.env["NERVENET_DURABILITY"] = "strict"
            (node,) = await asyncio.to_thread(host.up, host.node(APP))
            link = await open_link(server.url)
            await link.call("CONFIG", "SET", "appendfsync", "everysec")
            assert await asyncio.to_thread(node.wait, 40) == 70
            assert "durability is strict, which needs `appendfsync always`" in node.log
            late = host.node(APP)
            assert await asyncio.to_thread(late.wait, 40) != 0
            assert "durability is strict, which needs `appendfsync always`" in late.log
            assert "Traceback" not in late.log
            await link.close()


@pytest.mark.long
async def test_three_kills_of_redis_and_all_nodes_take_nothing_back(tmp_path: Path) -> None:
    seed = random.randrange(1 << 16)
    print(f"seed {seed}")
    report = await strict.torture(3, "strict", seed, folder=tmp_path)
    print(strict.line(report))
    assert report["lost"] == {"start": 0, "signal": 0, "decision": 0}
    assert all(report["acknowledged"].values())


async def test_what_is_missing_is_found(redis_url: str, namespace: str) -> None:
    """A head that promises an entry which its journal lacks, a journal without its head, and nothing at all."""
    link, keys = await open_link(redis_url), Keys(namespace)
    told = [strict.Told("signal", name, "signal:r") for name in ("whole", "headless", "cut", "gone")]
    for name in ("whole", "headless", "cut"):
        await link.call("XADD", keys.journal(name), "5-1", "n", "signal:r", "e", "x")
        await link.call("HSET", keys.head(name), "e:signal:r", "5-1")
    await link.call("HDEL", keys.head("headless"), "e:signal:r")
    await link.call("XDEL", keys.journal("cut"), "5-1")
    gone = await strict.missing(redis_url, namespace, told)
    assert [one.workflow_id for one in gone] == ["headless", "cut", "gone"]
    await link.close()


@pytest.mark.long
async def test_everysec_may_lose_its_last_second_and_the_report_says_so(tmp_path: Path) -> None:
    report = await strict.torture(1, "normal", 1, folder=tmp_path, power_cut=True)
    assert sum(report["lost"].values()) > 0
    assert report["kills_that_lost"] == 1
