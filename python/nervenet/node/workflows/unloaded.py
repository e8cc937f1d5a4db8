# SPDX-License-Identifier: Apache-2.0
"""The workflows of this node that only wait: what is left of one when its machine and its code are out of memory.

It hides how little that is: a small object, and the entries of the journal as compressed bytes. They are what the node writes
back if Redis loses the journal, so unloading takes nothing away from that. Everything else is in the journal, and a replay
makes it again (`load.py`); when and why is in `unloading.py`.
"""

from __future__ import annotations

import marshal
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nervenet.durable.pending import ASKING, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nervenet.definitions import Workflow
    from nervenet.durable import Machine
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.owned_journal import EntryLog
    from nervenet.node.workflows.tracing import Sendings
    from nervenet.records import State

MARSHAL_VERSION: Final = 2
LEVEL: Final = 1
"""zlib's fastest: a higher level takes three times as long and saves few bytes of entries this short."""


class OpenAsk(NamedTuple):
    """A question to a human that is not answered."""

    step: str
    capability: str
    text: str
    question_number: int
    since_ms: int
    deadline_ms: int | None


class Waiting(NamedTuple):
    """What the code waits for that is not a task: signals, timers, people. `timers`: number, whether it limits something, since when,
    until when."""

    signals: tuple[tuple[str, int, int], ...]
    timers: tuple[tuple[int, bool, int, int], ...]
    questions: tuple[OpenAsk, ...]

    @classmethod
    def of(cls, machine: Machine) -> Waiting:
        timers = ((number, one.is_limit, one.since_ms, one.due_ms) for number, one in machine.timers.items())
        questions = []
        for call in machine.pending.values():
            if call.phase in (OPEN, ASKING) and (asked := call.question) is not None:
                since = call.asked_ms or call.since_ms
                capability = call.capability or ""
                one = OpenAsk(call.step, capability, asked.text, call.question_number, since, asked.deadline_ms)
                questions.append(one)
        signals = ((name, number, since_ms) for name, number, since_ms in machine.awaited_signals())
        return cls(tuple(signals), tuple(timers), tuple(questions))

    def packed(self) -> bytes:
        """As bytes."""
        return marshal.dumps((self.signals, self.timers, tuple(map(tuple, self.questions))), MARSHAL_VERSION)

    @classmethod
    def unpacked(cls, packed: bytes) -> Waiting:
        signals, timers, questions = marshal.loads(packed)  # noqa: S302  # this process has packed it
        return cls(signals, timers, tuple(OpenAsk(*one) for one in questions))


class UnloadedWorkflow:
    """See the module. `due_ms`: when it must be loaded without news; None: never. `has_view`: it has published a value."""

    __slots__ = (
        "applied",
        "applied_ms",
        "created_ms",
        "dropped",
        "due_ms",
        "has_view",
        "listed_questions",
        "packed",
        "recovered",
        "req",
        "run",
        "sendings",
        "state",
        "waiting",
        "workflow",
        "workflow_id",
    )

    def __init__(self, coordinator: Coordinator) -> None:
        machine = coordinator.machine
        self.workflow: Workflow[Any, Any] = machine.workflow
        self.workflow_id = coordinator.workflow_id
        self.run = coordinator.run
        self.req = coordinator.req
        self.applied = coordinator.applied
        self.applied_ms = coordinator.applied_ms
        self.created_ms = coordinator.created_ms
        self.due_ms = coordinator.due_ms
        self.state: State = machine.state
        self.has_view = machine.view is not None
        self.recovered = coordinator.recovered
        self.listed_questions = coordinator.listed_questions
        self.waiting = Waiting.of(machine).packed()
        self.sendings: Sendings | None = None if coordinator.story is None else coordinator.story.sendings
        self.packed = packed_entries(coordinator.entry_log)
        """b"": the beginning of its journal was forgotten, or there was no memory for it."""
        self.dropped = False

    def __repr__(self) -> str:
        return f"<UnloadedWorkflow {self.workflow_id} {self.state} {self.applied} entries in {len(self.packed)} bytes>"

    @property
    def last_id(self) -> str:
        """The id of the last entry that was folded."""
        return f"{self.applied_ms}-{self.applied}"

    def entry_log(self) -> EntryLog | None:
        """Its entries, as a coordinator has them; None where they are forgotten."""
        if not self.packed:
            return None
        flat = marshal.loads(zlib.decompress(self.packed))  # noqa: S302  # this process has packed it
        log: Any = None
        for i in range(len(flat) - 3, -1, -3):
            log = (log, *flat[i : i + 3])
        found: EntryLog | None = log
        return found


def packed_entries(log: EntryLog | None) -> bytes:
    """Entries as compressed bytes, the last one first."""
    flat: list[int | str | bytes] = []
    while log is not None:
        log, ms, name, data = log
        flat += (ms, name, data)
    return zlib.compress(marshal.dumps(flat, MARSHAL_VERSION), LEVEL) if flat else b""


class UnloadedWorkflows:
    """All of a node, those that were unloaded first at the beginning."""

    def __init__(self) -> None:
        self._all: dict[str, UnloadedWorkflow] = {}
        self._walk: list[str] = []
        self.size = 0
        """Bytes of packed entries."""
        self.states: Counter[tuple[str, State]] = Counter()
        """How many there are of each definition in each state."""
        self._asking: dict[str, UnloadedWorkflow] = {}

    def __repr__(self) -> str:
        return f"<UnloadedWorkflows {len(self._all)} in {self.size} bytes>"

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, workflow_id: str) -> bool:
        return workflow_id in self._all

    def get(self, workflow_id: str) -> UnloadedWorkflow | None:
        return self._all.get(workflow_id)

    def items(self) -> Mapping[str, UnloadedWorkflow]:
        """By id."""
        return self._all

    @property
    def asking(self) -> list[UnloadedWorkflow]:
        """Those with open questions."""
        return list(self._asking.values())

    def put(self, one: UnloadedWorkflow) -> None:
        """It is unloaded from now on."""
        self.pop(one.workflow_id)
        self._all[one.workflow_id] = one
        self.size += len(one.packed)
        self.states[one.workflow.name, one.state] += 1
        if one.listed_questions:
            self._asking[one.workflow_id] = one

    def pop(self, workflow_id: str) -> UnloadedWorkflow | None:
        """It is no longer unloaded: loaded, another node's, or over."""
        one = self._all.pop(workflow_id, None)
        if one is None:
            return None
        one.dropped = True
        self.size -= len(one.packed)
        key = (one.workflow.name, one.state)
        self.states[key] -= 1
        if not self.states[key]:
            del self.states[key]
        self._asking.pop(workflow_id, None)
        return one

    def forget_beginnings(self, enough: int) -> None:
        """Free packed entries until only `enough` bytes are left, of those first that were unloaded first."""
        for one in self._all.values():
            if self.size <= enough:
                return
            self.size -= len(one.packed)
            one.packed = b""

    def next_to_look_at(self, count: int) -> Iterator[UnloadedWorkflow]:
        """The next `count` of a walk over all of them, which begins again where it ends."""
        if not self._walk:
            self._walk = list(reversed(self._all))
        for _ in range(min(count, len(self._walk))):
            if (one := self._all.get(self._walk.pop())) is not None:
                yield one
