# SPDX-License-Identifier: Apache-2.0
"""Embedded servers: they serve when the block begins, keep what they should, and never outlive us."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nervenet.dev import servers
from nervenet.dev.servers import Server, ServerFailed, backing, etcd, valkey
from nervenet.redis_link.opening import open_link
from tests.support.environment import is_running
from tests.support.waiting import wait_until


def ask(server: Server, *words: str) -> bytes:
    """One Redis command in the inline form over a socket of its own."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as link:
        link.sendall(" ".join(words).encode() + b"\r\n")
        return link.recv(4096)


def wait_until_gone(*pids: int, within: float = 10) -> None:
    wait_until(lambda: not any(map(is_running, pids)), f"{pids} have ended", within)


async def test_both_servers_serve_inside_the_block_and_are_gone_after_it() -> None:
    async with backing() as (redis, registry):
        assert ask(redis, "PING") == b"+PONG\r\n"
        assert registry.alive and registry.url == f"http://127.0.0.1:{registry.port}"
        folders = redis.data, registry.data
    wait_until_gone(redis.pid, registry.pid)
    assert not any(folder.exists() for folder in folders), "data that nobody asked to keep is removed"


@pytest.mark.parametrize("make", [valkey, etcd])
def test_stopping_a_server_that_never_started_removes_nothing(
    make: Callable[[], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precious").write_text("mine")
    monkeypatch.chdir(tmp_path)
    make().stop()
    assert (tmp_path / "precious").exists()


async def test_a_killed_valkey_with_data_comes_back_on_its_port_with_what_it_had(tmp_path: Path) -> None:
    async with valkey(tmp_path / "redis") as server:
        url, first = server.url, server.pid
        assert ask(server, "SET", "greeting", "hello") == b"+OK\r\n"
        server.kill(signal.SIGKILL)
        await server.restart()
        assert server.url == url and server.pid != first
        assert b"hello" in ask(server, "GET", "greeting")
        assert b"noeviction" in ask(server, "CONFIG", "GET", "maxmemory-policy")
    assert (tmp_path / "redis").exists()


async def test_processes_on_this_machine_reach_valkey_by_its_socket_which_is_theirs_alone(tmp_path: Path) -> None:
    async with valkey(tmp_path / "with space") as redis:
        path = redis.data / servers.SOCKET
        assert redis.local_url == f"unix://{tmp_path}/with%20space/{servers.SOCKET}?db=0"
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0, "who may not write to it cannot connect"
        link = await open_link(redis.local_url)
        try:
            await link.call("SET", "a", "1")
            assert ask(redis, "GET", "a") == b"$1\r\n1\r\n"
            await redis.restart()
            assert await link.call("GET", "a") == b"1", "the socket comes back with the server"
        finally:
            await link.close()


async def test_where_the_path_of_a_socket_would_be_too_long_there_is_none(tmp_path: Path) -> None:
    async with valkey(tmp_path / ("x" * 100)) as redis:
        assert redis.local_url == redis.url
        assert ask(redis, "PING") == b"+PONG\r\n"


async def test_a_killed_etcd_comes_back_with_its_member_data(tmp_path: Path) -> None:
    async with etcd(tmp_path / "etcd") as server:
        url = server.url
        server.kill()
        await server.restart()
        assert server.url == url and server.alive


def test_a_frozen_server_is_stopped_all_the_same() -> None:
    with valkey() as server:
        server.kill(signal.SIGSTOP)
    wait_until_gone(server.pid)


def test_a_server_that_cannot_start_says_why_in_its_own_words() -> None:
    with pytest.raises(ServerFailed, match="maxmemory-policy"):
        valkey(options={"maxmemory-policy": "none-such"}).start()


def test_a_port_asked_for_that_is_taken_is_an_error_and_not_another_port() -> None:
    with valkey() as first, pytest.raises(ServerFailed, match="already in use"):
        valkey(port=first.port).start()


def test_a_lost_race_for_a_free_port_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey() as first:
        ports = [servers.free_port(), first.port]
        monkeypatch.setattr(servers, "free_port", lambda: ports.pop())
        with valkey() as second:
            assert second.port != first.port and not ports
            assert ask(second, "PING") == b"+PONG\r\n"


def test_a_server_outlives_the_thread_that_started_it() -> None:
    server = valkey()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        assert ask(server, "PING") == b"+PONG\r\n"
    finally:
        server.stop()


async def test_a_cancelled_start_leaves_nothing_behind() -> None:
    server = valkey()
    starting = asyncio.create_task(server.__aenter__())
    while server._process is None:
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    wait_until_gone(server.pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tie to the parent is Linux's")
def test_servers_die_with_a_parent_that_is_killed_with_9() -> None:
    program = """
import asyncio
from nervenet.dev.servers import backing
async def main():
    async with backing() as pair:
        print(*(server.pid for server in pair), *(server.data for server in pair), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        said = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)
    wait_until_gone(*map(int, said[:2]))
    for folder in said[2:]:  # a parent killed with -9 cannot tidy its temporary folders
        shutil.rmtree(folder, ignore_errors=True)


def test_stopping_what_never_ran_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious").touch()
    for server in (valkey(), etcd()):
        server.stop()
        server.stop()
    assert (tmp_path / "precious").exists()
