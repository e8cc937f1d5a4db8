# SPDX-License-Identifier: Apache-2.0
"""An agent as the node that it is connected to knows it, and the tasks that it answers for. Plain state, no I/O.

A `ConnectedAgent` outlives its streams: when one breaks, the node keeps what the agent runs for as long as it
may come back. Its `outbox` is that of the present stream.
"""

from __future__ import annotations

import asyncio
import enum
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from nervenet.errors import RequestError
from nervenet.streams.tasks.attempt import AttemptKey, StopReason, TaskAttempt, TaskAverages
from nervenet.timing import GATEWAY_AGENT_LEASE
from nervenet.v1 import agent_pb2
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nervenet.streams.queues import QueueRequirement
    from nervenet.v1.task_pb2 import TaskEnvelope


def state_number(name: str) -> agent_pb2.AgentState:
    return cast("agent_pb2.AgentState", agent_pb2.AgentState.Value(f"AGENT_STATE_{name}"))


TaskKey: TypeAlias = tuple[str, int]
"""Task id and attempt: what makes two deliveries the same attempt."""

MOST_ACKED: Final = 64

_STATUS_ACK: Final = pb.ConnectResponseItem(status_ack=pb.StatusAck(lease_ttl={"seconds": GATEWAY_AGENT_LEASE}))


class Stage(enum.Enum):
    """How far a task is with its agent."""

    WAITING = "for a free slot; it is not claimed"
    CLAIMING = "the claim is on its way"
    PUSHED = "its agent has it, as far as we know"
    RECORDING = "its result is on its way into the journal"
    OVER = "recorded by us, or gone: only its agent's answer is missing"


class GatewayTask(TaskAttempt):
    """One task of a connected agent. Its `agent_id` is the id under which it was claimed: what runs keeps it when the
    agent's lease ends and the agent gets another one."""

    __slots__ = ("acked_ms", "agent", "envelope", "stage", "started_at", "stop", "stopped_at")

    def __init__(
        self, envelope: TaskEnvelope, agent: ConnectedAgent, stream: bytes = b"", entry_id: bytes = b""
    ) -> None:
        key = AttemptKey(envelope.workflow_id, envelope.run, envelope.step, envelope.attempt)
        sent = (envelope.capability, envelope.reply_to, envelope.enqueue_time.ToMilliseconds())
        super().__init__(key, *sent, agent.agent_id, stream, entry_id, envelope.after_entry_id)
        self.envelope = envelope
        self.agent = agent
        self.stage = Stage.WAITING
        self.stop: StopReason | None = None
        self.acked_ms = 0
        self.started_at = self.stopped_at = 0.0

    def __repr__(self) -> str:
        return f"<GatewayTask {self.envelope.task_id}#{self.envelope.attempt} {self.stage.name.lower()} at {self.agent_id}>"

    @property
    def task_key(self) -> TaskKey:
        """Its name in the messages of the contract."""
        return self.envelope.task_id, self.envelope.attempt

    @property
    def is_claimed(self) -> bool:
        return self.stage is Stage.PUSHED and self.stop is not StopReason.GONE

    def begin(self, now_ms: int, at: float) -> None:
        self.stage = Stage.PUSHED
        self.started_ms, self.started_at = now_ms, at
        self.beat = self.renewed_at = at


class Outbox:
    """One Connect stream, seen from the node: what waits to be sent, and whether the stream is over.

    What is added in one tick of the event loop travels in one message. Nothing goes out before the welcome.
    """

    __slots__ = ("_items", "_more", "_open", "error", "over")

    def __init__(self) -> None:
        self._items: list[pb.ConnectResponseItem] = []
        self._more = asyncio.Event()
        self._open = self.over = False
        self.error: Exception | None = None

    def add(self, item: pb.ConnectResponseItem) -> None:
        """Send it, unless the stream is over."""
        if not self.over:
            self._items.append(item)
            self._more.set()

    def open(self, welcome: pb.ConnectResponseItem) -> None:
        """Send this first; what was added before follows."""
        self._items.insert(0, welcome)
        self._open = True
        self._more.set()

    def end(self, error: Exception | None = None) -> None:
        """End the stream with this status, after what was added (if there was a welcome). The first end holds."""
        if not self.over:
            self.over, self.error = True, error
            self._more.set()

    @property
    def ended_here(self) -> bool:
        """Whether this node ended it, with a reason."""
        return isinstance(self.error, RequestError)

    async def take_all(self) -> list[pb.ConnectResponseItem]:
        """Everything that waits to be sent; [] when the stream is over."""
        while not (self._items and self._open) and not self.over:
            self._more.clear()
            await self._more.wait()
        items, self._items = self._items, []
        return items if self._open else []


class Ability(NamedTuple):
    """One capability of an agent. `slots` 0: as many as its credit."""

    version: str
    labels: Mapping[str, str]
    slots: int


class ConnectedAgent(TaskAverages):
    """See the module. `outbox` is None while the agent is away."""

    def __init__(self, agent_id: str, lease_id: int, record: agent_pb2.AgentRecord, credit: int) -> None:
        super().__init__()
        self.agent_id = agent_id
        self.lease_id = lease_id
        self.outbox: Outbox | None = None
        self.tasks: dict[TaskKey, GatewayTask] = {}
        self.waiting: deque[GatewayTask] = deque()
        self.counts: dict[str, int] = {}
        self.acked: OrderedDict[TaskKey, bool] = OrderedDict()
        self.draining = False
        self.drain_until: float | None = None
        self.heard_at = self.away_since = 0.0
        self.broke = False  # its stream was closed by the other side, without a goodbye
        self.broke_ms = 0
        self.sent_on_at = float("-inf")
        self.cpu = 0.0
        self.describe(record, credit)

    def describe(self, record: agent_pb2.AgentRecord, credit: int) -> None:
        """Take over what its hello says of it, the first time and when it comes back."""
        self.record, self.credit = record, credit
        self.able = {
            each.name: Ability(each.version, {**record.labels, **each.labels}, each.slots)
            for each in record.capabilities
        }

    def __repr__(self) -> str:
        where = "connected" if self.outbox is not None else "away"
        return f"<ConnectedAgent {self.agent_id} {where}, {len(self.tasks)} of {self.credit} tasks, {len(self.waiting)} waiting>"

    # ── room ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> str:
        """The state in its record. STARTING: it is away, and gets no new tasks until it is back."""
        if self.outbox is None:
            return "STARTING"
        if self.draining or not self.credit:
            return "DRAINING" if self.tasks else "DRAINED"
        return "ACTIVE"

    def free_for(self, capability: str) -> int:
        """How many more tasks of this capability may be pushed."""
        if self.outbox is None or self.draining or capability not in self.able:
            return 0
        room = self.credit - len(self.tasks)
        own = self.able[capability].slots
        return max(0, min(room, own - self.counts.get(capability, 0)) if own else room)

    @property
    def share(self) -> float:
        """The part of its slots that is taken."""
        return len(self.tasks) / self.credit if self.credit else 1.0

    def meets(self, capability: str, requirement: QueueRequirement) -> bool:
        """Whether it may have the tasks of a queue."""
        able = self.able.get(capability)
        return able is not None and requirement.is_met_by(able.version, able.labels)

    def next_waiting(self) -> GatewayTask | None:
        """The first one that waits for a slot that is free now."""
        for task in self.waiting:
            if self.free_for(task.envelope.capability):
                self.waiting.remove(task)
                return task
        return None

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, task: GatewayTask) -> None:
        """Count a task against the credit."""
        self.tasks[task.task_key] = task
        capability = task.envelope.capability
        self.counts[capability] = self.counts.get(capability, 0) + 1

    def give_back(self, task: GatewayTask) -> bool:
        """Stop counting it; False: it was not counted."""
        if self.tasks.get(task.task_key) is not task:
            return False
        del self.tasks[task.task_key]
        self.counts[task.envelope.capability] -= 1
        return True

    def remember(self, key: TaskKey, recorded: bool) -> None:
        """Keep what was acknowledged, in case the agent answers again."""
        self.acked[key] = recorded
        if len(self.acked) > MOST_ACKED:
            self.acked.popitem(last=False)

    # ── messages to it ───────────────────────────────────────────────────────────────────────────────────────────────

    def welcome(self, welcome: pb.Welcome) -> None:
        if self.outbox is not None:
            self.outbox.open(pb.ConnectResponseItem(welcome=welcome))

    def push(self, task: GatewayTask) -> None:
        self._send(pb.ConnectResponseItem(task=task.envelope))

    def ack(self, key: TaskKey, recorded: bool) -> None:
        self.remember(key, recorded)
        task_id, attempt = key
        self._send(pb.ConnectResponseItem(result_ack=pb.ResultAck(task_id=task_id, attempt=attempt, recorded=recorded)))

    def stop(self, task: GatewayTask, reason: str) -> None:
        task_id, attempt = task.task_key
        self._send(pb.ConnectResponseItem(task_cancel=pb.TaskCancel(task_id=task_id, attempt=attempt, reason=reason)))

    def reject(self, reason: str, message: str, key: TaskKey | None = None) -> None:
        task_id, attempt = key or ("", 0)
        refused = pb.Rejected(reason=reason, message=message, task_id=task_id, attempt=attempt)
        self._send(pb.ConnectResponseItem(rejected=refused))

    def drain(self, grace_ms: int) -> None:
        notice = pb.Drain()
        notice.grace.FromMilliseconds(grace_ms)
        self._send(pb.ConnectResponseItem(drain=notice))

    def resume(self) -> None:
        self._send(pb.ConnectResponseItem(resume=pb.Resume()))

    def ack_status(self) -> None:
        self._send(_STATUS_ACK)

    def go_elsewhere(self, nodes: Iterable[str], reason: str) -> None:
        self._send(pb.ConnectResponseItem(reconnect=pb.Reconnect(nodes=nodes, reason=reason)))

    def _send(self, item: pb.ConnectResponseItem) -> None:
        if self.outbox is not None:
            self.outbox.add(item)

    # ── its load ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, now_ms: int) -> agent_pb2.Load:
        message = agent_pb2.Load(
            active=len(self.tasks),
            queued=len(self.waiting),
            slots=self.credit,
            cpu=round(self.cpu, 3),
            error_rate=round(self.error_rate, 4),
            active_by_capability={name: count for name, count in self.counts.items() if count},
        )
        message.average_task_time.FromMilliseconds(round(self.average_ms))
        message.sample_time.FromMilliseconds(now_ms)
        return message
