# SPDX-License-Identifier: Apache-2.0
"""Reads tasks for one incarnation of the agent: its inbox by a blocking read, the shared queues by polling.

One loop, one read at a time, each for no more entries than there are free slots: so what is read can be run. The block on
the inbox ends when the next look at the queues is due, which is 50 ms after there was work and a second when there is
none. A look is also due when all slots had been taken: only then do owners use the queues.

Queues are named in `queues:{<capability>}`: requirement → what it asks for, JSON like {"match": {…}, "version": "2"}.
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

SOONEST: Final = 0.05
LATEST: Final = 1.0
_NAMES_EVERY: Final = 1.0
_PAGE: Final = 100

_log = logging.getLogger("nervenet.agent")


class _Queue(NamedTuple):
    capability: str
    requirement: str
    says: bytes


class TaskReader:
    """`registered` says whether our lease lives, as far as we know: only then is a missing inbox made again."""

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
        self._named_at = self._look_at = self._reread_at = float("-inf")
        self._pause = SOONEST
        self._connects = 0
        self._stopped = False
        self._resumed = asyncio.Event()
        self._resumed.set()
        self._fresh = True  # nothing can be pending under an id that never read: a first connection
        self._idle = asyncio.Event()  # no read is under way
        self._idle.set()

    def __repr__(self) -> str:
        return f"<TaskReader {self.agent_id} {len(self._queues)} queues{' stopped' if self._stopped else ''}>"

    @property
    def queues(self) -> list[bytes]:
        """The queues that it reads beside the inbox."""
        return list(self._queues)

    def stop(self) -> None:
        """Read nothing new, for good. The read that waits comes back within a second; what it brings is still admitted."""
        self._stopped = True
        self._resumed.set()

    async def pause(self) -> None:
        """Read nothing new for now; returns once no read is under way."""
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
                    await self._round(reader)
                except LinkClosed:
                    raise
                except RedisRefused as error:
                    await self._refused(error)
                except LinkError as error:
                    _log.warning("%s: reading: %s", self.agent_id, error)
                except Exception:  # noqa: BLE001 - one entry that nobody foresaw is no reason to read no others
                    _log.exception("%s: reading failed, it goes on", self.agent_id)
                    await asyncio.sleep(LATEST)
        finally:
            self._idle.set()
            await reader.close()

    async def _round(self, reader: Reader) -> None:
        slots = self._task_runner.slots
        if not slots.free:
            self._idle.set()
            await slots.room()
            self._look_soon()
            if self._stopped or not self._resumed.is_set():
                return
        self._idle.clear()
        if self._clock.monotonic() >= self._look_at:
            await self._look(reader)
        if not slots.free:
            return
        block = max(1, min(LONGEST_BLOCK_MS, round((self._look_at - self._clock.monotonic()) * 1000)))
        words = self._data_plane.queues.read_tasks(self._inbox, self.agent_id, slots.free, block)
        tasks = parse_tasks(await reader.read(*words))
        if tasks:
            await self._task_runner.admit(self.agent_id, self._inbox, tasks)
        await self._reread_if_due(reader)

    # ── the shared queues ────────────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, reader: Reader) -> None:
        """One look at every queue that we may serve."""
        await self._learn_names()
        found = full = False
        for stream, queue in list(self._queues.items()):
            if not (room := self._task_runner.slots.free_for(queue.capability)):
                continue
            try:
                words = self._data_plane.queues.read_tasks(stream, self.agent_id, room)
                tasks = parse_tasks(await reader.read(*words))
            except RedisRefused as error:
                if error.code != "NOGROUP" and not error.wrong_type:
                    raise
                await self._data_plane.queues.make_queue(*queue)
                continue
            found = found or bool(tasks)
            full = full or len(tasks) == room
            await self._task_runner.admit(self.agent_id, stream, tasks)
        self._pause = SOONEST if found else min(self._pause * 2, LATEST)
        self._look_at = self._clock.monotonic() + (0.0 if full else self._pause)

    def _look_soon(self) -> None:
        """All slots were taken: owners may have turned to the queues."""
        self._pause = SOONEST
        self._look_at = min(self._look_at, self._clock.monotonic() + self._pause / 10)

    async def _learn_names(self) -> None:
        now = self._clock.monotonic()
        if now - self._named_at < _NAMES_EVERY:
            return
        self._named_at = now
        named = await asyncio.gather(*(self._data_plane.queues.queues(name) for name in self._agents))
        self._queues.clear()
        for name, queues in zip(self._agents, named, strict=True):
            for requirement, says in queues.items():
                if not requirement or self._meets(self._agents[name], says):
                    self._queues[self._data_plane.keys.queue(name, requirement)] = _Queue(name, requirement, says)

    def _meets(self, agent: Agent[Any, Any], says: bytes) -> bool:
        if not says:
            return True
        asked = parse_requirement(says)
        if asked is None:
            self._data_plane.link.skips.skip(f"what a queue of {agent.name} asks for", says[:40])
            return False
        labels = {**self._labels, **agent.labels}
        return asked.version in ("", agent.version) and asked.match.items() <= labels.items()

    # ── after a broken connection ────────────────────────────────────────────────────────────────────────────────────

    async def _reread_if_due(self, reader: Reader) -> None:
        now = self._clock.monotonic()
        if reader.connects != self._connects:
            fresh, self._fresh, self._connects = self._fresh, False, reader.connects
            if fresh and reader.connects == 1:  # the first of all: no reply was lost yet
                return
            self._reread_at = now + LONGEST_BLOCK_MS / 1000
        elif now < self._reread_at or self._reread_at == float("-inf"):
            return
        else:
            self._reread_at = float("-inf")
        for stream in (self._inbox, *self._queues):
            if not await self._reread(reader, stream):
                self._reread_at = now + LATEST  # no room for all of it: again
        await self._groups.trim(self._inbox)  # what was handed to us, and is no longer pending: nobody gets it any more

    async def _reread(self, reader: Reader, stream: bytes) -> bool:
        """Take what was handed to us by a reply that never came; False when it was more than there is room for."""
        after: bytes | str = "0"
        while True:
            words = self._data_plane.queues.read_own(stream, self.agent_id, _PAGE, after)
            pending = parse_tasks(await reader.read(*words))
            if not pending:
                return True
            after = pending[-1].id
            lost = self._task_runner.unknown(stream, pending)
            room = self._task_runner.slots.free
            await self._task_runner.admit(self.agent_id, stream, lost[:room])
            if len(lost) > room:
                return False

    async def _refused(self, error: RedisRefused) -> None:
        """NOGROUP: our inbox is gone. While we are registered we make it again, else we were buried."""
        if error.code != "NOGROUP" and not error.wrong_type:
            _log.warning("%s: reading: %s", self.agent_id, error)
            await asyncio.sleep(LATEST)
        elif self._registered():
            _log.warning("%s: its inbox was gone and is made again", self.agent_id)
            await self._data_plane.queues.make_inbox(self.agent_id)
        else:
            await asyncio.sleep(SOONEST)
