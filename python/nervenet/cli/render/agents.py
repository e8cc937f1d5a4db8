# SPDX-License-Identifier: Apache-2.0
"""Agents, their load, the queues, and nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from nervenet.cli.render import text, waits
from nervenet.cli.render.table import Column, Mark, ids, mark_of, prose, some, table
from nervenet.cli.render.text import DASH, View
from nervenet.v1 import agent_pb2 as agent
from nervenet.v1 import agent_service_pb2 as agent_service
from nervenet.v1 import registry_service_pb2 as registry

STATES: Mapping[int, Mark] = {
    agent.AGENT_STATE_STARTING: Mark("●", "cyan", "starting"),
    agent.AGENT_STATE_ACTIVE: Mark("✓", "green", "active"),
    agent.AGENT_STATE_DRAINING: Mark("–", "dim", "draining"),
    agent.AGENT_STATE_DRAINED: Mark("–", "dim", "drained"),
}
_COLUMNS = (
    ids("AGENT"), Column("SERVES", some, 16), Column("SLOTS"), Column("AVG", drop=2), Column("FAILED", drop=1), Column("STATE"),
    Column("UP"), prose("RUNS", drop=3),
)  # fmt: skip


def listed(response: registry.ListAgentsResponse, view: View) -> list[Text]:
    rows = [
        (
            one.agent.agent_id,
            ", ".join(map(_capability, one.agent.capabilities)),
            _slots(one, view),
            text.span(ms / 1000) if (ms := text.millis(one.load.average_task_time)) else DASH,
            f"{one.load.error_rate * 100:.0f} %",
            _state(one),
            view.when(one.agent.register_time),
            _runtime(one.agent),
        )
        for one in response.agents
    ]
    return table(_COLUMNS, rows, view) if rows else []


def _state(one: registry.AgentEntry) -> Text:
    """`✓ active`; `! ejected`: it lives, and at least one node sends it nothing."""
    if one.ejections and one.agent.state == agent.AGENT_STATE_ACTIVE:
        return Mark("!", "yellow", "ejected").text()
    return mark_of(STATES, one.agent.state).text()


def ejected(response: registry.ListAgentsResponse, view: View, nodes: int = 0) -> list[Text]:
    """For each agent that gets no tasks: until when, why, and what to do. `nodes`: how many there are, if that is known."""
    lines = []
    for one in response.agents:
        if not one.ejections:
            continue
        said = f"ejected: {ejection_words(one.ejections, view, nodes)}"
        cure = "  → look at its log; repair what it lacks, or restart it"
        lines += [Text(part, style="yellow") for part in (*text.paragraph(text.clean(said), view), cure)]
    return lines


def ejection_words(found: Sequence[registry.Ejection], view: View, nodes: int = 0) -> str:
    """`ocr-1 gets no tasks until 09:12:40 from 1 of 3 nodes: 5 attempts at 'ocr' failed in a row, where ocr-2 succeeds: no disk`."""
    last = max(found, key=lambda one: text.millis(one.until_time))
    ms = text.millis(last.until_time)
    until = waits.moment(ms, view.now_ms) if view.people else text.iso(ms)
    of = f"{len(found)} of {text.plural(nodes, 'node')}" if nodes > 1 else text.plural(len(found), "node")
    return f"{last.agent_id} gets no tasks until {until} from {of}: {last.message}"


def nobody_serves(capability: str, served: Sequence[str], most: int) -> Text:
    """`No agent serves 'fetchh'. There are: fetch, parse.`"""
    if not served:
        return Text(
            f"No agent serves {capability!r}, and there is no other agent. Start one: nervenet agent APP", "yellow"
        )
    more = f" and {len(served) - most} more" if len(served) > most else ""
    return Text(f"No agent serves {capability!r}. There are: {', '.join(served[:most])}{more}.", "yellow")


def queues(response: registry.ListAgentsResponse, view: View) -> list[Text]:
    """A line for each queue in which something waits."""
    lines = []
    if response.queues_problem:
        said = text.paragraph(f"queues cannot be read: {text.clean(response.queues_problem)}", view)
        lines += [Text(part, style="red") for part in said]
    for queue in response.queues:
        if not queue.waiting:
            continue
        wants = "".join(f" {key}={value}" for key, value in sorted(queue.match_labels.items()))
        line = Text(f"queue: {queue.capability}{wants} {queue.waiting} waiting, oldest {_age(queue)}")
        lines.append(line)
        if queue.agents:
            continue
        line.append(", no agent serves it", style="yellow")
        cure = Text(f" → nervenet agent APP --only {queue.capability}", style="yellow")
        if view.people and view.width and line.cell_len + cure.cell_len > view.width:
            lines.append(Text(" ").append_text(cure))
        else:
            line.append_text(cure)
    return lines


def registry_trouble(response: registry.ListAgentsResponse | registry.ListNodesResponse, view: View) -> list[Text]:
    """That the node which answers does not hear etcd, and what that means."""
    if not response.registry_problem:
        return []
    said = f"! {text.clean(response.registry_problem)}. What runs goes on; no workflow of a dead node is adopted → nervenet doctor"
    return [Text(part, style="yellow") for part in text.paragraph(said, view)]


def list_footer(response: registry.ListAgentsResponse, namespace: str) -> str:
    if not response.agents:
        return f"Namespace {namespace} has no live agent. Start one: nervenet agent APP"
    slots = sum(_all_slots(one) for one in response.agents)
    return f"{text.plural(len(response.agents), 'agent')}, {text.plural(slots, 'slot')}."


def described(response: agent_service.DescribeAgentResponse, view: View) -> list[Text]:
    """One agent: who, how busy, what it can do."""
    one = registry.AgentEntry(agent=response.agent, load=response.load)
    record = one.agent
    mark = mark_of(STATES, record.state)
    lines = [
        Text(f"{mark.symbol} {record.agent_id}   {mark.word}   up {view.when(record.register_time)}", style=mark.style)
    ]
    facts = [
        ("slots", _slots(one, view)),
        ("runs", _runtime(record)),
        ("labels", " ".join(f"{key}={value}" for key, value in sorted(record.labels.items()))),
        ("control", record.control_endpoint),
        ("cpu", f"{one.load.cpu:.0%}".replace("%", " % of one core") if one.load.cpu else ""),
    ]
    lines += [Text(f"  {name:9}{text.clean(said)}") for name, said in facts if said]
    columns = (ids("CAPABILITY"), Column("SLOTS"), Column("ACTIVE"), ids("LABELS"), prose("DESCRIPTION", 20))
    rows = [
        (
            _capability(can),
            str(can.slots) if can.slots else DASH,
            str(one.load.active_by_capability.get(can.name, 0)),
            " ".join(f"{key}={value}" for key, value in sorted(can.labels.items())) or DASH,
            can.description,
        )
        for can in record.capabilities
    ]
    return lines + [Text("  " + line.plain) for line in table(columns, rows, view)] if rows else lines


def drained(response: agent_service.DrainAgentResponse, agent_id: str) -> Text:
    mark = mark_of(STATES, response.state)
    rest = f": {text.plural(response.active, 'task')} still running" if response.active else ""
    return mark.text(f"{agent_id} {mark.word}{rest}")


def resumed(response: agent_service.ResumeAgentResponse, agent_id: str) -> Text:
    mark = mark_of(STATES, response.state)
    return mark.text(f"{agent_id} {mark.word}")


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def nodes(response: registry.ListNodesResponse, view: View) -> list[Text]:
    """One line per node; definitions of our own (their names have a dot) are not shown."""
    columns = (
        ids("NODE"), ids("ADDRESS"), Column("DEFINITIONS", some, 16), Column("WORKFLOWS"), Column("STATE"), Column("UP"),
        prose("RUNS", drop=1),
    )  # fmt: skip
    rows = [
        (
            one.node_id,
            one.address,
            ", ".join(f"{ref.name} v{ref.version}" for ref in one.definitions if "." not in ref.name) or DASH,
            f"{one.owned_workflows}/{one.max_workflows}" if one.max_workflows else str(one.owned_workflows),
            _node_state(one),
            view.when(one.register_time),
            one.runtime,
        )
        for one in response.nodes
    ]
    return [*(table(columns, rows, view) if rows else []), *registry_trouble(response, view)]


def _node_state(one: agent.NodeRecord) -> Text:
    """`✓ active`; `! full`: it takes no more workflows."""
    if one.state == agent.NODE_STATE_ACTIVE and 0 < one.max_workflows <= one.owned_workflows:
        return Mark("!", "yellow", "full").text()
    return mark_of(STATES, one.state).text()


def leaving(response: registry.DrainNodeResponse, node_id: str) -> Text:
    mark = mark_of(STATES, response.state)
    owned = response.owned_workflows
    rest = f": {text.plural(owned, 'workflow')} {'goes' if owned == 1 else 'go'} to other nodes" if owned else ""
    return mark.text(f"{node_id} {mark.word}{rest}")


def active(response: agent_service.ListActiveTasksResponse, view: View) -> list[Text]:
    """What an agent runs, the oldest first."""
    columns = (Column("TASK"), Column("CAPABILITY"), Column("ATTEMPT"), Column("RUNS"), prose("SAYS", 16))
    rows = [
        (
            one.task_id,
            one.capability,
            str(one.attempt),
            view.when(one.start_time),
            " ".join(filter(None, (f"{one.fraction * 100:.0f} %" if one.HasField("fraction") else "", one.message))),
        )
        for one in response.tasks
    ]
    return table(columns, rows, view) if rows else []


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _capability(can: agent.Capability) -> str:
    return f"{can.name} v{can.version}" if can.version else can.name


def _all_slots(one: registry.AgentEntry) -> int:
    return one.load.slots or one.agent.slots or sum(can.slots for can in one.agent.capabilities)


def _slots(one: registry.AgentEntry, view: View) -> str:
    """`███████░ 7/8`: a cell per slot, eight at most."""
    slots, active = _all_slots(one), one.load.active
    figures = f"{active}/{slots}"
    if not view.people or not slots:
        return figures
    cells = min(slots, 8)
    full = min(cells, round(active * cells / slots) or bool(active))
    return f"{'█' * full}{'░' * (cells - full)} {figures}"


def _runtime(record: agent.AgentRecord) -> str:
    way = "gateway" if record.transport == agent.TRANSPORT_GATEWAY else "redis"
    return f"{record.runtime.partition(' ')[0]}, {way}" if record.runtime else way


def _age(queue: registry.QueueInfo) -> str:
    return text.span(text.millis(queue.oldest) / 1000)
