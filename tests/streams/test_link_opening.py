# SPDX-License-Identifier: Apache-2.0
"""Opening a link: which addresses work, and what the others are told."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from nervenet.dev.servers import free_port, valkey
from nervenet.redis_link.address import ClusterAddress, SentinelAddress, ServerAddress, parse
from nervenet.redis_link.faults import AuthenticationFailed, BadAddress, ConnectionLost, NotMaster, UnfitServer
from nervenet.redis_link.opening import open_link
from tests.support.tcp_proxy import tcp_proxy


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("redis+sentinel://:pw-hidden@a:26379", "master's name"),
        ("redis+sentinel://a:26379/mymaster/0?sentinel_password=pw-hidden&nonsense=1", "nonsense"),
        ("redis+sentinel:///mymaster", "no host"),
        ("redis+cluster://:pw-hidden@a:6379/1", "no databases"),
        ("http://:pw-hidden@a:6379", "http"),
        ("localhost:6379", "redis://"),
        ("redis://h?ssl_cert_reqs=sometimes&nonsense=1", "ssl_cert_reqs"),
        ("redis://h:notaport", "port"),
        ("redis://:a/pw-hidden#@host", "%23"),
        ("redis://:123/pw-hidden@host", "%2F"),  # else it would be a database of a server at port 123
        ("redis://:123#pw-hidden@host", "%23"),
        ("redis://me:pw-hidden", "port"),  # its host was forgotten
        ("redis://:a?pw-hidden=1@host", "%3F"),
        ("redis+sentinel://:x/pw-hidden#@a:26379/main", "%23"),
        ("redis+cluster://:x/pw-hidden@a:6379", "%2F"),
    ],
)
def test_an_unusable_address_names_the_usable_forms_and_no_password(url: str, word: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse(url)
    text = str(caught.value)
    assert word.lower() in text.lower()
    assert "rediss://" in text
    assert "unix://" in text
    assert "pw-hidden" not in text


def test_an_address_is_understood_as_redis_py_understands_it() -> None:
    plain = ServerAddress.parse("redis://ann:s%40crt@example.org:6380/3")
    assert (plain.host, plain.port, plain.db, plain.username, plain.password) == (
        "example.org",
        6380,
        3,
        "ann",
        "s@crt",
    )
    assert plain.tls is None
    assert "crt" not in f"{plain} {plain!r}"
    assert ServerAddress.parse("redis://").host == "localhost"
    assert ServerAddress.parse("unix:///run/redis.sock?db=2").path == "/run/redis.sock"
    secured = ServerAddress.parse("rediss://example.org")
    assert secured.tls is not None
    assert secured.tls.context().check_hostname


def test_several_servers_are_spelled_as_other_tools_do() -> None:
    watched = parse("rediss+sentinel://ann:s%40crt@a,[::1]:26380/mymaster/3?sentinel_password=p%26w&sentinel_tls=no")
    assert isinstance(watched, SentinelAddress)
    assert [(one.host, one.port, one.password, one.tls) for one in watched.sentinels] == [
        ("a", 26379, "p&w", None),
        ("::1", 26380, "p&w", None),
    ]
    server = watched.server.at("10.0.0.7", 6380)
    assert (server.where, server.db, server.username, server.password) == ("10.0.0.7:6380", 3, "ann", "s@crt")
    assert server.tls is not None
    assert str(watched) == "rediss+sentinel://a:26379,[::1]:26380/mymaster/3"
    cluster = parse("redis+cluster://:s%40crt@a,b:7000")
    assert isinstance(cluster, ClusterAddress)
    assert [(seed.where, seed.password, seed.member) for seed in cluster.seeds] == [
        ("a:6379", "s@crt", True),
        ("b:7000", "s@crt", True),
    ]
    assert "crt" not in f"{watched} {watched!r} {cluster} {cluster!r}"


async def test_a_password_opens_and_a_wrong_one_says_so() -> None:
    async with valkey(options={"requirepass": "open-sesame"}) as server:
        with pytest.raises(AuthenticationFailed, match="no password"):
            await open_link(server.url)
        with pytest.raises(AuthenticationFailed, match="WRONGPASS") as caught:
            await open_link(server.url.replace("://", "://:guess@"))
        assert "guess" not in str(caught.value)
        link = await open_link(server.url.replace("://", "://:open-sesame@") + "/1")
        await link.call("ACL", "SETUSER", "ann", "on", ">pw", "~*", "&*", "+@all", "-info")
        with pytest.raises(AuthenticationFailed, match=r"'ann'.*NOPERM"):
            await open_link(server.url.replace("://", "://ann:pw@"))
        await link.close()


async def test_a_password_where_none_is_wanted_says_so(redis_url: str) -> None:
    with pytest.raises(AuthenticationFailed, match="log in"):
        await open_link(redis_url.replace("://", "://bob:pw@"))


async def test_a_unix_socket_works(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with valkey(options={"unixsocket": str(path)}):
        link = await open_link(f"unix://{path}?db=1")
        assert await link.call("ECHO", "hello") == b"hello"
        await link.close()


async def test_tls_is_verified_against_the_authority_of_the_url(redis_url: str, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(
        ["openssl", "req", "-x509", *ec, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with tcp_proxy(redis_url, tls=tls) as proxy:
        url = proxy.url.replace("redis://", "rediss://")
        link = await open_link(f"{url}?ssl_ca_certs={certificate}")
        big = b"x" * 3_000_000
        assert await asyncio.gather(*(link.call("ECHO", big) for _ in range(3))) == [big] * 3
        await link.close()
        with pytest.raises(UnfitServer, match="not to be trusted"):
            await open_link(url)


async def test_opening_waits_for_a_server_that_is_still_to_come() -> None:
    port = free_port()
    with pytest.raises(ConnectionLost, match="cannot reach"):
        await open_link(f"redis://127.0.0.1:{port}", wait=0.05)
    opening = asyncio.create_task(open_link(f"redis://127.0.0.1:{port}"))
    async with valkey(port=port):
        link = await opening
        await link.close()


async def test_a_replica_is_refused() -> None:
    async with valkey() as server:
        link = await open_link(server.url)
        await link.call("REPLICAOF", "127.0.0.1", free_port())
        with pytest.raises(NotMaster, match="replica of"):
            await open_link(server.url, wait=0.05)
        await link.close()
