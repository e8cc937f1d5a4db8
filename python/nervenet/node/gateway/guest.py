# SPDX-License-Identifier: Apache-2.0
"""An agent as the node that it is connected to knows it, and the tasks that it answers for. Plain state, no I/O.

A `Guest` outlives its streams: when one breaks, what it runs is kept for the time in which it may come back. Its `line` is
the stream of the moment.
"""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from nervenet.node.gateway.outcome import Attempted, Stop
from nervenet.timing import GATEWAY_AGENT_LEASE
from nervenet.v1 import agent_pb2
from nervenet.v1 import agent_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nervenet.node.gateway.line import Line
    from nervenet.registry.selection import Requirement
    from nervenet.v1.common_pb2 import Payload
    from nervenet.v1.task_pb2 import TaskEnvelope


def state_number(name: str) -> agent_pb2.AgentState:
    return cast("agent_pb2.AgentState", agent_pb2.AgentState.Value(f"AGENT_STATE_{name}"))


Key: TypeAlias = tuple[str, int]
"""Task id and attempt: what makes two deliveries the same attempt."""

MOST_ACKED: Final = 64
_WEIGHT: Final = 0.1
"""Of the newest task in the averages: they remember about the last twenty."""


_HEARD: Final = pb.ConnectResponseItem(status_ack=pb.StatusAck(lease_ttl={"seconds": GATEWAY_AGENT_LEASE}))


class Stage(enum.Enum):
    """How far a task is with its agent."""

    WAITING = "for a free slot; nobody has claimed it"
    CLAIMING = "the claim is on its way"
    PUSHED = "its agent has it, as far as we know"
    RECORDING = "its result is on its way into the journal"
    OVER = "recorded by us, or gone: only its agent's answer is missing"


class Held:
    """One task here. `stream` and `entry_id` are the delivery that stands for it, empty where an agent brought it along."""

    __slots__ = (
        "acked_ms",
        "agent_id",
        "beat",
        "checkpoint",
        "checkpoint_due",
        "entry_id",
        "envelope",
        "fraction",
        "guest",
        "message",
        "news",
        "parts",
        "renewed_at",
        "saved_at",
        "sequence",
        "stage",
        "started_at",
        "started_ms",
        "stop",
        "stopped_at",
        "stream",
    )

    def __init__(self, envelope: TaskEnvelope, guest: Guest, stream: bytes = b"", entry_id: bytes = b"") -> None:
        self.envelope = envelope
        self.guest = guest
        self.agent_id = guest.agent_id  # in whose name it is claimed: an id outlives its lease for what runs
        self.stream = stream
        self.entry_id = entry_id
        self.stage = Stage.WAITING
        self.stop: Stop | None = None
        self.started_ms = self.acked_ms = 0
        self.started_at = self.stopped_at = self.beat = self.renewed_at = self.saved_at = 0.0
        self.fraction: float | None = None
        self.message = ""
        self.news = False
        self.parts: list[tuple[int, Payload]] = []
        self.sequence = 0
        self.checkpoint: bytes | None = None
        self.checkpoint_due = False

    def __repr__(self) -> str:
        return f"<Held {self.envelope.task_id}#{self.envelope.attempt} {self.stage.name.lower()} at {self.agent_id}>"

    @property
    def key(self) -> Key:
        return self.envelope.task_id, self.envelope.attempt

    @property
    def claim(self) -> tuple[str, int, str, int, str]:
        """What the scripts of a claim take."""
        envelope = self.envelope
        return envelope.workflow_id, envelope.run, envelope.step, envelope.attempt, self.agent_id

    @property
    def facts(self) -> Attempted:
        return Attempted(self.envelope, self.agent_id, self.started_ms)

    @property
    def is_running(self) -> bool:
        """Whether its claim is to be kept."""
        return self.stage is Stage.PUSHED and self.stop is not Stop.GONE

    def begin(self, now_ms: int, at: float) -> None:
        self.stage = Stage.PUSHED
        self.started_ms, self.started_at = now_ms, at
        self.beat = self.renewed_at = at


class Ability(NamedTuple):
    """One capability of an agent. `slots` 0: as many as its credit."""

    version: str
    labels: Mapping[str, str]
    slots: int


class Guest:
    """See the module. `line` is None while the agent is away."""

    def __init__(self, agent_id: str, lease_id: int, record: agent_pb2.AgentRecord, credit: int) -> None:
        self.agent_id = agent_id
        self.lease_id = lease_id
        self.line: Line | None = None
        self.tasks: dict[Key, Held] = {}
        self.waiting: deque[Held] = deque()
        self.counts: dict[str, int] = {}
        self.acked: OrderedDict[Key, bool] = OrderedDict()
        self.draining = False
        self.drain_until: float | None = None
        self.heard_at = self.away_since = 0.0
        self.broke = False  # its stream was closed by the other side, without a goodbye
        self.broke_ms = 0
        self.sent_on_at = float("-inf")
        self.cpu = self.average_ms = self.error_rate = 0.0
        self.describe(record, credit)

    def describe(self, record: agent_pb2.AgentRecord, credit: int) -> None:
        """What it says of itself, now and when it comes back."""
        self.record, self.credit = record, credit
        self.able = {
            each.name: Ability(each.version, {**record.labels, **each.labels}, each.slots)
            for each in record.capabilities
        }

    def __repr__(self) -> str:
        where = "connected" if self.line is not None else "away"
        return f"<Guest {self.agent_id} {where}, {len(self.tasks)} of {self.credit} tasks, {len(self.waiting)} waiting>"

    # ── room ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> str:
        """As it is registered. STARTING: nothing new for it until it is back."""
        if self.line is None:
            return "STARTING"
        if self.draining or not self.credit:
            return "DRAINING" if self.tasks else "DRAINED"
        return "ACTIVE"

    def free_for(self, capability: str) -> int:
        """How many more of its tasks may be pushed."""
        if self.line is None or self.draining or capability not in self.able:
            return 0
        room = self.credit - len(self.tasks)
        own = self.able[capability].slots
        return max(0, min(room, own - self.counts.get(capability, 0)) if own else room)

    @property
    def share(self) -> float:
        """The part of its slots that is taken."""
        return len(self.tasks) / self.credit if self.credit else 1.0

    def meets(self, requirement: Requirement) -> bool:
        able = self.able.get(requirement.capability)
        return able is not None and not requirement.missing(able.version, able.labels)

    def next_waiting(self) -> Held | None:
        """The first one that waits for a slot that is free now."""
        for held in self.waiting:
            if self.free_for(held.envelope.capability):
                self.waiting.remove(held)
                return held
        return None

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, held: Held) -> None:
        """It counts against the credit from now on."""
        self.tasks[held.key] = held
        capability = held.envelope.capability
        self.counts[capability] = self.counts.get(capability, 0) + 1

    def give_back(self, held: Held) -> bool:
        """Its credit is free again; False = it was already."""
        if self.tasks.get(held.key) is not held:
            return False
        del self.tasks[held.key]
        self.counts[held.envelope.capability] -= 1
        return True

    def ended(self, took_ms: int, failed: bool) -> None:
        self.average_ms += (took_ms - self.average_ms) * _WEIGHT
        self.error_rate += (failed - self.error_rate) * _WEIGHT

    def remember(self, key: Key, recorded: bool) -> None:
        """It was acknowledged so, in case it is answered once more."""
        self.acked[key] = recorded
        if len(self.acked) > MOST_ACKED:
            self.acked.popitem(last=False)

    # ── saying something ─────────────────────────────────────────────────────────────────────────────────────────────

    def welcome(self, welcome: pb.Welcome) -> None:
        if self.line is not None:
            self.line.open(pb.ConnectResponseItem(welcome=welcome))

    def push(self, held: Held) -> None:
        self._say(pb.ConnectResponseItem(task=held.envelope))

    def ack(self, key: Key, recorded: bool) -> None:
        self.remember(key, recorded)
        task_id, attempt = key
        self._say(pb.ConnectResponseItem(result_ack=pb.ResultAck(task_id=task_id, attempt=attempt, recorded=recorded)))

    def stop(self, held: Held, reason: str) -> None:
        task_id, attempt = held.key
        self._say(pb.ConnectResponseItem(task_cancel=pb.TaskCancel(task_id=task_id, attempt=attempt, reason=reason)))

    def reject(self, reason: str, message: str, key: Key | None = None) -> None:
        task_id, attempt = key or ("", 0)
        refused = pb.Rejected(reason=reason, message=message, task_id=task_id, attempt=attempt)
        self._say(pb.ConnectResponseItem(rejected=refused))

    def drain(self, grace_ms: int) -> None:
        notice = pb.Drain()
        notice.grace.FromMilliseconds(grace_ms)
        self._say(pb.ConnectResponseItem(drain=notice))

    def resume(self) -> None:
        self._say(pb.ConnectResponseItem(resume=pb.Resume()))

    def status_heard(self) -> None:
        self._say(_HEARD)

    def go_elsewhere(self, nodes: Iterable[str], reason: str) -> None:
        self._say(pb.ConnectResponseItem(reconnect=pb.Reconnect(nodes=nodes, reason=reason)))

    def _say(self, item: pb.ConnectResponseItem) -> None:
        if self.line is not None:
            self.line.say(item)

    # ── what others are told ─────────────────────────────────────────────────────────────────────────────────────────

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
