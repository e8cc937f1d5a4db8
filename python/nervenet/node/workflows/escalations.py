# SPDX-License-Identifier: Apache-2.0
"""Questions to people: the owner asks, any node records the decision, and each question is decided once.

It hides the list `escalations`, which is derived from journals (the record itself is in the journal). A question is added
when `escalated:` is in, and removed when it is decided or its step or workflow is over. A crash in between leaves an
entry too many, which readers check against the journal, or one too few, which the next owner adds again.

Three sources (workflow code, an agent that asks instead of answering, a task without further attempts) are one record
here. `Question.source` tells them apart for people only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from nervenet.durable.pending import OPEN
from nervenet.node.workflows.unloaded import Waiting
from nervenet.records import Cancel, Escalated
from nervenet.streams.listing import Listing
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from nervenet.durable import Expire
    from nervenet.node.context import NodeContext
    from nervenet.node.timers import Timer
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.unloaded import UnloadedWorkflow
    from nervenet.node.workflows.wakes import Wakes
    from nervenet.records import Decided, Entry, Outcome
    from nervenet.streams.answers import Decision

_log = logging.getLogger(__name__)


class OpenQuestion(NamedTuple):
    """Who asks, and since when."""

    source: str
    asked_ms: int


class Escalations:
    """One for each node."""

    def __init__(
        self, context: NodeContext, wakes: Wakes, remember: Callable[[Callable[[], Awaitable[bool]]], None]
    ) -> None:
        self._context = context
        self._wakes = wakes
        self._remember = remember
        self._listing = Listing(context.link, context.keys)
        self._on_open: list[Callable[[str, str, int, bool], None]] = []
        self.open: dict[tuple[str, str, int], OpenQuestion] = {}
        """The open questions of the workflows here, by workflow, step and number. A workflow that left leaves its own behind."""

    def on_open(self, tell: Callable[[str, str, int, bool], None]) -> Callable[[], None]:
        """Call `tell` for each open question of a workflow hosted here: id, step, k, and whether an adoption found it.

        Returns a function that ends it.
        """
        self._on_open.append(tell)
        return lambda: self._on_open.remove(tell)

    def question_entry(self, coordinator: Coordinator, entry: Entry) -> None:
        """An entry is folded that opens or ends a question: `escalated:`, `decided:`, or `task:` of a step that asked."""
        kind, _, which = entry.name.partition(":")
        if kind == "task":  # the machine may have forgotten the question
            self._unlist(coordinator, [asked for asked in coordinator.listed_questions if asked[0] == which])
        elif kind == "decided":
            step, _, k = which.rpartition("#")
            self._unlist(coordinator, [(step, int(k))])
        else:
            assert isinstance(entry.body, Escalated)
            question = entry.body.question
            self._context.metrics.asked.child(question.source).add()
            self._list(coordinator, which, question.deadline_ms, OpenQuestion(question.source, entry.time_ms), False)

    def relist_questions(self, coordinator: Coordinator) -> None:
        """After a replay: the previous owner may have died before it listed a question or removed one.

        One that comes back into memory has `listed_questions` already; nobody is told of those again.
        """
        before = coordinator.listed_questions or coordinator.questions()
        standing: set[tuple[str, int]] = set()
        times = _times_of_questions(coordinator)
        for pending in coordinator.machine.pending.values():
            if pending.question is not None and pending.phase is OPEN:
                standing.add((pending.step, pending.question_number))
                which = f"{pending.step}#{pending.question_number}"
                asked = OpenQuestion(pending.question.source, times.get(which, pending.since_ms))
                self._list(coordinator, which, pending.question.deadline_ms, asked, True)
        self._unlist(coordinator, [asked for asked in before if asked not in standing])

    def list_again(self, coordinator: Coordinator) -> None:
        """Put this workflow's open questions on the list again: Redis may have lost it."""
        for pending in coordinator.machine.pending.values():
            if pending.question is not None and (pending.step, pending.question_number) in coordinator.listed_questions:
                deadline = pending.question.deadline_ms
                self._context.spawn(
                    self._listing.escalation_set(
                        coordinator.workflow_id, pending.step, pending.question_number, deadline
                    )
                )

    def list_unloaded_again(self, unloaded: UnloadedWorkflow) -> None:
        """The same for a workflow that is out of memory."""
        for asked in Waiting.unpacked(unloaded.waiting).questions:
            which = (unloaded.workflow_id, asked.step, asked.question_number)
            self._context.spawn(self._listing.escalation_set(*which, asked.deadline_ms))

    def _list(
        self, coordinator: Coordinator, which: str, deadline_ms: int | None, asked: OpenQuestion, adopted: bool
    ) -> None:
        step, _, k = which.rpartition("#")
        self.open[coordinator.workflow_id, step, int(k)] = asked
        self._context.spawn(self._listing.escalation_set(coordinator.workflow_id, step, int(k), deadline_ms))
        if (step, int(k)) in coordinator.listed_questions:
            return
        coordinator.listed_questions = (*coordinator.listed_questions, (step, int(k)))
        for tell in self._on_open:
            tell(coordinator.workflow_id, step, int(k), adopted)

    def workflow_over(self, coordinator: Coordinator) -> None:
        self._unlist(coordinator, coordinator.listed_questions)

    def _unlist(self, coordinator: Coordinator, over: Collection[tuple[str, int]]) -> None:
        coordinator.listed_questions = tuple(asked for asked in coordinator.listed_questions if asked not in over)
        for step, k in over:
            self.open.pop((coordinator.workflow_id, step, k), None)
            self._context.spawn(self._listing.escalation_clear(coordinator.workflow_id, step, k))

    def expire_at(self, coordinator: Coordinator, command: Expire) -> Timer:
        """Decide the question at its deadline, if nobody has by then."""
        return self._context.timers.at(command.at_ms, self._expire, coordinator, command)

    def _expire(self, coordinator: Coordinator, command: Expire) -> None:
        pending = coordinator.machine.pending.get(command.step)
        if (
            not coordinator.dropped
            and pending is not None
            and pending.question_number == command.question_number
            and pending.phase is OPEN
        ):
            self._context.spawn(
                self.decide(
                    coordinator.workflow_id,
                    coordinator.run,
                    command.step,
                    command.question_number,
                    command.decided,
                    command.outcome,
                    None,
                    self._context.status.node_id,
                    owner=self._context.status.node_id,
                )
            )

    async def decide(
        self,
        workflow_id: str,
        run: int,
        step: str,
        k: int,
        decided: Decided,
        outcome: Outcome | None,
        cancel: Cancel | None,
        actor: str,
        *,
        owner: str | None = None,
    ) -> Decision:
        """One decision; with `outcome` the step's end is written with it. The answer says who was first.

        Its owner is told also when the caller has left.
        """

        def ask() -> Awaitable[Decision]:
            return self._context.journal.decide(
                workflow_id,
                run,
                step,
                k,
                encode_entry(decided, actor),
                outcome=None if outcome is None else encode_entry(outcome, actor),
                cancel=None if cancel is None else encode_entry(cancel, actor),
                owner=owner,
            )

        return await self._context.background.run_to_end(
            self._record(ask, workflow_id, step, k, decided.action.lower())
        )

    async def _record(
        self, ask: Callable[[], Awaitable[Decision]], workflow_id: str, step: str, k: int, action: str
    ) -> Decision:
        async def again() -> bool:
            """Redis came back, and may have lost it; its question is there once the owner has put it back."""
            return (await ask()).status not in ("unknown", "not_asked")

        decision = await ask()
        if decision.status == "new":
            self._context.metrics.decisions.child(action).add()
            self._remember(again)
        if decision.decided:
            context, name = self._context, f"decided:{step}#{k}"
            self._wakes.tell_owner(workflow_id, decision.owner, decision.run, decision.decided, name, b"")
            if decision.owner != context.status.node_id:
                context.spawn(self._listing.escalation_clear(workflow_id, step, k))
        return decision


def _times_of_questions(coordinator: Coordinator) -> dict[str, int]:
    """When each question of this run was asked, by `<step>#<k>`."""
    found, log = {}, coordinator.entry_log
    while log is not None:
        log, ms, name, _ = log
        if name.startswith("escalated:"):
            found[name[10:]] = ms
    return found
