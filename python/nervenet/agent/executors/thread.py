# SPDX-License-Identifier: Apache-2.0
"""Runs `def` handlers in threads of this process: at most one for each slot, created when needed.

The threads are daemon threads. Those of concurrent.futures are not: it joins its threads at exit, so a handler that
never checks for cancellation would keep a drained process alive for ever. A thread cannot be stopped from outside; a
cancelled handler learns it at its next `progress`, `emit`, `checkpoint` or `check`.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from nervenet.agent.executors.common import Resources, conclude, prepare
from nervenet.agent.verdicts import Verdict, answered, raised
from nervenet.codecs import PLAIN, Codecs
from nervenet.records import Failure
from nervenet.streams.tasks.attempt import OutcomeEntry

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.agent.running import Running
    from nervenet.clock import Clock

_Job: TypeAlias = "tuple[Callable[[], Verdict], asyncio.Future[Verdict]]"


class ThreadExecutor:
    def __init__(
        self, resources: Resources, clock: Clock, payload_limit: int, most: int, codecs: Codecs = PLAIN
    ) -> None:
        self._codecs = codecs
        self._resources = resources
        self._clock = clock
        self._limit = payload_limit
        self._most = most
        self._threads = 0
        self._idle = 0
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Idle threads end now, busy ones after their handler, or with the process."""
        for _ in range(self._threads):
            self._jobs.put(None)

    async def run(self, running: Running) -> OutcomeEntry | None:
        agent, limit, clock, codecs = running.agent, self._limit, self._clock, self._codecs
        plain_limit = codecs.plain_limit(limit)
        prepared = prepare(
            agent,
            running.envelope,
            running,
            self._resources.of(agent),
            started_ms=running.started_ms,
            checkpoint=running.restored,
            payload_limit=limit,
            codecs=codecs,
        )
        if isinstance(prepared, Failure):
            return conclude(running, prepared, clock, None, codecs)
        arguments, task = prepared
        context = contextvars.copy_context()

        def call() -> Verdict:
            try:
                if running.stop is not None:
                    raise asyncio.CancelledError
                value: Any = context.run(agent.fn, *arguments)  # type: ignore[arg-type]  # a handler of this process has one
            except BaseException as error:  # noqa: BLE001 - whatever a handler raises becomes data
                return raised(agent, error, plain_limit, clock.now_ms())
            return answered(agent, value, plain_limit)

        verdict = await self._submit(call)
        running.ended = True
        return conclude(running, verdict, clock, task, codecs, limit)

    def _submit(self, call: Callable[[], Verdict]) -> asyncio.Future[Verdict]:
        assert self._loop is not None
        future: asyncio.Future[Verdict] = self._loop.create_future()
        if self._idle:
            self._idle -= 1
        elif self._threads < self._most:
            self._threads += 1
            threading.Thread(target=self._work, name=f"nervenet-{self._threads}", daemon=True).start()
        self._jobs.put((call, future))
        return future

    def _work(self) -> None:
        assert self._loop is not None
        while (job := self._jobs.get()) is not None:
            call, future = job
            verdict = call()
            try:
                self._loop.call_soon_threadsafe(self._finish, future, verdict)
            except RuntimeError:  # the loop is closed, so no caller waits
                return

    def _finish(self, future: asyncio.Future[Verdict], verdict: Verdict) -> None:
        self._idle += 1
        if not future.done():
            future.set_result(verdict)
