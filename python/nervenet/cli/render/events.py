# SPDX-License-Identifier: Apache-2.0
"""Journal entries and news of running attempts, one line each: for `watch` and `show --journal`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.text import Text

from nervenet.cli.render import text
from nervenet.cli.render.text import View
from nervenet.cli.render.workflows import STATES
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow

STEP_WIDTH = 18
AGENT_WIDTH = 24


def event(entry: workflow.JournalEntry, view: View) -> Text:
    """`09:12:05.402  ✗ extract #1  RateLimited: 429 from api`; piped: the full time, and the sequence."""
    kind = entry.WhichOneof("attributes") or ""
    ms = text.millis(entry.progress.time if kind == "progress" else entry.time)
    when = text.clock(ms) if view.people else f"{text.iso(ms)}  {entry.sequence or '':>4}"
    symbol, style, what, said = _LINES.get(kind, _unknown)(entry)
    line = Text(f"{when}  ")
    line.append(f"{symbol} {what:{STEP_WIDTH}}", style=style)
    line.append(f"  {said}" if said else "")
    line.rstrip()
    if view.people and view.width:
        line.truncate(view.width, overflow="ellipsis")
    return line


def partial(entry: workflow.JournalEntry) -> str | None:
    """The piece of output that this event carries, as plain text; None when it carries none."""
    if entry.WhichOneof("attributes") == "progress" and entry.progress.HasField("partial"):
        return text.scalar(entry.progress.partial)
    return None


def doing(entry: workflow.JournalEntry) -> Text | None:
    """What happens now, for a live line. None: the entry says nothing about that."""
    kind = entry.WhichOneof("attributes") or ""
    if kind not in ("progress", "task", "signal"):
        return None
    symbol, style, what, said = _LINES[kind](entry)
    return Text(f"{symbol} {what}  {said}", style=style)


def close_of(entry: workflow.JournalEntry) -> workflow.CloseAttributes | None:
    return entry.close if entry.WhichOneof("attributes") == "close" else None


def ended_well(close: workflow.CloseAttributes) -> bool:
    return close.state == workflow.WORKFLOW_STATE_SUCCEEDED


def question_of(entry: workflow.JournalEntry, workflow_id: str) -> tuple[str, str] | None:
    """Escalation id and question of an `escalated:` entry."""
    if entry.WhichOneof("attributes") != "escalated":
        return None
    return f"{workflow_id}/{_rest(entry)}", entry.escalated.question.text


_EventText = tuple[str, str, str, str]  # symbol, style, what, and the words behind it


def _rest(entry: workflow.JournalEntry) -> str:
    """`extract#1` of `attempt:extract#1`."""
    return entry.name.partition(":")[2]


def _start(entry: workflow.JournalEntry) -> _EventText:
    found = entry.start
    given = f"  {text.payload(found.input)}" if found.input.WhichOneof("body") else ""
    return "●", "cyan", "start", f"{found.definition} v{found.version}{given}"


def _task(entry: workflow.JournalEntry) -> _EventText:
    found = entry.task
    step = _rest(entry)
    if entry.name.startswith("attempt:"):
        step = step.replace("#", " #")
    outcome = found.WhichOneof("outcome")
    if outcome == "failure":
        return "✗", "red", step, f"{text.failure(found.failure)}{_by(found)}"
    if outcome == "question":
        return "?", "yellow", step, f"asks a human{_by(found)}"
    return "✓", "green", step, f"{text.took(found.start_time, found.end_time)}{_by(found)}".removeprefix(text.DASH)


def _by(found: task.TaskResult) -> str:
    return f"  ({found.agent_id})" if found.agent_id else ""


def _progress(entry: workflow.JournalEntry) -> _EventText:
    news = entry.progress
    words = [f"→ {news.agent_id}".ljust(AGENT_WIDTH)]
    if news.HasField("fraction"):
        words.append(f"{news.fraction * 100:3.0f} %")
    if news.message:
        words.append(text.clean(news.message))
    if news.HasField("partial"):
        words.append(text.scalar(news.partial))
    attempt = f" #{news.attempt}" if news.attempt > 1 else ""
    return "●", "cyan", f"{news.step}{attempt}", "  ".join(words).rstrip()


def _timer(entry: workflow.JournalEntry) -> _EventText:
    return "●", "cyan", f"timer {_rest(entry)}", "is due"


def _signal(entry: workflow.JournalEntry) -> _EventText:
    found = entry.signal
    return "●", "cyan", f"signal {found.signal}", " ".join(filter(None, [text.payload(found.payload), found.sender]))


def _escalated(entry: workflow.JournalEntry) -> _EventText:
    return "?", "yellow", _rest(entry).removesuffix("#1"), f"“{text.clean(entry.escalated.question.text)}”"


def _decided(entry: workflow.JournalEntry) -> _EventText:
    found = entry.decided
    if found.expired:
        return "–", "dim", _rest(entry).removesuffix("#1"), "nobody answered in time"
    action = workflow.EscalationAction.Name(found.action).removeprefix("ESCALATION_ACTION_").lower().replace("_", " ")
    value = f" {text.scalar(found.value)}" if found.HasField("value") else ""
    who = f"{found.resolver}: " if found.resolver else ""
    comment = f", “{text.clean(found.comment)}”" if found.comment else ""
    return "●", "cyan", _rest(entry).removesuffix("#1"), f"{who}{action}{value}{comment}"


def _patch(entry: workflow.JournalEntry) -> _EventText:
    return "●", "cyan", f"patch {_rest(entry)}", "the new code" if entry.patch.answer else "the old code"


def _cancel(entry: workflow.JournalEntry) -> _EventText:
    found = entry.cancel
    why = "its time ran out" if found.timeout else text.clean(found.reason)
    return "–", "dim", "cancel", f"{found.requester}: {why}" if found.requester and why else found.requester or why


def _close(entry: workflow.JournalEntry) -> _EventText:
    mark = STATES[entry.close.state]
    said = text.failure(entry.close.failure) if entry.close.HasField("failure") else text.payload(entry.close.output)
    return mark.symbol, mark.style, mark.word, said


def _unknown(entry: workflow.JournalEntry) -> _EventText:
    return " ", "", entry.name, ""


_LINES: Mapping[str, Callable[[workflow.JournalEntry], _EventText]] = {
    "start": _start,
    "task": _task,
    "progress": _progress,
    "timer": _timer,
    "signal": _signal,
    "escalated": _escalated,
    "decided": _decided,
    "patch": _patch,
    "cancel": _cancel,
    "close": _close,
}
