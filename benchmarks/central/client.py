# SPDX-License-Identifier: Apache-2.0
"""Starts workflows and awaits their results, both over Redis: a start is durable when Redis has it, orchestrator or not."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any, Final, Self

from redis.asyncio import Redis

from .store import Keys, connect, entries_of

BLOCK_MS: Final = 2000
READ_AT_ONCE: Final = 1000
TRIMMED_AFTER: Final = 100
CLOSE_S: Final = 1.0


class WorkflowFailed(Exception):
    """The workflow ended without a result."""


class Client:
    def __init__(self, url: str, namespace: str) -> None:
        self._keys = Keys(namespace)
        self._id = uuid.uuid4().hex[:12]
        self._reads: Redis = connect(url)
        self._writes: Redis = connect(url)
        self._results: dict[bytes, asyncio.Future[Any]] = {}
        self._unsent: list[dict[Any, Any]] = []
        self._has_unsent = asyncio.Event()
        self._own: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._own = [asyncio.create_task(self._send()), asyncio.create_task(self._hear())]
        for task in self._own:
            task.add_done_callback(self._fail_all)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._own:
            task.cancel()
        await self._writes.delete(self._keys.replies(self._id))
        await self._reads.aclose()
        await self._writes.aclose()
        # Not longer: a blocking read of redis-py 8.1 has survived its cancellation. It ends when its connection does.
        await asyncio.wait(self._own, timeout=CLOSE_S)

    async def run(self, workflow: str, value: object, id: str) -> Any:
        """Start a workflow under an id that no other has, and wait for its result."""
        result = self._results[id.encode()] = asyncio.get_running_loop().create_future()
        self._unsent.append({"w": id, "d": workflow, "c": self._id, "v": json.dumps(value)})
        self._has_unsent.set()
        return await result

    async def _send(self) -> None:
        while True:
            await self._has_unsent.wait()
            self._has_unsent.clear()
            unsent, self._unsent = self._unsent, []
            async with self._writes.pipeline(transaction=False) as pipe:
                for fields in unsent:
                    pipe.xadd(self._keys.starts, fields)
                await pipe.execute()

    async def _hear(self) -> None:
        stream, last, untrimmed = self._keys.replies(self._id), b"0", 0
        while True:
            reply = await self._reads.xread({stream: last}, count=READ_AT_ONCE, block=BLOCK_MS)
            for _, entries in entries_of(reply):
                for entry_id, fields in entries:
                    last = entry_id
                    self._settle(fields)
                untrimmed += len(entries)
            if untrimmed >= TRIMMED_AFTER:
                untrimmed = 0
                await self._reads.xtrim(stream, minid=last)

    def _fail_all(self, ended: asyncio.Task[None]) -> None:
        """The connection is gone: all that wait for a result get the error."""
        if not ended.cancelled() and (error := ended.exception()):
            for future in self._results.values():
                if not future.done():
                    future.set_exception(error)

    def _settle(self, fields: dict[bytes, bytes]) -> None:
        future = self._results.pop(fields[b"w"], None)
        if future is None or future.done():
            return
        if fields[b"status"] == b"SUCCEEDED":
            future.set_result(json.loads(fields[b"v"]))
        else:
            future.set_exception(WorkflowFailed(fields[b"v"].decode(errors="replace")))
