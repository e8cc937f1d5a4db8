# SPDX-License-Identifier: Apache-2.0
"""From an address to a connection that is ready: socket, TLS, login, scripts, and the identity of the server.

All requests of the login leave in one write, and the replies are checked before any other command is sent. A replica is
refused, because an old master that is resumed would acknowledge writes that are then lost; so is a server that is too
old. If the connection is aborted meanwhile (its server is no longer the master) the attempt ends at once, even if the
network is silent.

Five seconds without an answer end an attempt. They are counted as five waits of one second, so that a process that itself
stood still (a suspended machine, a blocked event loop) reads the answers that came meanwhile and does not blame Redis.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nervenet.redis_link.faults import (
    AuthenticationFailed,
    ClusterMember,
    ConnectionLost,
    NotMaster,
    RedisRefused,
    UnfitServer,
)
from nervenet.redis_link.slots import slot_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable, Iterator, Sequence

    from nervenet.redis_link.address import ServerAddress
    from nervenet.redis_link.connection import Arg, Connection
    from nervenet.redis_link.script import LuaScript

__all__ = ["ServerIdentity", "dial", "dial_unchecked", "info_fields"]

_OLDEST: Final = (6, 2)
_WAITS: Final = 5
_EACH_WAIT: Final = 1.0
_LOG_IN: Final = "log in"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """The identity of a server. Another pair (run_id, replid) means a restart or a failover: data may have been lost.

    `exposed`: it has replicas, but acknowledges writes even if it reaches none of them. `slots` are the ranges that it
    serves in a Redis Cluster; None: it serves all.
    """

    run_id: str
    replid: str
    version: str = ""
    exposed: bool = False
    slots: tuple[range, ...] | None = None

    def __str__(self) -> str:
        return f"{self.version or 'no server yet'}, run {self.run_id[:8]}, data {self.replid[:8]}"

    def same(self, other: ServerIdentity) -> bool:
        return (self.run_id, self.replid) == (other.run_id, other.replid)

    def holds(self, key: bytes) -> bool:
        """Whether this server has the key."""
        return self.slots is None or any(slot_of(key) in served for served in self.slots)


async def dial(
    connection: Connection, address: ServerAddress, name: str, scripts: Iterable[LuaScript] = ()
) -> ServerIdentity:
    """Connect and log in. Raises `ConnectionLost`, which is worth another try, or an error of the configuration."""
    with _reaching(connection, address):
        return await _answer(connection, _connect_and_greet(connection, address, name, tuple(scripts)))


async def dial_unchecked(connection: Connection, address: ServerAddress) -> None:
    """Connect and log in, without any check of the server: for sentinels, and for any member of a cluster."""
    with _reaching(connection, address):
        await _answer(connection, _connect_and_log_in(connection, address))


async def _connect_and_greet(
    connection: Connection, address: ServerAddress, name: str, scripts: tuple[LuaScript, ...]
) -> ServerIdentity:
    await _open_socket(connection, address)
    return await _greet(connection, address, name, scripts)


async def _connect_and_log_in(connection: Connection, address: ServerAddress) -> None:
    await _open_socket(connection, address)
    requests = [(_LOG_IN, connection.send(login))] if (login := _login(address)) else []
    requests.append(("ping it", connection.send(("PING",))))
    await _allowed_all(address, requests)


async def _open_socket(connection: Connection, address: ServerAddress) -> None:
    loop = asyncio.get_running_loop()
    if address.path is not None:
        await loop.create_unix_connection(lambda: connection, address.path)
    else:
        await loop.create_connection(
            lambda: connection, address.host, address.port, ssl=None if address.tls is None else address.tls.context()
        )


async def _answer(connection: Connection, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of the work. Raises `ConnectionLost` once the connection is lost, and `TimeoutError`."""
    task = asyncio.ensure_future(work)
    try:
        for _ in range(_WAITS):
            await asyncio.wait((task, connection.lost), timeout=_EACH_WAIT, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if connection.lost.done():
                raise ConnectionLost(connection.lost.result())
        raise TimeoutError
    finally:
        task.cancel()


@contextmanager
def _reaching(connection: Connection, address: ServerAddress) -> Iterator[None]:
    """Close the connection after a failure, and translate foreign errors."""
    try:
        yield
    except BaseException as error:
        connection.abort("the login failed")
        if (ours := _translated(error, address)) is None:
            raise
        raise ours from error


def _translated(error: BaseException, address: ServerAddress) -> Exception | None:
    if isinstance(error, ConnectionLost) and not isinstance(error, NotMaster):
        return ConnectionLost(f"the connection to Redis at {address} broke: {error}{_tls_hint(address, str(error))}")
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = (address.tls and address.tls.files.ca) or "the authorities of the system"
        return UnfitServer(
            f"the certificate of {address} is not to be trusted: {error.verify_message}; this process trusts {trusted} "
            "(ssl_ca_certs in NERVENET_REDIS)"
        )
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return ConnectionLost(f"{address} does not speak TLS: use redis:// in NERVENET_REDIS if that is intended")
    if isinstance(error, TimeoutError):
        hint = "; if it does not speak TLS, use redis:// in NERVENET_REDIS" if address.tls is not None else ""
        return ConnectionLost(f"no answer from Redis at {address} within {_WAITS * _EACH_WAIT:.0f} s{hint}")
    if isinstance(error, (OSError, UnicodeError)):
        return ConnectionLost(f"cannot reach Redis at {address}: {_reason(error)}")
    return None


def _tls_hint(address: ServerAddress, why: str) -> str:
    """What to set, if a server seems to miss TLS or our certificate: in TLS 1.3 it closes the connection after the handshake."""
    if address.path is not None or not any(word in why.lower() for word in ("closed", "reset", "certificate")):
        return ""
    if address.tls is None:
        return "; if it speaks TLS, use rediss:// in NERVENET_REDIS"
    if address.tls.files.certificate is None:
        return "; if it asks for a certificate, set ssl_certfile and ssl_keyfile in NERVENET_REDIS"
    return f"; if it refuses {address.tls.files.certificate}, replace that file (ssl_certfile in NERVENET_REDIS)"


def _reason(error: OSError | UnicodeError) -> str:
    """`Connection refused`, without the number that it has on this system. Errors of TLS and of names have numbers of their own."""
    is_plain = type(error) in (OSError, ConnectionRefusedError, ConnectionResetError)
    return os.strerror(error.errno) if isinstance(error, OSError) and is_plain and error.errno else str(error)


async def _greet(
    connection: Connection, address: ServerAddress, name: str, scripts: tuple[LuaScript, ...]
) -> ServerIdentity:
    requests: list[tuple[str, Awaitable[Any]]] = []

    def ask(what: str, *args: Arg) -> None:
        requests.append((what, connection.send(args)))

    if login := _login(address):
        ask(_LOG_IN, *login)
    if address.db:
        ask(f"select database {address.db}", "SELECT", address.db)
    ask("name the connection", "CLIENT", "SETNAME", name)
    ask("ask who answers", "INFO", "server")
    ask("ask for its role", "INFO", "replication")
    for script in scripts:
        ask(f"load the script {script.name}", "SCRIPT", "LOAD", script.source)
    replies = await _allowed_all(address, requests)
    infos = replies[len(replies) - len(scripts) - 2 :][:2]
    return _identity(address, info_fields(infos[0]) | info_fields(infos[1]))


def _login(address: ServerAddress) -> tuple[Arg, ...]:
    if address.password is None:
        return ()
    return ("AUTH", address.username, address.password) if address.username else ("AUTH", address.password)


async def _allowed_all(address: ServerAddress, requests: Sequence[tuple[str, Awaitable[Any]]]) -> list[Any]:
    replies = await asyncio.gather(*(reply for _, reply in requests), return_exceptions=True)
    return [_allowed(address, what, reply) for (what, _), reply in zip(requests, replies, strict=True)]


def _allowed(address: ServerAddress, what: str, reply: Any) -> Any:
    if not isinstance(reply, BaseException):
        return reply
    forbidden = isinstance(reply, RedisRefused) and (reply.not_allowed or (what == _LOG_IN and not reply.retry))
    if not forbidden:
        raise reply
    who = f"user {address.username!r}" if address.username else "no user name"
    how = "a password" if address.password is not None else "no password"
    answer = str(reply).partition(", with args")[0]  # a server that does not know AUTH repeats its arguments
    raise AuthenticationFailed(f"Redis at {address} did not let us {what} with {who} and {how}: {answer}")


def info_fields(info: bytes) -> dict[str, str]:
    """The fields of a section of INFO."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {key: value for key, colon, value in lines if colon}


def _identity(address: ServerAddress, facts: dict[str, str]) -> ServerIdentity:
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        raise UnfitServer(f"Redis {version} at {address} is too old: nervenet needs Redis 6.2 or any Valkey")
    if "cluster" in (facts.get("redis_mode"), facts.get("server_mode")) and not address.member:
        raise ClusterMember(f"{address} is a member of a Redis Cluster")
    if facts.get("role") != "master":
        raise NotMaster(f"{address} is a replica of {facts.get('master_host', 'another server')}: give its master")
    product = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {version}"
    exposed = facts.get("connected_slaves", "0") != "0" and "min_slaves_good_slaves" not in facts
    try:
        return ServerIdentity(facts["run_id"], facts["master_replid"], product, exposed)
    except KeyError as missing:
        raise UnfitServer(f"what answers at {address} does not tell its {missing}: is it a proxy?") from None
