# SPDX-License-Identifier: Apache-2.0
"""Steps as messages of the contract: one by one, or many in short.

It writes into messages that are there already: a workflow can have thousands of steps, and no message is made that is then copied into
another.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nervenet.blobs import size_of
from nervenet.node.services.history import MOST_SPANS, Asked, PhaseName, Span, Step
from nervenet.node.services.payloads import shaped
from nervenet.node.services.summary import Member, summarize
from nervenet.streams.keys import escalation_id
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2
from nervenet.wire import failure_out, set_ms, task_id, timestamp_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nervenet.records import Outcome
    from nervenet.v1 import coordinator_service_pb2 as pb
    from nervenet.v1 import workflow_pb2

__all__ = ["escalation_of", "tell_summary", "tell_task", "tell_times"]

AT_A_TIME: Final = 1_000
"""Steps that are prepared for the summary without a pause: a few milliseconds."""
_TOTALS: Final = {
    "QUEUED": "queued_duration",
    "RUNNING": "run_duration",
    "RETRY": "retry_duration",
    "HUMAN": "human_duration",
}
_PHASES: Final = {phase: task_pb2.TaskPhase.Value(f"TASK_PHASE_{phase}") for phase in _TOTALS}


def tell_times(told: task_pb2.Task, spans: list[Span]) -> None:
    """The fields of a Task that say what it spent its time with."""
    totals: dict[PhaseName, int] = {}
    for phase, start_ms, end_ms in spans:
        totals[phase] = totals.get(phase, 0) + max(end_ms - start_ms, 0)
    for phase, ms in totals.items():
        set_ms(getattr(told, _TOTALS[phase]), ms)
    for phase, start_ms, end_ms in spans[-MOST_SPANS:]:
        span = told.spans.add(phase=_PHASES[phase])
        set_ms(span.start_time, start_ms)
        set_ms(span.end_time, end_ms)


def _goes_on(step: Step) -> list[Span]:
    """What the journal alone says that a step does now: it is a child that runs, or a human is asked."""
    if step.outcome is not None:
        return []
    if step.asked is not None and step.asked.state == "OPEN":
        return [Span("HUMAN", step.asked.asked_ms, 0)]
    return [Span("RUNNING", step.started_ms, 0)] if step.child else []


def tell_task(
    told: task_pb2.Task,
    workflow_id: str,
    run: int,
    step: Step,
    request: pb.GetWorkflowRequest,
    fits: Callable[[int], bool],
) -> None:
    """Write a step that the journal knows all of into an empty Task. A workflow can have thousands: no message is made
    that is then copied into another.

    Args:
        fits: Whether there is room for a payload of that size.
    """
    told.task_id, told.step, told.capability = task_id(workflow_id, run, step.name), step.name, step.capability
    told.state = _STATES[step.state]  # type: ignore[assignment]  # the stubs have no numbers
    told.attempt, told.agent_id = step.attempt, step.agent_id
    set_ms(told.schedule_time, step.scheduled_ms)
    set_ms(told.start_time, step.started_ms)
    set_ms(told.end_time, step.ended_ms)
    told.failed_attempts.extend(failure_out(failure) for failure in step.failed)
    told.escalation_id, told.child_workflow_id = escalation_of(workflow_id, step.asked), step.child
    if step.outcome is not None:
        _tell_outcome(told, step.outcome, request, fits)
    tell_times(told, step.spans + _goes_on(step))


_STATES: Final = {name.removeprefix("TASK_STATE_"): number for name, number in task_pb2.TaskState.items()}


def _tell_outcome(
    told: task_pb2.Task, outcome: Outcome, request: pb.GetWorkflowRequest, fits: Callable[[int], bool]
) -> None:
    if outcome.output is not None and request.include_task_payloads:
        form = request.payload_format if fits(size_of(outcome.output)) else common.PAYLOAD_FORMAT_OMIT
        told.output.CopyFrom(shaped(outcome.output, form))
    if outcome.failure is not None:
        told.failure.CopyFrom(failure_out(outcome.failure))
    for used in outcome.usage:
        told.usage.add(model=used.model, input_tokens=used.input_tokens, output_tokens=used.output_tokens)


async def tell_summary(
    told: workflow_pb2.Workflow, sources: Sequence[Step | task_pb2.Task], wanted: Sequence[str]
) -> list[Step | task_pb2.Task]:
    """Write what there is in short; returns the steps that are told themselves. Thousands are gone through in parts."""
    members: list[Member] = []
    for first in range(0, len(sources), AT_A_TIME):
        members += map(_member, sources[first : first + AT_A_TIME])
        await asyncio.sleep(0)
    found = summarize(members, frozenset(wanted))
    told.task_count = len(sources)
    for model, (read, written) in found.usage.items():
        told.usage.add(model=model, input_tokens=read, output_tokens=written)
    for group in found.groups:
        one = told.task_groups.add(name=group.name, capability=group.capability, troubled=group.troubled)
        for state, count in group.counts.items():
            one.state_counts.add(state=state, count=count)
        set_ms(one.start_time, group.members[0].began_ms)
        set_ms(one.end_time, group.ended_ms)
    return [each.source for each in found.told]


def _member(source: Step | task_pb2.Task) -> Member:
    if isinstance(source, task_pb2.Task):
        began_ms, failed = timestamp_ms(source.schedule_time), bool(source.failed_attempts)
        return Member(source.step, source.capability, source.state, began_ms, 0, failed, (), source)
    usage = source.outcome.usage if source.outcome is not None else ()
    began_ms, state = source.scheduled_ms or source.started_ms, _STATES[source.state]
    return Member(source.name, source.capability, state, began_ms, source.ended_ms, bool(source.failed), usage, source)


def escalation_of(workflow_id: str, asked: Asked | None) -> str:
    """The id of a step's question; "" if it has none."""
    return "" if asked is None else escalation_id(workflow_id, asked.step, asked.k)
