# SPDX-License-Identifier: Apache-2.0
"""A workflow's spans, made from its journal: entries in, spans out, once, when it has closed.

While a workflow runs, its owner notes what each entry says of its steps (`Story`), and nothing at all if its trace is not
sampled. A node that takes it over folds the journal from its start, so it notes the same. So a crash loses no span, a replay
repeats none, and the node that closes the workflow exports all of it: ids follow from the trace and the task
(`telemetry.context`), times are those of the entries. No entry says when an attempt was dispatched: the owner notes that too.
For an attempt of a previous owner it is the time of the last entry before its handler began.

A start is rounded down and an end up to the journal's milliseconds, so that a span contains its children. `send` lasts
until an agent has claimed the attempt: the time in the queue can be seen.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from nervenet.clock import SYSTEM
from nervenet.records import Attempt, Close, Failure, FailureCode, Outcome, Start, State
from nervenet.telemetry import Span, process_span_id, send_span_id, span_of, task_span_id
from nervenet.wire import task_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.records import Entry, Trace, Usage
    from nervenet.telemetry import Attributes

AT_ONCE: Final = 500
"""Spans that are exported before the event loop goes on."""
_UNSEEN = ("AGENT_LOST", "NO_AGENT", "ABANDONED")
"""Attempts whose handler did not live to export its span: there is nothing to link to."""


@dataclass(slots=True)
class _Try:
    """One attempt. `begun_ms` is 0 where nobody is known to have claimed it."""

    sent_ms: int
    begun_ms: int
    ended_ms: int
    agent_id: str
    outcome: str  # SUCCEEDED, ASKED, ABANDONED or the failure's code
    usage: tuple[Usage, ...] = ()


@dataclass(slots=True)
class _Step:
    capability: str
    tries: dict[int, _Try] = field(default_factory=dict)
    over: bool = False
    agent_id: str = ""
    failure: Failure | None = None
    ended_ms: int = 0


class _Sending(NamedTuple):
    capability: str
    at_ms: int


Sendings: TypeAlias = dict[tuple[str, int], _Sending]
"""By step and attempt."""


class Story:
    """What the journal of one run says of each step, entry by entry. It keeps no payload of a step."""

    def __init__(self) -> None:
        self.steps: dict[str, _Step] = {}
        self.start: Start | None = None
        self.close: Close | None = None
        self.sendings: Sendings = {}
        """When this node sent each attempt. No entry says it, so it is kept while the workflow is out of memory."""
        self._times: list[int] = []

    def sent(self, step: str, attempt: int, capability: str, at_ms: int) -> None:
        """This node sends an attempt; a second sending of the same attempt changes nothing."""
        self.sendings.setdefault((step, attempt), _Sending(capability, at_ms))

    def add(self, entry: Entry) -> None:
        """The next entry of the journal."""
        self._times.append(entry.time_ms)
        match entry.body:
            case Start() as start:
                self.start = start
            case Close() as close:
                self.close = close
            case Outcome() as outcome:
                self._outcome(entry.name[5:], outcome, entry.time_ms)
            case Attempt() as attempt:
                step, _, n = entry.name[8:].rpartition("#")
                self._tried(step, int(n), attempt, entry.time_ms, "ASKED")

    @property
    def began_ms(self) -> int:
        return self._times[0]

    @property
    def ended_ms(self) -> int:
        return self._times[-1]

    def _outcome(self, name: str, body: Outcome, at_ms: int) -> None:
        step = self._step(name, body.capability)
        step.over, step.agent_id, step.failure, step.ended_ms = True, body.agent_id, body.failure, at_ms
        if body.attempt and body.attempt not in step.tries:  # else the failure of its last attempt, said again
            self._tried(name, body.attempt, body, at_ms, "SUCCEEDED")

    def _tried(self, name: str, n: int, body: Attempt | Outcome, at_ms: int, well: str) -> None:
        said = well if body.failure is None else str(body.failure.code)
        sent = self._sent(name, n, body.started_ms or at_ms)
        begun = min(max(body.started_ms, sent), at_ms) if body.started_ms else 0  # an agent's clock is its own
        self._step(name, body.capability).tries[n] = _Try(sent, begun, at_ms, body.agent_id, said, body.usage)

    def abandon_rest(self) -> None:
        """The run is over: what was still under way was sent by this node and recorded by nobody."""
        for (name, n), sending in self.sendings.items():
            step = self._step(name, sending.capability)
            if n not in step.tries:
                step.tries[n] = _Try(sending.at_ms, 0, step.ended_ms or self.ended_ms, "", "ABANDONED")

    def _step(self, name: str, capability: str) -> _Step:
        step = self.steps.setdefault(name, _Step(capability))
        step.capability = step.capability or capability
        return step

    def _sent(self, name: str, n: int, by_ms: int) -> int:
        """When it was sent: as we know, or at the last entry before its handler began."""
        if (known := self.sendings.get((name, n))) is not None:
            return min(known.at_ms, self._times[-1])
        return next((ms for ms in reversed(self._times[:-1]) if ms <= by_ms), self.began_ms)


def workflow_spans(
    workflow_id: str, run: int, story: Story, *, node_id: str = "", namespace: str = "", recovered: bool = False
) -> Iterator[Span]:
    """`invoke_workflow`, and below it each task with each of its sends. None for a run that is open or not traced."""
    start, close = story.start, story.close
    if start is None or close is None or not start.span_id:
        return
    story.abandon_rest()
    trace = start.trace
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": start.definition,
        "gen_ai.conversation.id": workflow_id,
        "nervenet.workflow.id": workflow_id,
        "nervenet.workflow.run": run,
        "nervenet.workflow.version": start.version,
        "nervenet.workflow.state": str(close.state),
        "nervenet.node.id": node_id,
        "nervenet.namespace": namespace,
        "nervenet.recovered": recovered,
    }
    error = None
    if close.state in (State.FAILED, State.TIMED_OUT):
        error = _error(close.failure, str(close.state), attributes)
    name = f"invoke_workflow {start.definition}"
    began, ended = _ns(story.began_ms), _end_ns(story.ended_ms)
    caller = span_of(trace)
    yield Span(name, "internal", trace, start.span_id, caller, began, ended, attributes, error=error, remote=True)
    for step_name, step in story.steps.items():
        if step.capability and step.tries:  # else a question to a human: no agent was asked
            task = task_id(workflow_id, run, step_name)
            common = {"nervenet.workflow.id": workflow_id, "nervenet.task.id": task}
            yield from _task(trace, start.span_id, task, step, story.ended_ms, common)


def _task(trace: Trace, parent: bytes, task: str, step: _Step, closed_ms: int, common: dict[str, str]) -> list[Span]:
    own = task_span_id(trace, task)
    last = max(step.tries)
    attributes: dict[str, Any] = common | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": step.capability,
        "gen_ai.conversation.id": common["nervenet.workflow.id"],
        "nervenet.task.attempt": last,
    }
    if step.agent_id:
        attributes["gen_ai.agent.id"] = step.agent_id
    attributes |= _tokens([usage for one in step.tries.values() for usage in one.usage])
    error = None
    if step.failure is not None and step.failure.code is not FailureCode.CANCELED:
        error = _error(step.failure, "FAILED", attributes)
    if not step.over:
        attributes["nervenet.task.outcome"] = "ABANDONED"
    began = _ns(min(one.sent_ms for one in step.tries.values()))
    ended = _end_ns(step.ended_ms or closed_ms)
    spans = [
        Span(f"invoke_agent {step.capability}", "client", trace, own, parent, began, ended, attributes, error=error)
    ]
    failed: bytes | None = None
    for n in sorted(step.tries):
        one = step.tries[n]
        spans.append(_send(trace, own, task, n, step.capability, one, failed, common))
        seen = one.agent_id and one.outcome not in _UNSEEN
        failed = process_span_id(trace, task, n, one.agent_id) if seen else None
    return spans


def _send(
    trace: Trace,
    parent: bytes,
    task: str,
    n: int,
    capability: str,
    one: _Try,
    failed: bytes | None,
    common: dict[str, str],
) -> Span:
    attributes: dict[str, Any] = common | {
        "messaging.system": "redis",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"queue:{capability}",
        "messaging.message.id": f"{task}#{n}",
        "messaging.message.conversation_id": common["nervenet.workflow.id"],
        "nervenet.task.attempt": n,
        "nervenet.task.outcome": one.outcome,
    }
    own = send_span_id(trace, task, n)
    began, ended = _ns(one.sent_ms), _end_ns(one.begun_ms or one.ended_ms)
    links = (failed,) if failed else ()
    return Span(f"send queue:{capability}", "producer", trace, own, parent, began, ended, attributes, links)


def _tokens(usage: list[Usage]) -> dict[str, Any]:
    """All models' tokens together; the model by name where it is one."""
    if not usage:
        return {}
    models = {one.model for one in usage}
    told: dict[str, Any] = {"gen_ai.response.model": usage[0].model} if len(models) == 1 else {}
    told["gen_ai.usage.input_tokens"] = sum(one.input_tokens for one in usage)
    told["gen_ai.usage.output_tokens"] = sum(one.output_tokens for one in usage)
    return told


def _error(failure: Failure | None, otherwise: str, attributes: dict[str, Any]) -> str:
    attributes["error.type"] = (failure.type or str(failure.code)) if failure is not None else otherwise
    return failure.message if failure is not None else otherwise


def _ns(ms: int) -> int:
    return ms * 1_000_000


def _end_ns(ms: int) -> int:
    return ms * 1_000_000 + 999_999


# ── export ──────────────────────────────────────────────────────────────────────────────────────────────


async def export_closed(context: NodeContext, coordinator: Coordinator, story: Story) -> None:
    """Export the spans of a run that is over: the event loop goes on between parts of a large one."""
    spans = workflow_spans(
        coordinator.workflow_id,
        coordinator.run,
        story,
        node_id=context.status.node_id,
        namespace=context.config.namespace,
        recovered=coordinator.recovered,
    )
    while part := list(islice(spans, AT_ONCE)):
        context.telemetry.export(part)
        if len(part) == AT_ONCE:
            await asyncio.sleep(0)


def export_recovered(context: NodeContext, coordinator: Coordinator, lost_node: str, began_ns: int) -> None:
    """`recover_workflow`: this node continues it. Linked to the tasks that it continues, else to the caller."""
    trace, workflow_id, run = coordinator.trace, coordinator.workflow_id, coordinator.run
    pending = [step for step, one in coordinator.machine.pending.items() if one.kind == "call"]
    links = tuple(task_span_id(trace, task_id(workflow_id, run, step)) for step in pending)
    attributes: Attributes = {
        "nervenet.workflow.id": workflow_id,
        "nervenet.workflow.run": run,
        "nervenet.node.id": context.status.node_id,
        "nervenet.namespace": context.config.namespace,
        "nervenet.node.lost": lost_node,
        "nervenet.recovered": True,
        "nervenet.recovered.entries": coordinator.applied,
    }
    span = Span(
        "recover_workflow",
        "internal",
        trace,
        os.urandom(8),
        coordinator.span_id,
        began_ns,
        SYSTEM.now_ns(),
        attributes,
        links or (span_of(trace),),
        remote=True,
    )
    context.telemetry.export((span,))
