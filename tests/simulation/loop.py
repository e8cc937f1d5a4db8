# SPDX-License-Identifier: Apache-2.0
"""An asyncio event loop without a clock or a socket, in which several processes live and die.

Time jumps to the next timer when nothing is ready. A `Process` is a mark in the context that every task and callback
inherits; so a killed process simply never runs another callback (no `finally`, no goodbye: a SIGKILL), and a stopped
one has its callbacks kept until it goes on (SIGSTOP, SIGCONT), all without the code in it knowing.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Coroutine
from typing import Any

PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Process:
    """One simulated process."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self._loop = loop
        self._kept: list[Handle] = []
        self._context = contextvars.copy_context()
        self._context.run(PROCESS.set, self)

    def __repr__(self) -> str:
        return f"<{self.name}, {'dead' if not self.alive else 'stopped' if self.stopped else 'running'}>"

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process."""
        return self._context.copy().run(self._loop.create_task, work)

    def kill(self) -> None:
        self.alive = False
        self._kept.clear()

    def stop(self) -> None:
        self.stopped = True

    def go_on(self) -> None:
        """Everything that became ready meanwhile happens now, in its order."""
        self.stopped = False
        kept, self._kept = self._kept, []
        self._loop.ready.extend(kept)

    def keep(self, handle: Handle) -> None:
        self._kept.append(handle)


class Handle(asyncio.TimerHandle):
    """A callback with the context that it runs in, and when. asyncio's own asks the loop each time whether to debug."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Any,
        args: tuple[Any, ...],
        loop: VirtualLoop,
        context: contextvars.Context | None = None,
    ) -> None:
        self._when = when
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = self._scheduled = False
        self._source_traceback = self._repr = None

    def cancel(self) -> None:
        """A cancelled timer stays in the heap until its time."""
        self._cancelled = True
        self._callback, self._args = None, ()


class Stuck(Exception):
    """Nothing is ready and no timer runs: what waits will wait for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Begins at `now` seconds; `horizon` is when a run is given up."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        super().__init__()
        self.now = now
        self.ready: deque[Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []  # kept: a task that is collected runs its `finally`
        self.errors: list[dict[str, Any]] = []
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = 0
        self.set_task_factory(self._make_task)
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Handle:
        handle = Handle(self.now, callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Handle:
        handle = Handle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Handle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> Handle:
        return self.call_soon(callback, *args, context=context)

    def run(self, until: asyncio.Future[Any], horizon: float) -> bool:
        """Until that future is done (True) or the horizon is reached. Raises `Stuck`."""
        end = self.now + horizon
        asyncio.events._set_running_loop(self)
        try:
            while not until.done():
                if not self.ready and not self._jump(end):
                    return False
                self._run_one()
        finally:
            asyncio.events._set_running_loop(None)
        return True

    def _run_one(self) -> None:
        handle = self.ready.popleft()
        if handle._cancelled:
            return
        process: Process | None = handle._context.get(PROCESS)
        if process is None or (process.alive and not process.stopped):
            handle._run()
        elif process.alive:
            process.keep(handle)

    def _jump(self, end: float) -> bool:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Stuck
        if timers[0][0] > end:
            self.now = end
            return False
        self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            self.ready.append(heapq.heappop(timers)[2])
        return True

    def _make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **kwargs: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **kwargs)
        self.tasks.append(task)
        return task

    def close(self) -> None:
        """No callback runs any more, whatever the tasks do that are dropped now."""
        self.ready.clear()
        self._timers.clear()
        self.tasks.clear()
        super().close()
