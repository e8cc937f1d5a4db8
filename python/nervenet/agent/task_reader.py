# SPDX-License-Identifier: Apache-2.0
"""Reads tasks for one incarnation of the agent: from its inbox with a blocking read, from the shared queues by polling.

There is one loop with one read at a time. It never reads more entries than there are free slots, so each task that is
read can run. The read of the inbox blocks until the queues are due: 50 ms after they had tasks, up to a second while
they have none. They are also due after all slots were taken, because only then do owners use the queues.

The hash `queues:{<capability>}` has the queues: requirement → its JSON, such as {"match": {…}, "version": "2"}.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.redis_link.faults import LinkClosed, LinkError, RedisRefused
from nervenet.redis_link.reader import LONGEST_BLOCK_MS
from nervenet.streams.groups import Groups
from nervenet.streams.queues import parse_requirement, parse_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.agent.task_runner import TaskRunner
    from nervenet.clock import Clock
    from nervenet.definitions import Agent
    from nervenet.redis_link.reader import Reader
    from nervenet.streams.data_plane import DataPlane

SHORTEST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between two polls of the queues, with and without tasks."""
_NAMES_EVERY: Final = 1.0
_PAGE: Final = 100

_log = logging.getLogger("nervenet.agent")


class _Queue(NamedTuple):
    capability: str
    requirement: str
    requirement_json: bytes


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
        self._agents = agents
        self._labels = labels
        self._clock = clock
        self._registered = registered
        self._inbox = data_plane.keys.inbox(agent_id)
        self._groups = Groups(data_plane.link, data_plane.keys)
        self._queues: dict[bytes, _Queue] = {}
        self._named_at = self._poll_at = self._reread_at = float("-inf")
        self._pause = SHORTEST_PAUSE
        self._connects = 0
        self._stopped = False
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._fresh = True  # nothing can be pending yet: this id has never read
        self._idle = asyncio.Event()  # set while no read is in progress
        self._idle.set()

    def __repr__(self) -> str:
        return f"<TaskReader {self.agent_id} {len(self._queues)} queues{' stopped' if self._stopped else ''}>"

    @property
    def queues(self) -> list[bytes]:
        """The queues that it reads, in addition to the inbox."""
        return list(self._queues)

    def stop(self) -> None:
        """Stop reading, permanently. A read in progress returns within a second; its tasks still run."""
        self._stopped = True
        self._resumed.set()

    async def pause(self) -> None:
        """Stop reading for now. Returns when no read is in progress."""
        self._resumed.clear()
        await self._idle.wait()

    def resume(self) -> None:
        """Read again."""
        self._resumed.set()

    async def run(self) -> None:
        """Read until stopped."""
        reader = await self._data_plane.link.dedicated()
        try:
            while not self._stopped:
                if not self._resumed.is_set():
                    self._idle.set()
                    await self._resumed.wait()
                    continue
                try:
                    await self._read_once(reader)
                except LinkClosed:
                    raise
                except RedisRefused as error:
                    await self._refused(error)
                except LinkError as error:
                    _log.warning("%s: reading: %s", self.agent_id, error)
                except Exception:  # noqa: BLE001 - one unexpected entry must not stop all reading
                    _log.exception("%s: reading failed and is tried again", self.agent_id)
                    await asyncio.sleep(LONGEST_PAUSE)
        finally:
            self._idle.set()
            await reader.close()

    async def _read_once(self, reader: Reader) -> None:
        slots = self._task_runner.slots
        if not slots.free:
            self._idle.set()
            await slots.room()
            self._poll_soon()
            if self._stopped or not self._resumed.is_set():
                return
        self._idle.clear()
        if self._clock.monotonic() >= self._poll_at:
            await self._poll_queues(reader)
        if not slots.free:
            return
        block = max(1, min(LONGEST_BLOCK_MS, round((self._poll_at - self._clock.monotonic()) * 1000)))
        command = self._data_plane.queues.read_tasks(self._inbox, self.agent_id, slots.free, block)
        tasks = parse_tasks(await reader.read(*command))
        if tasks:
            await self._task_runner.admit(self.agent_id, self._inbox, tasks)
        await self._reread_if_due(reader)

    # ── the shared queues ────────────────────────────────────────────────────────────────────────────────────────────

    async def _poll_queues(self, reader: Reader) -> None:
        """Read once from each queue that this agent may serve."""
        await self._learn_names()
        found = full = False
        for stream, queue in list(self._queues.items()):
            if not (room := self._task_runner.slots.free_for(queue.capability)):
                continue
            try:
                command = self._data_plane.queues.read_tasks(stream, self.agent_id, room)
                tasks = parse_tasks(await reader.read(*command))
            except RedisRefused as error:
                if error.code != "NOGROUP" and not error.wrong_type:
                    raise
                await self._data_plane.queues.make_queue(*queue)
                continue
            found = found or bool(tasks)
            full = full or len(tasks) == room
            await self._task_runner.admit(self.agent_id, stream, tasks)
        self._pause = SHORTEST_PAUSE if found else min(self._pause * 2, LONGEST_PAUSE)
        self._poll_at = self._clock.monotonic() + (0.0 if full else self._pause)

    def _poll_soon(self) -> None:
        """Poll the queues soon: all slots were taken, so owners may have used the queues."""
        self._pause = SHORTEST_PAUSE
        self._poll_at = min(self._poll_at, self._clock.monotonic() + self._pause / 10)

    async def _learn_names(self) -> None:
        now = self._clock.monotonic()
        if now - self._named_at < _NAMES_EVERY:
            return
        self._named_at = now
        named = await asyncio.gather(*(self._data_plane.queues.queues(name) for name in self._agents))
        self._queues.clear()
        for name, queues in zip(self._agents, named, strict=True):
            for requirement, text in queues.items():
                if not requirement or self._meets(self._agents[name], text):
                    self._queues[self._data_plane.keys.queue(name, requirement)] = _Queue(name, requirement, text)

    def _meets(self, agent: Agent[Any, Any], requirement_json: bytes) -> bool:
        if not requirement_json:
            return True
        requirement = parse_requirement(requirement_json)
        if requirement is None:
            self._data_plane.link.skips.skip(f"the requirement of a queue of {agent.name}", requirement_json[:40])
            return False
        labels = {**self._labels, **agent.labels}
        return requirement.version in ("", agent.version) and requirement.match.items() <= labels.items()

    # ── after a broken connection ────────────────────────────────────────────────────────────────────────────────────

    async def _reread_if_due(self, reader: Reader) -> None:
        now = self._clock.monotonic()
        if reader.connects != self._connects:
            fresh, self._fresh, self._connects = self._fresh, False, reader.connects
            if fresh and reader.connects == 1:  # the first connection: no reply can be lost yet
                return
            self._reread_at = now + LONGEST_BLOCK_MS / 1000
        elif now < self._reread_at or self._reread_at == float("-inf"):
            return
        else:
            self._reread_at = float("-inf")
        for stream in (self._inbox, *self._queues):
            if not await self._reread(reader, stream):
                self._reread_at = now + LONGEST_PAUSE  # there was no room for all of them: try again
        await self._groups.trim(
            self._inbox
        )  # entries that were delivered and are no longer pending: no consumer gets them again

    async def _reread(self, reader: Reader, stream: bytes) -> bool:
        """Run the tasks of a reply that got lost. False: there was no room for all of them."""
        after: bytes | str = "0"
        while True:
            command = self._data_plane.queues.read_own(stream, self.agent_id, _PAGE, after)
            pending = parse_tasks(await reader.read(*command))
            if not pending:
                return True
            after = pending[-1].id
            lost = self._task_runner.unknown(stream, pending)
            room = self._task_runner.slots.free
            await self._task_runner.admit(self.agent_id, stream, lost[:room])
            if len(lost) > room:
                return False

    async def _refused(self, error: RedisRefused) -> None:
        """NOGROUP: the inbox is gone. While the agent is registered it creates it again; otherwise a node has cleaned
        up."""
        if error.code != "NOGROUP" and not error.wrong_type:
            _log.warning("%s: reading: %s", self.agent_id, error)
            await asyncio.sleep(LONGEST_PAUSE)
        elif self._registered():
            _log.warning("%s: its inbox was gone and is created again", self.agent_id)
            await self._data_plane.queues.make_inbox(self.agent_id)
        else:
            await asyncio.sleep(SHORTEST_PAUSE)
