# SPDX-License-Identifier: Apache-2.0
"""The agent's span: `process queue:<capability>`, from the claim to the result, around any executor.

It is the current span while the handler runs, so the user's own spans are its children: in a coroutine and in a thread
because they inherit the context, in a pool process because the envelope has the trace context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nervenet.records import Attempt
from nervenet.streams.queues import GROUP
from nervenet.telemetry import checked, continued, process_span_id
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from nervenet.agent.executors.common import Executor
    from nervenet.agent.running import Running
    from nervenet.streams.tasks.attempt import OutcomeEntry
    from nervenet.telemetry import Handling, Telemetry


async def run_traced(telemetry: Telemetry, executor: Executor, running: Running) -> OutcomeEntry | None:
    """`executor.run` within a span. Only called if telemetry is on."""
    envelope = running.envelope
    trace = checked(envelope.trace)
    if not trace.traceparent:
        return await executor.run(running)
    task = envelope.task_id
    own = process_span_id(trace, task, envelope.attempt, running.agent_id)
    name = f"process queue:{envelope.capability}"
    with telemetry.handling(name, trace, own, _attributes(running) if trace.sampled else {}) as handling:
        if trace.sampled:
            envelope.trace = continued(trace, own)
        end = await executor.run(running)
        if trace.sampled:
            _record_outcome(handling, end)
    return end


def _attributes(running: Running) -> dict[str, Any]:
    envelope = running.envelope
    return {
        "messaging.system": "redis",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"queue:{envelope.capability}",
        "messaging.consumer.group.name": GROUP,
        "messaging.client.id": running.agent_id,
        "messaging.message.id": f"{envelope.task_id}#{envelope.attempt}",
        "messaging.message.conversation_id": envelope.workflow_id,
        "messaging.message.body.size": envelope.input.size,
        "gen_ai.agent.name": envelope.capability,
        "gen_ai.agent.id": running.agent_id,
        "nervenet.workflow.id": envelope.workflow_id,
        "nervenet.task.id": envelope.task_id,
        "nervenet.task.attempt": envelope.attempt,
    }


def _record_outcome(handling: Handling, end: OutcomeEntry | None) -> None:
    """Record the outcome. A failure is an error of the span; a question to a human is none."""
    if end is None:
        handling.note("nervenet.task.outcome", "UNWANTED")  # cancelled or superseded: nothing is recorded
        return
    handling.note("nervenet.task.outcome", end.result.upper())
    if end.failed:
        body = decode_entry(end.name, end.entry, 0, 0).body
        assert isinstance(body, Attempt)
        assert body.failure is not None
        handling.failed(body.failure.type or str(body.failure.code), body.failure.message)
