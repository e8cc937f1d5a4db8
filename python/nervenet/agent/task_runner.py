# SPDX-License-Identifier: Apache-2.0
"""Claims the tasks that were read, runs them, and records their outcomes. Each attempt has one asyncio task.

The order of a completion is fixed: first the journal's reply, then the slot is free, then wake, XDEL and XACK together.
If a connection breaks in between, the delivery stays pending under the agent's name. It is read again after the
reconnect, and the answer to its claim is `done`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nervenet import telemetry
from nervenet.agent.running import AttemptKey, Running, StopReason
from nervenet.agent.tracing import run_traced
from nervenet.agent.verdicts import Finished, finished
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.streams.answers import Appended, Claimed
from nervenet.streams.queues import GROUP, OutgoingWake
from nervenet.streams.recent import Recent
from nervenet.timing import TASK_STOP_GRACE
from nervenet.wire import decode_envelope, decode_payload

if TYPE_CHECKING:
    from nervenet.agent.claim_renewer import ClaimRenewer
    from nervenet.agent.executors.common import Executor
    from nervenet.agent.load import LoadMeter
    from nervenet.agent.progress import ProgressPublisher
    from nervenet.agent.slots import Slots
    from nervenet.clock import Clock
    from nervenet.definitions import Agent
    from nervenet.records import Payload
    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.queues import Delivered

RETRY_EVERY: Final = 1.0
"""Seconds between two tries of a claim or a record."""
DAMAGED_TRIES: Final = 10
"""Tries of a record if the workflow's head or journal is damaged: its owner may repair it."""

_log = logging.getLogger("nervenet.agent")


class TaskRunner:
    """`running` has each attempt in this process, claimed or not, by its key, so that a second copy finds the first."""

    def __init__(
        self,
        data_plane: DataPlane,
        agents: Mapping[str, Agent[Any, Any]],
        executors: Mapping[str, Executor],
        slots: Slots,
        running: dict[AttemptKey, Running],
        *,
        claim_renewer: ClaimRenewer,
        progress: ProgressPublisher,
        meter: LoadMeter,
        clock: Clock,
        retention_ms: int,
    ) -> None:
        self._data_plane = data_plane
        self._journal = data_plane.journal
        self._agents = agents
        self._executors = executors
        self.slots = slots
        self.running = running
        self._claim_renewer = claim_renewer
        self._progress = progress
        self._meter = meter
        self._clock = clock
        self._retention_ms = retention_ms
        self._telemetry = telemetry.current()
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, deque[Running]] = {name: deque() for name in agents}
        self._background: set[asyncio.Task[None]] = set()
        self._done: dict[bytes, list[bytes]] = {}
        self._tidying = False
        self._known: set[tuple[bytes, bytes]] = set()
        self.recent = Recent(data_plane.journal, data_plane.queues, clock)
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<TaskRunner {len(self.running)} here, {self.slots}>"

    # ── read → claimed ───────────────────────────────────────────────────────────────────────────────────────────────

    async def admit(self, agent_id: str, stream: bytes, delivered: Iterable[Delivered]) -> None:
        """Claim the tasks that were read, in one write, and run those that this agent gets."""
        batch = []
        for one in delivered:
            running = self._recognise(agent_id, stream, one)
            if running is None:
                continue
            self.running[running.key] = running
            self._known.add((stream, one.id))
            self.slots.take()
            capability = running.envelope.capability
            if self.slots.has_room(capability):
                self.slots.start(capability)
                batch.append(running)
            else:
                self._waiting[capability].append(running)
        await self._claim(batch)

    def unknown(self, stream: bytes, delivered: Iterable[Delivered]) -> list[Delivered]:
        """The deliveries that this process does not have yet."""
        return [one for one in delivered if (stream, one.id) not in self._known]

    def _recognise(self, agent_id: str, stream: bytes, one: Delivered) -> Running | None:
        if (stream, one.id) in self._known:
            return None
        if one.envelope is None:
            self._drop(stream, one.id)
            return None
        try:
            envelope = decode_envelope(one.envelope)
            agent = self._agents[envelope.capability]
        except Exception as error:  # noqa: BLE001 - protobuf's own errors, or a capability of another agent
            _log.warning("%s: entry %s is no task for this agent and is dropped: %r", agent_id, one.id.decode(), error)
            self._drop(stream, one.id)
            return None
        running = Running(envelope, agent, agent_id, stream, one.id, self._clock.monotonic)
        if running.key in self.running:  # its first copy is here already
            self._drop(stream, one.id)
            return None
        if agent_id in envelope.avoid:
            self._drop(stream, one.id)
            self._data_plane.queues.refuse_nowait(envelope.reply_to, *running.key).add_done_callback(_ignore_error)
            return None
        return running

    async def _claim(self, batch: list[Running]) -> None:
        claims = [(running, self._journal.claim_nowait(*running.key, running.agent_id)) for running in batch]
        for running, reply in claims:
            try:
                claimed = Claimed.parse(await reply)
            except LinkError:
                try:
                    claimed = await self._journal.claim(*running.key, running.agent_id)
                except LinkError as error:
                    _log.warning("%s could not be claimed: %s", running.envelope.task_id, error)
                    self._leave(running)
                    if error.is_of_one_key:  # otherwise it stays pending here
                        self._drop(running.stream, running.entry_id)
                    continue
            self._answer(running, claimed)

    def _answer(self, running: Running, claimed: Claimed) -> None:
        if claimed.status == "run":
            self._start(running, claimed.checkpoint)
        elif claimed.status == "unknown" and not self._forgotten(running):
            self._leave(running, known=True)
            self._loop.call_later(RETRY_EVERY, self._claim_later, running)
        elif claimed.status == "done":
            self._leave(running, known=True)
            self._spawn(self._wake_again(running, claimed.owner))
        else:
            self._leave(running)
            self._drop(running.stream, running.entry_id)

    def _forgotten(self, running: Running) -> bool:
        """Whether the workflow is gone permanently: a closed run would have expired by now."""
        return self._clock.now_ms() - running.envelope.enqueue_ms > self._retention_ms

    def _claim_later(self, running: Running) -> None:
        """Claim again an attempt whose workflow had no head: nodes write back what Redis has lost."""
        if running.key in self.running or not self.slots.has_room(running.envelope.capability) or not self.slots.free:
            self._loop.call_later(RETRY_EVERY, self._claim_later, running)
            return
        self.running[running.key] = running
        self.slots.take()
        self.slots.start(running.envelope.capability)
        self._spawn(self._claim([running]))

    async def _wake_again(self, running: Running, owner: str) -> None:
        """The outcome is in the journal already. The owner may have missed its wake, so wake it again."""
        await self._wake_with_recorded(running, owner)
        self._known.discard((running.stream, running.entry_id))
        self._drop(running.stream, running.entry_id)

    async def _wake_with_recorded(self, running: Running, owner: str, at: bytes = b"") -> None:
        """Wake the owner with the entry that is in the journal: the one with this id, or the step's outcome."""
        envelope = running.envelope
        try:
            at = at or await self._journal.outcome_id(envelope.workflow_id, envelope.step)
            recorded = await self._journal.entry(envelope.workflow_id, at) if at and owner else None
            if recorded is not None:
                await self._data_plane.queues.wake(
                    OutgoingWake(owner, envelope.workflow_id, envelope.run, at, *recorded)
                )
        except LinkError as error:
            _log.warning("%s: its owner could not be woken: %s", envelope.task_id, error)

    # ── claimed → run → recorded ─────────────────────────────────────────────────────────────────────────────────────

    def _start(self, running: Running, checkpoint: bytes | None) -> None:
        running.started_ms = self._clock.now_ms()
        running.restored = None if checkpoint is None else self._checkpoint(running, checkpoint)
        running.announce = self._progress.announce
        self._claim_renewer.watch(running, self.stop)
        running.task = self._loop.create_task(self._attempt(running))

    def _checkpoint(self, running: Running, stored: bytes) -> Payload | None:
        """The checkpoint; None if it is unreadable: then the attempt begins from the start."""
        try:
            return decode_payload(stored)
        except Exception as error:  # noqa: BLE001 - protobuf's own errors
            self._data_plane.link.skips.skip(f"the checkpoint of {running.envelope.task_id}", f"{error!r}")
            return None

    async def _attempt(self, running: Running) -> None:
        """One attempt, from its claim to its record."""
        end, settled = None, False
        try:
            executor = self._executors[running.agent.name]
            end = await (
                run_traced(self._telemetry, executor, running) if self._telemetry.on else executor.run(running)
            )
            running.ended = True
            self._progress.flush(running)
            if end is not None:
                await self._record(running, end)
            settled = True
        except LinkClosed:
            _log.warning("%s ended after its agent was closed; its outcome is not recorded", running.envelope.task_id)
        except Exception:  # noqa: BLE001 - an unexpected error ends one attempt (its claim expires), not the process
            _log.exception("%s could not be run or recorded", running.envelope.task_id)
        finally:
            running.ended = True
            self._leave(running)
            if settled:
                self._drop(running.stream, running.entry_id)
                self._meter.ended(self._clock.now_ms() - running.started_ms, end is not None and end.failed)

    async def _record(self, running: Running, end: Finished) -> None:
        appended = await self._append(running, end)
        if appended.status == "new":
            envelope = running.envelope
            self.recent.recorded(envelope.workflow_id, envelope.run, end.name, end.entry)
            self._tidy_soon()
            wake = OutgoingWake(appended.owner, envelope.workflow_id, envelope.run, appended.id, end.name, end.entry)
            self._data_plane.queues.wake_nowait(wake).add_done_callback(_ignore_error)
        elif appended.recorded and appended.owner:
            self._spawn(self._wake_with_recorded(running, appended.owner, appended.id))

    async def _append(self, running: Running, end: Finished) -> Appended:
        where = (running.envelope.workflow_id, running.envelope.run, end.name, end.entry)
        try:
            appended = Appended.parse(await self._journal.append_nowait(*where))
            if appended.status != "unknown":
                return appended
        except LinkError:
            pass
        return await self._append_with_retries(running, where)

    async def _append_with_retries(self, running: Running, where: tuple[str, int, str, bytes]) -> Appended:
        """Retry until Redis accepts the entry, or the workflow's owner has written back a head that Redis has lost.

        If the keys of the workflow hold other data, it raises the error after DAMAGED_TRIES tries, so that the slot
        gets free.
        """
        tries = DAMAGED_TRIES
        while True:
            try:
                appended = await self._journal.append(*where)
                if appended.status != "unknown" or self._forgotten(running):
                    return appended
                _log.warning("%s: its workflow is not in Redis (yet)", running.envelope.task_id)
            except LinkClosed:
                raise
            except LinkError as error:
                _log.warning("%s: its outcome waits for Redis: %s", running.envelope.task_id, error)
                if error.is_of_one_key and (tries := tries - 1) == 0:
                    raise
            await asyncio.sleep(RETRY_EVERY)

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, running: Running, why: StopReason) -> None:
        """Stop one attempt. After a grace its failure is recorded, even if the handler still runs."""
        if running.stop is None and not running.ended:
            running.cancel(why)
            self._claim_renewer.at(self._clock.monotonic() + TASK_STOP_GRACE, self._give_up, running)

    def _give_up(self, running: Running) -> None:
        failure = running.stop.failure(running.envelope.capability) if running.stop else None
        if failure is not None and not running.recorded:
            now = self._clock.now_ms()
            end = finished(running.envelope, running.agent_id, failure, running.started_ms, now)
            running.recorded = True
            self._spawn(self._record(running, end))

    def release_unclaimed(self) -> None:
        """Forget the tasks that were read but not claimed. Their owners send them to other agents after the `accept`
        timeout."""
        for held in self._waiting.values():
            while held:
                running = held.popleft()
                del self.running[running.key]
                self._known.discard((running.stream, running.entry_id))
                self.slots.give_back()

    @property
    def patience(self) -> float:
        """Seconds within which each stopped attempt is recorded, even if its handler still runs."""
        return TASK_STOP_GRACE + 1.0

    async def settled(self) -> None:
        """Return when this process has no attempts any longer."""
        while self.running or self._background:
            self._changed.clear()
            await self._changed.wait()

    # ── slots and deliveries ─────────────────────────────────────────────────────────────────────────────────────────

    def _leave(self, running: Running, *, known: bool = False) -> None:
        """Remove an attempt. `known`: its delivery is not dropped yet."""
        capability = running.envelope.capability
        if self.running.pop(running.key, None) is None:
            return
        if not known:
            self._known.discard((running.stream, running.entry_id))
        self.slots.end(capability)
        self.slots.give_back()
        self._changed.set()
        if (held := self._waiting[capability]) and self.slots.has_room(capability):
            self.slots.start(capability)
            self._spawn(self._claim([held.popleft()]))

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("agent: %r", error, exc_info=error)

    def _drop(self, stream: bytes, entry_id: bytes) -> None:
        """Delete and acknowledge a delivery, together with all others of this tick."""
        self._tidy_soon()
        self._done.setdefault(stream, []).append(entry_id)

    def _tidy_soon(self) -> None:
        # Called before the wake is sent, so that `_tidy` runs before the link's flush: one write has all of them.
        if not self._tidying:
            self._tidying = True
            self._loop.call_soon(self._tidy)

    def _tidy(self) -> None:
        self._tidying = False
        done, self._done = self._done, {}
        for stream, ids in done.items():
            self._data_plane.link.send("XDEL", stream, *ids).add_done_callback(_ignore_error)
            acknowledged = self._data_plane.link.send("XACK", stream, GROUP, *ids)
            acknowledged.add_done_callback(partial(self._tidied, stream, ids))

    def _tidied(self, stream: bytes, ids: list[bytes], acknowledged: asyncio.Future[Any]) -> None:
        """Retry if the connection broke: otherwise the entries would stay pending under this agent's name."""
        if acknowledged.cancelled():
            return
        error = acknowledged.exception()
        if isinstance(error, LinkError) and error.retry:
            self._loop.call_later(RETRY_EVERY, self._drop_again, stream, ids)

    def _drop_again(self, stream: bytes, ids: list[bytes]) -> None:
        self._tidy_soon()
        self._done.setdefault(stream, []).extend(ids)


def _ignore_error(future: asyncio.Future[Any]) -> None:
    """Best effort: the owner finds a lost wake when it checks its pending steps, and a lost XDEL leaves the entry
    pending."""
    if not future.cancelled():
        future.exception()
