# SPDX-License-Identifier: Apache-2.0
"""Sinks that are slow, full, refused or killed: workflows go on, nothing is lost, nothing is there twice, and people are told.

The nodes are processes. The bucket is an S3 server (moto) behind a proxy that can be slow, and break in the middle of a write.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import resource
import shutil
import signal
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
import redis.asyncio
from obstore.store import S3Store

from nervenet.cli.doctor.archive_checks import judge_room
from tests.archive.world import lines_in
from tests.support.mesh import ProcessMesh
from tests.support.processes import NervenetProcess
from tests.support.s3 import create_bucket, s3_server
from tests.support.tcp_proxy import TcpProxy, tcp_proxy
from tests.support.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret-4711"}
BIG = "archive " * 2_500
"""20 KB."""


class Bucket:
    """A bucket, and what its owner reads in it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self, name: str) -> None:
        create_bucket(self.url, name, "owner")

    def allow(self, calls: int) -> None:
        """How many more calls are let in whatever their credentials are."""
        asked = urllib.request.Request(  # loopback
            f"{self.url}/moto-api/reset-auth", str(calls).encode(), {"content-type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(asked, timeout=10).close()  # loopback

    def lines(self, name: str) -> list[dict[str, Any]]:
        options = {"access_key_id": "owner", "secret_access_key": "owner", "client_options": {"allow_http": True}}
        store = S3Store(name, endpoint=self.url, region="us-east-1", **options)
        paths = [one["path"] for one in obstore.list(store).collect() if "/runs/" in one["path"]]
        texts = [gzip.decompress(bytes(obstore.get(store, path).bytes())) for path in paths]
        return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_server() as url:
        bucket = Bucket(url)
        yield bucket
        bucket.allow(1 << 60)


@asynccontextmanager
async def nodes(
    tmp_path: Path, servers: tuple[str, str], number: int = 1, **env: str
) -> AsyncIterator[tuple[ProcessMesh, list[NervenetProcess]]]:
    given = {"NERVENET_RETENTION": "2s", "NERVENET_METRICS": "127.0.0.1:0", **KEYS, **env}
    with ProcessMesh(tmp_path, *servers, app="tests/archive/app.py", **given) as mesh:
        mesh.start(number, 0)
        yield mesh, mesh.nodes


@pytest.fixture
def servers(redis_url: str, etcd_url: str) -> tuple[str, str]:
    return redis_url, etcd_url


async def closed(mesh: ProcessMesh, ids: list[str], value: str = "x") -> None:
    """Run these workflows to their end."""
    async with mesh.client() as client:
        for start in range(0, len(ids), 50):
            some = ids[start : start + 50]
            handles = await asyncio.gather(*(client.start("echo", value, id=each) for each in some))
            async with asyncio.timeout(60):
                await asyncio.gather(*(handle.result() for handle in handles))


async def metric(node: NervenetProcess, name: str) -> float:
    """A number of a node's own metrics."""
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://{node.metrics}/metrics")).text
    found = re.search(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / (1 << 20)


def once_each(lines: list[dict[str, Any]], ids: list[str]) -> bool:
    """Whether all are there. None may be there twice, at any time."""
    counted = Counter(line["workflow_id"] for line in lines)
    assert not counted or max(counted.values()) == 1, counted.most_common(3)
    return set(counted) == set(ids)


async def test_behind_a_slow_sink_workflows_go_on_and_the_node_stays_small(
    tmp_path: Path, servers: tuple[str, str], bucket: Bucket
) -> None:
    bucket.create("slow")
    async with tcp_proxy(bucket.url) as proxy:
        address = f"s3://slow/x?endpoint=http://127.0.0.1:{proxy.port}"
        async with nodes(tmp_path, servers, NERVENET_ARCHIVE=address) as (mesh, (node,)):
            before = [f"before-{n}" for n in range(100)]
            await closed(mesh, before, BIG)
            await until(lambda: once_each(bucket.lines("slow"), before), "the first ones are there", 60, mesh)
            small = resident_mb(node.pid)

            proxy.lag = 2.0  # each object takes four seconds, or more
            ids = [f"w-{n}" for n in range(400)]
            await closed(mesh, ids, BIG)
            await asyncio.sleep(3)  # longer than the retention
            grown = resident_mb(node.pid) - small
            assert grown < 40, f"{grown:.0f} MB more"
            batches = await _batches(mesh)
            assert batches <= 1, "the node has one batch; the rest waits in Redis"
            async with mesh.client() as client:  # nothing that waits is forgotten
                assert await client.handle(ids[-1]).result() == BIG
            await proxy.mend()
            await until(lambda: once_each(bucket.lines("slow"), before + ids), "all are there", 90, mesh)


async def test_a_full_disk_takes_no_half_segment_and_goes_on_when_there_is_room(
    tmp_path: Path, servers: tuple[str, str]
) -> None:
    folder = tmp_path / "archive"
    async with nodes(tmp_path, servers, NERVENET_ARCHIVE=folder.as_uri()) as (mesh, (node,)):
        _, hard = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (16 << 10, hard))  # files that this node writes end here
        ids = [f"w-{n}" for n in range(30)]
        noise = "".join(map(chr, range(0x4E00, 0x4E00 + 8_000)))  # 24 KB that gzip makes hardly smaller
        await closed(mesh, ids, noise)
        await until(
            lambda: "the archive takes nothing: the disk is full: make room" in node.log, "the log says it", 30, mesh
        )
        assert await metric(node, "nervenet_archive_failures_total") > 0
        assert lines_in(folder / mesh.namespace) == []
        await asyncio.sleep(3)  # longer than the retention
        async with mesh.client() as client:
            assert await client.handle(ids[0]).result() == noise

        async def waiting() -> bool:
            return await metric(node, "nervenet_archive_waiting") == len(ids)

        await until(waiting, "the gauge says what waits", 30, mesh)
        told = mesh.run("doctor", at=node)
        assert f"{len(ids)} closed runs wait for it" in told.stdout

        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await until(lambda: once_each(lines_in(folder / mesh.namespace), ids), "all are there", 60, mesh)
        names = [path.name for path in folder.rglob("*") if path.is_file()]
        assert all(name.endswith((".jsonl.gz", ".idx")) for name in names), names


async def test_a_missing_bucket_is_told_at_the_start_and_nothing_is_lost(
    tmp_path: Path, servers: tuple[str, str], bucket: Bucket
) -> None:
    address = f"s3://later/x?endpoint={bucket.url}"
    async with nodes(tmp_path, servers, NERVENET_ARCHIVE=address) as (mesh, (node,)):
        words = "there is no such bucket: create it, or correct the address"
        await until(lambda: f"the archive takes nothing: {words}" in node.log, "the log says it", 30, mesh)
        told = mesh.run("doctor", at=node)
        assert words in " ".join(told.stdout.split())
        assert told.returncode != 0, told.stdout
        ids = [f"w-{n}" for n in range(20)]
        await closed(mesh, ids)
        bucket.create("later")
        await until(lambda: once_each(bucket.lines("later"), ids), "all are there", 60, mesh)


async def test_credentials_that_are_refused_later_are_told_and_nothing_is_lost(
    tmp_path: Path, servers: tuple[str, str], bucket: Bucket
) -> None:
    bucket.create("guarded")
    address = f"s3://guarded/x?endpoint={bucket.url}"
    async with nodes(tmp_path, servers, NERVENET_ARCHIVE=address) as (mesh, (node,)):
        before = ["before"]
        await closed(mesh, before)
        await until(lambda: once_each(bucket.lines("guarded"), before), "the first one is there", 60, mesh)
        assert "the archive takes nothing" not in node.log
        bucket.allow(0)  # somebody has taken the key away
        ids = [f"w-{n}" for n in range(20)]
        await closed(mesh, ids)
        words = "the bucket refuses these credentials: look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
        await until(lambda: f"the archive takes nothing: {words}" in node.log, "the log says it", 30, mesh)
        told = mesh.run("doctor", at=node)
        assert words in " ".join(told.stdout.split())
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in node.log + told.stdout
        assert await metric(node, "nervenet_archive_failures_total") > 0
        bucket.allow(1 << 60)
        await until(lambda: once_each(bucket.lines("guarded"), before + ids), "all are there", 60, mesh)


async def test_the_sink_and_a_node_are_killed_in_the_middle_of_a_write(
    tmp_path: Path, servers: tuple[str, str], bucket: Bucket
) -> None:
    bucket.create("killed")
    async with tcp_proxy(bucket.url) as proxy:
        address = f"s3://killed/x?endpoint=http://127.0.0.1:{proxy.port}"
        async with nodes(tmp_path, servers, 2, NERVENET_ARCHIVE=address) as (mesh, (one, other)):
            first = [f"first-{n}" for n in range(100)]
            proxy.lag = 1.0
            await closed(mesh, first, BIG)
            await until(lambda: _writes(proxy), "a write is under way", 30, mesh)
            proxy.cut()
            await proxy.mend()
            await until(lambda: once_each(bucket.lines("killed"), first), "the first ones are there", 90, mesh)

            proxy.lag = 1.0
            second = [f"second-{n}" for n in range(100)]
            await closed(mesh, second, BIG)
            await until(lambda: _writes(proxy), "a write is under way", 30, mesh)
            one.kill(signal.SIGKILL)
            await proxy.mend()
            await until(lambda: once_each(bucket.lines("killed"), first + second), "all are there", 90, mesh)
            assert other.process.poll() is None


async def _batches(mesh: ProcessMesh) -> int:
    async with redis.asyncio.from_url(mesh.redis) as link:
        return int(await link.zcard(f"nn:{mesh.namespace}:archive:{{runs}}:batches"))


def _writes(proxy: TcpProxy) -> bool:
    """Whether somebody has a connection to the bucket."""
    return bool(proxy.ends)


def test_the_doctor_warns_before_the_disk_is_full(tmp_path: Path) -> None:
    assert judge_room(tmp_path.as_uri(), low=0) is None
    assert judge_room("s3://bucket/x") is None
    free = shutil.disk_usage(tmp_path).free
    soon, full = judge_room(tmp_path.as_uri(), low=2 * free), judge_room(tmp_path.as_uri(), low=64 * free)
    assert soon is not None
    assert full is not None
    assert "MB left; nothing is archived once it is full" in soon.detail
    assert (soon.status, full.status) == ("warning", "error")
