# SPDX-License-Identifier: Apache-2.0
"""Runs what was read: claim, handler, outcome; or handler, claim, outcome (`late_claims.py`). One asyncio task for each attempt that runs.

`streams/tasks` has the protocol; this module knows slots, executors and what a stop means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from nervenet import telemetry
from nervenet.agent.deadlines import Deadlines
from nervenet.agent.late_claims import LateClaims
from nervenet.agent.running import Running
from nervenet.agent.tracing import run_traced
from nervenet.agent.verdicts import outcome_entry
from nervenet.backoff import Backoff
from nervenet.blobs import BlobMissing, is_reference
from nervenet.blobs.reference import BLOB_MISSING
from nervenet.records import Failure, FailureCode
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.streams.tasks.attempt import StopReason
from nervenet.streams.tasks.claims import ClaimRenewer, Claims
from nervenet.streams.tasks.deliveries import Deliveries
from nervenet.streams.tasks.outcomes import OutcomeRecorder
from nervenet.streams.tasks.progress import ProgressPublisher
from nervenet.telemetry.log_fields import bind_attempt
from nervenet.timing import (
    AGENT_RENEW_EVERY,
    BEGUN_UNCLAIMED_WITHIN_MS,
    BLOBS_RETRY,
    DATA_PLANE_RETRY,
    TASK_STOP_GRACE,
)
from nervenet.wire import decode_envelope, decode_payload

if TYPE_CHECKING:
    from nervenet.agent.executors.common import Executor
    from nervenet.agent.load import LoadMeter
    from nervenet.agent.slots import Slots
    from nervenet.blobs import Blobs
    from nervenet.clock import Clock
    from nervenet.definitions import Agent
    from nervenet.records import Payload
    from nervenet.redis_link.dial import ServerIdentity
    from nervenet.streams.data_plane import DataPlane
    from nervenet.streams.queues import Delivered
    from nervenet.streams.tasks.attempt import AttemptKey, OutcomeEntry

SETTLE_WITHIN: Final = TASK_STOP_GRACE + 1.0
"""Seconds within which each stopped attempt is recorded, even if its handler still runs."""

_log = logging.getLogger("nervenet.agent")


class TaskRunner:
    """`running` holds every attempt that is here, claimed or not, by its key: a second copy finds the first."""

    def __init__(
        self,
        data_plane: DataPlane,
        agents: Mapping[str, Agent[Any, Any]],
        executors: Mapping[str, Executor],
        slots: Slots,
        running: dict[AttemptKey, Running],
        *,
        meter: LoadMeter,
        clock: Clock,
        retention_ms: int,
    ) -> None:
        self._link = data_plane.link
        self._blobs = data_plane.blobs
        self._agents = agents
        self._executors = executors
        self.slots = slots
        self.running = running
        self._meter = meter
        self._clock = clock
        self._telemetry = telemetry.current()
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, deque[Running]] = {name: deque() for name in agents}
        self._background: set[asyncio.Task[None]] = set()
        self._settling = False
        self._changed = asyncio.Event()  # set only while somebody awaits `settled`
        self._deadlines = Deadlines(clock, running.values())
        self.deliveries = Deliveries(data_plane.link)
        self.recorder = OutcomeRecorder(data_plane, self.deliveries, clock, clock.now_ms, retention_ms)
        self._progress = ProgressPublisher(data_plane, clock.now_ms, retention_ms)
        self.claim_renewer: ClaimRenewer[Running] = ClaimRenewer(
            data_plane.journal, clock.monotonic, AGENT_RENEW_EVERY, self._claim_lost
        )
        self._late_claims = LateClaims(self.claim_renewer.retake)
        self._claims_lost = data_plane.metrics.claims_lost
        self._claims = Claims(data_plane, self.deliveries, self.recorder, self, self._spawn)

    def __repr__(self) -> str:
        return f"<TaskRunner {len(self.running)} here, {self.slots}>"

    # ── read → claimed ───────────────────────────────────────────────────────────────────────────────────────────────

    def admit(self, agent_id: str, stream: bytes, delivered: Iterable[Delivered], *, new: bool = False) -> None:
        """Claim what was read, all in one write. What is ours then starts. `new`: it was never read before, so it may start at once where
        its owner allows that."""
        batch, earliest = [], self._clock.now_ms() - BEGUN_UNCLAIMED_WITHIN_MS
        for one in delivered:
            running = self._recognise(agent_id, stream, one)
            if running is None:
                continue
            self.running[running.key] = running
            self.deliveries.in_hand.add((stream, one.id))
            self.slots.take()
            capability = running.envelope.capability
            if self.slots.has_room(capability):
                self.slots.start(capability)
                if new and self._may_begin(running, earliest):
                    self._late_claims.began(running)
                    self._claims.begin(running)
                else:
                    batch.append(running)
            else:
                self._waiting[capability].append(running)
        if batch:
            self._claims.claim(batch)
            self._link.flush()

    def _may_begin(self, running: Running, earliest_ms: int) -> bool:
        """Whether it may run before it is claimed: this is its only copy, and was sent since then."""
        envelope = running.envelope
        mine = envelope.claim_later and envelope.agent_id == running.agent_id and envelope.enqueue_ms > earliest_ms
        return mine and not self._late_claims.began_lately(running)

    def _recognise(self, agent_id: str, stream: bytes, one: Delivered) -> Running | None:
        if (stream, one.id) in self.deliveries.in_hand:
            return None
        if one.envelope is None:
            self.deliveries.drop(stream, one.id)
            return None
        try:
            envelope = decode_envelope(one.envelope)
            agent = self._agents[envelope.capability]
        except Exception as error:  # noqa: BLE001 - protobuf's own errors, or the capability of another agent
            _log.warning("%s: entry %s is no task of mine, dropped: %r", agent_id, one.id.decode(), error)
            self.deliveries.drop(stream, one.id)
            return None
        running = Running(envelope, agent, agent_id, stream, one.id, self._clock.monotonic)
        if running.key in self.running:  # its first copy is here and stands for it
            self.deliveries.drop(stream, one.id)
            return None
        if agent_id in envelope.avoid:
            self._claims.refuse(envelope.reply_to, running.key, stream, one.id)
            return None
        return running

    def wait_for_head(self, attempt: Running) -> None:
        """Its workflow has no head: give the slot free, and claim it again later."""
        self.leave(attempt)
        self._loop.call_later(DATA_PLANE_RETRY, self._claim_again, attempt)

    def _claim_again(self, running: Running) -> None:
        if running.key in self.running or not self.slots.has_room(running.envelope.capability) or not self.slots.free:
            self._loop.call_later(DATA_PLANE_RETRY, self._claim_again, running)
            return
        self.running[running.key] = running
        self.slots.take()
        self.slots.start(running.envelope.capability)
        self._claims.claim((running,))

    # ── claimed → run → recorded ─────────────────────────────────────────────────────────────────────────────────────

    def start(self, attempt: Running, checkpoint: bytes | None) -> None:
        """The claim is ours, or will be: run the handler."""
        attempt.started_ms = self._clock.now_ms()
        attempt.restored = None if checkpoint is None else self._checkpoint(attempt, checkpoint)
        attempt.announce = self._progress.announce
        self._deadlines.watch(attempt, self.stop)
        attempt.task = self._loop.create_task(self._attempt(attempt))

    def _checkpoint(self, running: Running, stored: bytes) -> Payload | None:
        """The checkpoint; None if it is unreadable: then the attempt begins from the start."""
        try:
            return decode_payload(stored)
        except Exception as error:  # noqa: BLE001 - protobuf's own errors
            self._link.skips.skip(f"the checkpoint of {running.key.task_id}", f"{error!r}")
            return None

    async def _attempt(self, running: Running) -> None:
        """One attempt, from its claim to its record."""
        envelope = running.envelope
        bind_attempt(envelope.workflow_id, envelope.step, envelope.attempt, envelope.trace)
        outcome, settled = None, False
        try:
            executor = self._executors[running.agent.name]
            if self._blobs is not None and is_reference(envelope.input):
                outcome = await self._read_input(self._blobs, running)
            if outcome is None:
                outcome = await (
                    run_traced(self._telemetry, executor, running) if self._telemetry.on else executor.run(running)
                )
            running.ended = True
            running.announce = None  # what a thread reports from now on is too late
            self._progress.flush(running)
            if outcome is not None:
                await self.recorder.record(running, outcome)
            settled = True
        except LinkClosed:
            _log.warning("%s ended after its agent was closed; its outcome is not recorded", running.key.task_id)
        except Exception:  # noqa: BLE001 - a bug of ours costs one attempt (its claim runs out), not the process
            _log.exception("%s could not be run or recorded", running.key.task_id)
        finally:
            running.ended = True
            self.leave(running)
            if settled:
                self.deliveries.drop(running.stream, running.entry_id)
                self._meter.ended(self._clock.now_ms() - running.started_ms, outcome is not None and outcome.failed)
            else:
                self.deliveries.release(running.stream, running.entry_id)

    async def _read_input(self, blobs: Blobs, running: Running) -> OutcomeEntry | None:
        """Read its input from the blob store. Returns the attempt's outcome if the value is not there. While the store is away the
        attempt waits, and its claim is renewed."""
        envelope, backoff = running.envelope, Backoff(longest=BLOBS_RETRY)
        while running.stop is None:
            try:
                envelope.input = await blobs.fill(envelope.input, envelope.workflow_id)
                break
            except BlobMissing as error:
                words = f"{envelope.capability}: the input: {error}"
                failure = Failure(FailureCode.DEPENDENCY, words, type=BLOB_MISSING, source=envelope.capability)
                return outcome_entry(envelope, running.agent_id, failure, running.started_ms, self._clock.now_ms())
            except LinkError as error:
                _log.warning("%s waits: %s", running.key.task_id, error)
            await asyncio.sleep(backoff.next())
            running.alive()
        return None

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, running: Running, why: StopReason) -> None:
        """Stop one attempt. After a grace its failure is recorded, even if the handler still runs."""
        if running.stop is None and not running.ended:
            running.cancel(why)
            self._deadlines.at(self._clock.monotonic() + TASK_STOP_GRACE, self._give_up, running)

    def _claim_lost(self, running: Running) -> None:
        self._claims_lost.add()
        running.cancel(StopReason.GONE)

    def _give_up(self, running: Running) -> None:
        failure = running.stop.failure(running.envelope.capability, "agent") if running.stop else None
        if failure is not None and not running.recorded:
            now = self._clock.now_ms()
            outcome = outcome_entry(running.envelope, running.agent_id, failure, running.started_ms, now)
            running.recorded = True
            self._spawn(self.recorder.record(running, outcome))

    def release_unclaimed(self) -> None:
        """Forget the tasks that were read but not claimed. Their owners send them to other agents after the `accept`
        timeout."""
        for waiting in self._waiting.values():
            while waiting:
                running = waiting.popleft()
                del self.running[running.key]
                self.deliveries.release(running.stream, running.entry_id)
                self.slots.give_back()

    async def settled(self) -> None:
        """Return when this process has no attempts any longer."""
        self._settling = True
        while self.running or self._background:
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Renew the claims of what runs, until cancelled."""
        await self.claim_renewer.run(self.running.values)

    async def redis_came_back(self, old: ServerIdentity, new: ServerIdentity) -> None:
        """It may have lost claims and outcomes: take the claims back before the owners look, write the outcomes again."""
        for running in self.running.values():
            running.outlived_loss = True
            if running.is_claimed:
                self.claim_renewer.retake(running)
        await self.recorder.recent.redis_came_back(old, new)

    def close(self) -> None:
        """Stop what still runs."""
        for running in self.running.values():
            running.cancel(StopReason.GONE)
        self._deadlines.close()
        self._late_claims.close()

    # ── slots and tasks ──────────────────────────────────────────────────────────────────────────────────────────────

    def leave(self, attempt: Running) -> None:
        """Remove an attempt. Its slot is for the next one."""
        capability = attempt.envelope.capability
        if self.running.pop(attempt.key, None) is None:
            return
        self.slots.end(capability)
        self.slots.give_back()
        if self._settling:
            self._changed.set()
        if (waiting := self._waiting[capability]) and self.slots.has_room(capability):
            self.slots.start(capability)
            self._claims.claim((waiting.popleft(),))

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._spawned)

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("agent: %r", error, exc_info=error)
