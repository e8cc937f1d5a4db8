# SPDX-License-Identifier: Apache-2.0
"""Runs `run="process"` handlers in a pool of processes, each of which can be stopped, killed and replaced.

Each worker is a new Python process at the other end of a socketpair; never a fork, because gRPC's threads do not
survive one. If a worker dies, only its task fails, as AGENT_LOST with the exit code, so that a task which kills each
worker reaches the mesh's limit for such tasks. Rejected: concurrent.futures. One killed worker breaks its pool
permanently, and a task costs three times as much.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from nervenet import telemetry
from nervenet.agent.executors.common import conclude
from nervenet.agent.executors.frames import Unpacker, pack
from nervenet.errors import NervenetError, detail
from nervenet.records import Failure, FailureCode, Payload
from nervenet.streams.tasks.attempt import OutcomeEntry
from nervenet.timing import POOL_KILL_AFTER, POOL_REPLACE_AFTER, POOL_START_TIMEOUT
from nervenet.wire import encode_envelope, encode_payload

if TYPE_CHECKING:
    from collections.abc import Collection

    from nervenet.agent.running import Running
    from nervenet.clock import Clock
    from nervenet.definitions import Agent

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from nervenet.agent.executors.worker import main; main(int(sys.argv[1]), int(sys.argv[3]))"
)

_log = logging.getLogger("nervenet.agent")


class WorkerBroken(NervenetError):
    """A pool process could not import its handlers or enter their lifespans; the message is its traceback."""


class WorkerDied(NervenetError):
    """A pool process ended in the middle of a task."""


class PoolWorker(asyncio.Protocol):
    """The agent's end of one worker."""

    def __init__(self, setup: bytes) -> None:
        self._setup = setup
        self._unpacker = Unpacker()
        self._transport: asyncio.WriteTransport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._running: Running | None = None
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.lost = False

    def __repr__(self) -> str:
        return f"<PoolWorker {self._process.pid if self._process else '-'} {self._running or 'idle'}>"

    async def start(self) -> None:
        """Return when it is ready. Raises WorkerBroken."""
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _PROGRAM,
                str(theirs.fileno()),
                json.dumps(sys.path),
                str(os.getpid()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        await loop.create_unix_connection(lambda: self, sock=ours)
        self._write(self._setup)
        try:
            async with asyncio.timeout(POOL_START_TIMEOUT):
                await self._answer
        except BaseException as error:
            self.kill()
            if isinstance(error, (TimeoutError, WorkerDied)):
                raise WorkerBroken(f"a pool process did not start: {detail(error)}") from None
            raise

    async def run(self, running: Running) -> OutcomeEntry:
        """Run one task; returns its entry. Raises WorkerDied."""
        self._running = running
        self._answer = asyncio.get_running_loop().create_future()
        restored = None if running.restored is None else encode_payload(running.restored)
        self._write(pack("run", encode_envelope(running.envelope), running.agent_id, running.started_ms, restored))
        running.interrupt = lambda: self._stop(running)
        try:
            return OutcomeEntry(*await self._answer)
        finally:
            self._running = running.interrupt = None

    async def close(self) -> None:
        """Let the worker leave its lifespans. Kill it if it is busy or does not end."""
        if self._running is None and not self.lost:
            self._write(pack("close"))
            with suppress(TimeoutError):
                async with asyncio.timeout(POOL_KILL_AFTER):
                    await self.exit_code()
        self.kill()
        await self.exit_code()
        if self._transport is not None:
            self._transport.abort()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def exit_code(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def _stop(self, running: Running) -> None:
        self._write(pack("cancel"))
        asyncio.get_running_loop().call_later(POOL_KILL_AFTER, self._kill_if_running, running)

    def _kill_if_running(self, running: Running) -> None:
        if self._running is running:
            _log.warning(
                "%s did not stop within %g s, its process is killed", running.envelope.task_id, POOL_KILL_AFTER
            )
            self.kill()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    # ── as the socket's protocol ─────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are, without being called so

    def data_received(self, data: bytes) -> None:
        for frame in self._unpacker.feed(data):
            self._on_frame(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self._answer.done():
            self._answer.set_exception(WorkerDied("it ended"))

    def _on_frame(self, kind: str, *rest: Any) -> None:
        if kind in ("done", "ready"):
            if not self._answer.done():
                self._answer.set_result(rest)
        elif kind == "broken":
            if not self._answer.done():
                self._answer.set_exception(WorkerBroken(rest[0]))
        elif (running := self._running) is not None:
            running.alive()
            if kind == "progress":
                running.progress(*rest)
            elif kind == "emit":
                running.emit(Payload(*rest))
            elif kind == "checkpoint":
                running.checkpoint(Payload(*rest))


class ProcessExecutor:
    """`size` workers, all started before the agent is ready."""

    def __init__(
        self,
        agents: Collection[Agent[Any, Any]],
        clock: Clock,
        payload_limit: int,
        size: int,
        codec: str | None = None,
    ) -> None:
        places = [
            (agent.name, _place(agent.fn), _place(agent.lifespan) if agent.lifespan else None) for agent in agents
        ]
        self._setup = pack("setup", list(sys.path), places, payload_limit, telemetry.current().service, codec)
        self._clock = clock
        self._size = size
        self._workers: set[PoolWorker] = set()
        self._idle: deque[PoolWorker] = deque()
        self._waiting: deque[asyncio.Future[PoolWorker]] = deque()
        self._replacing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<ProcessExecutor {len(self._workers)} workers, {len(self._idle)} idle>"

    async def start(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._size):
                    group.create_task(self._start_worker())
        except* WorkerBroken as broken:
            raise broken.exceptions[0] from None

    async def close(self) -> None:
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def run(self, running: Running) -> OutcomeEntry | None:
        worker = await self._take()
        end = None
        try:
            if running.stop is None:
                end = await worker.run(running)
        except WorkerDied:
            running.ended = True
            return conclude(running, _died(await worker.exit_code()), self._clock, None)
        finally:
            self._give_back(worker)
        running.ended = True
        if end is not None and (running.stop is None or end.name.startswith("task:")):
            return end
        return conclude(running, _STOPPED, self._clock, None)

    async def _start_worker(self) -> None:
        worker = PoolWorker(self._setup)
        self._workers.add(worker)
        try:
            await worker.start()
        except BaseException:
            self._workers.discard(worker)
            raise
        self._give_back(worker)

    async def _replace(self) -> None:
        while True:
            try:
                await self._start_worker()
            except WorkerBroken as error:
                _log.error("a pool process cannot be replaced: %s", error)
                await asyncio.sleep(POOL_REPLACE_AFTER)
            else:
                return

    async def _take(self) -> PoolWorker:
        if self._idle:
            return self._idle.popleft()
        future: asyncio.Future[PoolWorker] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return await future

    def _give_back(self, worker: PoolWorker) -> None:
        if worker.lost:
            self._workers.discard(worker)
            task = asyncio.get_running_loop().create_task(self._replace())
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)


_STOPPED: Final = Failure(FailureCode.CANCELED, "stopped")


def _died(code: int) -> Failure:
    name = f" ({signal.Signals(-code).name})" if code < 0 else ""
    words = f"the pool process that ran it died: exit code {code}{name}"
    return Failure(FailureCode.AGENT_LOST, words, type="WorkerDied", source="agent")


def _place(fn: Any) -> tuple[str, str, str]:
    """See worker.Place. A script that was run with -m is imported by its real name."""
    module = sys.modules[fn.__module__]
    spec = getattr(module, "__spec__", None)
    name = spec.name if fn.__module__ == "__main__" and spec is not None else fn.__module__
    return (name, getattr(module, "__file__", None) or "", fn.__qualname__)
