# SPDX-License-Identifier: Apache-2.0
"""A master is found by its sentinels, and left when they name another one."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import subprocess
from pathlib import Path

import pytest

from nervenet.dev.servers import free_port, valkey
from nervenet.redis_link.dial import ServerIdentity
from nervenet.redis_link.faults import AuthenticationFailed, BadAddress, ConnectionLost
from nervenet.redis_link.opening import open_link
from tests.support.redis_servers import NAME, Replicated, role_of, say, sentinel
from tests.support.tcp_proxy import tcp_proxy


async def test_a_frozen_master_is_left_with_every_connection_for_the_one_that_the_sentinels_made() -> None:
    async with Replicated() as redis, valkey() as bystander, sentinel(bystander.port, epoch=0) as liar:
        # It slept through a failover and names a master of the past: the first in the URL, and not believed.
        link = await open_link(redis.url.replace("sentinel://", f"sentinel://127.0.0.1:{liar.port},"), name="n-1")
        assert link.server.run_id in say(redis.master, "INFO", "server")
        told: asyncio.Queue[tuple[ServerIdentity, ServerIdentity]] = asyncio.Queue()

        async def hook(old: ServerIdentity, new: ServerIdentity) -> None:
            assert await link.call("SET", "put-right", "yes") == b"OK"
            await told.put((old, new))

        link.on_reconnect.append(hook)
        before, old_master = link.server, redis.master
        reader, subscription = await link.dedicated(), await link.subscribe()
        await subscription.add("news")
        await reader.read("XREAD", "BLOCK", 1, "STREAMS", "s", "$")

        async def blocked() -> None:
            broken = 0
            while True:
                try:
                    if await reader.read("XREAD", "BLOCK", 2000, "STREAMS", "s", "0"):
                        assert broken
                        return
                except ConnectionLost:
                    broken += 1

        async def written() -> bytes:
            reply: bytes = await link.call("XADD", "s", "*", "n", "x")
            return reply

        reading, took = asyncio.create_task(blocked()), asyncio.create_task(redis.failover(signal.SIGSTOP))
        await asyncio.sleep(0.05)  # the signal has arrived: from here on nobody answers there
        assert await asyncio.wait_for(written(), 40)
        old, new = await asyncio.wait_for(told.get(), 20)
        assert (old, new) == (before, link.server)
        assert not old.same(new)
        await took
        await asyncio.wait_for(reading, 20)
        assert say(redis.master, "EXISTS", "put-right", "s") == 2
        messages = aiter(subscription)
        assert await asyncio.wait_for(anext(messages), 20) == (b"news", b""), "subscribed again, some may be lost"
        await link.call("PUBLISH", "news", "again")
        assert await asyncio.wait_for(anext(messages), 20) == (b"news", b"again")
        old_master.kill(signal.SIGCONT)
        named = [line for line in say(old_master, "CLIENT", "LIST").splitlines() if " name=n-1 " in line]
        assert not named, "it is still a master, and nobody speaks to it"
        assert role_of(old_master) == "master"
        await link.close()


async def test_the_link_needs_no_sentinel_while_the_master_lives() -> None:
    async with valkey() as server:
        async with sentinel(server.port, "requirepass watch", quorum=1) as watcher:
            place = f"127.0.0.1:{free_port()},127.0.0.1:{watcher.port}"
            with pytest.raises(AuthenticationFailed, match="no password"):
                await open_link(f"redis+sentinel://{place}/{NAME}")
            with pytest.raises(BadAddress, match="knows no master 'other'"):
                await open_link(f"redis+sentinel://{place}/other?sentinel_password=watch")
            link = await open_link(f"redis+sentinel://{place}/{NAME}/2?sentinel_password=watch")
            assert f"/{NAME}/2" in repr(link)
        assert await link.call("SET", "k", "v") == b"OK"
        assert "db2:keys=1" in say(server, "INFO", "keyspace")
        with pytest.raises(ConnectionLost, match="no sentinel answers"):
            await open_link(f"redis+sentinel://{place}/{NAME}", wait=0.1)
        await link.close()


async def test_a_master_that_would_write_without_its_replicas_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    at_once = {"repl-diskless-sync-delay": "0"}
    async with valkey(options=at_once) as master, valkey(options=at_once) as replica:
        say(replica, "REPLICAOF", "127.0.0.1", master.port)
        while "state=online" not in say(master, "INFO", "replication"):
            await asyncio.sleep(0.02)
        with caplog.at_level(logging.WARNING, "nervenet"):
            await (await open_link(master.url)).close()
            assert "min-replicas-to-write is 0" in caplog.text
            caplog.clear()
            say(master, "CONFIG", "SET", "min-replicas-to-write", 1)
            await (await open_link(master.url)).close()
            assert not caplog.text


async def test_sentinels_and_their_master_are_reached_over_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    openssl = ["openssl", "req", "-x509", *ec, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(openssl, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with valkey() as server, tcp_proxy(server.url, tls=tls) as master:
        port = int(master.url.rpartition(":")[2])
        async with sentinel(port) as watcher, tcp_proxy(watcher.url, tls=tls) as secured:
            plain, trusted = watcher.url.partition("://")[2], f"ssl_ca_certs={certificate}"
            for place, how in ((secured.url.partition("://")[2], ""), (plain, "&sentinel_tls=no")):
                link = await open_link(f"rediss+sentinel://{place}/{NAME}?{trusted}{how}")
                assert await link.call("ECHO", "in private") == b"in private"
                await link.close()
