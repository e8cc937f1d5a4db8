# SPDX-License-Identifier: Apache-2.0
"""Meshes of real processes with a codec: deaths, rotation, missing keys, callers without keys, workflows as data."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from nervenet import CallFailed, CallOptions, Client, RetryPolicy, WorkflowFailed
from nervenet.config import Config
from nervenet.errors import AlreadyExists, InvalidRequest
from tests.encryption.keys import codec, key_file
from tests.encryption.stories import Doc, below, more, pooled, slow, twice
from tests.encryption.test_canary import all_of_redis, blocked_detail
from tests.support.mesh import ProcessMesh, owner_of, settled
from tests.support.waiting import until

pytestmark = pytest.mark.long

APP = "tests/encryption/stories.py"


@pytest.fixture
def keys(host: ProcessMesh, tmp_path: Path) -> Path:
    """The key file of the whole mesh, with one key."""
    host.app = APP
    found = key_file(tmp_path / "keys", "k1")
    host.env["NERVENET_CODEC"] = codec(found)
    return found


def client_of(host: ProcessMesh, setting: str | None = None) -> Client:
    config = Config.load(
        address=host.addresses,
        namespace=host.namespace,
        codec=host.env["NERVENET_CODEC"] if setting is None else setting,
    )
    return Client(config=config)


def keyless(host: ProcessMesh) -> Client:
    return host.client()


async def test_a_killed_owner_is_followed_by_another_one(host: ProcessMesh, keys: Path) -> None:
    """The next owner encrypts every input again while it replays, and the journal agrees all the same."""
    host.start(2, 1)
    async with client_of(host) as client:
        runs = [await client.start(slow, Doc(f"w{i}", f"words {i}"), id=f"w{i}") for i in range(6)]
        for i in range(6):
            await host.effect(f"w{i}", "first call done")
        (await owner_of(runs[0], host.nodes)).kill()
        for i, run in enumerate(runs):
            await run.signal(more, " and ")
            assert await run.result(timeout=40) == f"WORDS {i} and WORDS {i}"


async def test_keys_are_rotated_while_a_mesh_runs(host: ProcessMesh, keys: Path, redis_url: str) -> None:
    """First every process learns to read the new key, then it writes with it. Nothing is restarted."""
    host.start(1, 1)
    async with client_of(host) as client:
        old = await client.start(slow, Doc("old", "older words"), id="old")
        await host.effect("old", "first call done")
        key_file(keys, "k1", "k2")
        await asyncio.sleep(0)
        key_file(keys, "k2", "k1")

        async def newest_writes() -> bool:
            name = f"probe-{time.monotonic_ns()}"
            await client.run(below, "x", id=name)
            return b"aes-gcm;key=k1" not in await entries_of(redis_url, host, name)

        await until(newest_writes, "clients and the node write with k2", 20, host)
        new = await client.start(slow, Doc("new", "newer words"), id="new")
        for run, words in ((old, "OLDER WORDS"), (new, "NEWER WORDS")):
            await run.signal(more, "+")
            assert await run.result(timeout=30) == f"{words}+{words}"
    host.nodes[0].kill()
    host.up(host.node())
    async with client_of(host) as client:
        assert await client.handle("old", slow).result(timeout=30) == "OLDER WORDS+OLDER WORDS", "k1 still reads"


async def entries_of(url: str, host: ProcessMesh, workflow_id: str) -> bytes:
    import redis.asyncio

    async with redis.asyncio.from_url(url) as server:
        journal = await server.xrange(f"nn:{host.namespace}:wf:{{{workflow_id}}}:journal")
    return b"".join(value for _, fields in journal for value in fields.values())


async def test_an_agent_without_the_key_fails_its_call_only(host: ProcessMesh, keys: Path, tmp_path: Path) -> None:
    host.up(host.node())
    other = codec(key_file(tmp_path / "other", "k9"))
    (lost,) = host.up(host.agent(NERVENET_CODEC=other))
    once = CallOptions(retry=RetryPolicy(max_attempts=1))
    async with client_of(host) as client:
        with pytest.raises(
            CallFailed, match=r"CodecError: pooled: the input: it is encrypted with the key id k1, which .*other"
        ):
            await client.call(pooled, "words", request_id="one", options=once)
        assert lost.alive
        host.up(host.agent())
        lost.kill(15)
        lost.wait()
        assert await client.call(pooled, "words", request_id="two") == "WORDS"


async def test_what_is_encrypted_with_an_unknown_key_is_refused_at_the_door(
    host: ProcessMesh, keys: Path, tmp_path: Path
) -> None:
    (node,) = host.up(host.node())
    other = codec(key_file(tmp_path / "other", "k9"))
    async with client_of(host, other) as stranger, client_of(host) as client:
        with pytest.raises(InvalidRequest, match=r"input: it is encrypted with the key id k9, which .*NERVENET_CODEC"):
            await stranger.start(below, "words", id="refused")
        run = await client.start(slow, Doc("w", "words"), id="w")
        with pytest.raises(InvalidRequest, match="payload: it is encrypted with the key id k9"):
            await stranger.handle("w").signal(more, "x")
        assert (await run.info()).state == "RUNNING"
    assert node.alive


async def test_input_that_does_not_fit_is_refused_at_the_door_although_it_is_encrypted(
    host: ProcessMesh, keys: Path
) -> None:
    host.up(host.node())
    async with client_of(host) as client:
        with pytest.raises(InvalidRequest, match=r"input\.weight"):
            await client.start("slow", {"id": "x", "secret": "y", "weight": "heavy"}, id="x")


async def test_a_node_without_the_key_blocks_one_workflow_until_it_has_it(
    host: ProcessMesh, keys: Path, tmp_path: Path
) -> None:
    host.start(1, 1)
    async with client_of(host) as client:
        run = await client.start(slow, Doc("w", "words"), id="w")
        await host.effect("w", "first call done")
    host.nodes[0].kill()
    later = key_file(tmp_path / "later", "k2")
    host.up(host.node(NERVENET_CODEC=codec(later)))
    async with client_of(host) as client, client_of(host, codec(later)) as other:
        run = client.handle("w", slow)
        info = await settled(run, "BLOCKED", host, within=40)
        assert info.note.startswith("a value in its journal cannot be decoded")
        detail = await blocked_detail(run)
        assert f"encrypted with the key id k1, which {later} of NERVENET_CODEC does not have (it has k2)" in detail
        assert await other.run(below, "unharmed", id="other") == "below: unharmed", "other workflows go on"
        key_file(later, "k2", "k1")
        key_file(keys, "k1", "k2")  # the agent must read what this node writes

        async def continues() -> bool:
            host.run("retry", "w")
            return (await run.info()).state == "RUNNING"

        await until(continues, "it continues with the key", 30, host)
        await run.signal(more, "-")
        assert await run.result(timeout=30) == "WORDS-WORDS"


async def test_callers_without_the_codec_are_stored_encrypted(host: ProcessMesh, keys: Path, redis_url: str) -> None:
    """The dashboard, scripts and curl send plain values; a node that has the codec encodes them before it writes."""
    host.start(1, 1)
    async with keyless(host) as client:
        run = await client.start("slow", {"id": "plain", "secret": "plain words", "weight": 1}, id="plain")
        again = await client.start("slow", {"weight": 1, "id": "plain", "secret": "plain words"}, id="plain")
        assert not again.created
        await host.effect("plain", "first call done")
        await run.signal("more", " plainly ")
        async with client_of(host) as reader:
            assert await reader.handle("plain").result(timeout=30) == "PLAIN WORDS plainly PLAIN WORDS"
            assert (
                await reader.start("slow", {"id": "plain", "secret": "plain words", "weight": 1}, id="plain")
            ).created is False
        with pytest.raises(
            ValueError, match=r"encrypted \(key id k1\), and NERVENET_CODEC of this process cannot decode it"
        ):
            await run.result(timeout=30)
        with pytest.raises(WorkflowFailed, match=r"encrypted \(key id k1\)"):
            await client.run("failing", "plain words", id="failing")
    assert b"plain words" not in (await all_of_redis(redis_url, host.namespace)).lower()
    assert "encrypted (key id k1)" in nervenet_without_key(host, "result", "plain")


def nervenet_without_key(host: ProcessMesh, *arguments: str) -> str:
    setting = host.env.pop("NERVENET_CODEC")
    try:
        return host.run(*arguments).stdout
    finally:
        host.env["NERVENET_CODEC"] = setting


async def test_the_same_request_is_the_same_task(host: ProcessMesh, keys: Path) -> None:
    host.start(1, 1)
    async with client_of(host) as client:
        assert await client.call(pooled, "words", request_id="one") == "WORDS"
        assert await client.call(pooled, "words", request_id="one") == "WORDS"
        with pytest.raises(AlreadyExists, match="another capability or input"):
            await client.call(pooled, "other words", request_id="one")
        await client.start(below, "a", id="b")
        with pytest.raises(AlreadyExists, match="with another input"):
            await client.start(below, "c", id="b")


async def test_a_workflow_as_data_computes_with_values(host: ProcessMesh, keys: Path, redis_url: str) -> None:
    host.start(1, 1)
    async with client_of(host) as client:
        flow = await client.put_definition(
            {
                "name": "louder",
                "version": 1,
                "steps": [
                    {"name": "loud", "call": {"capability": "pooled", "input": "input.words + ' twice'"}},
                    {"name": "check", "depends_on": ["loud"], "call": {"capability": "pooled", "input": "steps.loud"}},
                ],
                "output": "steps.check + '!'",
            }
        )
        assert await client.run(flow, {"words": "data words"}, id="data") == "DATA WORDS TWICE!"
    assert b"data words" not in (await all_of_redis(redis_url, host.namespace)).lower()


async def test_the_replay_check_takes_ciphertext_for_what_it_is(host: ProcessMesh, keys: Path) -> None:
    host.env["NERVENET_REPLAY_CHECK"] = "on"
    host.start(1, 1)
    async with client_of(host) as client:
        run = await client.start(twice, "words", id="w")
        await run.signal(more, "-")
        assert await run.result(timeout=40) == "WORDS-WORDS"


async def test_a_process_without_its_keys_does_not_start(host: ProcessMesh, keys: Path, tmp_path: Path) -> None:
    for process in (host.node(NERVENET_CODEC="aes-gcm:/not/there"), host.agent(NERVENET_CODEC="aes-gcm:/not/there")):
        assert process.wait(30) == 2
        assert "codec: the key file /not/there cannot be read: No such file or directory" in process.log
        assert "Traceback" not in process.log
