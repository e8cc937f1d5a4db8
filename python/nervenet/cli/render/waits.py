# SPDX-License-Identifier: Apache-2.0
"""What a workflow waits for, in words as of now: durations on a terminal, absolute moments in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from nervenet.cli.render import text
from nervenet.cli.render.text import View
from nervenet.v1 import workflow_pb2 as workflow
from nervenet.wire.waits import TimeWords, wait_words

_STYLES = {
    workflow.WAIT_KIND_BLOCKED: "magenta",
    workflow.WAIT_KIND_NODE: "yellow",
    workflow.WAIT_KIND_RETRY: "yellow",
    workflow.WAIT_KIND_HUMAN: "yellow",
}
NOBODY = "no live agent serves it"
"""How nodes begin the reason of a task that no agent serves."""
SECONDS_MATTER_MS = 120_000
"""A moment that is closer is told with its seconds."""


def words(wait: workflow.Wait, view: View) -> str:
    if not view.people:
        return text.clean(wait.words or wait_words(wait))
    return wait_words(wait, _as_of(view), clean=text.clean)


def style(wait: workflow.Wait) -> str:
    return "red" if wait.stuck and wait.kind != workflow.WAIT_KIND_BLOCKED else _STYLES.get(wait.kind, "")


def summary(one: workflow.Workflow, view: View) -> Text | None:
    """The most urgent wait, and how many more there are beside time limits. None: nothing is known."""
    if not one.waits:
        return Text(f"its node {one.node_id} does not answer", style="yellow") if one.partial else None
    first = one.waits[0]
    others = (wait.count for wait in one.waits[1:] if wait.kind != workflow.WAIT_KIND_TIME_LIMIT)
    rest = sum(others) + one.more_waits
    return Text(words(first, view) + (f", and {rest} more" if rest else ""), style=style(first))


def moment(ms: int, now_ms: int) -> str:
    """`09:00` today, `Fri 09:00` this week, `Nov 30 09:00`; in the reader's own time zone."""
    when, now = (datetime.fromtimestamp(each / 1000).astimezone() for each in (ms, now_ms))
    clock = when.strftime("%H:%M:%S" if abs(ms - now_ms) < SECONDS_MATTER_MS else "%H:%M")
    if when.date() == now.date():
        return clock
    days = (when.date() - now.date()).days
    return f"{when:%a} {clock}" if 0 < days < 7 else f"{when:%b} {when.day} {clock}"


def cure(found: Sequence[workflow.Wait]) -> str:
    """What to do about the most urgent wait, with the command; "" where there is nothing to do."""
    if not found:
        return ""
    first = found[0]
    if first.kind == workflow.WAIT_KIND_QUEUED and first.reason.startswith(NOBODY):
        more = (
            ""
            if first.reason == NOBODY
            else f" (it wants {first.reason.removeprefix(NOBODY).strip().removeprefix('with ')})"
        )
        return f"Start an agent that serves {first.capability}{more}: nervenet agent APP --only {first.capability}"
    if first.kind == workflow.WAIT_KIND_RUNNING and first.stuck:
        return (
            f"Its handler may hang: nervenet agents tasks {first.agent_id} shows what that agent runs. If you restart the agent, "
            "the task runs again, on any agent."
        )
    return ""


def rounded(ms: int) -> str:
    """`40 s`, `12 min`: no parts of a second, what waits changes slowly."""
    return f"{max(ms, 0) // 1000} s" if ms < 100_000 else text.span(ms / 1000)


def _as_of(view: View) -> TimeWords:
    def age(ms: int) -> str:
        return rounded(view.now_ms - ms)

    def ahead(ms: int) -> str:
        return f"in {rounded(ms - view.now_ms)}" if ms > view.now_ms else "now"

    return TimeWords(age, lambda ms: moment(ms, view.now_ms), ahead)
