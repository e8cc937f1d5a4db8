# SPDX-License-Identifier: Apache-2.0
"""Agents in Go with AES-GCM, in one mesh with nodes and clients in Python: `python -m tests.encryption.polyglot` (make interop).

The agents are those of examples/polyglot, built before: over the gateway, and on Redis. Each gets inputs that Python has
encrypted; what it answers, reports, saves and fails with is read here, and a canary in all of it is not found in Redis.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nervenet import Agent, CallFailed, CallOptions, Client, Context, Mesh, RetryPolicy
from nervenet.config import Config
from nervenet.payloads import ANY
from tests.encryption.keys import codec, key_file
from tests.encryption.test_canary import all_of_redis, checkpoint_of, traces_of
from tests.support.mesh import ProcessMesh, mesh_alone
from tests.support.processes import Process
from tests.support.waiting import until

AGENTS = {"go": "examples/polyglot/go/build/agent", "go-redis": "examples/polyglot/go-redis/build/agent"}
CALLER = "examples/polyglot/go/build/client"
APP = "tests/encryption/polyglot.py"

mesh = Mesh("polyglot")
echo: Agent[Any, Any] = Agent("conf_echo", ANY, ANY)


@mesh.workflow
async def worked(ctx: Context, told: dict[str, Any]) -> Any:
    return await ctx.call("conf_work", told, options=CallOptions(retry=RetryPolicy(max_attempts=2)))


async def one(name: str, folder: Path) -> None:
    canary = f"canary-{secrets.token_hex(12)}"
    keys = key_file(folder / "keys", "k2", "k1")
    with mesh_alone(APP, folder, NERVENET_CODEC=codec(keys, "gzip")) as host:
        host.up(host.node())
        agent = started(host, name, "good")
        config = Config.load(address=host.addresses, namespace=host.namespace, codec=codec(keys, "gzip"))
        async with Client(config=config) as client:
            await serves(client, host, "conf_echo")
            value = {"words": canary, "large": 2**63, "again": [canary] * 100}
            assert await client.call(echo, value, request_id="echo") == value
            told = {
                "log": str(folder / "log"),
                "progress": [[0.5, f"half of {canary}"]],
                "emit": [canary],
                "checkpoint": {"at": canary},
                "sleep_ms": 2500,  # until the checkpoint is stored
                "fail": {"type": "Busy", "message": f"busy with {canary}", "details": [canary], "until_attempt": 1},
            }
            run = await client.start(worked, told, id="worked")
            seen = {str(event.kind): event.data async for event in watched(run)}
            assert seen["progress"]["message"] == f"half of {canary}"
            assert seen["partial"] == canary
            assert await checkpoint_of(host.env["NERVENET_REDIS"], host, "worked")
            answer = await run.result(timeout=60)
            assert answer["checkpoint"] == {"at": canary}, "the second attempt has the checkpoint of the first"
            failures = [event.data async for event in run.watch() if event.kind == "attempt"]
            assert (failures[0].message, failures[0].type) == (f"busy with {canary}", "Busy")
            assert json.loads(failures[0].details.data) == [canary]
            data = await all_of_redis(host.env["NERVENET_REDIS"], host.namespace)
            assert b"aes-gcm;key=k2" in data
            assert not any(trace in data for trace in traces_of(canary)), "the canary is in Redis"
            await called(host, canary)
            agent.kill()
            await without_the_key(host, client, name, folder)
    print(f"{name}: reads and writes encrypted payloads.")


def started(host: ProcessMesh, name: str, called: str, **env: str) -> Process:
    """One Go agent."""
    told = {**host.env, "NERVENET_ADDRESS": host.addresses, "NERVENET_AGENT_NAME": called, "CONFORMANCE": "1", **env}
    return Process([str(Path(AGENTS[name]).resolve())], host.folder / f"{called}.log", told)


async def serves(client: Client, host: ProcessMesh, capability: str) -> None:
    await until(lambda: capability in host.run("agents", "list", "--json").stdout, f"{capability} is served", 30, host)


async def watched(run: Any) -> Any:
    seen: set[str] = set()
    async with asyncio.timeout(20):
        async for event in run.watch(progress=True, partials=True):
            yield event
            seen.add(event.kind)
            if {"progress", "partial", "attempt"} <= seen:
                return


async def called(host: ProcessMesh, canary: str) -> None:
    """The Go client encrypts its request and decrypts the answer."""
    command = [CALLER, "from-go", "conf_echo", json.dumps({"words": canary})]
    env = {**host.env, "NERVENET_ADDRESS": host.addresses}
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"words": canary}


async def without_the_key(host: ProcessMesh, client: Client, name: str, folder: Path) -> None:
    """An agent that lacks the key fails one call, which names the key, and goes on."""
    other = key_file(folder / "other", "k9")
    agent = started(host, name, "other", NERVENET_CODEC=codec(other))
    once = CallOptions(retry=RetryPolicy(max_attempts=1))
    with pytest.raises(CallFailed, match=r"CodecError: conf_echo: .*key id k2"):
        await client.call(echo, "x", request_id="other", options=once)
    assert agent.alive, "it goes on"
    agent.kill()


def main() -> int:
    for name in AGENTS:
        with tempfile.TemporaryDirectory(prefix="encrypted-") as folder:
            asyncio.run(one(name, Path(folder)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
