# SPDX-License-Identifier: Apache-2.0
"""Processes die between a value and its reference; the store is away, or refuses. Nothing is lost, and nothing refers to nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nervenet.blobs.opening import open_blobs
from nervenet.blobs.store import BlobsAway
from nervenet.errors import ConfigError
from tests.blobs.stories import more, shouted, text, there_and_back, waits
from tests.blobs.world import LIMIT, World, result, run, start
from tests.support.mesh import ProcessMesh
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until

pytestmark = pytest.mark.long

SIZE = 50_000


@pytest.fixture
def mortal(host: ProcessMesh, tmp_path: Path) -> Iterator[ProcessMesh]:
    """Processes that die where the test wants it."""
    host.app = "tests/blobs/mortal.py"
    host.env |= {"NERVENET_BLOBS": (tmp_path / "blobs").as_uri(), "NERVENET_BLOB_THRESHOLD": str(LIMIT)}
    return host


async def test_an_agent_dies_behind_the_value_and_another_one_does_the_task(mortal: ProcessMesh) -> None:
    mortal.up(mortal.node(MORTAL="node"))
    mortal.up(*(mortal.agent(MORTAL="agent") for _ in range(2)))
    (mortal.folder / "die-agent").touch()
    async with mortal.client() as client:
        handle = await client.start(there_and_back, SIZE, id="w")
        await mortal.effect("death", "agent behind 1-")
        found = await handle.result(timeout=60)
    assert found["length"] == SIZE - 2
    written = sum(1 for path in (mortal.folder / "blobs").rglob("1-*") if path.is_file())
    assert written == 4, "the one without a reference, and three that have one"


@pytest.mark.parametrize("when", ["start", "input", "output"])
async def test_a_node_dies_behind_the_value_and_another_one_goes_on(mortal: ProcessMesh, when: str) -> None:
    """With the input of a start it dies while the caller waits, and the caller's second try finds another node."""
    mortal.up(*(mortal.node(MORTAL="node") for _ in range(2)))
    mortal.up(mortal.agent(MORTAL="agent"))
    async with mortal.client() as client:
        if when == "start":
            (mortal.folder / "die-node").touch()
            handle = await client.start(waits, text(SIZE), id="w")
        elif when == "input":  # of the only task, whose words are those of the start
            first = await client.start(waits, text(SIZE), id="w")
            (mortal.folder / "die-node").touch()
            await first.signal(more, text(SIZE, "s"))
            handle = first
        else:
            handle = await client.start(shouted, text(SIZE), id="w")
            await mortal.effect("w", "has its input")
            (mortal.folder / "die-node").touch()
            mortal.open("w")
            assert await handle.result(timeout=60) == text(SIZE, "X") + "!"
        await mortal.effect("death", "node behind 1-")
        if when == "start":
            await handle.signal(more, "!")
            assert await handle.result(timeout=60) == text(SIZE) + "!"
        elif when == "input":
            assert await handle.result(timeout=60) == text(SIZE) + text(SIZE, "s")


async def test_processes_are_killed_while_hundreds_of_large_values_travel(mortal: ProcessMesh) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    names = ("node", "node", "agent", "agent")
    mortal.up(mortal.node(MORTAL="n"), mortal.node(MORTAL="n"))
    mortal.up(mortal.agent(MORTAL="a"), mortal.agent(MORTAL="a"))
    try:
        async with mortal.client() as client:
            runs = [await client.start(there_and_back, SIZE + n, id=f"w{n}") for n in range(60)]
            for kind in chance.sample(names, 3):
                living = [one for one in mortal.processes if one.kind == kind and one.alive]
                chance.choice(living).kill()
                mortal.up(mortal.node(MORTAL="n") if kind == "node" else mortal.agent(MORTAL="a"))
            addresses = mortal.client()
            async with addresses as again:
                for n, each in enumerate(runs):
                    found = await again.handle(each.id, there_and_back).result(timeout=60)
                    assert found == {"length": SIZE + n - 2, "words": text(SIZE + n, "g")}
    except BaseException:
        print(f"seed {seed}")
        raise


# ── a bucket ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bucket_is_a_store(redis_url: str, etcd_url: str, namespace: str, s3: str, credentials: None) -> None:
    async with World(redis_url, etcd_url, namespace, f"s3://values/company?endpoint={s3}") as world:
        node, raw = await world.up(retention="1s", blob_grace="1s")
        found = await run(raw, "w", "there_and_back", SIZE)
        assert found == {"length": SIZE - 2, "words": text(SIZE, "g")}
        assert b"ggggg" not in await world.in_redis(node)
        assert node.context.blobs is not None
        sink = node.context.blobs.store.sink

        async def nothing() -> bool:
            return not [name for name, _ in await sink.ages("") if "/w/" in name]

        assert not await nothing()
        await until(nothing, "the bucket has nothing of it", 60)


async def test_while_the_store_is_away_work_waits_and_nothing_is_lost(
    redis_url: str, etcd_url: str, namespace: str, s3: str, credentials: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        tcp_proxy(s3) as proxy,
        World(redis_url, etcd_url, namespace, f"s3://values/away?endpoint=http://127.0.0.1:{proxy.port}") as world,
    ):
        _, raw = await world.up()
        await start(raw, "w", "collects", 1)
        proxy.cut()
        await start(raw, "large", "there_and_back", SIZE)  # its input is small
        assert await run(raw, "small", "echo", "words") == "words", "a workflow without large values does not notice"
        await until(lambda: "its outcome waits: the blob store" in caplog.text, "the agent keeps its result", 60)
        with pytest.raises(Exception, match="the blob store"):
            await raw.call("StartWorkflow", workflow_id="x", definition="echo", timeout=25, input=_json(text(SIZE)))
        await proxy.mend()
        assert (await result(raw, "large"))["length"] == SIZE - 2


def _json(words: str) -> dict[str, str]:
    import json

    return {"json": json.dumps(words)}


async def test_wrong_settings_are_told_at_the_start(
    world: World, s3: str, credentials: None, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=r"blobs is s3://no-such-bucket.* a trial write was refused"):
        await world.up(agent=False, blobs=f"s3://no-such-bucket/x?endpoint={s3}")
    blobs = await open_blobs(world.config(blobs="s3://values/x?endpoint=http://127.0.0.1:1"))
    assert blobs is not None
    assert "does not answer" in caplog.text
    with pytest.raises(BlobsAway, match="the blob store"):
        await blobs.store.write("w", 1, b"x", 1)
    for wrong in ("folder", "ftp://a/b"):
        with pytest.raises(ConfigError, match="blobs"):
            world.config(blobs=wrong)


def test_a_process_that_the_store_refuses_does_not_start(host: ProcessMesh, tmp_path: Path) -> None:
    """As a folder that cannot be written."""
    taken = tmp_path / "file"
    taken.write_text("no folder")
    process = host.node(NERVENET_BLOBS=(taken / "blobs").as_uri())
    assert process.wait() == 2
    assert "blobs: the folder" in process.log


def test_doctor_knows_the_store(host: ProcessMesh, tmp_path: Path) -> None:
    host.up(host.node())
    good = host.env | {"NERVENET_BLOBS": (tmp_path / "blobs").as_uri()}
    host.env = good
    told = host.run("doctor")
    assert "an object was written, read and deleted; values above 65,536 bytes go there" in told.stdout
    host.env = good | {"NERVENET_BLOBS": "s3://values/x?endpoint=http://127.0.0.1:1"}
    told = host.run("doctor")
    assert "it does not answer" in told.stdout
