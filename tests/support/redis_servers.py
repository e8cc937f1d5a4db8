# SPDX-License-Identifier: Apache-2.0
"""A Redis master with a replica and three sentinels, for tests of a failover.

    async with Replicated() as redis:
        link = await open_link(redis.url)
        await redis.failover()        # stops the master; returns once the sentinels have made the replica master
        await redis.resume_old()      # continues it; returns once it has become a replica

Both may be repeated: the two servers swap their roles.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from nervenet.dev.binaries import find_valkey
from nervenet.dev.servers import Server, valkey
from tests.support.running import Running
from tests.support.waiting import until

NAME = "mesh"


def say(server: Server, *words: object) -> Any:
    """Send one command to one server, whatever its role is now; its answer."""
    connection = redis.Connection(  # type: ignore[no-untyped-call]
        port=server.port, protocol=2, decode_responses=True, socket_timeout=2, socket_connect_timeout=2
    )
    try:
        connection.send_command(*words)  # type: ignore[no-untyped-call]
        return connection.read_response()
    finally:
        connection.disconnect()  # type: ignore[no-untyped-call]


async def reached(holds: Callable[[], object], what: str, within: float = 60.0) -> None:
    """Wait for a state of servers; one that does not answer is not there yet."""
    await until(holds, what, within, ignore=(redis.RedisError,), in_thread=True)


def sentinel(master: int, *more: str, silence_ms: int = 1_000, quorum: int = 2, epoch: int = 1) -> Server:
    """One sentinel, which takes the master for dead after `silence_ms` (if `quorum` sentinels agree)."""

    def command(port: int, folder: Path) -> list[str]:
        config = folder / "sentinel.conf"
        lines = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", 'logfile ""']
        lines += [f"sentinel monitor {NAME} 127.0.0.1 {master} {quorum}"]
        lines += [f"sentinel down-after-milliseconds {NAME} {silence_ms}", f"sentinel failover-timeout {NAME} 4000"]
        lines += [f"sentinel config-epoch {NAME} {epoch}", f"sentinel current-epoch {epoch}", *more]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [str(find_valkey()), str(config), "--sentinel"]

    return Server("sentinel", command, "+monitor master", scheme="redis", data=None, port=0)


class Replicated(Running):
    """`url` is what a mesh is given; `master` and `replica` are the servers that have these roles now."""

    def __init__(
        self, *, silence_ms: int = 1_000, min_replicas: int = 0, options: dict[str, str] | None = None
    ) -> None:
        common = {"repl-diskless-sync-delay": "0", "min-replicas-to-write": str(min_replicas), **(options or {})}
        self.master, self.replica = valkey(options=common), valkey(options=common)
        self.sentinels: list[Server] = []
        self._silence_ms = silence_ms
        super().__init__()

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in self.sentinels)}/{NAME}"

    async def begin(self) -> None:
        for server in (self.master, self.replica):
            await self.stack.enter_async_context(server)
        say(self.replica, "REPLICAOF", "127.0.0.1", self.master.port)
        for _ in range(3):
            one = sentinel(self.master.port, silence_ms=self._silence_ms)
            self.sentinels.append(await self.stack.enter_async_context(one))
        await self.settled()

    async def failover(self, how: signal.Signals = signal.SIGSTOP) -> float:
        """Hit the master with a signal and wait for the sentinels to name the other one; the seconds that took."""
        began = time.monotonic()
        self.master.kill(how)
        await self.swapped()
        return time.monotonic() - began

    async def swapped(self) -> None:
        """Wait until the sentinels name the other server, whatever made them do it."""
        await reached(lambda: self._named() == {self.replica.port}, "the sentinels name the replica")
        await reached(lambda: role_of(self.replica) == "master", "the replica is master")
        self.master, self.replica = self.replica, self.master

    async def resume_old(self) -> float:
        """Continue (or start again) what was the master; the seconds until it replicates from the new one."""
        began = time.monotonic()
        await revive(self.replica)
        await self.settled()
        return time.monotonic() - began

    async def settled(self) -> None:
        """All know each other and the replica has what the master has: a failover would succeed."""
        await reached(lambda: fact(self.replica, "master_link_status") == "up", "the replica replicates")
        await reached(self._ready, "each sentinel knows the two others and the replica")

    def _ready(self) -> bool:
        for one in self.sentinels:
            master = _pairs(say(one, "SENTINEL", "MASTER", NAME))
            replicas = [_pairs(each) for each in say(one, "SENTINEL", "REPLICAS", NAME)]
            if master["flags"] != "master" or master["num-other-sentinels"] != "2":
                return False
            if [each["flags"] for each in replicas] != ["slave"]:
                return False
        return True

    def _named(self) -> set[int]:
        return {int(say(one, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1]) for one in self.sentinels}


async def revive(server: Server) -> None:
    """Let it go on, or start it again."""
    if server.alive:
        server.kill(signal.SIGCONT)
    else:
        await server.restart()


def role_of(server: Server) -> str:
    """`master` or `slave`."""
    return fact(server, "role")


def fact(server: Server, name: str) -> str:
    """One line of what INFO says."""
    lines = (line.partition(":") for line in say(server, "INFO", "everything").splitlines())
    return next((value for key, _, value in lines if key == name), "")


def scripts_run(server: Server) -> int:
    """How many of our scripts a server has run."""
    return int(fact(server, "cmdstat_evalsha").partition("calls=")[2].partition(",")[0] or 0)


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
