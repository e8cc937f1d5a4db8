# SPDX-License-Identifier: Apache-2.0
"""The desk: what was read is claimed and pushed, what agents answer is recorded and acknowledged. No task per task.

It does for gateway agents what `agent/floor.py` does in an agent process, in the same order (docs/architecture.md, Complete): the journal's reply
first, then the credit is free, then wake, XDEL and XACK together. Whatever breaks in between leaves a delivery pending
under this node's name; it is read again after a reconnect, and its claim then answers `done`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nervenet.node.gateway.drops import Drops, heard
from nervenet.node.gateway.guest import Held, Stage
from nervenet.node.gateway.outcome import Stop, given_up, stored_payload, verdict_on
from nervenet.node.gateway.recorder import Recorder, is_forgotten
from nervenet.redis_link.faults import LinkError
from nervenet.streams.answers import Claimed
from nervenet.streams.queues import LOOK, OutgoingWake
from nervenet.v1.task_pb2 import TaskEnvelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nervenet.node.context import NodeContext
    from nervenet.node.gateway.guest import Guest, Key
    from nervenet.node.workflows.wakes import Wakes
    from nervenet.streams.queues import Delivered
    from nervenet.v1 import agent_service_pb2 as pb
    from nervenet.v1.common_pb2 import Payload

ASK_AGAIN: Final = 1.0
MOST_WAITING: Final = 1_000
"""Of one agent: what is more goes back to its owner, who sends it elsewhere."""

_log = logging.getLogger(__name__)


class Desk:
    """`tasks` holds every task that is here, claimed or not: a second copy finds the first."""

    def __init__(self, context: NodeContext, wakes: Wakes) -> None:
        self._context = context
        self._journal = context.journal
        self._queues = context.queues
        self._loop = asyncio.get_running_loop()
        self.tasks: dict[Key, Held] = {}
        self.drops = Drops(context.link)
        self.recorder = Recorder(context, wakes)
        self.room: Callable[[], object] = lambda: None
        """Told when an agent that was full has room again."""

    def __repr__(self) -> str:
        return f"<Desk of {self._context.status.node_id}, {len(self.tasks)} tasks>"

    # ── read → claimed → pushed ──────────────────────────────────────────────────────────────────────────────────────

    def admit(
        self, stream: bytes, delivered: Iterable[Delivered], seat: Callable[[TaskEnvelope], Guest | None]
    ) -> None:
        """Claim what was read, all in one write. `seat` says whose it is; None = nobody here can have it."""
        batch = []
        for one in delivered:
            envelope = self._recognise(stream, one)
            if envelope is None:
                continue
            guest = seat(envelope)
            if guest is None or len(guest.waiting) >= MOST_WAITING:
                self._not_ours(stream, one)
                continue
            if guest.agent_id in envelope.avoid_agents:  # somebody else lives elsewhere: the owner looks again
                where = envelope.workflow_id, envelope.run, envelope.step, envelope.attempt
                self._queues.refuse_nowait(envelope.reply_to, *where).add_done_callback(heard)
                self.drops.drop(stream, one.id)
                continue
            held = Held(envelope, guest, stream, one.id)
            self.tasks[held.key] = held
            self.drops.hold(stream, one.id)
            if guest.free_for(envelope.capability):
                guest.take(held)
                batch.append(held)
            else:
                guest.waiting.append(held)
        self._claim(batch)

    def _recognise(self, stream: bytes, one: Delivered) -> TaskEnvelope | None:
        if (stream, one.id) in self.drops:
            return None
        try:
            envelope = TaskEnvelope.FromString(one.envelope or b"")
        except Exception as error:  # noqa: BLE001 - protobuf's own errors
            _log.warning("entry %s of %s is no task, dropped: %r", one.id.decode(), stream.decode(), error)
            envelope = TaskEnvelope()
        if not envelope.task_id:
            self.drops.drop(stream, one.id)
            return None
        first = self.tasks.get((envelope.task_id, envelope.attempt))
        if first is not None and first.stage is Stage.WAITING:  # its owner gave that copy up for this one
            self._release(first)
        elif first is not None:
            self.drops.drop(stream, one.id)
            return None
        return envelope

    def _not_ours(self, stream: bytes, one: Delivered) -> None:
        """The agent is at another node by now: its entry follows it. Or it has left: then its owner looks after it."""
        assert one.envelope is not None
        self.drops.hold(stream, one.id)
        self._context.spawn(self._forward(stream, one.id, one.envelope))

    async def _forward(self, stream: bytes, entry_id: bytes, data: bytes) -> None:
        envelope = TaskEnvelope.FromString(data)
        agent = self._context.table.agents.get(envelope.agent_id)
        if not envelope.agent_id:  # from a queue, and whoever had room has left meanwhile
            await self._context.link.call("XADD", stream, "*", "e", data)
        elif agent is not None and agent.stream != self._context.status.node_id:
            await self._queues.send_inbox(agent.stream, data)
        self.drops.drop(stream, entry_id)

    def _claim(self, batch: Iterable[Held]) -> None:
        for held in batch:
            held.stage = Stage.CLAIMING
            self._journal.claim_nowait(*held.claim).add_done_callback(partial(self._claimed, held))

    def _claimed(self, held: Held, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled():
            return
        if reply.exception() is not None:
            self._context.spawn(self._claim_patiently(held))
        else:
            self._answer(held, Claimed.parse(reply.result()))

    async def _claim_patiently(self, held: Held) -> None:
        try:
            claimed = await self._journal.claim(*held.claim)
        except LinkError as error:
            _log.warning("%s could not be claimed: %s", held.envelope.task_id, error)
            self.leave(held)
            if error.is_of_one_key:  # else it stays pending here
                self.drops.drop(held.stream, held.entry_id)
        else:
            self._answer(held, claimed)

    def _answer(self, held: Held, claimed: Claimed) -> None:
        if held.stage is not Stage.CLAIMING:  # its agent has left meanwhile
            return
        if claimed.status == "run":
            if claimed.checkpoint is not None:
                self._give_checkpoint(held, claimed.checkpoint)
            held.begin(self._context.clock.now_ms(), self._loop.time())
            held.guest.push(held)
            if held.stop is not None:  # told before it was there
                held.guest.stop(held, held.stop.value)
        elif claimed.status == "unknown" and not is_forgotten(self._context, held):
            self._loop.call_later(ASK_AGAIN, self._ask_again, held)
        else:
            if claimed.status == "done":
                self._context.spawn(self.recorder.tell_again(held, claimed.owner))
            self.leave(held)
            self.drops.drop(held.stream, held.entry_id)

    def _give_checkpoint(self, held: Held, stored: bytes) -> None:
        """One that cannot be read is none: the attempt begins from the start."""
        try:
            held.envelope.checkpoint.ParseFromString(stored)
        except Exception as error:  # noqa: BLE001 - protobuf's own errors
            held.envelope.ClearField("checkpoint")
            self._context.link.skips.skip(f"the checkpoint of {held.envelope.task_id}", f"{error!r}")

    def _ask_again(self, held: Held) -> None:
        """There was no head: nodes write back what a Redis without its tail has lost."""
        if held.stage is Stage.CLAIMING:
            self._claim([held])

    # ── coming back ──────────────────────────────────────────────────────────────────────────────────────────────────

    def bring(self, guest: Guest, agent_id: str, brought: Iterable[pb.HeldTask]) -> list[Held]:
        """What an agent has when it comes back: its claims are asked for at once, in the name that they have."""
        now_ms, at = self._context.clock.now_ms(), self._loop.time()
        found = []
        for one in brought:
            key = (one.task.task_id, one.task.attempt)
            held = self.tasks.get(key)
            if held is not None and (held.guest is not guest or held.stage in (Stage.WAITING, Stage.CLAIMING)):
                self._release(held)
                held = None
            if held is None and (recorded := guest.acked.get(key)) is not None:
                guest.ack(key, recorded)  # the first acknowledgement was lost
                continue
            if held is None:
                held = Held(one.task, guest)
                held.agent_id = agent_id
                self.tasks[key] = held
                guest.take(held)
                held.begin(min(now_ms, one.start_time.ToMilliseconds() or now_ms), at)
                held.started_at -= (now_ms - held.started_ms) / 1000
            if one.HasField("checkpoint"):
                self._keep_checkpoint(held, one.checkpoint)
            found.append(held)
            if held.stop is None:
                self.retake(held)
            else:  # it was told while nobody heard it
                guest.stop(held, held.stop.value)
        return found

    def _keep_checkpoint(self, held: Held, checkpoint: Payload) -> None:
        """The last one that an agent gave: stored at the next renewal, unless it is already."""
        limit, what = self._context.config.payload_limit, held.envelope.capability
        try:
            saved = stored_payload(checkpoint, f"{what}: checkpoint", limit).SerializeToString()
        except ValueError as error:
            held.guest.reject("INVALID_FIELD", f"checkpoint of {held.envelope.task_id}: {error}")
            return
        if saved != held.checkpoint:
            held.checkpoint, held.checkpoint_due = saved, True

    def retake(self, held: Held) -> None:
        """Is the claim still ours? It is renewed by asking for it again."""
        self._journal.claim_nowait(*held.claim).add_done_callback(partial(self._retaken, held))

    def _retaken(self, held: Held, reply: asyncio.Future[Any]) -> None:
        if reply.cancelled() or reply.exception() is not None or not held.is_running:
            return
        if Claimed.parse(reply.result()).status not in ("run", "unknown"):  # unknown: its owner writes the head back
            self.stop(held, Stop.GONE, Stop.GONE.value)

    def reconcile(self, guest: Guest, has: Iterable[Held]) -> None:
        """What we pushed and the agent does not have never arrived: again, unless it is to stop anyway."""
        there = set(has)
        for held in tuple(guest.tasks.values()):
            if held in there or held.stage not in (Stage.PUSHED, Stage.OVER):
                continue
            if held.stage is Stage.PUSHED and held.stop is None:
                self.retake(held)
                guest.push(held)
            else:
                self.leave(held)
                self.drops.drop(held.stream, held.entry_id)
        self.fill(guest)

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def report(self, guest: Guest, said: pb.TaskReport) -> None:
        """Progress, partial output, a checkpoint, or just a sign of life."""
        progress = said.progress
        held = self._held(guest, (said.task_id, progress.attempt))
        if held is None:
            return
        held.beat = self._loop.time()
        limit, what = self._context.config.payload_limit, held.envelope.capability
        try:
            if progress.HasField("partial"):
                part = stored_payload(progress.partial, f"{what}: partial", limit)
                held.sequence = progress.partial_sequence or held.sequence + 1
                held.parts.append((held.sequence, part))
            if progress.HasField("checkpoint"):
                saved = stored_payload(progress.checkpoint, f"{what}: checkpoint", limit)
                held.checkpoint, held.checkpoint_due = saved.SerializeToString(), True
        except ValueError as error:
            guest.reject("INVALID_FIELD", f"task_report of {said.task_id}: {error}")
        if progress.HasField("fraction") or progress.message:
            held.fraction = min(1.0, max(0.0, progress.fraction)) if progress.HasField("fraction") else None
            held.message, held.news = progress.message, True
        if held.news or held.parts:
            self.recorder.live.announce(held)

    def begun(self, guest: Guest, said: pb.TaskAck) -> None:
        held = self._held(guest, (said.task_id, said.attempt))
        if held is not None:
            held.beat, held.acked_ms = self._loop.time(), self._context.clock.now_ms()

    def _held(self, guest: Guest, key: Key) -> Held | None:
        held = guest.tasks.get(key)
        if held is None:
            if key not in guest.acked:
                guest.reject("TASK_NOT_FOUND", f"{key[0]} attempt {key[1]} is not with {guest.agent_id}", key)
            return None
        return held if held.stage is Stage.PUSHED else None

    # ── results ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def complete(self, guest: Guest, said: pb.TaskCompletion) -> None:
        """An agent's answer to a task. The second copy of one is acknowledged like the first."""
        key = (said.task_id, said.result.attempt)
        held = guest.tasks.get(key)
        if held is None:
            if (recorded := guest.acked.get(key)) is not None:
                guest.ack(key, recorded)
            else:
                guest.reject("TASK_NOT_FOUND", f"{key[0]} attempt {key[1]} is not with {guest.agent_id}", key)
            return
        if held.stage is Stage.RECORDING:
            return
        now_ms, limit = self._context.clock.now_ms(), self._context.config.payload_limit
        verdict = None
        if held.stage is not Stage.OVER:
            verdict = verdict_on(held.facts, said.result, held.stop, limit, now_ms)
        if verdict is None:
            self._settle(held, False)
        else:
            self.recorder.record(held, verdict, self._settle)

    def give_up(self, held: Held) -> None:
        """It was to stop and was not answered in time: what that means is recorded without its agent."""
        verdict = given_up(held.facts, held.stop or Stop.GONE, self._context.clock.now_ms())
        if verdict is None:
            held.stage = Stage.OVER
        else:
            self.recorder.record(held, verdict, self._given_up)

    def _given_up(self, held: Held, recorded: bool) -> None:
        held.stage = Stage.OVER
        self.drops.drop(held.stream, held.entry_id)
        if held.guest.tasks.get(held.key) is not held:  # its agent has left
            self.tasks.pop(held.key, None)

    def _settle(self, held: Held, recorded: bool) -> None:
        """Its agent may forget it."""
        self.leave(held)
        self.drops.drop(held.stream, held.entry_id)
        held.guest.ack(held.key, recorded)

    def tell_owners(self, guest: Guest) -> None:
        """Its stream broke. Owners that sent a task to a queue learn who has it: they know then whom a death concerns."""
        for held in guest.tasks.values():
            envelope = held.envelope
            if not envelope.agent_id and held.stage is Stage.PUSHED:
                news = OutgoingWake(envelope.reply_to, envelope.workflow_id, envelope.run, b"0-0", LOOK, b"")
                self._queues.wake_nowait(news).add_done_callback(heard)

    # ── stopping and leaving ─────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, held: Held, why: Stop, reason: str = "") -> None:
        """Have its agent end it. The first reason holds; `keeper` gives it up when no answer comes."""
        if held.stop is None and held.stage in (Stage.CLAIMING, Stage.PUSHED):
            held.stop, held.stopped_at = why, self._loop.time()
            held.guest.stop(held, reason or why.value)

    def leave(self, held: Held) -> None:
        """It is no longer here, and its credit is free for the next one."""
        if self.tasks.get(held.key) is held:
            del self.tasks[held.key]
        self.drops.let_go(held.stream, held.entry_id)
        if held.stage is Stage.CLAIMING:
            held.stage = Stage.OVER
        guest = held.guest
        full = not guest.free_for(held.envelope.capability)
        if guest.give_back(held):
            self.fill(guest)
            if full and guest.free_for(held.envelope.capability):
                self.room()

    def fill(self, guest: Guest) -> None:
        """Claim what waited for a slot."""
        batch = []
        while guest.waiting and (held := guest.next_waiting()) is not None:
            guest.take(held)
            batch.append(held)
        self._claim(batch)

    def release_waiting(self, guest: Guest) -> None:
        """What was read and never claimed follows its agent, or goes back to its owner."""
        while guest.waiting:
            held = guest.waiting.popleft()
            self._forget(held)
            self._context.spawn(self._forward(held.stream, held.entry_id, held.envelope.SerializeToString()))

    def forget(self, guest: Guest) -> None:
        """The agent is elsewhere, or gone for good: whatever it does with its tasks, we don't care for them any more."""
        self.release_waiting(guest)
        for held in tuple(guest.tasks.values()):
            guest.give_back(held)
            if held.stage is not Stage.RECORDING:
                held.stage = Stage.OVER
                self._forget(held)
                self.drops.drop(held.stream, held.entry_id)

    def _release(self, held: Held) -> None:
        """This copy counts no longer."""
        if held in held.guest.waiting:
            held.guest.waiting.remove(held)
        held.guest.give_back(held)
        held.stage = Stage.OVER
        self._forget(held)
        self.drops.drop(held.stream, held.entry_id)

    def _forget(self, held: Held) -> None:
        if self.tasks.get(held.key) is held:
            del self.tasks[held.key]
        self.drops.let_go(held.stream, held.entry_id)
