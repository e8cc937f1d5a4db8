# SPDX-License-Identifier: Apache-2.0
"""The client of KEDA's own repository, in Go, against a node. `make kubernetes` builds it (tests/kubernetes/keda)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nervenet.node.services.scaler import AGE, TASKS
from tests.kubernetes.scaling import Pool, ScaledMesh, held
from tests.support.certificates import Authority
from tests.support.environment import ROOT

CLIENT = ROOT / "build/kubernetes/bin/keda"
pytestmark = pytest.mark.skipif(not CLIENT.exists(), reason="KEDA's client is not built: run tools/kubernetes.sh")


@pytest.fixture
async def scaled(redis_url: str, etcd_url: str, namespace: str) -> AsyncIterator[ScaledMesh]:
    scaled = ScaledMesh(redis_url, etcd_url, namespace)
    async with scaled.stack:
        yield scaled


async def asked(*arguments: str | Path | None) -> tuple[int, str]:
    """Exit code, and what the client prints."""
    process = await asyncio.create_subprocess_exec(
        CLIENT, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_kedas_client_hears_of_the_first_task_and_of_the_last(scaled: ScaledMesh) -> None:
    node = await scaled.node(scaler="127.0.0.1:0")
    client = await scaled.client(node)
    stream = await asyncio.create_subprocess_exec(
        CLIENT, "-stream", str(node.scaler), "capability=hold", stdout=asyncio.subprocess.PIPE
    )
    assert stream.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await stream.stdout.readline() == b"false\n"
        run = await client.start(held, "first")
        async with asyncio.timeout(2):  # scale from zero
            assert await stream.stdout.readline() == b"true\n"
        code, said = await asked(node.scaler, "capability=hold", "slots=4", "maxAge=30s")
        answers = json.loads(said)
        assert code == 0 and answers["active"] is True and answers["targets"] == {TASKS: 4, AGE: 30}
        assert answers["values"][TASKS] == 1
        pool = Pool()
        async with scaled.agent(pool):
            await pool.begun.acquire()
            pool.release.set()
            await run.result()
            async with asyncio.timeout(20):
                assert await stream.stdout.readline() == b"false\n"
    finally:
        stream.kill()
        await stream.wait()


async def test_kedas_client_shows_its_certificate(scaled: ScaledMesh, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    ca, cert, key = authority.issue("node")
    node = await scaled.node(scaler="127.0.0.1:0", tls=str(ca), tls_cert=str(cert), tls_key=str(key))
    keda = authority.issue("keda")
    code, said = await asked("-ca", ca, "-cert", keda.cert, "-key", keda.key, node.scaler, "capability=hold")
    assert code == 0 and json.loads(said)["active"] is False
    code, said = await asked("-ca", ca, node.scaler, "capability=hold")
    assert code == 1 and "Unavailable" in said
    code, said = await asked(node.scaler, "capability=hold")
    assert code == 1


async def test_kedas_client_is_told_what_is_wrong_in_its_metadata(scaled: ScaledMesh) -> None:
    node = await scaled.node(scaler="127.0.0.1:0")
    code, said = await asked(node.scaler, "capabilty=hold")
    assert code == 1 and "there is no such key; there are capability" in said
