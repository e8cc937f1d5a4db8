# SPDX-License-Identifier: Apache-2.0
"""`Mesh.serve` and `Mesh.run`: roles of a mesh in a program of one's own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nervenet import Agent, Client, Config, Context, Mesh, SyncClient
from nervenet.dev.servers import free_port
from nervenet.errors import ConfigError, NervenetError
from nervenet.node.node import Node
from tests.support.environment import clean_environment

mesh = Mesh("together")
begun, finish = asyncio.Event(), asyncio.Event()


@mesh.agent
async def greet(name: str) -> str:
    return f"Hello, {name}"


@mesh.agent
async def slow(name: str) -> str:
    begun.set()
    await finish.wait()
    return f"At last, {name}"


elsewhere = Agent.remote("elsewhere", str, str)


@mesh.workflow
async def welcome(ctx: Context, name: str) -> str:
    return await ctx.call(greet, name)


@mesh.workflow
async def patience(ctx: Context, name: str) -> str:
    return await ctx.call(slow, name)


@pytest.fixture
def config(redis_url: str, etcd_url: str, namespace: str) -> Config:
    return Config.load(
        environ={}, redis=redis_url, etcd=etcd_url, namespace=namespace, listen="127.0.0.1:0", drain="10s"
    )


async def test_a_node_here_an_agent_there_each_with_a_client(config: Config) -> None:
    async with mesh.serve(agents=False, config=config) as client:
        run = await client.start(welcome, "Ada")
        with pytest.raises(TimeoutError):
            await run.result(timeout=0.2)  # nobody serves greet yet
        application = Config.load(
            environ={}, redis=config.redis, namespace=config.namespace, address=client.config.address
        )  # no etcd, no port: as a web application has it
        async with mesh.serve(node=False, agents=[greet], config=application) as own:
            assert await run.result(timeout=10) == "Hello, Ada"
            assert await own.run(welcome, "Grace") == "Hello, Grace"


async def test_leaving_lets_a_task_finish_and_its_workflow_goes_on_elsewhere(config: Config) -> None:
    begun.clear(), finish.clear()
    async with mesh.serve(config=config, agents=False) as stays:
        async with mesh.serve(config=config) as client:
            run = await stays.start(patience, "Ada")
            await begun.wait()
            asyncio.get_running_loop().call_later(0.1, finish.set)
            assert client.config.address != stays.config.address
        assert await run.result(timeout=5) == "At last, Ada"


async def test_settings_are_those_of_the_environment(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.redis is not None and config.etcd is not None
    for name, value in {"REDIS": config.redis, "ETCD": config.etcd, "LISTEN": "127.0.0.1:0"}.items():
        monkeypatch.setenv(f"NERVENET_{name}", value)
    monkeypatch.setenv("NERVENET_NAMESPACE", config.namespace)
    async with mesh.serve() as client:
        assert await client.run(welcome, "Ada") == "Hello, Ada"
        assert client.config.sources["address"] == "this process's node"


async def test_what_cannot_serve_says_so(config: Config) -> None:
    with pytest.raises(ConfigError, match="has no agent 'elsewhere'; it has: greet, slow"):
        await mesh.serve(node=False, agents=[elsewhere], config=config).__aenter__()
    with pytest.raises(ConfigError, match="redis is not set, and a node needs it: set NERVENET_REDIS"):
        await mesh.serve(config=Config.load(environ={})).__aenter__()


async def test_a_client_alone_where_nothing_is_to_run(config: Config) -> None:
    async with (
        mesh.serve(config=config) as client,
        mesh.serve(node=False, agents=False, config=client.config) as other,
        Client(config=client.config) as third,
    ):
        assert await other.run(welcome, "Ada") == await third.run(welcome, "Ada")


@pytest.mark.parametrize("where", ["in the midst of a wait", "as the block ends"])
async def test_a_node_that_fails_ends_the_block_and_not_the_program(
    config: Config, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    fail = asyncio.Event()

    async def breaks(self: Node) -> None:
        await fail.wait()
        raise ZeroDivisionError("a part of it")

    monkeypatch.setattr(Node, "_housekeeping", breaks)
    monkeypatch.setattr("nervenet.node.node.BEYOND_REPAIR", 1)  # it is not tried again

    async def program() -> None:
        async with mesh.serve(agents=False, config=config):
            fail.set()
            if where == "in the midst of a wait":
                await asyncio.Event().wait()
            for _ in range(3):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)

    with pytest.raises(NervenetError, match=r"^node n-\w{8} has failed and stopped.*a part of it") as failed:
        await program()
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0
    await asyncio.sleep(0)  # nothing of the cancel is left


PROGRAM = """
import time
from nervenet import Context, Mesh

mesh = Mesh("program")


@mesh.agent
def nap(seconds: float) -> str:
    print("asleep", flush=True)
    time.sleep(seconds)
    return "rested"


@mesh.workflow
async def night(ctx: Context, seconds: float) -> str:
    return await ctx.call(nap, seconds)


if __name__ == "__main__":
    mesh.run()
    print("drained", flush=True)
"""


def test_run_serves_until_sigterm_and_drains(tmp_path: Path, config: Config) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    assert config.redis is not None and config.etcd is not None
    address = f"127.0.0.1:{free_port()}"
    settings = {"REDIS": config.redis, "ETCD": config.etcd, "NAMESPACE": config.namespace, "LISTEN": address}
    settings["LOG_LEVEL"] = "warning"
    environment = clean_environment(**{f"NERVENET_{name}": value for name, value in settings.items()})
    with subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        try:
            assert f"mesh program serves at {address}, takes nap" in process.stderr.readline()
            with SyncClient(address, namespace=config.namespace) as client:
                run = client.start("night", 0.3, id="night")
                assert process.stdout.readline() == "asleep\n"
                process.send_signal(signal.SIGTERM)
                assert run.result(timeout=10) == "rested"
            rest, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (rest, process.returncode) == ("drained\n", 0)
