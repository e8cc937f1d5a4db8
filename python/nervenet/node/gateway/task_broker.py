# SPDX-License-Identifier: Apache-2.0
"""Between Redis and the connected agents: what was read is claimed and pushed, what agents answer is recorded.

`streams/tasks` has the protocol, as for an agent that uses Redis itself; this module knows the agents' credit and the
messages of their streams. It makes no asyncio task for a task.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nervenet.backoff import Backoff
from nervenet.blobs import BlobMissing, is_reference
from nervenet.clock import SYSTEM
from nervenet.node.gateway.connected_agent import GatewayTask, Stage
from nervenet.node.gateway.outcome import missing_input, outcome_of, same_result, stop_outcome, stored_payload
from nervenet.redis_link.faults import LinkClosed, LinkError
from nervenet.redis_link.replies import ignore_error
from nervenet.streams.answers import Appended
from nervenet.streams.data_plane import DataPlane
from nervenet.streams.queues import LOOK, OutgoingWake
from nervenet.streams.tasks.attempt import StopReason
from nervenet.streams.tasks.claims import ClaimRenewer, Claims
from nervenet.streams.tasks.deliveries import Deliveries
from nervenet.streams.tasks.outcomes import OutcomeRecorder
from nervenet.streams.tasks.progress import ProgressPublisher
from nervenet.timing import BLOBS_RETRY, DATA_PLANE_RETRY, GATEWAY_RENEW_EVERY
from nervenet.v1.task_pb2 import TaskEnvelope
from nervenet.wire import payload_in, payload_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from nervenet.blobs import Blobs
    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.connected_agent import ConnectedAgent, TaskKey
    from nervenet.node.workflows.wakes import Wakes
    from nervenet.streams.queues import Delivered
    from nervenet.streams.tasks.attempt import OutcomeEntry
    from nervenet.v1 import agent_service_pb2 as pb
    from nervenet.v1.common_pb2 import Payload

MOST_WAITING: Final = 1_000
"""Tasks that wait for one agent; those above go back to their owners, which send them to other agents."""

_log = logging.getLogger(__name__)


class TaskBroker:
    """`tasks` holds every task that is here, claimed or not: a second copy finds the first.

    `room_changed` is called when an agent that was full has room again.
    """

    def __init__(self, context: NodeContext, wakes: Wakes, room_changed: Callable[[], None]) -> None:
        self._context = context
        self._wakes = wakes
        self._queues = context.queues
        self._loop = asyncio.get_running_loop()
        self.tasks: dict[TaskKey, GatewayTask] = {}
        self._room_changed = room_changed
        metrics = context.metrics.tasks
        data_plane = self.data_plane = DataPlane(
            context.link, context.keys, context.journal, context.queues, metrics, context.blobs
        )
        now_ms, retention_ms = context.clock.now_ms, context.config.retention_ms
        self.deliveries = Deliveries(context.link)
        self.recorder = OutcomeRecorder(data_plane, self.deliveries, SYSTEM, now_ms, retention_ms, self._wake_here)
        self._progress = ProgressPublisher(data_plane, now_ms, retention_ms)
        self.claim_renewer: ClaimRenewer[GatewayTask] = ClaimRenewer(
            context.journal, self._loop.time, GATEWAY_RENEW_EVERY, self._claim_lost
        )
        self._claims = Claims(data_plane, self.deliveries, self.recorder, self, context.spawn)

    def __repr__(self) -> str:
        return f"<TaskBroker of {self._context.status.node_id}, {len(self.tasks)} tasks>"

    def _wake_here(self, wake: OutgoingWake) -> bool:
        if wake.owner != self._context.status.node_id:
            return False
        self._wakes.received(wake.workflow_id, wake.journal_id, wake.name, wake.entry)
        return True

    # ── read → claimed → pushed ──────────────────────────────────────────────────────────────────────────────────────

    def admit(
        self,
        stream: bytes,
        delivered: Iterable[Delivered],
        assign: Callable[[TaskEnvelope], ConnectedAgent | None],
    ) -> None:
        """Claim what was read, all in one write. `assign` chooses the agent; None: no agent of this node can have it."""
        batch = []
        for one in delivered:
            envelope = self._recognise(stream, one)
            if envelope is None:
                continue
            agent = assign(envelope)
            if agent is None or len(agent.waiting) >= MOST_WAITING:
                self._send_on(stream, one)
                continue
            task = GatewayTask(envelope, agent, stream, one.id)
            if agent.agent_id in envelope.avoid_agents:  # other agents are at other nodes: the owner chooses again
                self._claims.refuse(envelope.reply_to, task.key, stream, one.id)
                continue
            self.tasks[task.task_key] = task
            self.deliveries.in_hand.add((stream, one.id))
            if agent.free_for(envelope.capability):
                self._take(task)
                batch.append(task)
            else:
                agent.waiting.append(task)
        self._claims.claim(batch)

    def _recognise(self, stream: bytes, one: Delivered) -> TaskEnvelope | None:
        if (stream, one.id) in self.deliveries.in_hand:
            return None
        try:
            envelope = TaskEnvelope.FromString(one.envelope or b"")
        except Exception as error:  # noqa: BLE001 - protobuf's own errors
            _log.warning("entry %s of %s is no task, dropped: %r", one.id.decode(), stream.decode(), error)
            envelope = TaskEnvelope()
        if not envelope.task_id:
            self.deliveries.drop(stream, one.id)
            return None
        first = self.tasks.get((envelope.task_id, envelope.attempt))
        if first is not None and first.stage is Stage.WAITING:  # its owner gave that copy up for this one
            self._discard(first)
        elif first is not None:
            self.deliveries.drop(stream, one.id)
            return None
        return envelope

    def _send_on(self, stream: bytes, one: Delivered) -> None:
        """Its agent is at another node now: the entry goes there. If the agent is gone, the owner sends the task again."""
        assert one.envelope is not None
        self.deliveries.in_hand.add((stream, one.id))
        self._context.spawn(self._forward(stream, one.id, one.envelope))

    async def _forward(self, stream: bytes, entry_id: bytes, data: bytes) -> None:
        envelope = TaskEnvelope.FromString(data)
        agent = self._context.table.agents.get(envelope.agent_id)
        if not envelope.agent_id:  # from a queue, and the agent that had room is gone
            await self._context.link.call("XADD", stream, "*", "e", data)
        elif agent is not None and agent.stream != self._context.status.node_id:
            await self._queues.send_inbox(agent.stream, data)
        self.deliveries.drop(stream, entry_id)

    def start(self, attempt: GatewayTask, checkpoint: bytes | None) -> None:
        """The claim is ours: push the task."""
        if attempt.stage is not Stage.CLAIMING:  # its agent is gone
            return
        if checkpoint is not None:
            self._set_checkpoint(attempt, checkpoint)
        if self._context.blobs is not None and is_reference(payload_in(attempt.envelope.input)):
            self._context.spawn(self._start_large(self._context.blobs, attempt))
        else:
            self._push(attempt)

    async def _start_large(self, blobs: Blobs, task: GatewayTask) -> None:
        """Its agent gets the value itself: it needs no access to the blob store. Meanwhile the claim is renewed, as for an agent that
        reads the value."""
        backoff = Backoff(longest=BLOBS_RETRY)
        task.started_ms = self._context.clock.now_ms()
        while task.stage is Stage.CLAIMING and task.stop is None:
            try:
                found = await blobs.fill(payload_in(task.envelope.input), task.key.workflow_id)
            except BlobMissing as error:
                self._record(task, missing_input(task, str(error), self._context.clock.now_ms()), self._settle)
                return
            except LinkError as error:
                _log.warning("%s waits: %s", task.envelope.task_id, error)
                await asyncio.sleep(backoff.next())
                with suppress(LinkError):
                    await self._renewed(task.envelope, task.agent_id)
            else:
                task.envelope.input.CopyFrom(payload_out(found))
                break
        if task.stage is Stage.CLAIMING:
            if task.stop is not None:  # its agent only learns that it is over
                task.envelope.ClearField("input")
            self._push(task)

    def _push(self, attempt: GatewayTask) -> None:
        attempt.begin(self._context.clock.now_ms(), self._loop.time())
        attempt.agent.push(attempt)
        if attempt.stop is not None:  # it was stopped before its agent had it
            attempt.agent.stop(attempt, attempt.stop.value)

    def _set_checkpoint(self, task: GatewayTask, stored: bytes) -> None:
        """If it cannot be read there is none: the attempt begins from the start."""
        try:
            task.envelope.checkpoint.ParseFromString(stored)
        except Exception as error:  # noqa: BLE001 - protobuf's own errors
            task.envelope.ClearField("checkpoint")
            self._context.link.skips.skip(f"the checkpoint of {task.envelope.task_id}", f"{error!r}")

    def wait_for_head(self, attempt: GatewayTask) -> None:
        """Its workflow has no head: claim it again later."""
        self._loop.call_later(DATA_PLANE_RETRY, self._claim_again, attempt)

    def _claim_again(self, task: GatewayTask) -> None:
        if task.stage is Stage.CLAIMING:
            self._claims.claim((task,))

    # ── an agent comes back ──────────────────────────────────────────────────────────────────────────────────────────

    async def held_by(
        self, agent: ConnectedAgent | None, agent_id: str, running: Sequence[pb.HeldTask]
    ) -> list[pb.HeldTask]:
        """Those of these tasks whose claims the agent has, or which it has answered. An agent that is not trusted may name
        tasks of others, to answer them.
        """
        acked = {} if agent is None else agent.acked
        renewed = await asyncio.gather(*(self._renewed(one.task, agent_id) for one in running))
        return [
            one
            for one, is_its in zip(running, renewed, strict=True)
            if is_its or (one.task.task_id, one.task.attempt) in acked
        ]

    def _renewed(self, task: TaskEnvelope, agent_id: str) -> Awaitable[bool]:
        return self._context.journal.renew(task.workflow_id, task.run, task.step, task.attempt, agent_id)

    def reclaim(self, agent: ConnectedAgent, agent_id: str, running: Iterable[pb.HeldTask]) -> list[GatewayTask]:
        """What an agent runs when it comes back: it is claimed again at once, under the id that it was claimed with."""
        now_ms, now = self._context.clock.now_ms(), self._loop.time()
        found = []
        for one in running:
            key = (one.task.task_id, one.task.attempt)
            task = self.tasks.get(key)
            if task is not None and (task.agent is not agent or task.stage in (Stage.WAITING, Stage.CLAIMING)):
                self._discard(task)
                task = None
            if task is None and (recorded := agent.acked.get(key)) is not None:
                agent.ack(key, recorded)  # the first acknowledgement was lost
                continue
            if task is None:
                task = GatewayTask(one.task, agent)
                task.agent_id = agent_id
                self.tasks[key] = task
                agent.take(task)
                task.begin(min(now_ms, one.start_time.ToMilliseconds() or now_ms), now)
                task.started_at -= (now_ms - task.started_ms) / 1000
            if one.HasField("checkpoint"):
                self._keep_checkpoint(task, one.checkpoint)
            found.append(task)
            if task.stop is None:
                self.claim_renewer.retake(task)
            else:  # its agent was away when it was stopped
                agent.stop(task, task.stop.value)
        return found

    def _keep_checkpoint(self, task: GatewayTask, checkpoint: Payload) -> None:
        """The last one of an agent: the next renewal stores it, unless that has happened."""
        limit, what = self._context.config.payload_limit, task.envelope.capability
        try:
            saved = stored_payload(checkpoint, f"{what}: checkpoint", limit).SerializeToString()
        except ValueError as error:
            task.agent.reject("INVALID_FIELD", f"checkpoint of {task.envelope.task_id}: {error}")
            return
        if saved != task.latest_checkpoint:
            task.latest_checkpoint, task.checkpoint_due = saved, True

    def reconcile(self, agent: ConnectedAgent, running: Iterable[GatewayTask]) -> None:
        """What was pushed and the agent does not have never arrived: push it again, unless it has to stop anyway."""
        there = set(running)
        for task in tuple(agent.tasks.values()):
            if task in there or task.stage not in (Stage.PUSHED, Stage.OVER):
                continue
            if task.stage is Stage.PUSHED and task.stop is None:
                self.claim_renewer.retake(task)
                agent.push(task)
            else:
                self.leave(task)
                self.deliveries.drop(task.stream, task.entry_id)
        self.fill(agent)

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def report(self, agent: ConnectedAgent, report: pb.TaskReport) -> None:
        """Progress, a part of the output, a checkpoint, or just a sign of life."""
        progress = report.progress
        task = self._pushed(agent, (report.task_id, progress.attempt))
        if task is None:
            return
        task.beat = self._loop.time()
        limit, what = self._context.config.payload_limit, task.envelope.capability
        try:
            if progress.HasField("partial"):
                part = stored_payload(progress.partial, f"{what}: partial", limit)
                task.add_part(progress.partial_sequence or task.sequence + 1, payload_in(part))
            if progress.HasField("checkpoint"):
                saved = stored_payload(progress.checkpoint, f"{what}: checkpoint", limit)
                task.latest_checkpoint, task.checkpoint_due = saved.SerializeToString(), True
        except ValueError as error:
            agent.reject("INVALID_FIELD", f"task_report of {report.task_id}: {error}")
        if progress.HasField("fraction") or progress.message:
            task.fraction = min(1.0, max(0.0, progress.fraction)) if progress.HasField("fraction") else None
            task.message, task.news = progress.message, True
        if task.news or task.parts:
            self._progress.announce(task)

    def begun(self, agent: ConnectedAgent, ack: pb.TaskAck) -> None:
        """An agent has begun a task."""
        task = self._pushed(agent, (ack.task_id, ack.attempt))
        if task is not None:
            task.beat, task.acked_ms = self._loop.time(), self._context.clock.now_ms()

    def _pushed(self, agent: ConnectedAgent, key: TaskKey) -> GatewayTask | None:
        task = agent.tasks.get(key)
        if task is None:
            if key not in agent.acked:
                agent.reject("TASK_NOT_FOUND", f"{key[0]} attempt {key[1]} is not with {agent.agent_id}", key)
            return None
        return task if task.stage is Stage.PUSHED else None

    # ── results ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def complete(self, agent: ConnectedAgent, completion: pb.TaskCompletion) -> None:
        """An agent's answer to a task. A second copy of it is acknowledged like the first."""
        key = (completion.task_id, completion.result.attempt)
        task = agent.tasks.get(key)
        if task is None:
            if (recorded := agent.acked.get(key)) is not None:
                agent.ack(key, recorded)
            else:
                agent.reject("TASK_NOT_FOUND", f"{key[0]} attempt {key[1]} is not with {agent.agent_id}", key)
            return
        if task.stage is Stage.RECORDING:
            return
        now_ms, limit = self._context.clock.now_ms(), self._context.config.payload_limit
        outcome = None
        if task.stage is not Stage.OVER:
            outcome = outcome_of(task, completion.result, task.stop, limit, now_ms)
        if outcome is None:
            self._settle(task, False)
        else:
            self._record(task, outcome, self._settle)

    def give_up(self, task: GatewayTask) -> None:
        """It had to stop, and its agent did not answer in time: record what the stop means."""
        outcome = stop_outcome(task, task.stop or StopReason.GONE, self._context.clock.now_ms())
        if outcome is None:
            task.stage = Stage.OVER
        else:
            self._record(task, outcome, self._given_up)

    def _given_up(self, task: GatewayTask, recorded: bool) -> None:
        task.stage = Stage.OVER
        self.deliveries.drop(task.stream, task.entry_id)
        if task.agent.tasks.get(task.task_key) is not task:  # its agent is gone
            self.tasks.pop(task.task_key, None)

    def _settle(self, task: GatewayTask, recorded: bool) -> None:
        """Its agent may forget it."""
        self.leave(task)
        self.deliveries.drop(task.stream, task.entry_id)
        task.agent.ack(task.task_key, recorded)

    def _record(self, task: GatewayTask, outcome: OutcomeEntry, then: Callable[[GatewayTask, bool], None]) -> None:
        """Append it. `then` learns whether the journal has this outcome, or another one was there first."""
        task.stage = Stage.RECORDING
        self._progress.flush(task)
        if task.outlived_loss or self.recorder.is_large(outcome):
            self._context.spawn(self._record_patiently(task, outcome, then))
            return
        reply = self.recorder.append_nowait(task, outcome)
        reply.add_done_callback(partial(self._appended, task, outcome, then))

    def _appended(
        self,
        task: GatewayTask,
        outcome: OutcomeEntry,
        then: Callable[[GatewayTask, bool], None],
        reply: asyncio.Future[Any],
    ) -> None:
        if reply.cancelled():
            return
        appended = Appended.parse(reply.result()) if reply.exception() is None else None
        if appended is not None and appended.status == "new":
            self.recorder.confirm(task, outcome, appended)
            self._recorded(task, outcome)
            then(task, True)
        else:
            self._context.spawn(self._record_patiently(task, outcome, then))

    async def _record_patiently(
        self, task: GatewayTask, outcome: OutcomeEntry, then: Callable[[GatewayTask, bool], None]
    ) -> None:
        try:
            present = await self.recorder.record(task, outcome)
        except LinkClosed:
            return
        except LinkError:  # its workflow's keys hold other data: its agent is free all the same
            then(task, False)
            return
        if present is outcome.entry:
            self._recorded(task, outcome)
        then(task, present is not None and same_result(present, task.agent_id, task.key.attempt))

    def _recorded(self, task: GatewayTask, outcome: OutcomeEntry) -> None:
        task.agent.ended(self._context.clock.now_ms() - task.started_ms, outcome.failed)

    def notify_owners(self, agent: ConnectedAgent) -> None:
        """Its stream broke. The owners of tasks from queues check who has them, so they know which death would concern
        them."""
        for task in agent.tasks.values():
            envelope = task.envelope
            if not envelope.agent_id and task.stage is Stage.PUSHED:
                wake = OutgoingWake(envelope.reply_to, envelope.workflow_id, envelope.run, b"0-0", LOOK, b"")
                self._queues.wake_nowait(wake).add_done_callback(ignore_error)

    # ── stopping and leaving ─────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, task: GatewayTask, why: StopReason, words: str = "") -> None:
        """Have its agent end it. The first reason holds; `AgentMonitor` gives it up when no answer comes."""
        if task.stop is None and task.stage in (Stage.CLAIMING, Stage.PUSHED):
            task.stop, task.stopped_at = why, self._loop.time()
            task.agent.stop(task, words or why.value)

    def _claim_lost(self, task: GatewayTask) -> None:
        self._context.metrics.tasks.claims_lost.add()
        self.stop(task, StopReason.GONE)

    def leave(self, attempt: GatewayTask) -> None:
        """It is no longer here: its credit is for the next one."""
        self._forget(attempt)
        if attempt.stage is Stage.CLAIMING:
            attempt.stage = Stage.OVER
        agent, capability = attempt.agent, attempt.envelope.capability
        full = not agent.free_for(capability)
        if agent.give_back(attempt):
            self.fill(agent)
            if full and agent.free_for(capability):
                self._room_changed()

    def fill(self, agent: ConnectedAgent) -> None:
        """Claim what waited for a slot."""
        batch = []
        while agent.waiting and (task := agent.next_waiting()) is not None:
            self._take(task)
            batch.append(task)
        self._claims.claim(batch)

    def _take(self, task: GatewayTask) -> None:
        task.agent.take(task)
        task.stage = Stage.CLAIMING

    def release_waiting(self, agent: ConnectedAgent) -> None:
        """What was read and never claimed follows its agent, or goes back to its owner."""
        while agent.waiting:
            task = agent.waiting.popleft()
            self._forget(task)
            self._context.spawn(self._forward(task.stream, task.entry_id, task.envelope.SerializeToString()))

    def release(self, agent: ConnectedAgent) -> None:
        """The agent is at another node, or gone for good: this node answers for none of its tasks any more."""
        self.release_waiting(agent)
        for task in tuple(agent.tasks.values()):
            agent.give_back(task)
            if task.stage is not Stage.RECORDING:
                task.stage = Stage.OVER
                self._forget(task)
                self.deliveries.drop(task.stream, task.entry_id)

    def _discard(self, task: GatewayTask) -> None:
        """Another copy stands for it."""
        if task in task.agent.waiting:
            task.agent.waiting.remove(task)
        task.agent.give_back(task)
        task.stage = Stage.OVER
        self._forget(task)
        self.deliveries.drop(task.stream, task.entry_id)

    def _forget(self, task: GatewayTask) -> None:
        if self.tasks.get(task.task_key) is task:
            del self.tasks[task.task_key]
