# SPDX-License-Identifier: Apache-2.0
"""Redis and etcd by TLS: who is served with which certificate, what others are told, and what a rotation leaves alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import pytest

from nervenet.dev.servers import Server
from nervenet.redis_link.opening import open_link
from nervenet.registry.etcd import BadEtcdAddress, Etcd, EtcdAddress
from tests.registry.test_watch import watching
from tests.support.etcd_servers import etcdctl
from tests.support.redis_servers import say
from tests.support.waiting import until
from tests.transport.parties import Authorities, Party
from tests.transport.peers import outcome, served
from tests.transport.stores import drop_connections, etcd_url, redis_url, reload, secured_etcd, secured_valkey

pytestmark = pytest.mark.long


class Store(NamedTuple):
    """One of the two: how to start it, its URL for a caller, a first use, and the words of its settings."""

    secured: Callable[..., AbstractContextManager[tuple[Server, str]]]
    url: Callable[..., str]
    use: Callable[[str], Any]
    authorities: str
    certificate: str
    plain: str


async def use_redis(url: str) -> None:
    link = await open_link(url, wait=0.3)
    await link.close()


async def use_etcd(url: str) -> None:
    async with Etcd.open(url, patience=2.0) as etcd:
        await etcd.get("/")


REDIS = Store(secured_valkey, redis_url, use_redis, "ssl_ca_certs", "ssl_certfile", "redis://")
ETCD = Store(secured_etcd, etcd_url, use_etcd, "cacert", "cert of NERVENET_ETCD", "http://")
STORES = pytest.mark.parametrize("store", [REDIS, ETCD], ids=["Redis", "etcd"])


@STORES
@pytest.mark.parametrize("transport", ["tls", "mtls"])
async def test_good_certificates_are_served(ours: Authorities, store: Store, transport: str) -> None:
    with store.secured(ours.party("server"), transport) as (_, where):
        assert await served(store.use, store.url(where, ours.party("caller"), transport)) == "works"


@STORES
@pytest.mark.parametrize(
    ("kind", "told"),
    [("expired", "certificate has expired"), ("wrong-ca", ""), ("self-signed", ""), ("wrong-name", "not valid for")],
)
async def test_a_server_with_a_bad_certificate_is_not_believed(
    ours: Authorities, store: Store, kind: str, told: str
) -> None:
    server, caller = ours.party("server"), ours.party("caller")
    server.get(kind)
    with store.secured(server, "tls") as (_, where):
        found = await outcome(store.use, store.url(where, caller, "tls"))
    assert (told or store.authorities) in found
    assert where in found


@STORES
@pytest.mark.parametrize("kind", ["expired", "wrong-ca", "self-signed", "missing"])
async def test_a_caller_with_a_bad_certificate_is_refused(ours: Authorities, store: Store, kind: str) -> None:
    server, caller = ours.party("server"), ours.party("caller")
    if kind != "missing":
        caller.get(kind)
    with store.secured(server, "mtls") as (_, where):
        found = await outcome(store.use, store.url(where, caller, "tls" if kind == "missing" else "mtls"))
    assert store.certificate in found


@STORES
async def test_one_side_without_tls_is_told_so(ours: Authorities, store: Store) -> None:
    caller = ours.party("caller")
    with store.secured(ours.party("server"), "tls") as (server, where):
        plain_caller = await outcome(store.use, f"{server.url.partition(':')[0]}://{where}")
        plain_server = await outcome(store.use, store.url(f"127.0.0.1:{server.port}", caller, "tls"))
    assert store.plain.replace("://", "s://") in plain_caller
    assert "does not speak TLS" in plain_server
    assert store.plain in plain_server.partition("does not speak TLS")[2]


async def test_redis_with_a_certificate_and_an_acl_user(ours: Authorities) -> None:
    server, caller = ours.party("server"), ours.party("caller")
    with secured_valkey(server, "mtls") as (valkey, where):
        say(valkey, "ACL", "SETUSER", "mesh", "on", ">p@ss", "~nn:*", "&nn:*", "+@all")
        assert await served(use_redis, redis_url(where, caller, "mtls", "mesh:p%40ss@")) == "works"
        wrong = await outcome(use_redis, redis_url(where, caller, "mtls", "mesh:guess@"))
    assert "'mesh'" in wrong and "guess" not in wrong


async def test_etcd_with_a_certificate_and_a_user(ours: Authorities) -> None:
    server, caller = ours.party("server"), ours.party("caller")
    with secured_etcd(server, "tls") as (etcd, where):
        etcdctl(etcd.url, "user", "add", "root:p@ss")
        etcdctl(etcd.url, "user", "grant-role", "root", "root")
        etcdctl(etcd.url, "auth", "enable")
        assert await served(use_etcd, etcd_url(where, caller, "tls", "root:p%40ss@")) == "works"
        wrong = await outcome(use_etcd, etcd_url(where, caller, "tls", "root:guess@"))
    assert "authentication failed" in wrong and "guess" not in wrong


async def test_a_link_to_redis_outlives_new_certificates_and_a_new_authority(ours: Authorities) -> None:
    """The open connection goes on. One that breaks comes back with the files of now."""
    server, caller = ours.party("server"), ours.party("caller")
    with secured_valkey(server, "mtls") as (valkey, where):
        link = await open_link(redis_url(where, caller, "mtls"))
        rotate_to_second(ours, server, caller)
        reload(valkey, server)
        for party in (server, caller):
            party.trust(ours.second)
        reload(valkey, server)
        assert await link.call("PING") == b"PONG"
        reconnects = link.counters.reconnects
        drop_connections(valkey)
        await until(lambda: link.counters.reconnects > reconnects, "the link is back")
        assert await link.call("PING") == b"PONG"
        await link.close()


async def test_a_watch_of_etcd_outlives_new_certificates(ours: Authorities, namespace: str) -> None:
    """etcd reads its certificate at each handshake. Streams go on; new calls of ours show the new one."""
    server, caller = ours.party("server"), ours.party("caller")
    for party in (server, caller):
        party.trust(ours.first, ours.second)
    with secured_etcd(server, "mtls") as (_, where):
        url, prefix = etcd_url(where, caller, "mtls"), f"/{namespace}/"
        async with Etcd.open(url) as etcd, watching(etcd, prefix) as watcher:
            lease = await etcd.grant(10)
            await etcd.put(f"{prefix}a", b"1", lease=lease)
            await watcher.until(f"{prefix}a", b"1")
            before = etcd._transport._version
            for party in (server, caller):
                party.get("second")
            for value in range(2, 200):
                await etcd.put(f"{prefix}a", b"%d" % value, lease=lease)
                await etcd.keep_alive(lease)
                if etcd._transport._version > before:
                    break
                await asyncio.sleep(0.02)
            assert etcd._transport._version > before, "the files were read again"
            await etcd.put(f"{prefix}a", b"last", lease=lease)
            await watcher.until(f"{prefix}a", b"last")
            assert watcher.snapshots == 1, "no event was missed, so nothing was listed again"


def rotate_to_second(ours: Authorities, *parties: Party) -> None:
    """First both authorities are trusted, then certificates of the second one are used."""
    for party in parties:
        party.trust(ours.first, ours.second)
    for party in parties:
        party.get("second")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a?cafile=x", "no option cafile"),
        ("http://a?cacert=x", "but not https"),
        ("https://a?cert=x", "cert and key go together"),
        ("https://u:s3cret@a?cacert=/nowhere", "cacert is not the path"),
    ],
)
def test_a_wrong_option_of_etcd_is_refused_in_words(url: str, told: str) -> None:
    with pytest.raises(BadEtcdAddress, match=told) as refused:
        EtcdAddress.parse(url)
    assert "s3cret" not in str(refused.value)
