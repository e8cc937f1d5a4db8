# SPDX-License-Identifier: Apache-2.0
"""The mesh itself: nodes, agents, queues, workflows and questions to people, as any node tells them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from nervenet.cli.doctor.check import Check, error, named, ok, warning
from nervenet.cli.render import text, waits
from nervenet.cli.render.agents import ejection_words
from nervenet.cli.render.text import View
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.errors import NervenetError
from nervenet.v1 import agent_pb2 as agent
from nervenet.v1 import coordinator_service_pb2 as service
from nervenet.v1 import registry_service_pb2 as registry
from nervenet.v1 import workflow_pb2 as workflow

WAIT: Final = 5.0
PAGE: Final = 1_000
STALE_MS: Final = 15_000
"""Age of an agent's figures from which on its process counts as hanging. It sends them every second or so."""
SKEW_MS: Final = 2_000
IDLE_MS: Final = 600_000
"""How long an agent must have waited in vain before that is worth a line."""
OLD_TASK_MS: Final = 60_000
OLD_QUESTION_MS: Final = 86_400_000
FAILING: Final = 0.5
"""Share of failed tasks from which on an agent is reported."""
NEAR_LIMIT: Final = 0.8
MORE_ROOM: Final = "start another node, or raise NERVENET_MAX_WORKFLOWS or NERVENET_MAX_MEMORY"
SERVERS: Final = "look at the checks of redis and etcd, and at the node's log"


async def mesh_checks(config: Config, mesh: RawClient, view: View, stuck_after: Any = None) -> list[Check]:
    """Everything that the nodes can tell; what they cannot tell is a finding. `stuck_after`: another limit than the nodes'."""
    now_ms = view.now_ms
    limit = {} if stuck_after is None else {"stuck_after": stuck_after}
    try:
        nodes = await mesh.call("ListNodes", page_size=PAGE, timeout=WAIT)
    except (NervenetError, TimeoutError) as fault:
        return [
            error(
                "nodes", f"no answer: {_said(fault)}", "start one (nervenet node APP), or set NERVENET_ADDRESS to one"
            )
        ]
    reached, *told = await asyncio.gather(
        asyncio.gather(*(_reaches(config, node.address) for node in nodes.nodes)),
        _told(
            "agents",
            lambda found: [*judge_agents(found.agents, view), *_queue_checks(found)],
            mesh,
            "ListAgents",
            include_ejections=True,
        ),
        _told(
            "workflows.stuck",
            lambda found: judge_stuck(found, view),
            mesh,
            "ListWorkflows",
            stuck=True,
            include_waits=True,
            **limit,
        ),
        _told(
            "workflows.journal",
            lambda found: [judge_journals(found, config.journal_limit)],
            mesh,
            "ListWorkflows",
            states=["WORKFLOW_STATE_RUNNING"],
        ),
        _told("escalations", lambda found: [judge_questions(found, now_ms)], mesh, "ListEscalations"),
    )
    return [*judge_nodes(nodes.nodes, reached), *judge_registry(nodes), *(check for part in told for check in part)]


async def _told(
    name: str, judge: Callable[[Any], list[Check]], mesh: RawClient, method: str, **filters: Any
) -> list[Check]:
    """The checks, from one answer of the mesh."""
    try:
        return judge(await mesh.call(method, page_size=PAGE, timeout=WAIT, **filters))
    except (NervenetError, TimeoutError) as fault:
        return [error(name, f"cannot be read: {_said(fault)}", SERVERS)]


def _said(fault: BaseException) -> str:
    return str(fault) or f"none within {WAIT:g} s"


async def _reaches(config: Config, address: str) -> bool:
    try:
        async with RawClient(replace(config, address=address)) as one:
            await one.call("ListNodes", page_size=1, timeout=WAIT)
    except (NervenetError, TimeoutError):
        return False
    return True


def judge_registry(response: registry.ListNodesResponse) -> list[Check]:
    """Whether the node that answers hears etcd."""
    if not response.registry_problem:
        return [ok("nodes.registry", "the node that answers hears etcd")]
    cure = "start etcd, or repair the way to it; until then no workflow of a dead node is adopted"
    return [error("nodes.registry", response.registry_problem, cure)]


def judge_nodes(nodes: Sequence[agent.NodeRecord], reached: Sequence[bool]) -> list[Check]:
    """Whether each one answers, takes workflows, and has the version of the others."""
    found = []
    silent = [one.node_id for one, answers in zip(nodes, reached, strict=True) if not answers]
    if silent:
        said = f"{len(silent)} of {len(nodes)} do not answer this machine: {named(silent)}"
        found.append(
            warning("nodes", said, "look at their logs; is NERVENET_ADVERTISE of each an address that others reach?")
        )
    else:
        found.append(ok("nodes", f"{text.plural(len(nodes), 'node')}, all of them answer"))
    full = [one.node_id for one in nodes if one.full]
    leaving = [one.node_id for one in nodes if one.state == agent.NODE_STATE_DRAINING]
    if nodes and len(full) + len(leaving) >= len(nodes):
        said = "; ".join(f"{word}: {named(which)}" for word, which in (("full", full), ("draining", leaving)) if which)
        found.append(error("nodes.room", f"no node takes workflows; {said}", MORE_ROOM))
    elif full:
        found.append(warning("nodes.room", f"full: {named(full)}", MORE_ROOM))
    else:
        found.append(ok("nodes.room", "nodes take workflows"))
    found.append(_versions("nodes.version", [one.runtime for one in nodes]))
    return found


def judge_agents(agents: Sequence[registry.AgentEntry], view: View) -> list[Check]:
    """Whether each one is alive and well, and gets work."""
    now_ms = view.now_ms
    if not agents:
        return [warning("agents", "there is none, so no task runs", "start one: nervenet agent APP")]
    found = []
    stale, ahead = [], []
    for one in agents:
        age = now_ms - text.millis(one.load.sample_time) if one.load.HasField("sample_time") else 0
        if age > STALE_MS:
            stale.append(one.agent.agent_id)
        elif age < -SKEW_MS:
            ahead.append(one.agent.agent_id)
    if stale:
        said = f"{len(stale)} of {len(agents)} have sent no figures for 15 s: {named(stale)}"
        found.append(warning("agents", said, "look whether the process hangs, or its clock is behind"))
    else:
        found.append(ok("agents", f"{text.plural(len(agents), 'agent')}, all of them send figures"))
    if ahead:
        found.append(warning("agents.clock", f"ahead of this machine: {named(ahead)}", "synchronize the clocks (NTP)"))
    failing = [one.agent.agent_id for one in agents if one.load.error_rate >= FAILING]
    if failing:
        cure = "look at its log; nervenet list --retrying and --state failed have the reasons"
        found.append(error("agents.failures", f"half of the last tasks failed at: {named(failing)}", cure))
    else:
        found.append(ok("agents.failures", "no agent fails half of its tasks"))
    found.append(_ejected(agents, view))
    found.append(_never_picked(agents, now_ms))
    found.append(_versions("agents.version", [one.agent.runtime for one in agents]))
    return found


def _ejected(agents: Sequence[registry.AgentEntry], view: View) -> Check:
    """Agents that live and that a node sends nothing."""
    name, out = "agents.ejected", [one.ejections for one in agents if one.ejections]
    if not out:
        return ok(name, "every agent gets tasks")
    said = named([ejection_words(one, view) for one in out], 3)
    cure = "look at the log of the agent; repair what it lacks (model, credentials, disk), or restart it"
    return error(name, said, cure)


def _never_picked(agents: Sequence[registry.AgentEntry], now_ms: int) -> Check:
    """Agents that have run nothing for long, though another one with the same capability has."""
    name = "agents.picked"
    worked = {can.name for one in agents if _has_worked(one) for can in one.agent.capabilities}
    idle = [
        one.agent.agent_id
        for one in agents
        if not _has_worked(one)
        and now_ms - text.millis(one.agent.register_time) > IDLE_MS
        and worked & {can.name for can in one.agent.capabilities}
    ]
    if not idle:
        return ok(name, "every agent that could run something has")
    return warning(
        name,
        f"never picked, though others with the same capabilities are: {named(idle)}",
        "compare labels and versions with what the calls ask for: nervenet agents describe A",
    )


def _has_worked(one: registry.AgentEntry) -> bool:
    return bool(one.load.active or text.millis(one.load.average_task_time) or one.load.error_rate)


def _versions(name: str, runtimes: Sequence[str]) -> Check:
    """Versions of nervenet, from `python 3.11, nervenet 0.1.0`; programs in other languages have none."""
    versions = sorted({found[1] for one in runtimes if (found := re.search(r"nervenet (\S+)", one))})
    if len(versions) > 1:
        return warning(name, f"they differ: {named(versions)}", "finish the upgrade")
    return ok(name, versions[0] if versions else "not told")


def _queue_checks(found: registry.ListAgentsResponse) -> list[Check]:
    if found.queues_problem:
        return [error("queues", f"cannot be read: {found.queues_problem}", SERVERS)]
    return judge_queues(found.queues)


def judge_queues(queues: Sequence[registry.QueueInfo]) -> list[Check]:
    """Whether what waits will be run."""
    waiting = [one for one in queues if one.waiting]
    unserved = [_queue(one) for one in waiting if not one.agents]
    old = [_queue(one) for one in waiting if one.agents and text.millis(one.oldest) >= OLD_TASK_MS]
    found = []
    if unserved:
        first = next(one.capability for one in waiting if not one.agents)
        found.append(
            error(
                "queues.served", f"no agent serves {named(unserved)}", f"start one: nervenet agent APP --only {first}"
            )
        )
    else:
        found.append(ok("queues.served", "every task that waits has an agent"))
    if old:
        found.append(
            warning("queues.age", f"longer than a minute: {named(old)}", "start more agents, or raise their slots")
        )
    else:
        found.append(ok("queues.age", "no task waits for more than a minute"))
    return found


def _queue(one: registry.QueueInfo) -> str:
    wants = "".join(f" {key}={value}" for key, value in sorted(one.match_labels.items()))
    return f"{one.capability}{wants} ({one.waiting} waiting, oldest {text.span(text.millis(one.oldest) / 1000)})"


def judge_stuck(response: service.ListWorkflowsResponse, view: View) -> list[Check]:
    """Workflows that go on only if somebody does something: those that are BLOCKED, and the others."""
    more = " at least" if response.next_page_token else ""
    blocked: list[str] = []
    stuck: list[str] = []
    for one in response.workflows:
        why = waits.words(one.waits[0], view) if one.waits else one.note
        row = f"{one.workflow_id} ({why})" if why else one.workflow_id
        (blocked if one.state == workflow.WORKFLOW_STATE_BLOCKED else stuck).append(row)
    found = []
    if blocked:
        said = f"{len(blocked)}{more}: {named(blocked, 3)}"
        cure = "nervenet show ID has the line and the cure; deploy code that fits, then nervenet retry ID"
        found.append(error("workflows.blocked", said, cure))
    else:
        found.append(ok("workflows.blocked", "none"))
    if stuck:
        said = f"{len(stuck)}{more}: {named(stuck, 3)}"
        found.append(error("workflows.stuck", said, "nervenet list --stuck says what each one waits for"))
    else:
        found.append(ok("workflows.stuck", "none"))
    return found


def judge_journals(response: service.ListWorkflowsResponse, limit: int) -> Check:
    """Running workflows whose journal is nearly full."""
    name = "workflows.journal"
    near = [
        f"{one.workflow_id} ({one.journal_entries} entries)"
        for one in response.workflows
        if one.journal_entries >= NEAR_LIMIT * limit
    ]
    looked = f"of the newest {len(response.workflows)}" if response.next_page_token else "of those that run"
    if not near:
        return ok(name, f"none {looked} is near the limit of {limit} entries")
    return warning(
        name,
        f"near the limit of {limit} entries: {named(near)}",
        "let the code call ctx.continue_as_new, or raise the limit",
    )


def judge_questions(response: service.ListEscalationsResponse, now_ms: int) -> Check:
    """Questions to people that are old, or whose time is nearly over."""
    name, open_questions = "escalations", list(response.escalations)
    if not open_questions:
        return ok(name, "no open question")
    oldest = min(open_questions, key=lambda one: text.millis(one.create_time))
    age = now_ms - text.millis(oldest.create_time)
    said = f"{text.plural(response.open_count, 'open question')}, the oldest {text.span(age / 1000)} old: {_id(oldest)}"
    if age >= OLD_QUESTION_MS:
        return warning(name, said, f"nervenet escalations show {_id(oldest)}")
    return ok(name, said)


def _id(one: workflow.Escalation) -> str:
    return one.escalation_id.removesuffix("#1")
