# SPDX-License-Identifier: Apache-2.0
"""Workflows: the list, the lines about one of them, what ended how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from nervenet.cli.render import text, waits
from nervenet.cli.render.table import Cell, Column, Mark, ids, mark_of, prose, table
from nervenet.cli.render.text import DASH, View
from nervenet.records import ERROR_CURE, Mismatch
from nervenet.v1 import coordinator_service_pb2 as service
from nervenet.v1 import workflow_pb2 as workflow

STATES: Mapping[int, Mark] = {
    workflow.WORKFLOW_STATE_RUNNING: Mark("●", "cyan", "running"),
    workflow.WORKFLOW_STATE_WAITING_FOR_HUMAN: Mark("?", "yellow", "waits for a human"),
    workflow.WORKFLOW_STATE_BLOCKED: Mark("!", "magenta", "blocked"),
    workflow.WORKFLOW_STATE_CANCELING: Mark("●", "cyan", "canceling"),
    workflow.WORKFLOW_STATE_SUCCEEDED: Mark("✓", "green", "succeeded"),
    workflow.WORKFLOW_STATE_FAILED: Mark("✗", "red", "failed"),
    workflow.WORKFLOW_STATE_CANCELED: Mark("–", "dim", "canceled"),
    workflow.WORKFLOW_STATE_TIMED_OUT: Mark("✗", "red", "timed out"),
}

CLOSED = frozenset({
    workflow.WORKFLOW_STATE_SUCCEEDED,
    workflow.WORKFLOW_STATE_FAILED,
    workflow.WORKFLOW_STATE_CANCELED,
    workflow.WORKFLOW_STATE_TIMED_OUT,
})  # fmt: skip


def closed(found: workflow.Workflow) -> bool:
    return found.state in CLOSED


def succeeded(found: workflow.Workflow) -> bool:
    return found.state == workflow.WORKFLOW_STATE_SUCCEEDED


def moment(ms: int) -> Timestamp:
    """For a request."""
    return Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def definition(found: workflow.Workflow) -> str:
    return f"{found.definition} v{found.version}"


_COLUMNS = (
    ids("ID"), ids("DEFINITION", drop=2), Column("STATE"), Column("STARTED", drop=1), Column("TOOK", drop=4),
    ids("AT", drop=3), prose("WAITS FOR / NOTE", 20, wish=48),
)  # fmt: skip


def listed(response: service.ListWorkflowsResponse, view: View) -> list[Text]:
    """One line per workflow under a header; nothing at all when there is none."""
    rows = [
        (
            one.workflow_id,
            definition(one),
            short_state(one),
            view.ago(one.start_time),
            text.took(one.start_time, one.close_time),
            one.at or DASH,
            _waits_or_note(one, view),
        )
        for one in response.workflows
    ]
    return table(_COLUMNS, rows, view) if rows else []


def short_state(one: workflow.Workflow) -> Text:
    """Short, as `--state` takes it: the last column says what it waits for."""
    mark = mark_of(STATES, one.state)
    return mark.text("waiting") if one.state == workflow.WORKFLOW_STATE_WAITING_FOR_HUMAN else mark.text()


def _waits_or_note(one: workflow.Workflow, view: View) -> Cell:
    """What an open workflow waits for; of a closed one how it ended."""
    told = None if closed(one) else waits.summary(one, view)
    return note(one) if told is None else told


def archived_footer(response: service.ListWorkflowsResponse, command: str) -> str:
    """How many lines there are of the archive, and how to see more."""
    shown = len(response.workflows)
    said = f"{text.plural(shown, 'workflow')} of the archive." if shown else "No workflow of the archive on this page."
    return said + (f" More: {command} --next {response.next_page_token}" if response.next_page_token else "")


def list_footer(
    response: service.ListWorkflowsResponse,
    namespace: str,
    *,
    wanted: Sequence[str] = (),
    filtered: bool = False,
    command: str = "nervenet list",
) -> str:
    """What the list leaves out.

    `wanted` are the states asked for, `filtered` whether there were other filters. `command` with a page's token lists
    the next page; it has the same filters, because a token belongs to them.
    """
    shown, total = len(response.workflows), response.namespace_count
    if not shown:
        return _empty(response, namespace, wanted, command, filtered=filtered)
    more = f" More: {command} --next {response.next_page_token}" if response.next_page_token else ""
    return f"{shown} of {max(total, shown)}{_by_state(response)}.{more}"


def _by_state(response: service.ListWorkflowsResponse) -> str:
    """`: 3 running, 1 blocked, 210 succeeded`, in the order of the states."""
    counts: dict[int, int] = {one.state: one.count for one in response.state_counts}
    if not counts:
        return ""
    said = [f"{counts[state]} {_word_of(mark)}" for state, mark in STATES.items() if counts.get(state)]
    others = sum(number for state, number in counts.items() if state not in STATES)
    said += [f"{others} of a newer release's state"] if others else []
    more = f"; {text.plural(response.uncounted, 'older one')} not counted" if response.uncounted > 0 else ""
    return f": {', '.join(said)}{more}"


def _empty(
    response: service.ListWorkflowsResponse, namespace: str, wanted: Sequence[str], command: str, *, filtered: bool
) -> str:
    if not response.namespace_count:
        return f"No workflow in namespace {namespace} yet. Start one: nervenet start NAME INPUT"
    if response.next_page_token:
        return f"No workflow on this page. Next page: {command} --next {response.next_page_token}"
    if wanted and not filtered:
        names = " or ".join(_word(state) for state in wanted)
        return f"No workflow is {names} in namespace {namespace}; {response.namespace_count} in other states."
    return f"No workflow in namespace {namespace} matches; {text.plural(response.namespace_count, 'other')}."


def _word(state: str) -> str:
    words = {workflow.WorkflowState.Name(number): _word_of(mark) for number, mark in STATES.items()}
    return words.get(f"WORKFLOW_STATE_{state}", state.lower())


def _word_of(mark: Mark) -> str:
    """Behind a number: `2 waiting for a human`."""
    return mark.word.replace("waits", "waiting")


def note(one: workflow.Workflow) -> str:
    """The short line of a list."""
    if one.HasField("failure"):
        if one.state == workflow.WORKFLOW_STATE_CANCELED:
            return text.clean(one.failure.message)
        tries = f" ({one.failure.attempt} attempts)" if one.failure.attempt > 1 else ""
        return f"{text.failure(one.failure)}{tries}"
    if one.state == workflow.WORKFLOW_STATE_BLOCKED and one.blocked.error:
        return text.clean(f"{one.blocked.where}: {one.blocked.error}".removeprefix(": "))
    if one.state == workflow.WORKFLOW_STATE_BLOCKED and not one.note:
        return f"code and journal disagree, {one.blocked.where}".rstrip(", ")
    return one.note


def blocked(one: workflow.Workflow, view: View) -> list[Text]:
    """The two columns: what the journal has, what the code asks for, and what to do."""
    why = one.blocked
    ms = text.millis(why.time)
    since = f" since {text.clock(ms)[:8] if view.people else text.iso(ms)}" if ms else ""
    if why.error:
        return _error(one, since, view)
    if not why.expected and not why.found:
        words = f"{one.workflow_id} is BLOCKED{since}: {text.clean(why.detail)}"
        return [Text(line, style="magenta") for line in text.paragraph(words, view)]
    where = ", ".join(filter(None, (definition(one), text.clean(why.where))))
    head = f"{one.workflow_id} is BLOCKED: the code and the journal disagree{since} ({where})"
    lines = [Text(line, style="magenta") for line in text.paragraph(head, view)]
    lines += _columns(text.clean(why.expected), text.clean(why.found), why.agreed_steps, view)
    cure = text.clean(why.detail) or Mismatch(text.clean(why.expected), text.clean(why.found)).cure
    return lines + [Text(line) for line in text.paragraph(cure, view)]


def _error(one: workflow.Workflow, since: str, view: View) -> list[Text]:
    """A programming error: what, where, its frames, and what to do."""
    why = one.blocked
    where = ", ".join(filter(None, (definition(one), text.clean(why.where))))
    head = f"{one.workflow_id} is BLOCKED{since}: {text.clean(why.error)} ({where})"
    lines = [Text(line, style="magenta") for line in text.paragraph(head, view)]
    lines += [Text(f"  {_frame(line)}") for line in why.detail.splitlines() if line.strip()]
    return lines + [Text(line) for line in text.paragraph(f"{ERROR_CURE} {one.workflow_id}", view)]


def _frame(line: str) -> str:
    """A line of a traceback, with its indent."""
    return " " * (len(line) - len(line.lstrip(" "))) + text.clean(line)


def _columns(expected: str, found: str, steps: int, view: View) -> list[Text]:
    """Beside each other, or below each other where that is too wide."""
    agree = "(1 step before it agrees)" if steps == 1 else f"({steps} steps before it agree)" if steps else ""
    left = max(len("the journal has"), len(expected))
    if view.people and view.width and 8 + left + max(len(found), 22 + len(agree)) > view.width:
        both = [f"{steps + 1:>2} the journal has     {expected}", f" ≠ this code asks for  {found}"]
        return [Text(line) for line in (*both, f"   {agree}") if line.strip()]
    return [
        Text(f"   {'the journal has':{left}}     this code asks for    {agree}".rstrip()),
        Text(f"{steps + 1:>2} {expected:{left}}  ≠  {found}"),
    ]


def started(response: service.StartWorkflowResponse) -> Text:
    """`● review-118 started (review v1)`."""
    one = response.workflow
    if response.created:
        return Text(f"● {one.workflow_id} started ({definition(one)})", style="cyan")
    mark = mark_of(STATES, one.state)
    return mark.text(f"{one.workflow_id} existed before ({definition(one)}, {mark.word})")


def ended_badly(one: workflow.Workflow) -> bool:
    return closed(one) and not succeeded(one)


def begins_again(one: workflow.Workflow) -> Text:
    """`Nothing was started. To begin it again …  → nervenet restart order-7`."""
    word = mark_of(STATES, one.state).word
    said = "was canceled" if one.state == workflow.WORKFLOW_STATE_CANCELED else word
    why = note(one)
    words = f"{one.workflow_id} {said}{f': {why}' if why else ''}. Nothing was started. To begin it again with the same input:"
    return Text.assemble((words, "red"), f"  → nervenet restart {one.workflow_id}")


def restarted(response: service.RestartWorkflowResponse, workflow_id: str) -> Text:
    one = response.workflow
    mark = mark_of(STATES, one.state)
    if not response.created:
        return mark.text(f"{workflow_id} had begun again before: run {one.run} ({definition(one)}, {mark.word})")
    return Text(f"● {workflow_id} begins again: run {one.run} ({definition(one)})", style="cyan")


def retried(response: service.RetryWorkflowResponse, workflow_id: str) -> Text:
    one = response.workflow
    mark = mark_of(STATES, one.state)
    if not response.retried:
        return mark.text(f"{workflow_id} is not blocked: {mark.word}")
    return mark.text(f"{workflow_id} was replayed: {mark.word}")


def ended(one: workflow.Workflow) -> Text:
    """`✓ review-118 4.2 s`, or why not."""
    mark = mark_of(STATES, one.state)
    line = mark.text(f"{one.workflow_id} {text.took(one.start_time, one.close_time)}")
    if not succeeded(one):
        why = text.failure(one.failure) if one.HasField("failure") else mark.word
        line.append(f"  {mark.word}: {why}" if why != mark.word else f"  {mark.word}")
    return line


def asks(escalation_id: str, question: str) -> Text:
    """`? review-118 asks: …  → nervenet escalations resolve review-118/ask`."""
    shown = escalation_id.removesuffix("#1")
    workflow_id = escalation_id.rpartition("/")[0]
    return Text.assemble(
        (f"? {workflow_id} asks: {text.clean(question)}", "yellow"), f"  → nervenet escalations resolve {shown}"
    )


def signaled(response: service.SignalWorkflowResponse, workflow_id: str, signal: str) -> str:
    said = f"{workflow_id} has signal {signal}: entry {response.sequence}"
    return said if response.created else f"{said} (recorded before)"


def refused(workflow_id: str, why: str) -> Text:
    """A workflow among many for which the mesh refused what was asked."""
    words = text.clean(why)
    return Text(f"✗ {words if workflow_id in words else f'{workflow_id}: {words}'}", style="red")


def canceled(response: service.CancelWorkflowResponse, workflow_id: str) -> Text:
    mark = mark_of(STATES, response.state)
    return mark.text(f"{workflow_id} {mark.word}" + ("" if response.created else " (canceled before)"))
