# SPDX-License-Identifier: Apache-2.0
"""Reads tasks for one incarnation of the agent: from its inbox with a blocking read, from the shared queues by polling.

There is one loop with one read at a time. It never reads more entries than there are free slots, so each task that is
read can run. The read of the inbox blocks until the queues are due. They are also due after all slots were taken,
because only then do owners use the queues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nervenet.redis_link.reader import LONGEST_BLOCK_MS
from nervenet.streams.queues import parse_tasks
from nervenet.streams.tasks.queue_poller import QueuePoller
from nervenet.timing import POLL_SOONEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nervenet.agent.task_runner import TaskRunner
    from nervenet.clock import Clock
    from nervenet.definitions import Agent
    from nervenet.redis_link.reader import Reader
    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.queues import Delivered, QueueRequirement
    from nervenet.streams.tasks.queue_poller import KnownQueue


class TaskReader:
    """`registered` returns whether the lease lives: only then is a missing inbox created again."""

    def __init__(
        self,
        agent_id: str,
        data_plane: DataPlane,
        task_runner: TaskRunner,
        agents: Mapping[str, Agent[Any, Any]],
        labels: Mapping[str, str],
        clock: Clock,
        registered: Callable[[], bool],
    ) -> None:
        self.agent_id = agent_id
        self._data_plane = data_plane
        self._task_runner = task_runner
        self._slots = task_runner.slots
        self._agents = agents
        self._labels = labels
        self._clock = clock
        self._registered = registered
        self._inbox = data_plane.keys.inbox(agent_id)
        self._poller = QueuePoller(data_plane, task_runner.deliveries, clock.monotonic, self)
        self._poll_at = float("-inf")
        self._stopped = self._paused = self._reading = False
        self._resumed = asyncio.Event()
        self._idle = asyncio.Event()  # set when a read ends for which `pause` waits

    def __repr__(self) -> str:
        return f"<TaskReader {self.agent_id} {len(self._poller.queues)} queues{' stopped' if self._stopped else ''}>"

    @property
    def queues(self) -> list[bytes]:
        """The queues that it reads, in addition to the inbox."""
        return [queue.stream for queue in self._poller.queues if queue.listed]

    def stop(self) -> None:
        """Stop reading, permanently. A read in progress returns within a second; its tasks still run."""
        self._stopped = True
        self._resumed.set()

    async def pause(self) -> None:
        """Stop reading for now. Returns when no read is in progress."""
        self._paused = True
        self._resumed.clear()
        if self._reading:
            self._idle.clear()
            await self._idle.wait()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._resumed.set()

    async def run(self) -> None:
        """Read until stopped."""
        try:
            await self._poller.read_forever(self._read_once, lambda: not self._stopped)
        finally:
            self._not_reading()

    def _not_reading(self) -> None:
        self._reading = False
        self._idle.set()

    async def _read_once(self, reader: Reader) -> None:
        if self._paused:
            self._not_reading()
            await self._resumed.wait()
            return
        slots = self._slots
        if not slots.free:
            self._not_reading()
            await slots.room()
            self._poller.expect_tasks()
            self._poll_at = min(self._poll_at, self._clock.monotonic() + POLL_SOONEST / 10)
            if self._stopped or self._paused:
                return
        self._reading = True
        if self._clock.monotonic() >= self._poll_at:
            pause = await self._poller.look(reader)
            self._poll_at = self._clock.monotonic() + pause
        if not slots.free:
            return
        block = max(1, min(LONGEST_BLOCK_MS, round((self._poll_at - self._clock.monotonic()) * 1000)))
        words = self._data_plane.queues.read_tasks(self._inbox, self.agent_id, slots.free, block)
        tasks = parse_tasks(await reader.read(*words))
        if tasks:
            self._task_runner.admit(self.agent_id, self._inbox, tasks, new=self._registered())
            if len(tasks) == 1:
                await asyncio.sleep(0)  # it has begun, and if it is short, its outcome is sent before the next read

    # ── for the poller ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def consumer(self) -> str:
        return self.agent_id

    @property
    def is_registered(self) -> bool:
        return self._registered()

    def capabilities(self) -> Iterable[str]:
        return self._agents

    def serves(self, capability: str, requirement: QueueRequirement) -> bool:
        agent = self._agents[capability]
        return requirement.is_met_by(agent.version, {**self._labels, **agent.labels})

    def room(self, queue: KnownQueue | None) -> int:
        return self._slots.free if queue is None else self._slots.free_for(queue.capability)

    def admit(self, stream: bytes, tasks: Sequence[Delivered], queue: KnownQueue | None) -> None:
        self._task_runner.admit(self.agent_id, stream, tasks)
