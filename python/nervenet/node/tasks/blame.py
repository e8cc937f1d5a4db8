# SPDX-License-Identifier: Apache-2.0
"""How much a lost agent says about the task that it ran: 100 percent where nothing else explains the loss, else less.

A task that ends every agent it meets has to be stopped; a task whose agents die for other reasons has to go on. Both
look alike to the journal, so the owner, who sees the mesh, puts a number beside each loss that it records, and
`durable/retry.py` adds these numbers up from the third loss in a row on, and decides from nothing else. The rule:

- an agent that was told to end, or that ended together with other processes of its host, blames nobody;
- silence weighs half of a proven death: the agent may only have been frozen or cut off;
- tasks on the same agent share its loss, but only those that are as suspect: that have lost as many agents in a row;
- other agents that died without this task lower it: to a half where they are a quarter of all, to a fifth where as many
  died as there are. Those do not count that ran another task with two losses in a row, which may be what ended them.

A loss that would have the task suspected is recorded up to `BLAME_WAIT_MS` later, since a storm that has just begun looks like
a poison: the next death without this task tells them apart. And from its second loss in a row on, a task gets an agent
without another such task, so that a third loss does not have to be shared.

What is known here is what this node has seen. A new owner knows less and blames more, and waits like any other.
Decision 0026 has the alternatives.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.durable.retry import FULL_BLAME, LOST_LIMIT
from nervenet.registry.views import AgentView, NodeView
from nervenet.timing import BLAME_TOGETHER_MS, BLAME_WAIT_MS, BLAME_WINDOW_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.registry.table import TableChange

_log = logging.getLogger(__name__)

SILENCE: Final = 0.5
"""What silence weighs; a proven death weighs 1."""
HALVES: Final = 0.25
"""Deaths without this task that lower the weight to a half, as a share of the agents there are."""
ENDING: Final = frozenset(("DRAINING", "DRAINED"))
"""States of an agent that was told to end."""
MOST: Final = 1_000
"""Deaths that are remembered."""


class ProcessEnd(NamedTuple):
    """An agent or node that is gone. `active`: how many tasks the agent said to be running at its last report; `silent`:
    it is only known to have let a claim run out."""

    at_ms: int
    host: str = ""
    ordered: bool = False
    active: int = 0
    node: bool = False
    silent: bool = False


def weigh(*, proven: bool, peers: int, dead: int, alive: int) -> int:
    """Percent of blame. `peers`: tasks among which the loss is shared, this one included; `dead`, `alive`: other agents
    that died without this task, and that live."""
    weight = (1.0 if proven else SILENCE) / peers
    weight *= (alive + 1) / (alive + 1 + dead / HALVES)  # with the lost one, so that one agent's mesh has a measure too
    return max(1, round(weight * FULL_BLAME))


def is_end_of_host(agent_id: str, death: ProcessEnd, deaths: dict[str, ProcessEnd], lost: Collection[str]) -> bool:
    """Whether another process of the same host, which did not have the task, ended at about the same moment."""
    return bool(death.host) and any(
        other.host == death.host and abs(other.at_ms - death.at_ms) <= BLAME_TOGETHER_MS and not other.ordered
        for process_id, other in deaths.items()
        if process_id != agent_id and process_id not in lost
    )


class Blame:
    """One for each node: the deaths that it has seen, and the tasks that have lost agents."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows) -> None:
        self._context = context
        self._hosted = hosted
        self._deaths: dict[str, ProcessEnd] = {}
        self._boards: dict[str, list[int]] = {}
        self._suspects: dict[DispatchedAttempt, None] = {}

    def __repr__(self) -> str:
        return f"<Blame {len(self._deaths)} deaths seen, {len(self._suspects)} tasks kept apart>"

    def process_gone(self, news: TableChange) -> None:
        """The registry has lost an agent or a node."""
        view = news.old
        if not isinstance(view, (AgentView, NodeView)):
            return
        address = view.control_endpoint if isinstance(view, AgentView) else view.address
        if isinstance(view, AgentView) and view.transport == "GATEWAY":
            address = ""  # that of its node
        load = self._context.table.loads.get(news.id)
        self._remember(
            news.id,
            ProcessEnd(
                self._context.clock.now_ms(),
                address.rpartition(":")[0],
                view.state in ENDING,
                load.active if load is not None else 0,
                isinstance(view, NodeView),
            ),
        )

    def ended_in_order(self, process_id: str) -> bool:
        """Whether it was told to end, and has ended: it has begun nothing that it has not recorded."""
        death = self._deaths.get(process_id)
        return death is not None and death.ordered

    def _remember(self, process_id: str, death: ProcessEnd) -> ProcessEnd:
        before = self._deaths.pop(process_id, None)
        self._deaths[process_id] = death  # the latest stands last
        if before is None or before.at_ms < death.at_ms - 2 * BLAME_WAIT_MS:
            self._boards.pop(process_id, None)
        while len(self._deaths) > MOST:
            oldest = next(iter(self._deaths))
            del self._deaths[oldest]
            self._boards.pop(oldest, None)
        return death

    # ── how much a loss blames a task ────────────────────────────────────────────────────────────────────────────────

    def of_loss(
        self, coordinator: Coordinator, sent: DispatchedAttempt, agent_id: str, since_ms: int, *, proven: bool
    ) -> int | None:
        """Percent of blame, to be recorded with the loss of the agent that ran it since then; None = not yet, look again soon."""
        now = self._context.clock.now_ms()
        pending = coordinator.machine.pending.get(sent.dispatch.step)
        row = pending.tally.row if pending is not None else ()
        sent.lost_ms = sent.lost_ms or now
        death = self._deaths.get(agent_id)
        if death is None or (death.silent and death.at_ms < now - 2 * BLAME_WAIT_MS):  # it came back, and is lost again
            death = self._remember(agent_id, self._silent(agent_id, now))
        board = self._boards.get(agent_id)
        if board is None:
            board = self._boards[agent_id] = list(self._on_board(agent_id))
        lost = {agent_id, *(loss.agent_id for loss in row)}
        since = min(since_ms, sent.lost_ms - BLAME_WINDOW_MS)
        gone = {a for a, d in self._deaths.items() if not d.node and not d.ordered and d.at_ms >= since}
        explained = {a for a in gone if max(self._boards.get(a, ()), default=0) >= LOST_LIMIT - 1}
        peers = max(1, sum(length >= len(row) for length in board), 0 if row else death.active)
        dead, alive = len(gone - lost - explained), len(self._context.table.agents.keys() - gone - lost)
        if death.ordered or is_end_of_host(agent_id, death, self._deaths, lost):
            percent = 0
        else:
            percent = weigh(proven=proven, peers=peers, dead=dead, alive=alive)
            if pending is not None and pending.tally.suspected(percent) and now < sent.lost_ms + BLAME_WAIT_MS:
                return None
        words = "%s: %s is lost to %s, its loss number %d in a row: blamed for %d %% (shared by %d, %d other agents died, %d live)"
        _log.info(
            words, coordinator.workflow_id, agent_id, sent.dispatch.step, len(row) + 1, percent, peers, dead, alive
        )
        return percent

    def _silent(self, agent_id: str, now_ms: int) -> ProcessEnd:
        """One that is registered still, or whose end this node has not seen."""
        table = self._context.table
        agent, load = table.agents.get(agent_id), table.loads.get(agent_id)
        return ProcessEnd(
            now_ms,
            ordered=agent is not None and agent.state in ENDING,
            active=load.active if load is not None else 0,
            silent=True,
        )

    def _on_board(self, agent_id: str) -> Iterable[int]:
        """How many agents in a row each task of this node's has lost that is with this agent."""
        for coordinator in self._hosted.coordinators.values():
            for step, sent in coordinator.sent.items():
                if agent_id in (sent.agent_id, sent.claimed_by):
                    pending = coordinator.machine.pending.get(step)
                    yield len(pending.tally.row) if pending is not None else 0

    # ── tasks that are kept apart ────────────────────────────────────────────────────────────────────────────────────

    def keep_apart(self, coordinator: Coordinator, sent: DispatchedAttempt) -> tuple[str, ...] | None:
        """The agents that a task about to be sent must not meet; None = any, it has not lost enough."""
        if sent.dispatch.attempt < LOST_LIMIT:
            return None
        pending = coordinator.machine.pending.get(sent.dispatch.step)
        if pending is None or len(pending.tally.row) < LOST_LIMIT - 1:
            return None
        for over in [known for known in self._suspects if known.over]:
            del self._suspects[over]
        self._suspects[sent] = None
        holders = (one.agent_id or one.claimed_by for one in self._suspects if one is not sent)
        return tuple({holder for holder in holders if holder})
