# SPDX-License-Identifier: Apache-2.0
"""`nervenet show`: one workflow with its steps as bars over time, what it waits for, its input, result and view.

On a terminal each step is a bar on one scale, in which time in queues, of agents, between attempts and of humans look
different, and steps that are alike are one line. In piped output each step has a line with its times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from rich.text import Text

from nervenet.cli.render import text, waits
from nervenet.cli.render.escalations import exchange
from nervenet.cli.render.failures import frames
from nervenet.cli.render.folding import ALIKE, Fold, folded
from nervenet.cli.render.steps import OPEN, STEPS, is_human, is_trouble, since, spent, times, took_ms
from nervenet.cli.render.table import GAP, Cell, Column, ids, mark_of, prose, table
from nervenet.cli.render.text import DASH, View
from nervenet.cli.render.workflows import STATES, blocked, definition
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import task_pb2 as task
from nervenet.v1 import workflow_pb2 as workflow

BAR = (12, 48)
"""The least and the most characters of a bar; between them a fifth of the terminal."""
NARROW = 120
"""A terminal with fewer columns shows a question above its answer, not in the same line."""
SLOWEST = 10
FRAMES = 3
SILENT_MS = 5_000
"""A handler that gave no sign of life for longer is said to be silent. It may be at work all the same."""
_BODY: Mapping[int, tuple[str, str]] = {
    task.TASK_PHASE_QUEUED: ("┄", "dim"),
    task.TASK_PHASE_RUNNING: ("━", ""),
    task.TASK_PHASE_RETRY: ("·", "yellow"),
    task.TASK_PHASE_HUMAN: ("░", "yellow"),
}
"""How a part of a step's time is drawn; "" is the style of the step's state."""
_PHASES = ("┄ QUEUED", "━ RAN", "· RETRY", "░ HUMAN")
"""The columns of times, in the order of `Spent`, with how each is drawn."""
NO_TIME = text.span(0)
WISH = 56
"""Columns for what there is to say about a step; columns of times that are nothing give way to it."""
_UP_TO = ("queued", "ran", "between attempts", "at humans")
_SAYS_MORE = (workflow.WAIT_KIND_RETRY, workflow.WAIT_KIND_HUMAN)
"""Waits whose words say more than the step."""
_WITHOUT_STEP = (
    workflow.WAIT_KIND_DELIVERY,
    workflow.WAIT_KIND_SIGNAL,
    workflow.WAIT_KIND_SLEEP,
    workflow.WAIT_KIND_TIME_LIMIT,
)


Decided = Mapping[str, workflow.Escalation]
"""What humans said, by escalation id."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a workflow to show. `inputs` and `results`: payloads in full, instead of in one line that fits."""

    inputs: bool = False
    input_steps: Sequence[str] = ()
    results: bool = False
    failed: bool = False
    slowest: int = 0
    all: bool = False
    decided: Decided = field(default_factory=dict)


def shown(one: workflow.Workflow, view: View, wish: Wish = Wish()) -> list[Text]:  # it is frozen
    """The whole page."""
    lines = [_title(one, view)]
    if one.labels:
        lines.append(Text("labels " + " ".join(f"{key}={text.clean(one.labels[key])}" for key in sorted(one.labels))))
    steps = chosen(one, wish)
    if view.people:
        lines += _bars(one, steps, view, wish)
    else:
        lines += [*(_table(one, steps, view, wish) if steps else []), *_waiting(one, view, wish)]
    if wish.failed and not steps:
        lines.append(Text("No step has failed."))
    lines += _details(steps, view, wish)
    if one.state == workflow.WORKFLOW_STATE_BLOCKED:
        lines += blocked(one, view)
    if wish.inputs:
        lines.append(_payload("input", one, "input", view, full=True))
    if wish.results:
        lines += [_payload(step.step, step, "output", view, full=True) for step in steps if step.HasField("output")]
    if one.HasField("view"):
        lines.append(_payload("view", one, "view", view, full=wish.results))
    if one.HasField("output"):
        lines.append(_payload("result", one, "output", view, full=wish.results))
    if one.HasField("failure") and not (wish.failed and _is_shown(one.failure, steps)):
        lines.append(Text(f"failure {text.failure(one.failure)}", style="red"))
        lines += frames(one.failure, FRAMES)
    for escalation in one.open_escalations:
        lines.append(Text(f"? answer: nervenet escalations resolve {escalation.removesuffix('#1')}", style="yellow"))
    return lines + _provenance(one)


def _provenance(one: workflow.Workflow) -> list[Text]:
    """Where it was read, if that is not its node."""
    found = []
    if one.archived:
        found.append(Text("It was read from the archive: Redis no longer has it.", style="dim"))
    if one.partial:
        found.append(Text("Its node cannot be reached, so pending steps are missing here.", style="dim"))
    return found


def _is_shown(failure: common.Failure, steps: Sequence[task.Task]) -> bool:
    """Whether it is that of a step."""
    return any(step.failure.message == failure.message and step.failure.type == failure.type for step in steps)


def hint(one: workflow.Workflow, wish: Wish) -> str:
    """Where to find more about what went wrong; "" where there is nothing more."""
    if cure := waits.cure(one.waits):
        return cure
    failed = sum(map(is_trouble, one.tasks))
    if wish.failed or wish.slowest or wish.all:
        return ""
    again = sum(step.state == task.TASK_STATE_SUCCEEDED and bool(step.failed_attempts) for step in one.tasks)
    if not failed and again and len(one.tasks) >= ALIKE:
        steps = text.plural(again, "step has", "steps have")
        return f"{steps} succeeded after failed attempts: nervenet show {one.workflow_id} --all says at which agents"
    if not failed:
        return ""
    return f"{text.plural(failed, 'step has', 'steps have')} failed attempts: nervenet show {one.workflow_id} --failed --input"


def chosen(one: workflow.Workflow, wish: Wish) -> list[task.Task]:
    """The steps that are shown."""
    steps = [step for step in one.tasks if is_trouble(step)] if wish.failed else list(one.tasks)
    if wish.slowest:
        end = text.millis(one.close_time) or max((text.millis(step.end_time) for step in steps), default=0)
        steps = sorted(steps, key=lambda step: took_ms(step, end), reverse=True)[: wish.slowest]
    return steps


def _title(one: workflow.Workflow, view: View) -> Text:
    mark = mark_of(STATES, one.state)
    took = text.took(one.start_time, one.close_time)
    so_far = f"{'for' if view.people else 'since'} {view.when(one.start_time)}"
    parts = [definition(one), took if took != DASH else so_far]
    if one.run > 1:
        parts.append(f"run {one.run}")
    if one.trace_id:
        parts.append(f"trace {one.trace_id}")
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


def _details(steps: Sequence[task.Task], view: View, wish: Wish) -> list[Text]:
    """Below the steps: why and with what input each of them failed, if that is asked for."""
    lines: list[Text] = []
    for step in steps:
        asked = step.step in wish.input_steps
        if not (wish.failed or asked):
            continue
        bad = step.failure if step.HasField("failure") else step.failed_attempts[-1] if step.failed_attempts else None
        if wish.failed and bad is not None:
            where = f"  on {bad.agent_id or step.agent_id}" if bad.agent_id or step.agent_id else ""
            lines.append(Text(f"{step.step}: {text.failure(bad)}{where}", style="red"))
            lines += frames(bad, FRAMES)
        if step.HasField("input"):
            lines.append(_payload(f"{step.step} input", step, "input", view, full=True))
        elif asked and step.input_problem:
            lines.append(Text(f"{step.step} input is unknown: {text.clean(step.input_problem)}", style="yellow"))
    return lines


# ── what it waits for, beside steps ──────────────────────────────────────────────────────────────────────────────────


def _waiting(one: workflow.Workflow, view: View, wish: Wish) -> list[Text]:
    """Lines of what is no step: signals, timers, children that are not started yet, and unread signals."""
    if wish.failed or wish.slowest:
        return []
    lines = [Text(waits.words(wait, view), style=waits.style(wait)) for wait in _without_step(one)]
    return lines + [_unread(signal, view) for signal in one.unread_signals]


def _without_step(one: workflow.Workflow) -> list[workflow.Wait]:
    steps = {step.step for step in one.tasks}
    return [
        wait
        for wait in one.waits
        if wait.kind in _WITHOUT_STEP or (wait.kind == workflow.WAIT_KIND_CHILD and wait.step not in steps)
    ]


def _unread(signal: workflow.UnreadSignal, view: View) -> Text:
    age = f"{'' if view.people else 'since '}{view.when(signal.oldest_time)}"
    return Text(f"{text.plural(signal.count, 'signal')} {signal.signal} unread, the oldest {age}", style="dim")


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Scale:
    """Moments → columns of the bar."""

    begin: int
    end: int
    now: int
    room: int

    def at(self, ms: int) -> int:
        return min(max(int((ms - self.begin) * self.room / (self.end - self.begin)), 0), self.room)

    def offset(self, ms: int) -> Text:
        return Text(f"{max(ms - self.begin, 0) / 1000:8.2f}")


def _bars(one: workflow.Workflow, steps: Sequence[task.Task], view: View, wish: Wish) -> list[Text]:
    """A line per step: when it began, its bar, who does it, what its time went into, and what there is to say about it."""
    begin = text.millis(one.start_time)
    room = min(max(view.width // 5, BAR[0]), BAR[1]) if view.width else BAR[1]
    scale = _Scale(begin, max(text.millis(one.close_time) or view.now_ms, begin + 1), view.now_ms, room)
    items = folded(steps) if not (wish.all or wish.failed or wish.slowest) else list(steps)
    rows = [item for item in items if isinstance(item, task.Task)]
    told = [times(step, view.now_ms) for step in rows]
    shown_times = [at for at in range(len(_PHASES)) if any(each[at] != DASH for each in told)]
    took_none = [at for at in shown_times if all(each[at] in (DASH, NO_TIME) for each in told)]
    agents = [_who(step, wish.decided) for step in rows]
    columns = (
        Column("START"), Column(""), ids("  STEP"),
        *([ids("AGENT", drop=1)] if any(agent != DASH for agent in agents) else []),
        *(Column(_PHASES[at], drop=2 if at in took_none else 0) for at in shown_times), prose("", 16, wish=WISH),
    )  # fmt: skip
    cells: list[tuple[Cell, ...]] = [
        (
            scale.offset(since(step, begin)),
            _bar(step, scale),
            mark_of(STEPS, step.state).text(step.step),
            *([agent] if len(columns) == 5 + len(shown_times) else []),
            *(each[at] for at in shown_times),
            _gist(step, one, wish.decided, view),
        )
        for step, each, agent in zip(rows, told, agents, strict=True)
    ]
    lines: list[Text] = []
    drawn = iter(table(columns, cells, view)) if cells else iter(())
    if cells:
        head = next(drawn)
        head.stylize("dim")
        lines.append(head)
    lines += [next(drawn) if isinstance(item, task.Task) else _fold_line(item, scale, view.width) for item in items]
    if not (wish.failed or wish.slowest):
        lines += [_wait_line(wait, scale, view) for wait in _without_step(one)]
        lines += [_aside(None, Text(" " * room), _unread(signal, view)) for signal in one.unread_signals]
    return lines


def _aside(offset: Text | None, bar: Text, said: Text) -> Text:
    """A line of the timeline that has no columns behind its bar."""
    return Text.assemble(offset or " " * 8, GAP, bar, GAP, said)


def _wait_line(wait: workflow.Wait, scale: _Scale, view: View) -> Text:
    since_ms = text.millis(wait.since_time) or scale.begin
    bar = _drawn([(since_ms, scale.now, "┄", "dim")], scale, "dim", tip="┄")
    return _aside(scale.offset(since_ms), bar, Text(waits.words(wait, view), style=waits.style(wait)))


def _fold_line(fold: Fold, scale: _Scale, width: int) -> Text:
    """`fetch ×300: 299 ✓ 1 ✗ → fetch.14`."""
    begin = min(since(step, scale.begin) for step in fold.steps)
    ends = [text.millis(step.end_time) or scale.now for step in fold.steps]
    starts = [ms for step in fold.steps if (ms := text.millis(step.start_time))]
    first = min(starts, default=max(ends))
    style = "red" if fold.failed else mark_of(STEPS, fold.worst).style
    parts = [(begin, first, "┄", "dim"), (first, max(ends), "━", style)]
    tip = "━" if any(step.state in OPEN for step in fold.steps) else "┥"
    line = _aside(scale.offset(begin), _drawn(parts, scale, style, tip=tip), fold.text())
    more = _longest(fold, scale.now)
    return line.append_text(more) if not width or line.cell_len + more.cell_len <= width else line


def _longest(fold: Fold, now_ms: int) -> Text:
    """`  queued up to 41 s, ran up to 0.40 s`."""
    longest = map(max, zip(*(spent(step, now_ms) for step in fold.steps), strict=True))
    said = [f"{words} up to {text.span(ms / 1000)}" for words, ms in zip(_UP_TO, longest, strict=True) if ms >= 5]
    return Text("  " + ", ".join(said) if said else "", style="dim")


def _bar(step: task.Task, scale: _Scale) -> Text:
    """The parts of its time, each in its own way."""
    style = mark_of(STEPS, step.state).style
    parts = []
    for span in step.spans:
        body, own = _BODY.get(span.phase, ("━", ""))
        end = text.millis(span.end_time) or (scale.now if step.state in OPEN else text.millis(span.start_time))
        parts.append((text.millis(span.start_time), end, body, own or style))
    if not parts:  # a node of an earlier release says less
        first = since(step, scale.begin)
        last = text.millis(step.end_time) or (scale.now if step.state in OPEN else first)
        body = "░" if is_human(step) else "┄" if step.state == task.TASK_STATE_QUEUED else "━"
        parts = [(first, last, body, style)]
    return _drawn(parts, scale, style, tip="" if step.state in OPEN else "┥")


def _drawn(parts: Sequence[tuple[int, int, str, str]], scale: _Scale, style: str, *, tip: str) -> Text:
    """At least one character, `tip` at the end. A part that is short beside others may be left out."""
    cells: list[tuple[str, str]] = [(" ", "")] * scale.room
    last = 0
    for begin, end, body, own in parts:
        left, right = scale.at(begin), scale.at(end)
        for place in range(left, min(max(right, left + 1), scale.room)):
            cells[place] = (body, own)
        last = max(last, min(max(right, left + 1), scale.room) - 1)
    if tip and parts:
        cells[max(last, min(scale.at(parts[0][0]), scale.room - 1))] = (tip, style)
    elif parts:
        at = min(scale.at(parts[-1][0]), scale.room - 1)
        cells[max(last, at)] = (parts[-1][2], parts[-1][3])
    bar = Text()
    for own, alike in groupby(cells, key=itemgetter(1)):
        bar.append("".join(body for body, _ in alike), style=own)
    return bar


def _table(one: workflow.Workflow, steps: Sequence[task.Task], view: View, wish: Wish) -> list[Text]:
    titles = (
        "STEP",
        "STATE",
        "CAPABILITY",
        "AGENT",
        "SCHEDULED",
        "STARTED",
        "ENDED",
        "QUEUED",
        "RAN",
        "RETRY",
        "HUMAN",
    )
    rows: list[tuple[Cell, ...]] = [
        (
            step.step,
            mark_of(STEPS, step.state).text(),
            step.capability or DASH,
            _who(step, wish.decided),
            view.when(step.schedule_time),
            view.when(step.start_time),
            view.when(step.end_time),
            *times(step, view.now_ms),
            _remark(step, wish.decided),
        )
        for step in steps
    ]
    return table(tuple(map(Column, (*titles, "REMARK"))), rows, view)


def _who(step: task.Task, decided: Decided) -> str:
    """The agent; of a question of the code, the human who answered it; of a child, its id."""
    said = None if step.capability else decided.get(step.escalation_id)
    return step.agent_id or step.child_workflow_id or (said.resolution.resolver if said else "") or DASH


def _is_silent(wait: workflow.Wait) -> bool:
    return wait.stuck and wait.kind == workflow.WAIT_KIND_RUNNING


def _gist(step: task.Task, one: workflow.Workflow, decided: Decided, view: View) -> str:
    """The remark for a line of a terminal: the most important part first, without what a line below repeats."""
    if step.HasField("failure"):
        tries = f"{step.attempt} attempts, " if step.attempt > 1 else ""
        return f"{tries}{text.failure(step.failure)}"
    wait = next((wait for wait in one.waits if wait.step == step.step and wait.count == 1), None)
    if wait is not None and step.state in OPEN and (wait.kind in _SAYS_MORE or _is_silent(wait)):
        return waits.words(wait, view).removeprefix(f"retries {step.step} ").removeprefix("asks a human: ")
    silent = _silence(wait, view)
    told = task.Task()
    told.CopyFrom(step)
    del told.failed_attempts[:-1]
    if step.escalation_id in one.open_escalations:
        told.escalation_id = ""
    return ", ".join(filter(None, (_remark(told, decided, brief=0 < view.width < NARROW), silent)))


def _silence(wait: workflow.Wait | None, view: View) -> str:
    """`silent for 40 s`: how long ago the handler that runs gave a sign of life; "" if that was just now."""
    if wait is None or wait.kind != workflow.WAIT_KIND_RUNNING or not wait.HasField("alive_time"):
        return ""
    ms = view.now_ms - text.millis(wait.alive_time)
    return f"silent for {waits.rounded(ms)}" if ms >= SILENT_MS else ""


def _remark(step: task.Task, decided: Decided, *, brief: bool = False) -> str:
    """`attempt 2 of 5 (1: RateLimited: 429)`, `waits: no live agent serves it`, `62 %`, `1.2k tokens`, …"""
    parts = []
    ended = step.HasField("failure")
    earlier = [bad for bad in step.failed_attempts if not (ended and bad.attempt == step.attempt)]
    if earlier:
        tries = "; ".join(
            f"{bad.attempt}: {text.failure(bad)}" + (f" on {bad.agent_id}" if bad.agent_id else "") for bad in earlier
        )
        of = f" of {step.max_attempts}" if step.max_attempts else ""
        parts.append(f"attempt {max(step.attempt, 1)}{of} ({tries})")
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
