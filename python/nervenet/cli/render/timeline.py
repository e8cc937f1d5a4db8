# SPDX-License-Identifier: Apache-2.0
"""`nervenet show`: one workflow with its steps as bars over time, its input, result and view.

On a terminal each step is a bar on one scale. In piped output each step has its begin and end instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from nervenet.cli.render import text
from nervenet.cli.render.escalations import exchange
from nervenet.cli.render.table import Column, Mark, mark_of, prose, table
from nervenet.cli.render.text import DASH, View, middle
from nervenet.cli.render.workflows import STATES, blocked, definition
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow

STEPS: Mapping[int, Mark] = {
    task.TASK_STATE_QUEUED: Mark("–", "dim", "waits"),
    task.TASK_STATE_RUNNING: Mark("●", "cyan", "running"),
    task.TASK_STATE_WAITING_FOR_HUMAN: Mark("?", "yellow", "waits for a human"),
    task.TASK_STATE_SUCCEEDED: Mark("✓", "green", "succeeded"),
    task.TASK_STATE_FAILED: Mark("✗", "red", "failed"),
    task.TASK_STATE_CANCELED: Mark("–", "dim", "canceled"),
}
_OPEN = (task.TASK_STATE_QUEUED, task.TASK_STATE_RUNNING, task.TASK_STATE_WAITING_FOR_HUMAN)
BAR = (12, 48)
"""The least and the most characters of a bar; between them a quarter of the terminal."""
NARROW = 100
"""A terminal with fewer columns shows a question above its answer, not in the same line."""


Decided = Mapping[str, workflow.Escalation]
"""What humans said, by escalation id."""


def shown(
    one: workflow.Workflow, view: View, *, inputs: bool = False, results: bool = False, decided: Decided | None = None
) -> list[Text]:
    """The whole page. `inputs` and `results`: payloads in full, instead of in one line that fits."""
    lines = [_title(one, view)]
    if one.labels:
        lines.append(Text("labels " + " ".join(f"{key}={text.clean(one.labels[key])}" for key in sorted(one.labels))))
    if one.tasks:
        lines += _bars(one, view, decided or {}) if view.people else _table(one, view, decided or {})
    if one.state == workflow.WORKFLOW_STATE_BLOCKED:
        lines += blocked(one, view)
    if inputs:
        lines.append(_payload("input", one, "input", view, full=True))
    if results:
        lines += [_payload(step.step, step, "output", view, full=True) for step in one.tasks if step.HasField("output")]
    if one.HasField("view"):
        lines.append(_payload("view", one, "view", view, full=results))
    if one.HasField("output"):
        lines.append(_payload("result", one, "output", view, full=results))
    if one.HasField("failure"):
        lines.append(Text(f"failure {text.failure(one.failure)}", style="red"))
    for escalation in one.open_escalations:
        lines.append(Text(f"? answer: nervenet escalations resolve {escalation.removesuffix('#1')}", style="yellow"))
    if one.partial:
        lines.append(Text("Its node cannot be reached, so pending steps are missing here.", style="dim"))
    return lines


def _title(one: workflow.Workflow, view: View) -> Text:
    mark = mark_of(STATES, one.state)
    took = text.took(one.start_time, one.close_time)
    so_far = f"{'for' if view.people else 'since'} {view.when(one.start_time)}"
    parts = [definition(one), took if took != DASH else so_far]
    if one.run > 1:
        parts.append(f"run {one.run}")
    if one.trace_id:
        parts.append(f"trace {one.trace_id[:16] if view.people else one.trace_id}")
    if one.node_id:
        often = {1: "once", 2: "twice"}.get(one.adoptions, f"{one.adoptions} times")
        parts.append(f"node {one.node_id}" + (f" (adopted {often})" if one.adoptions else ""))
    line = Text(f"{mark.symbol} {one.workflow_id}", style=mark.style)
    line.append("   " + "   ".join([mark.word, *parts]), style="default")
    return line


def _payload(word: str, message: workflow.Workflow | task.Task, name: str, view: View, *, full: bool) -> Text:
    said = text.payload(getattr(message, name))
    room = view.width - len(word) - 1
    return Text(f"{word} {said if full or not view.people or room < 20 else text.clipped(said, room)}")


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bars(one: workflow.Workflow, view: View, decided: Decided) -> list[Text]:
    """A line per step: when it began, its bar, who does it, how long, and what there is to say about it."""
    begin = text.millis(one.start_time)
    room = min(max(view.width // 4, BAR[0]), BAR[1]) if view.width else BAR[1]
    end = max([text.millis(one.close_time) or view.now_ms, begin + 1])
    columns = (
        Column(""), Column(""), prose(""), Column("", middle, 12, drop=1), Column(""), prose("", 16),
    )  # fmt: skip
    rows = []
    for step in one.tasks:
        mark = mark_of(STEPS, step.state)
        offset = max(_since(step, begin) - begin, 0) / 1000
        rows.append((
            Text(f"{offset:8.2f}"),
            Text(_bar(step, begin, end, view.now_ms, room), style=mark.style),
            Text(step.step, style=mark.style),
            _who(step, decided),
            _took(step, view),
            _gist(step, one, decided, brief=0 < view.width < NARROW),
        ))  # fmt: skip
    return table(columns, rows, view)[1:]


def _since(step: task.Task, begin: int) -> int:
    """When the code asked for it; where nobody knows that any more, when its last attempt began."""
    return text.millis(step.schedule_time) or text.millis(step.start_time) or begin


def _bar(step: task.Task, begin: int, end: int, now_ms: int, room: int) -> str:
    first = _since(step, begin)
    last = text.millis(step.end_time) or (now_ms if step.state in _OPEN else first)
    scale = room / (end - begin)
    left = min(int((first - begin) * scale), room - 1)
    length = max(1, min(round((last - first) * scale), room - left))
    body = "┄" if _human(step) or step.state == task.TASK_STATE_QUEUED else "━"
    tip = body if step.state in _OPEN else "┥"
    return (" " * left + body * (length - 1) + tip).ljust(room)


def _table(one: workflow.Workflow, view: View, decided: Decided) -> list[Text]:
    columns = tuple(map(Column, ("STEP", "STATE", "CAPABILITY", "AGENT", "SCHEDULED", "STARTED", "ENDED", "REMARK")))
    rows = [
        (
            step.step,
            mark_of(STEPS, step.state).text(),
            step.capability or DASH,
            _who(step, decided),
            view.when(step.schedule_time),
            view.when(step.start_time),
            view.when(step.end_time),
            _remark(step, decided),
        )
        for step in one.tasks
    ]
    return table(columns, rows, view)


def _human(step: task.Task) -> bool:
    return step.state == task.TASK_STATE_WAITING_FOR_HUMAN or not step.capability


def _took(step: task.Task, view: View) -> str:
    start = step.start_time if step.HasField("start_time") else step.schedule_time
    if step.state in _OPEN:
        return text.span((view.now_ms - text.millis(start)) / 1000) if text.millis(start) else DASH
    return text.took(start, step.end_time)


def _who(step: task.Task, decided: Decided) -> str:
    """The agent; of a question of the code, the human who answered it."""
    said = None if step.capability else decided.get(step.escalation_id)
    return step.agent_id or (said.resolution.resolver if said else "") or DASH


def _gist(step: task.Task, one: workflow.Workflow, decided: Decided, *, brief: bool) -> str:
    """The remark for a line of a terminal: the most important part first, without what a line below repeats."""
    if step.HasField("failure"):
        tries = f"{step.attempt} attempts, " if step.attempt > 1 else ""
        return f"{tries}{text.failure(step.failure)}"
    told = task.Task()
    told.CopyFrom(step)
    del told.failed_attempts[:-1]
    if step.escalation_id in one.open_escalations:
        told.escalation_id = ""
    return _remark(told, decided, brief=brief)


def _remark(step: task.Task, decided: Decided, *, brief: bool = False) -> str:
    """`attempt 2 (1: RateLimited: 429)`, `waits: no live agent serves it`, `62 %`, `1.2k tokens`, …"""
    parts = []
    ended = step.HasField("failure")
    earlier = [bad for bad in step.failed_attempts if not (ended and bad.attempt == step.attempt)]
    if earlier:
        tries = "; ".join(f"{bad.attempt}: {text.failure(bad)}" for bad in earlier)
        parts.append(f"attempt {max(step.attempt, 1)} ({tries})")
    if step.state == task.TASK_STATE_WAITING_FOR_HUMAN:
        where = f": {step.escalation_id.removesuffix('#1')}" if step.escalation_id else ""
        parts.append(f"waits for a human{where}")
    elif step.waits_for:
        parts.append(f"waits: {text.clean(step.waits_for)}")
    if step.HasField("fraction") and step.state == task.TASK_STATE_RUNNING:
        parts.append(f"{step.fraction:.0%}".replace("%", " %"))
    if said := decided.get(step.escalation_id):
        parts.append(exchange(said, brief=brief))
    if ended:
        parts.append(text.failure(step.failure))
    if tokens := sum(use.input_tokens + use.output_tokens for use in step.usage):
        parts.append(f"{text.count(tokens)} tokens")
    return ", ".join(parts)
