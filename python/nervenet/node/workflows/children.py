# SPDX-License-Identifier: Apache-2.0
"""Workflows that deal with workflows: children are started, watched, canceled and reported; signals are sent.

It hides that two journals are involved, which no script can write together. Each step is a fact in the other journal,
under a name that derives from the step, and then an entry in the own journal. After a crash in between, the first write is
repeated, which changes nothing, and the second follows. A child's owner reports its end to the parent's journal; if the
report is lost, the parent's monitor finds the end in the child's head. A command that fails for now (Redis away, node
full) is kept, and the monitor repeats it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nervenet.blobs import BlobMissing
from nervenet.blobs.reference import BLOB_MISSING
from nervenet.durable import CancelChild, SendSignal, StartChild
from nervenet.errors import AlreadyExists, InvalidRequest, Overloaded, RequestError, Unavailable
from nervenet.node.workflows.start_plan import Misfit, StartRequest
from nervenet.records import (
    Cancel,
    ChildStarted,
    Close,
    Failure,
    FailureCode,
    Outcome,
    ParentStep,
    Signaled,
    SignalSent,
    Start,
)
from nervenet.redis_link.faults import LinkError
from nervenet.streams.keys import check_workflow_id
from nervenet.wire import decode_entry, task_id

if TYPE_CHECKING:
    from nervenet.durable import ChildRun
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.facts import Facts
    from nervenet.node.workflows.start import Starter
    from nervenet.records import Body
    from nervenet.streams.answers import Appended
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)


class Children:
    """See the module. One for each node."""

    def __init__(
        self, context: NodeContext, starter: Starter, facts: Facts, admission: Admission, checks: Checks
    ) -> None:
        self._context = context
        self._starter = starter
        self._facts = facts
        self._admission = admission
        self._checks = checks

    async def carry_out(self, coordinator: Coordinator, command: StartChild | CancelChild | SendSignal) -> None:
        """Carry out one command. If that fails for now, the next look repeats it."""
        try:
            match command:
                case StartChild():
                    await self.start(coordinator, command)
                case CancelChild():
                    await self._cancel(coordinator.workflow_id, command.workflow_id)
                case SendSignal():
                    await self._send(coordinator, command)
        except (LinkError, Unavailable, Overloaded) as error:
            _log.warning("%s: %s is put off: %s", coordinator.workflow_id, type(command).__name__, error)
            coordinator.defer(command)
        except Exception:
            coordinator.defer(command)  # or its workflow waits forever; the log has the reason
            raise

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, parent: Coordinator, command: StartChild) -> None:
        """Start the child, or find it started, and record that in the parent's journal."""
        failure = None
        try:
            await self._started(parent, command)
        except (Unavailable, Overloaded):
            raise
        except Misfit as unfit:
            failure = _refused(unfit, command.workflow_id, FailureCode.INVALID_INPUT, "InvalidPayload")
        except RequestError as refused:
            failure = _refused(refused, command.workflow_id, FailureCode.DEPENDENCY, type(refused).__name__)
        if failure is not None:  # the words of a refused input quote it
            failure = self._context.codecs.encode_failure(failure)
        body = ChildStarted(command.workflow_id, command.definition, failure)
        answer = await parent.append(f"child:{command.step}", body)
        if answer.status == "closed" and failure is None and not command.options.abandon_children:
            await self._cancel(parent.workflow_id, command.workflow_id)  # the parent ended while it was started

    async def _started(self, parent: Coordinator, command: StartChild) -> None:
        me, options = ParentStep(parent.workflow_id, parent.run, command.step), command.options
        try:
            workflow_id = check_workflow_id(command.workflow_id)
        except ValueError as error:
            raise InvalidRequest(str(error), code="INVALID_ARGUMENT", reason="INVALID_FIELD") from None
        request = StartRequest(
            workflow_id,
            command.definition,
            command.input,
            command.version,
            options.labels,
            options.timeout_ms,
            options.if_exists,
            parent.trace,
            task_id(*me),
            me,
        )
        started = await self._starter.start(request)
        if not started.created and await self._parent_of(workflow_id) != me:
            raise AlreadyExists(
                f"workflow {workflow_id} exists, and is not this step's",
                code="ALREADY_EXISTS",
                reason="WORKFLOW_EXISTS",
            )

    async def _parent_of(self, workflow_id: str) -> ParentStep | None:
        """Raises Unavailable: Redis has lost it since it was found."""
        for raw in await self._context.journal.read(workflow_id, count=1):
            body = decode_entry(raw.name, raw.data, raw.n, raw.ms).body
            return body.parent if isinstance(body, Start) else None
        raise Unavailable(f"the journal of {workflow_id} is gone", code="UNAVAILABLE", reason="BACKEND_DOWN")

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def report(self, child: str, definition: str, parent: ParentStep, close: Close) -> None:
        """Record in the parent's journal how the child ended, and tell the parent's owner."""
        outcome = outcome_of(child, definition, close)
        await self._facts.record(
            parent.workflow_id, parent.run, f"task:{parent.step}", outcome, self._context.status.node_id
        )

    async def look_at(self, parent: Coordinator) -> None:
        """Find children that have closed without a report, or whose head is gone."""
        running = [child for child in parent.machine.children.values() if child.running]
        children = {child.id: child for child in running}
        for child_id, head in await self._context.journal.heads(children, ("last", "closed_ms")):
            child = children[child_id]
            if parent.dropped:
                return
            if head is None:
                _log.warning("%s: its child %s has no head, started again", parent.workflow_id, child.id)
                await self.carry_out(parent, child.start())
            elif head.closed:
                await self._found_closed(parent, child, head)

    async def _found_closed(self, parent: Coordinator, child: ChildRun, head: Head) -> None:
        ms, _, n = head.last.partition(b"-")
        for raw in await self._context.journal.read(child.id, b"%s-%d" % (ms, int(n) - 1), 1):
            data = raw.data
            try:
                if (blobs := self._context.blobs) is not None:
                    data = await blobs.fill_entry(data, child.id)
            except BlobMissing as gone:
                failure = Failure(FailureCode.DEPENDENCY, f"its result: {gone}", BLOB_MISSING, source=child.id)
                await parent.append(f"task:{child.step}", Outcome(None, failure, child.definition, attempt=1))
                return
            body = decode_entry(raw.name, data, raw.n, raw.ms).body
            if isinstance(body, Close):
                outcome = outcome_of(child.id, child.definition, body)
                await parent.append(f"task:{child.step}", outcome)

    # ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def cancel_all(self, parent: Coordinator, close: Close) -> None:
        """Cancel the children that the parent does not abandon, then close it. A crash in between cancels them again."""
        try:
            await self.cancel_orphans(parent)
        except LinkError:
            parent.not_confirmed("close", close)
            raise
        parent.close_run(close, parent.machine.failed_at, parent.machine.workflow.retention_ms)

    async def cancel_orphans(self, parent: Coordinator) -> None:
        for child in parent.orphans:
            await self._cancel(parent.workflow_id, child.id)

    async def _cancel(self, parent: str, child: str) -> None:
        await self._record(child, "cancel", Cancel(f"its parent {parent} gave it up", parent), parent)

    # ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _send(self, sender: Coordinator, command: SendSignal) -> None:
        """Send the signal once, then record in the sender's journal that it is sent."""
        body = Signaled(command.signal, command.payload, sender.workflow_id)
        failure = None
        try:
            to, name = check_workflow_id(command.workflow_id), f"signal:{command.signal_id}"
        except ValueError as error:
            failure = Failure(FailureCode.INVALID_INPUT, str(error), "InvalidRequest", retryable=False)
        else:
            await self._admission.check_signal(to)
            wrong = await self._checks.signal(
                to, command.signal, command.payload, command.signal_id, undeclared=command.undeclared
            )
            if wrong is None:
                answer = await self._record(to, name, body, sender.workflow_id)
                failure = None if answer.recorded else _not_taken(command, answer)
            else:
                failure = _refused(wrong, to, FailureCode.INVALID_INPUT, "InvalidRequest")
        if failure is not None:
            failure = self._context.codecs.encode_failure(failure)
        sent = SignalSent(command.workflow_id, command.signal, failure)
        await sender.append(f"sent:{command.step}", sent)

    async def _record(self, workflow_id: str, name: str, body: Body, actor: str) -> Appended:
        """Record a fact for the current run of a workflow."""
        run = 1
        while (answer := await self._facts.record(workflow_id, run, name, body, actor)).status == "stale":
            run = answer.run
        if answer.status == "unknown" and isinstance(doubt := self._context.no_workflow(workflow_id), Unavailable):
            raise doubt
        return answer


def outcome_of(child: str, definition: str, close: Close) -> Outcome:
    """A child's end as the outcome of its parent's step."""
    failure = close.failure
    if failure is None and close.output is None:
        failure = Failure(FailureCode.INTERNAL, f"{child} is {close.state}", source=child)
    return Outcome(close.output, failure, definition, attempt=1)


def _refused(error: RequestError, other: str, code: FailureCode, kind: str) -> Failure:
    words = "; ".join(f"{field}: {problem}" for field, problem in error.fields) or str(error)
    return Failure(code, words, kind, retryable=False, source=other)


def _not_taken(command: SendSignal, answer: Appended) -> Failure:
    unknown = answer.status == "unknown"
    words = "there is no such workflow" if unknown else f"it is {answer.state} and no longer accepts signals"
    return Failure(
        FailureCode.DEPENDENCY,
        f"signal {command.signal!r} to {command.workflow_id}: {words}",
        "NotFound" if unknown else "AlreadyClosed",
        retryable=False,
        source=command.workflow_id,
    )
