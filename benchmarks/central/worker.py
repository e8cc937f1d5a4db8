# SPDX-License-Identifier: Apache-2.0
"""A process that runs steps: reads as many tasks as it has free slots, and sends their results in batches.

The result of a task and its acknowledgement are one transaction. A worker shows once a second that it lives; the others take the
tasks of one that does not. Each handler may run twice then.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.asyncio import Redis

from .store import GROUP, Keys, connect, entries_of, make_group

BLOCK_MS: Final = 1000
ALIVE_MS: Final = 3000
HEARTBEAT_S: Final = 1.0
STEP_TIMEOUT_S: Final = 60.0
RECLAIMED_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Task:
    workflow_id: str
    step: int
    attempt: int


Handler = Callable[[Task, Any], Awaitable[Any]]


class Worker:
    """Runs the handlers of all its capabilities, with `slots` for each."""

    def __init__(self, url: str, namespace: str, handlers: Mapping[str, Handler], slots: int) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._keys = Keys(namespace)
        self._url = url
        self._handlers = dict(handlers)
        self._slots = slots
        self._running: dict[str, int] = dict.fromkeys(handlers, 0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._done: list[tuple[str, bytes, dict[Any, Any]]] = []
        self._has_done = asyncio.Event()
        self._has_room = asyncio.Event()
        self._writes: Redis = connect(url)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Until cancelled. An error of Redis ends it."""
        for capability in self._handlers:
            await make_group(self._writes, self._keys.tasks(capability))
        await self._show_life()
        async with asyncio.TaskGroup() as group:
            for capability in self._handlers:
                group.create_task(self._read(capability))
            group.create_task(self._send_results())
            group.create_task(self._look_after_others())
            ready()

    async def _read(self, capability: str) -> None:
        stream = self._keys.tasks(capability)
        redis: Redis = connect(self._url)
        while True:
            while (room := self._slots - self._running[capability]) <= 0:
                self._has_room.clear()
                await self._has_room.wait()
            reply = await redis.xreadgroup(GROUP, self.id, {stream: ">"}, count=room, block=BLOCK_MS)
            for _, entries in entries_of(reply):
                for entry_id, fields in entries:
                    self._begin(capability, entry_id, fields)

    def _begin(self, capability: str, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        self._running[capability] += 1
        task = asyncio.create_task(self._run(capability, entry_id, fields))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, capability: str, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        about = Task(fields[b"w"].decode(), int(fields[b"s"]), int(fields[b"a"]))
        outcome: dict[Any, Any] = {b"w": fields[b"w"], b"s": fields[b"s"], b"a": fields[b"a"]}
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                value = await self._handlers[capability](about, json.loads(fields[b"v"]))
            outcome[b"v"] = json.dumps(value).encode()
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the outcome of its step
            outcome |= {b"v": b"null", b"e": repr(error).encode()}
        self._running[capability] -= 1
        self._has_room.set()
        self._done.append((self._keys.tasks(capability), entry_id, outcome))
        self._has_done.set()

    async def _send_results(self) -> None:
        while True:
            await self._has_done.wait()
            self._has_done.clear()
            done, self._done = self._done, []
            async with self._writes.pipeline(transaction=True) as pipe:
                entries: dict[str, list[bytes]] = {}
                for stream, entry_id, outcome in done:
                    pipe.xadd(self._keys.results, outcome)
                    entries.setdefault(stream, []).append(entry_id)
                for stream, ids in entries.items():
                    pipe.xack(stream, GROUP, *ids)
                    pipe.xdel(stream, *ids)
                await pipe.execute()

    # ── workers that died ────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_life(self) -> None:
        await self._writes.set(self._keys.worker(self.id), "", px=ALIVE_MS)

    async def _look_after_others(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._show_life()
            for capability in self._handlers:
                await self._reclaim(capability)

    async def _reclaim(self, capability: str) -> None:
        """Take what is pending for consumers without a sign of life. Only one of several workers gets each task."""
        stream, redis = self._keys.tasks(capability), self._writes
        for consumer in await redis.xinfo_consumers(stream, GROUP):
            name = consumer["name"].decode()
            if name == self.id or await redis.exists(self._keys.worker(name)):
                continue
            if not consumer["pending"]:
                await redis.xgroup_delconsumer(stream, GROUP, name)
                continue
            pending = await redis.xpending_range(stream, GROUP, "-", "+", RECLAIMED_AT_ONCE, name)
            ids: list[Any] = [each["message_id"] for each in pending]
            claimed: Any = await redis.xclaim(stream, GROUP, self.id, ALIVE_MS // 2, ids)
            for entry_id, fields in claimed:
                self._begin(capability, entry_id, fields)
