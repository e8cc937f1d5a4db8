# SPDX-License-Identifier: Apache-2.0
"""One frame of `nervenet top`: the mesh in numbers, its queues and agents, and the workflows that need somebody first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from nervenet.cli.render import agents, text, waits, workflows
from nervenet.cli.render.plain_json import plain
from nervenet.cli.render.table import Column, ids, prose, table
from nervenet.cli.render.text import DASH, View
from nervenet.v1 import coordinator_service_pb2 as service
from nervenet.v1 import registry_service_pb2 as registry
from nervenet.v1 import workflow_pb2 as workflow

Order = Literal["urgency", "age", "name"]
ORDERS: tuple[Order, ...] = ("urgency", "age", "name")
MOST_AGENTS = 8
"""Agents in a frame on a terminal, the ejected ones first, then the busiest."""


@dataclass(frozen=True)
class Snapshot:
    """What the mesh told at one moment.

    Attributes:
        namespace: Whose mesh.
        nodes: Its nodes.
        agents: Its agents and queues.
        workflows: The newest open ones, with what they wait for and the counts by state.
        open_escalations: Open questions to people.
        problem: Why workflows and questions are not known; empty if they are.
    """

    namespace: str
    nodes: registry.ListNodesResponse
    agents: registry.ListAgentsResponse
    workflows: service.ListWorkflowsResponse
    open_escalations: int
    problem: str = ""


@dataclass(frozen=True)
class Wish:
    """What the person wants to see: the order, and a text that a row must have."""

    order: Order = "urgency"
    filter: str = ""


def frame(found: Snapshot, view: View, wish: Wish, height: int = 0) -> list[Text]:
    """The lines, at most `height` of them (0: all)."""
    lines = [_head(found, view), *([] if found.problem else [_counts(found)])]
    if found.problem:
        said = text.paragraph(f"✗ workflows and queues cannot be read: {text.clean(found.problem)}", view)
        lines += [Text(part, style="red") for part in said]
        lines.append(
            Text("  → nervenet doctor says what to do; nothing is lost, and the mesh goes on when it is back", "red")
        )
    lines += agents.registry_trouble(found.nodes, view)
    queues = [] if found.problem else agents.queues(found.agents, view)
    if queues:
        lines += [Text(), *queues]
    ranked = sorted(found.agents.agents, key=_load, reverse=True)
    shown = ranked[:MOST_AGENTS] if height else ranked
    if rows := agents.listed(registry.ListAgentsResponse(agents=shown), view):
        lines += [Text(), *rows]
        if (rest := len(ranked) - len(shown)) > 0:
            lines.append(Text(f"and {text.plural(rest, 'agent')} more", style="dim"))
        lines += agents.ejected(found.agents, view, len(found.nodes.nodes))
    chosen = ordered(found.workflows.workflows, wish)
    if not found.problem:
        none = Text("No open workflow" + (" matches." if wish.filter else "."))
        lines += [Text(), *(_workflows(chosen, view) or [none])]
    if height and len(lines) > height:
        hidden = len(lines) - height + 1
        lines = [*lines[: height - 1], Text(f"and {text.plural(hidden, 'line')} more", style="dim")]
    return lines


def as_json(found: Snapshot, wish: Wish) -> dict[str, Any]:
    """The same for a program."""
    states = {
        workflow.WorkflowState.Name(one.state).removeprefix("WORKFLOW_STATE_"): one.count
        for one in found.workflows.state_counts
    }
    return {
        "namespace": found.namespace,
        "states": states,
        "open_escalations": found.open_escalations,
        "problem": found.problem or found.nodes.registry_problem,
        "nodes": [plain(one) for one in found.nodes.nodes],
        "agents": [plain(one) for one in found.agents.agents],
        "queues": [plain(one) for one in found.agents.queues],
        "workflows": [plain(one) for one in ordered(found.workflows.workflows, wish)],
    }


def ordered(found: Sequence[workflow.Workflow], wish: Wish) -> list[workflow.Workflow]:
    """The workflows that have the text, in the order that is wanted."""
    text_wanted = wish.filter.casefold()
    matching = [one for one in found if text_wanted in _searched(one)]
    if wish.order == "name":
        return sorted(matching, key=lambda one: (one.definition, one.workflow_id))
    if wish.order == "age":
        return sorted(matching, key=lambda one: text.millis(one.start_time))
    return sorted(matching, key=lambda one: (_urgency(one), text.millis(one.start_time)))


def _load(one: registry.AgentEntry) -> tuple[bool, int]:
    """Those that get no tasks first: somebody should look at them."""
    return bool(one.ejections), one.load.active


def _searched(one: workflow.Workflow) -> str:
    return " ".join((one.workflow_id, one.definition, *(wait.words for wait in one.waits))).casefold()


def _urgency(one: workflow.Workflow) -> tuple[bool, int]:
    """What is stuck first, then by the kind of the most urgent wait, as the contract orders them."""
    stuck = any(wait.stuck for wait in one.waits)
    return not stuck, min((wait.kind for wait in one.waits), default=len(workflow.WaitKind.keys()))


def _head(found: Snapshot, view: View) -> Text:
    slots = sum(one.load.slots or one.agent.slots for one in found.agents.agents)
    active = sum(one.load.active for one in found.agents.agents)
    full = sum(one.full for one in found.nodes.nodes)
    parts = [
        f"nervenet {found.namespace}",
        text.plural(len(found.nodes.nodes), "node") + (f" ({full} full)" if full else ""),
        text.plural(len(found.agents.agents), "agent"),
        f"{active} of {text.plural(slots, 'slot')} busy",
        *([text.plural(found.open_escalations, "open question")] if found.open_escalations else []),
        text.clock(view.now_ms)[:8] if view.people else text.iso(view.now_ms),
    ]
    return Text("   ".join(parts), style="bold")


def _counts(found: Snapshot) -> Text:
    counts: dict[int, int] = {one.state: one.count for one in found.workflows.state_counts}
    line = Text()
    for state, mark in workflows.STATES.items():
        if counts.get(state):
            line.append(f"{mark.symbol} {counts[state]} {mark.word}   ", style=mark.style)
    line.rstrip()
    return line if line.plain else Text("no workflows", style="dim")


def _workflows(found: Sequence[workflow.Workflow], view: View) -> list[Text]:
    columns = (
        ids("WORKFLOW"), ids("DEFINITION", drop=2), Column("STATE"), Column("AGE", drop=1), prose("WAITS FOR", 20, wish=48),
    )  # fmt: skip
    rows = [
        (
            one.workflow_id,
            workflows.definition(one),
            workflows.short_state(one),
            view.when(one.start_time),
            waits.summary(one, view) or DASH,
        )
        for one in found
    ]
    return table(columns, rows, view) if rows else []
