# SPDX-License-Identifier: Apache-2.0
"""User and password, tokens that stop being good, TLS and mTLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervenet.dev.servers import etcd as etcd_server
from nervenet.dev.servers import free_port
from nervenet.registry.etcd import Etcd, EtcdError, EtcdRefused, Tls
from nervenet.registry.session import Session
from tests.support.certificates import Authority
from tests.support.etcd_servers import etcdctl
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import until

from .test_watch import watching

PASSWORD = "p@ss:w/rd"  # what a URL has to escape
ESCAPED = "p%40ss%3Aw%2Frd"


def switch_on(url: str) -> None:
    etcdctl(url, "user", "add", f"root:{PASSWORD}")
    etcdctl(url, "user", "grant-role", "root", "root")
    etcdctl(url, "user", "add", "reader:reader")
    etcdctl(url, "role", "add", "reader")
    etcdctl(url, "role", "grant-permission", "reader", "read", "--prefix=true", "/open/")
    etcdctl(url, "user", "grant-role", "reader", "reader")
    etcdctl(url, "auth", "enable")


def forget_tokens(url: str) -> None:
    """A new password, though the same one: every token of the user is void."""
    user = ["--user", f"root:{PASSWORD}"]
    etcdctl(url, *user, "user", "passwd", "root", "--interactive=false", input=PASSWORD)


async def test_logged_in_it_works_and_goes_on_when_its_tokens_are_forgotten(namespace: str) -> None:
    key = f"/{namespace}/a"
    with etcd_server() as server:
        async with tcp_proxy(server.url) as line:
            url = f"http://root:{ESCAPED}@127.0.0.1:{line.port}"
            async with Etcd.open(url) as etcd, Etcd.open(url) as other:
                await etcd.put(key, b"before authentication was switched on")
                switch_on(server.url)
                await etcd.put(key, b"1")
                async with await Session.open(etcd, ttl=5) as session, watching(other, f"/{namespace}/") as watcher:
                    await session.put(f"{key}/mine", b"x")
                    forget_tokens(server.url)
                    line.cut()
                    await line.mend()
                    await etcd.put(key, b"2")
                    await watcher.until(key, b"2")
                    assert watcher.snapshots == 1
                    before = session._deadline
                    await until(lambda: session._deadline > before, "a renewal")
                    assert session.alive


async def test_who_may_not_is_refused_at_once_and_told_so() -> None:
    with etcd_server() as server:
        switch_on(server.url)
        host = server.url.removeprefix("http://")
        async with Etcd.open(server.url) as nobody, Etcd.open(f"http://root:wrong@{host}") as wrong:
            for etcd in (nobody, wrong):
                with pytest.raises(EtcdRefused):
                    await etcd.get("/open/a")
                with pytest.raises(EtcdRefused):
                    async for _ in etcd.watch("/open/"):
                        pass
        async with Etcd.open(f"http://reader:reader@{host}") as reader:
            assert await reader.get("/open/a") is None
            with pytest.raises(EtcdRefused, match="permission denied"):
                await reader.put("/open/a", b"x")
            with pytest.raises(EtcdRefused, match="permission denied"):
                async for _ in reader.watch("/closed/"):
                    pass


async def test_tls_shows_who_the_server_is_and_mtls_who_we_are(tmp_path: Path, namespace: str) -> None:
    authority = Authority(tmp_path)
    server_side, ours = authority.issue("server"), Tls(*authority.issue("client"))
    plain, secure = free_port(), free_port()
    listen = f"http://127.0.0.1:{plain},https://127.0.0.1:{secure}"  # the plain one is for the readiness probe
    options = {
        "listen-client-urls": listen,
        "advertise-client-urls": listen,
        "cert-file": str(server_side.cert),
        "key-file": str(server_side.key),
        "trusted-ca-file": str(server_side.ca),
        "client-cert-auth": "true",
    }
    with etcd_server(port=plain, options=options):
        url = f"https://127.0.0.1:{secure}"
        async with Etcd.open(url, tls=ours) as etcd:
            await etcd.put(f"/{namespace}/a", b"sealed")
            async with watching(etcd, f"/{namespace}/") as watcher:
                await watcher.until(f"/{namespace}/a", b"sealed")
        for stranger in (Tls(ours.ca), Tls()):
            async with Etcd.open(url, tls=stranger, patience=0.3) as etcd:
                with pytest.raises(EtcdError):
                    await etcd.put(f"/{namespace}/a", b"forged")
