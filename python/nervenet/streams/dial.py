# SPDX-License-Identifier: Apache-2.0
"""From an address to a connection that may be used: socket, TLS, login, scripts, and who answers there.

Everything is asked in one write and judged before anybody else may send: a replica is refused (a resumed old master
would acknowledge writes that nobody ever sees again), so are servers that are too old.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nervenet.streams.connection import Arg, Connection, Counters
from nervenet.streams.faults import AuthenticationFailed, ConnectionLost, NotMaster, RedisRefused, UnfitServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable

    from nervenet.streams.address import Address
    from nervenet.streams.script import Script

__all__ = ["ServerIdentity", "dial"]

_OLDEST: Final = (6, 2)
_TIMEOUT: Final = 5.0
_LOG_IN: Final = "log in"


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Who answers: another pair means a restart or a failover, so the data may be older than what we know."""

    run_id: str
    replid: str
    version: str = ""

    def same(self, other: ServerIdentity) -> bool:
        return (self.run_id, self.replid) == (other.run_id, other.replid)


async def dial(
    address: Address, name: str, counters: Counters, scripts: Iterable[Script] = (), *, watched: bool = True
) -> tuple[Connection, ServerIdentity]:
    """Connect and log in. Raises `ConnectionLost` (worth another try) or what is wrong with the configuration."""
    loop = asyncio.get_running_loop()
    connection = Connection(loop, counters, watched=watched)
    async with _translated(address), asyncio.timeout(_TIMEOUT):
        if address.path is not None:
            await loop.create_unix_connection(lambda: connection, address.path)
        else:
            await loop.create_connection(lambda: connection, address.host, address.port, ssl=address.tls)
        try:
            return connection, await _greet(connection, address, name, tuple(scripts))
        except BaseException:
            connection.abort("the greeting failed")
            raise


@asynccontextmanager
async def _translated(address: Address) -> AsyncIterator[None]:
    try:
        yield
    except NotMaster:
        raise
    except ConnectionLost as error:
        raise ConnectionLost(f"the connection to Redis at {address} broke: {error}") from error
    except ssl.SSLCertVerificationError as error:
        raise UnfitServer(f"the certificate of {address} is not to be trusted: {error.verify_message}") from error
    except TimeoutError as error:
        raise ConnectionLost(f"no answer from Redis at {address} within {_TIMEOUT:.0f} s") from error
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"cannot reach Redis at {address}: {error}") from error


async def _greet(connection: Connection, address: Address, name: str, scripts: tuple[Script, ...]) -> ServerIdentity:
    asked: list[tuple[str, Awaitable[Any]]] = []

    def ask(what: str, *args: Arg) -> None:
        asked.append((what, connection.send(args)))

    if address.password is not None:
        ask(_LOG_IN, "AUTH", *((address.username,) if address.username else ()), address.password)
    if address.db:
        ask(f"select database {address.db}", "SELECT", address.db)
    ask("name the connection", "CLIENT", "SETNAME", name)
    ask("ask who answers", "INFO", "server")
    ask("ask for its role", "INFO", "replication")
    for script in scripts:
        ask(f"load the script {script.name}", "SCRIPT", "LOAD", script.source)
    replies = await asyncio.gather(*(reply for _, reply in asked), return_exceptions=True)
    answers = [_allowed(address, what, reply) for (what, _), reply in zip(asked, replies, strict=True)]
    infos = answers[len(answers) - len(scripts) - 2 :][:2]
    return _judge(address, _facts(infos[0]) | _facts(infos[1]))


def _allowed(address: Address, what: str, reply: Any) -> Any:
    if not isinstance(reply, BaseException):
        return reply
    forbidden = isinstance(reply, RedisRefused) and (reply.not_allowed or (what == _LOG_IN and not reply.retry))
    if not forbidden:
        raise reply
    who = f"user {address.username!r}" if address.username else "no user name"
    how = "a password" if address.password is not None else "no password"
    raise AuthenticationFailed(f"Redis at {address} did not let us {what} with {who} and {how}: {reply}")


def _facts(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {key: value for key, colon, value in lines if colon}


def _judge(address: Address, facts: dict[str, str]) -> ServerIdentity:
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        raise UnfitServer(f"Redis {version} at {address} is too old: nervenet needs Redis 6.2 or any Valkey")
    if facts.get("redis_mode") == "cluster" or facts.get("server_mode") == "cluster":
        raise UnfitServer(f"{address} is a member of a Redis Cluster: give the address of a server that stands alone")
    if facts.get("role") != "master":
        raise NotMaster(f"{address} is a replica of {facts.get('master_host', 'another server')}: give its master")
    product = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {version}"
    try:
        return ServerIdentity(facts["run_id"], facts["master_replid"], product)
    except KeyError as missing:
        raise UnfitServer(f"what answers at {address} does not tell its {missing}: is it a proxy?") from None
