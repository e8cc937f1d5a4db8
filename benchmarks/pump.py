# SPDX-License-Identifier: Apache-2.0
"""The yardstick: the Redis commands of a four-step workflow, pumped by two processes with nothing around them.

    python benchmarks/pump.py agent URL NAMESPACE [--work-ms 0]
    python benchmarks/pump.py coordinator URL NAMESPACE < orders      (an order: {"concurrency": 50, "seconds": 2})

It issues what the product issues, in the same order and with the same waits, and carries opaque bytes of the product's sizes:
no gRPC, no protobuf, no replay, no selection, no retry. So it says what this machine, Redis and CPython can give at
all, and the product is measured as a share of it, in the same run.

This file is frozen: it uses none of the product's Python, only its Lua, and does not change when the product does. (Were
the pump to change with the product, the share would say nothing.) The loop that drives it, `closed_loop`, and the way it takes
orders are also what drives the product's client, so both are asked in the same way.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import hashlib
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hiredis
import uvloop

Word = bytes | str | int
STEPS = 4
START, ENVELOPE, OUTCOME, CLOSE = (bytes(n) for n in (1077, 1188, 1097, 1047))  # as the product's, with 1 KB of payload
REQUEST = bytes(32)
NODE, AGENT = "n-pumppump", "noop-pumppump"
RETENTION_MS = 7 * 86_400_000
NOTHING = object()


class Connection(asyncio.Protocol):
    """The commands of one tick leave in one write; replies find their futures by their order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=NOTHING)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._unsent: list[bytes] = []
        self._transport: Any = None

    @classmethod
    async def open(cls, url: str) -> Connection:
        at = urlsplit(url)
        host, port = at.hostname or "127.0.0.1", at.port or 6379
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, *words: Word) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(words))  # type: ignore[arg-type]
        self._waiting.append(future)
        return future

    def _flush(self) -> None:
        batch, self._unsent = self._unsent, []
        self._transport.write(b"".join(batch))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not NOTHING:
            future = self._waiting.popleft()
            if future.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self._waiting:
            future.cancel()


class Redis:
    """One connection for commands and one for the blocking read, the namespace's keys, the product's scripts."""

    def __init__(self, commands: Connection, reads: Connection, namespace: str) -> None:
        self.send, self.read = commands.send, reads.send
        ns = f"nn:{namespace}:"
        self.wf, self.running = f"{ns}wf:{{", f"{ns}running"
        self.inbox, self.wake, self.owned = f"{ns}inbox:{{{AGENT}}}", f"{ns}wake:{{{NODE}}}", f"{ns}owned:{{{NODE}}}"
        self.closed = f"{ns}closed:{{"
        self.scripts: dict[str, str] = {}

    @classmethod
    async def open(cls, url: str, namespace: str) -> Redis:
        redis = cls(await Connection.open(url), await Connection.open(url), namespace)
        folder = Path(__file__).parent.parent / "python/nervenet/streams/scripts"
        for name in ("running_add", "workflow_create", "task_claim", "journal_append", "workflow_close", "closed_add"):
            source = (folder / f"{name}.lua").read_bytes()
            redis.scripts[name] = hashlib.sha1(source).hexdigest()
            await redis.send("SCRIPT", "LOAD", source)
        return redis

    def call(self, script: str, keys: tuple[str, ...], *args: Word) -> asyncio.Future[Any]:
        return self.send("EVALSHA", self.scripts[script], len(keys), *keys, *args)

    async def make_stream(self, key: str) -> None:
        """An empty stream with a group, as senders with NOMKSTREAM expect it."""
        await self.send("DEL", key)
        await self.send("XGROUP", "CREATE", key, "agents", "0", "MKSTREAM")


class Coordinator:
    """The node's side: starts, dispatches, hears of outcomes, closes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._count = 0
        self._awaited: dict[bytes, asyncio.Future[None]] = {}
        self._closed: list[tuple[str, int]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def workflow(self) -> None:
        """One workflow, from its start to its close."""
        redis, send = self._redis, self._redis.send
        self._count += 1
        workflow_id = f"four-0199c1f4-7a3b-7c5e-9d2f-{self._count:012d}"
        head = f"{redis.wf}{workflow_id}}}"
        journal, checkpoints, live, view = f"{head}:journal", f"{head}:ckpt", f"{head}:live", f"{head}:view"
        now = int(time.time() * 1000)
        redis.call("running_add", (redis.running,), workflow_id)
        send("SADD", redis.owned, workflow_id)
        fields = ("owner", NODE, "definition", "four", "version", 1, "python", "3.11", "created", now, "req", REQUEST)
        await redis.call("workflow_create", (head, journal), now + 30_000, START, *fields)
        for _ in range(STEPS):
            outcome = self._awaited[workflow_id.encode()] = asyncio.get_running_loop().create_future()
            send("XADD", redis.inbox, "NOMKSTREAM", "*", "e", workflow_id.encode().ljust(len(ENVELOPE)))
            await outcome
        keys = (head, journal, checkpoints, live, view)
        await redis.call("workflow_close", keys, 1, NODE, CLOSE, "SUCCEEDED", RETENTION_MS, "", "")
        if not self._closed:
            asyncio.get_running_loop().call_soon(self._finish)
        self._closed.append((workflow_id, now))

    def _finish(self) -> None:
        """The books of all workflows that closed in this tick."""
        closed, self._closed = self._closed, []
        task = asyncio.ensure_future(self._books(closed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _books(self, closed: list[tuple[str, int]]) -> None:
        redis = self._redis
        ids = [workflow_id for workflow_id, _ in closed]
        rows = [word for workflow_id, created in closed for word in (created, workflow_id)]
        bucket = f"{redis.closed}{datetime.datetime.now(datetime.UTC).date()}}}"
        await asyncio.gather(
            redis.call("closed_add", (bucket,), RETENTION_MS, *rows), redis.send("SREM", redis.owned, *ids)
        )
        await redis.send("ZREM", redis.running, *ids)

    async def hear(self) -> None:
        """Read the wake stream, and trim what was read."""
        redis, last = self._redis, b"0"
        while True:
            reply = await redis.read("XREAD", "COUNT", 1000, "BLOCK", 2000, "STREAMS", redis.wake, last)
            if not reply:
                continue
            for last, fields in reply[0][1]:  # noqa: B007 - used below
                self._awaited.pop(fields[1]).set_result(None)
            ms, _, n = last.partition(b"-")
            redis.send("XTRIM", redis.wake, "MINID", b"%s-%d" % (ms, int(n) + 1))


class Agent:
    """The agent's side: reads, claims, records, tells the owner."""

    def __init__(self, redis: Redis, work_ms: int) -> None:
        self._redis = redis
        self._work_ms = work_ms
        self._tasks: set[asyncio.Task[None]] = set()
        self._steps: dict[str, int] = {}
        self._done: list[bytes] = []

    async def serve(self) -> None:
        redis = self._redis
        read = ("XREADGROUP", "GROUP", "agents", AGENT, "COUNT", 1000, "BLOCK", 2000, "STREAMS", redis.inbox, ">")
        while True:
            reply = await redis.read(*read)
            for entry_id, fields in reply[0][1] if reply else ():
                task = asyncio.ensure_future(self._work(entry_id, fields[1].rstrip().decode()))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _work(self, entry_id: bytes, workflow_id: str) -> None:
        redis, send = self._redis, self._redis.send
        step = self._next_step(workflow_id)
        head = f"{redis.wf}{workflow_id}}}"
        journal, checkpoints = f"{head}:journal", f"{head}:ckpt"
        status, owner, _ = await redis.call("task_claim", (head, checkpoints), 1, step, 1, AGENT, 6000)
        if status != b"run" or owner.decode() != NODE:
            raise RuntimeError(f"{workflow_id} {step}: {status}")
        if self._work_ms:
            await asyncio.sleep(self._work_ms / 1000)
        name = f"task:{step}"
        keys = (head, journal, checkpoints)
        status, journal_id, *_ = await redis.call("journal_append", keys, 1, name, OUTCOME, "")
        if status != b"new":
            raise RuntimeError(f"{workflow_id} {step}: {status}")
        if not self._done:
            asyncio.get_running_loop().call_soon(self._tidy)
        self._done.append(entry_id)
        news = ("w", workflow_id, "r", 1, "i", journal_id, "n", name, "e", OUTCOME)
        await send("XADD", redis.wake, "NOMKSTREAM", "*", *news)

    def _tidy(self) -> None:
        """Delete and acknowledge what this tick is done with, in the write that carries its wakes."""
        done, self._done = self._done, []
        self._redis.send("XDEL", self._redis.inbox, *done)
        self._redis.send("XACK", self._redis.inbox, "agents", *done)

    def _next_step(self, workflow_id: str) -> str:
        """The product reads it from the envelope; here only the workflow's id is in there."""
        k = self._steps.pop(workflow_id, 0) + 1
        if k < STEPS:
            self._steps[workflow_id] = k
        return "noop" if k == 1 else f"noop.{k}"


# ── driving; the product's client is driven by the same two functions ────────────────────────────────────────────────


async def closed_loop(run: Callable[[], Awaitable[object]], concurrency: int, seconds: float) -> dict[str, Any]:
    """`concurrency` callers, each beginning its next workflow when its last one has ended, for so many seconds."""
    took_ms: list[float] = []
    began = time.perf_counter()

    async def caller() -> None:
        while (at := time.perf_counter()) - began < seconds:
            await run()
            took_ms.append((time.perf_counter() - at) * 1000)

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return {"seconds": time.perf_counter() - began, "took_ms": took_ms}


async def take_orders(run: Callable[[], Awaitable[object]]) -> None:
    """One JSON line in, one out, until the input ends."""
    print(json.dumps("ready"), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        print(json.dumps(await closed_loop(run, order["concurrency"], order["seconds"])), flush=True)


async def main(role: str, url: str, namespace: str, work_ms: int) -> None:
    redis = await Redis.open(url, namespace)
    if role == "agent":
        await redis.make_stream(redis.inbox)
        print(json.dumps("ready"), flush=True)
        await Agent(redis, work_ms).serve()
    else:
        await redis.make_stream(redis.wake)
        await redis.send("XGROUP", "DESTROY", redis.wake, "agents")
        coordinator = Coordinator(redis)
        hearing = asyncio.ensure_future(coordinator.hear())
        await take_orders(coordinator.workflow)
        hearing.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=("agent", "coordinator"))
    parser.add_argument("url")
    parser.add_argument("namespace")
    parser.add_argument("--work-ms", type=int, default=0)
    options = parser.parse_args()
    uvloop.run(main(options.role, options.url, options.namespace, options.work_ms))
