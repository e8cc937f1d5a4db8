# SPDX-License-Identifier: Apache-2.0
"""One step of a workflow: its state as people see it, and what its time went into."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nervenet.cli.render import text
from nervenet.cli.render.table import Mark
from nervenet.cli.render.text import DASH
from nervenet.v1 import task_pb2 as task

STEPS: Mapping[int, Mark] = {
    task.TASK_STATE_QUEUED: Mark("–", "dim", "waits"),
    task.TASK_STATE_RUNNING: Mark("●", "cyan", "running"),
    task.TASK_STATE_WAITING_FOR_HUMAN: Mark("?", "yellow", "waits for a human"),
    task.TASK_STATE_SUCCEEDED: Mark("✓", "green", "succeeded"),
    task.TASK_STATE_FAILED: Mark("✗", "red", "failed"),
    task.TASK_STATE_CANCELED: Mark("–", "dim", "canceled"),
}
OPEN = (task.TASK_STATE_QUEUED, task.TASK_STATE_RUNNING, task.TASK_STATE_WAITING_FOR_HUMAN)


class Spent(NamedTuple):
    """Milliseconds that a step spent in queues, at agents, between attempts, and with humans, until now."""

    queued: int
    ran: int
    retry: int
    human: int


_PLACE = {
    task.TASK_PHASE_QUEUED: 0,
    task.TASK_PHASE_RUNNING: 1,
    task.TASK_PHASE_RETRY: 2,
    task.TASK_PHASE_HUMAN: 3,
}


def spent(step: task.Task, now_ms: int) -> Spent:
    totals = [
        text.millis(step.queued_duration),
        text.millis(step.run_duration),
        text.millis(step.retry_duration),
        text.millis(step.human_duration),
    ]
    if step.spans and step.state in OPEN:
        last = step.spans[-1]
        if not last.HasField("end_time") and last.phase in _PLACE:
            totals[_PLACE[last.phase]] += max(now_ms - text.millis(last.start_time), 0)
    return Spent(*totals)


def times(step: task.Task, now_ms: int) -> tuple[str, str, str, str]:
    """The same in words; a dash where it never did that, as a question of the code that no agent ran."""
    told, words = step.spans, [text.span(ms / 1000) for ms in spent(step, now_ms)]
    ran = any(span.phase == task.TASK_PHASE_RUNNING for span in told) or step.HasField("run_duration")
    is_task = bool(step.capability) and not step.child_workflow_id
    did = (
        bool(told) and is_task,
        ran,
        bool(told) and _is_repeated(step),
        bool(step.escalation_id) and bool(told),
    )
    queued, running, retry, human = (word if done else DASH for word, done in zip(words, did, strict=True))
    return queued, running, retry, human


def _is_repeated(step: task.Task) -> bool:
    return step.attempt > 1 or (step.state in OPEN and bool(step.failed_attempts))


def since(step: task.Task, begin: int) -> int:
    """When the code asked for it; where nobody knows that any more, when its last attempt began."""
    return text.millis(step.schedule_time) or text.millis(step.start_time) or begin


def took_ms(step: task.Task, now_ms: int) -> int:
    """From when the code asked for it to its end."""
    first = since(step, 0)
    return (text.millis(step.end_time) or now_ms) - first if first else 0


def is_human(step: task.Task) -> bool:
    return step.state == task.TASK_STATE_WAITING_FOR_HUMAN or not step.capability


def is_trouble(step: task.Task) -> bool:
    """Whether it failed, or failed and is tried again."""
    return step.state == task.TASK_STATE_FAILED or (step.state in OPEN and bool(step.failed_attempts))
