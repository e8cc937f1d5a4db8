# SPDX-License-Identifier: Apache-2.0
"""A Valkey and an etcd that speak TLS, with the files of one party, and the URLs by which others reach them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlencode

from nervenet.dev.servers import Server, ServerFailed, etcd, free_port, valkey
from tests.support.processes import Process
from tests.support.redis_servers import say
from tests.support.waiting import wait_until
from tests.transport.parties import Files, Party


@contextmanager
def secured_valkey(party: Party | Files, transport: str, **more: str) -> Iterator[tuple[Server, str]]:
    """The server, which a test reaches without TLS too, and host:port of its TLS: its own, or one in front of it."""
    if not speaks_tls():
        with valkey(options=more) as server, front(server.port, party, transport) as port:
            yield server, f"127.0.0.1:{port}"
        return
    port = free_port()
    files = {"cert-file": party.cert, "key-file": party.key, "ca-cert-file": party.ca}
    options = {f"tls-{name}": str(file) for name, file in files.items()}
    options |= {"tls-port": str(port), "tls-auth-clients": "yes" if transport == "mtls" else "no"}
    with valkey(options=options | more) as server:
        yield server, f"127.0.0.1:{port}"


@cache
def speaks_tls() -> bool:
    """Whether the Valkey or Redis of this machine is built with TLS: the one that comes as a wheel is not."""
    try:
        with valkey(options={"tls-port": str(free_port())}):
            return True
    except ServerFailed as failed:  # for want of a certificate, or of TLS
        return "Failed to configure TLS" in str(failed)


@contextmanager
def front(target: int, party: Party | Files, transport: str) -> Iterator[int]:
    """TLS in front of a server; its port."""
    files = [str(party.cert), str(party.key), *([str(party.ca)] if transport == "mtls" else [])]
    command = [sys.executable, "-m", "tests.transport.tls_front", str(target), *files]
    log = party.cert.with_suffix(".log")
    process = Process(command, log)
    try:
        wait_until(lambda: log.exists() and process.log.partition("\n")[1], "the TLS in front listens", of=process)
        yield int(process.log.partition("\n")[0])
    finally:
        process.kill()


@contextmanager
def secured_etcd(party: Party | Files, transport: str) -> Iterator[tuple[Server, str]]:
    """The server, which a test reaches without TLS too, and host:port of its TLS."""
    plain, secure = free_port(), free_port()
    listen = f"http://127.0.0.1:{plain},https://127.0.0.1:{secure}"
    options = {
        "listen-client-urls": listen,
        "advertise-client-urls": listen,
        "cert-file": str(party.cert),
        "key-file": str(party.key),
        **({"trusted-ca-file": str(party.ca), "client-cert-auth": "true"} if transport == "mtls" else {}),
    }
    with etcd(port=plain, options=options) as server:
        yield server, f"127.0.0.1:{secure}"


def redis_url(where: str, caller: Party, transport: str, login: str = "") -> str:
    files = {"ssl_ca_certs": caller.ca}
    if transport == "mtls":
        files |= {"ssl_certfile": caller.cert, "ssl_keyfile": caller.key}
    return f"rediss://{login}{where}?{urlencode(files)}"


def etcd_url(where: str, caller: Party, transport: str, login: str = "") -> str:
    files = {"cacert": caller.ca}
    if transport == "mtls":
        files |= {"cert": caller.cert, "key": caller.key}
    return f"https://{login}{where}?{urlencode(files)}"


def reload(valkey: Server, party: Party) -> None:
    """Valkey reads its files again when it is told to; the TLS in front of it at each handshake."""
    if not speaks_tls():
        return
    files = {"cert-file": party.cert, "key-file": party.key, "ca-cert-file": party.ca}
    say(valkey, "CONFIG", "SET", *(word for name, file in files.items() for word in (f"tls-{name}", str(file))))


def drop_connections(valkey: Server) -> None:
    """All connect again, with the files that they have then."""
    for kind in ("normal", "pubsub"):
        say(valkey, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
