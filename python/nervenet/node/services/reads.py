# SPDX-License-Identifier: Apache-2.0
"""Reading one workflow on any node: head and journal tell its past, its owner what is pending and why it waits.

An open workflow of another node is read there (one hop, one second); with the owner out of reach the answer is what
Redis says, and says that it is partial.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nervenet.durable.pending import ASKING, OPEN
from nervenet.errors import RequestError
from nervenet.node.services.archived import archived_run
from nervenet.node.services.history import History, Span, Step
from nervenet.node.services.pages import Room
from nervenet.node.services.payloads import shaped
from nervenet.node.services.step_messages import escalation_of, tell_summary, tell_task, tell_times
from nervenet.node.services.waits import Reasons, blocked_waits, max_attempts, queued_since
from nervenet.node.workflows.owned_journal import blocked_json
from nervenet.payloads import InvalidPayload, check_json
from nervenet.records import Payload, State
from nervenet.rpc.status import invalid
from nervenet.streams.keys import escalation_id
from nervenet.timing import PEER_CALL_TIMEOUT
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import task_pb2, workflow_pb2
from nervenet.wire import decode_entry, failure_out, state_out, task_id, timestamp

if TYPE_CHECKING:
    from nervenet.archive.record import ArchivedRun
    from nervenet.durable import Pending
    from nervenet.node.context import NodeContext
    from nervenet.node.services.peers import Peers
    from nervenet.node.services.step_inputs import StepInputs
    from nervenet.node.services.waits import Waits
    from nervenet.node.workflows.attempt import DispatchedAttempt
    from nervenet.node.workflows.close_notifier import BlockedRun, Closed
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.placement import Placement
    from nervenet.streams.heads import Claim, Head


TASK_BYTES: Final = 4 << 20
"""Of all inputs and outputs of tasks in one answer; those beyond it tell their size only."""
AT_A_TIME: Final = 200
"""Steps that are told without a pause: about 5 ms."""
MOST_INPUTS: Final = 100
"""Steps of which one request may want the inputs."""

_log = logging.getLogger(__name__)


def closed_workflow(closed: Closed, form: common.PayloadFormat) -> workflow_pb2.Workflow:
    """A closed workflow for callers that await it: id, run, state, output or failure."""
    close = closed.close
    assert close is not None
    return workflow_pb2.Workflow(
        workflow_id=closed.workflow_id,
        run=closed.run,
        state=state_out(close.state),
        output=None if close.output is None else shaped(close.output, form),
        failure=None if close.failure is None else failure_out(close.failure),
    )


def blocked_workflow(blocked: BlockedRun) -> workflow_pb2.Workflow:
    """A BLOCKED workflow for callers that await it: id, run, state and cause."""
    return workflow_pb2.Workflow(
        workflow_id=blocked.workflow_id,
        run=blocked.run,
        state=state_out(State.BLOCKED),
        blocked=blocked_out(blocked.cause),
    )


def from_head(workflow_id: str, head: Head) -> workflow_pb2.Workflow:
    """What lists show: no payloads, no steps."""
    return workflow_pb2.Workflow(
        workflow_id=workflow_id,
        run=head.run,
        definition=head.definition,
        version=head.version,
        state=state_out(head.state),
        start_time=timestamp(head.created_ms),
        close_time=timestamp(head.closed_ms),
        labels=labels_of(head) or None,
        trace_id=head.trace[3:35],
        node_id=head.owner,
        suppressed_duplicates=head.suppressed,
        adoptions=head.adoptions,
        journal_entries=int(head.last.partition(b"-")[2]),
        at=head.at,
        note=head.note,
        blocked=blocked_out(head.blocked) if head.blocked and head.state is State.BLOCKED else None,
    )


def labels_of(head: Head) -> dict[str, str]:
    """A workflow's labels; none where they cannot be read."""
    try:
        found = json.loads(head.labels) if head.labels else {}
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def blocked_out(stored: bytes) -> workflow_pb2.Blocked:
    """The cause that a head has. Empty where it cannot be read."""
    try:
        told: dict[str, Any] = json.loads(stored)
        return workflow_pb2.Blocked(
            expected=told["expected"],
            found=told["found"],
            where=told["where"],
            agreed_steps=told["agreed"],
            detail=told["detail"],
            time=timestamp(told["time_ms"]),
            error=told.get("error", ""),
        )
    except (ValueError, TypeError, KeyError):
        return workflow_pb2.Blocked()


class Reads:
    """One for each node. `load`: hosts a workflow of this node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        placement: Placement,
        waits: Waits,
        inputs: StepInputs,
        peers: Peers,
        load: Callable[[str], Coroutine[Any, Any, bool]],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._load = load
        self._placement = placement
        self._waits = waits
        self._inputs = inputs
        self._peers = peers

    async def head(self, workflow_id: str) -> Head:
        head = await self._context.journal.head(workflow_id)
        if head is None:
            raise self._context.no_workflow(workflow_id)
        return head

    async def history(self, workflow_id: str) -> History:
        """The whole journal, folded for reading."""
        history = History()
        page = await self._context.journal.read(workflow_id)
        while page:
            # Redis reads the next page while this one is decoded.
            following = asyncio.ensure_future(self._context.journal.read(workflow_id, page[-1].id))
            try:
                await asyncio.sleep(0)
                for count, raw in enumerate(page, 1):
                    history.add(decode_entry(raw.name, raw.data, raw.n, raw.ms))
                    if count % AT_A_TIME == 0:
                        await asyncio.sleep(0)
                page = await following
            finally:
                following.cancel()
        return history

    async def workflow(self, request: pb.GetWorkflowRequest, *, hopped: bool = False) -> workflow_pb2.Workflow:
        if len(request.input_steps) > MOST_INPUTS:
            raise invalid("input_steps", f"{len(request.input_steps)} steps; at most {MOST_INPUTS} at once")
        head = await self._context.journal.head(request.workflow_id)
        if head is None:
            return await self._told_from_archive(request)
        if request.workflow_id in self._hosted.unloaded:
            await self._into_memory(request.workflow_id)
        coordinator = self._hosted.get(request.workflow_id)
        if not head.closed and coordinator is None and not hopped:
            told = await self._ask_node(head.owner, request)
            if told is not None:
                return told
        if request.input_steps and not hopped and not self._inputs.has_code(head):
            for node_id in self._placement.able(head.definition, head.version, head.runtime):
                told = await self._ask_node(node_id, request)
                if told is not None:
                    return told
        return await self._told_here(request, head, coordinator)

    async def _into_memory(self, workflow_id: str) -> None:
        """Only the machine knows of each step what it waits for. If there is no memory for it now, the answer is partial."""
        try:
            async with asyncio.timeout(PEER_CALL_TIMEOUT):
                await self._context.background.run_to_end(self._load(workflow_id))
        except TimeoutError:
            _log.info("%s is not in memory yet", workflow_id)

    async def exists(self, workflow_id: str) -> bool:
        """Whether Redis has the workflow. False: the archive has it. Raises NotFound."""
        return await self.archived(workflow_id) is None

    async def archived(self, workflow_id: str) -> ArchivedRun | None:
        """A workflow that only the archive has; None: Redis has it. Raises NotFound, and Unavailable without the archive."""
        if await self._context.journal.head(workflow_id, ("run",)) is not None:
            return None
        return await self._from_archive(workflow_id)

    async def _from_archive(self, workflow_id: str) -> ArchivedRun:
        found = await archived_run(self._context, workflow_id)
        if found is None:
            raise self._context.no_workflow(workflow_id)
        return found

    async def _told_from_archive(self, request: pb.GetWorkflowRequest) -> workflow_pb2.Workflow:
        """A workflow that Redis no longer has."""
        found = await self._from_archive(request.workflow_id)
        history = History(decode_entry(raw.name, raw.data, raw.n, raw.ms) for raw in found.entries)
        told = await self._told_of(request, found.head, None, history, found.view)
        told.archived = True
        if request.input_steps:
            for task in told.tasks:
                if task.step in request.input_steps:
                    task.input_problem = "the workflow is in the archive: nervenet replay shows what its code asked for"
        return told

    async def _ask_node(self, node_id: str, request: pb.GetWorkflowRequest) -> workflow_pb2.Workflow | None:
        node = self._context.table.nodes.get(node_id)
        if node is None or node_id == self._context.status.node_id:
            return None
        question = pb.GetWorkflowRequest()
        question.CopyFrom(request)
        question.ClearField("wait")
        try:
            return await self._peers.workflow(node.address, question)
        except RequestError as error:
            _log.info("%s says nothing about %s: %s", node_id, request.workflow_id, error)
            return None

    async def _told_here(
        self, request: pb.GetWorkflowRequest, head: Head, coordinator: Coordinator | None
    ) -> workflow_pb2.Workflow:
        workflow_id = request.workflow_id
        history, view = await asyncio.gather(self.history(workflow_id), self._context.journal.view(workflow_id))
        told = await self._told_of(request, head, coordinator, history, view)
        if request.input_steps:
            await self._add_inputs(told, request, head, Room(TASK_BYTES - told.ByteSize()))
        return told

    async def _told_of(
        self,
        request: pb.GetWorkflowRequest,
        head: Head,
        coordinator: Coordinator | None,
        history: History,
        view: bytes | None,
    ) -> workflow_pb2.Workflow:
        """A workflow from its head and journal, wherever they were read."""
        workflow_id, form = request.workflow_id, request.payload_format
        told = from_head(workflow_id, head)
        if history.start is not None:
            told.input.CopyFrom(shaped(history.start.input, form))
        close = history.close
        if close is not None and (head.closed or close.state is not State.UNRECOGNIZED):
            told.state = state_out(close.state)
            told.close_time.CopyFrom(timestamp(history.close_ms))  # type: ignore[arg-type]  # it is closed
            if close.output is not None:
                told.output.CopyFrom(shaped(close.output, form))
            if close.failure is not None:
                told.failure.CopyFrom(failure_out(close.failure))
        if view is not None:
            told.view.CopyFrom(shaped(_view(view), form))
        pending: dict[str, task_pb2.Task] = {}
        if history.close is None:
            pending = await self._open(told, head, coordinator, history)
        sources: list[Step | task_pb2.Task] = [*_past(history, pending), *pending.values()]
        if request.summarize_tasks:
            sources = await tell_summary(told, sources, request.input_steps)
        await self._tell_tasks(told, sources, request)
        told.open_escalations.extend(
            escalation_id(workflow_id, asked.step, asked.k) for asked in history.asked if asked.state == "OPEN"
        )
        return told

    async def _tell_tasks(
        self, told: workflow_pb2.Workflow, sources: Sequence[Step | task_pb2.Task], request: pb.GetWorkflowRequest
    ) -> None:
        room = Room(TASK_BYTES)
        for count, source in enumerate(sources, 1):
            if isinstance(source, task_pb2.Task):
                told.tasks.append(source)
            else:
                tell_task(told.tasks.add(), told.workflow_id, told.run, source, request, room.takes)
            if count % AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _open(
        self, told: workflow_pb2.Workflow, head: Head, coordinator: Coordinator | None, history: History
    ) -> dict[str, task_pb2.Task]:
        """The pending steps of a workflow that is open; its state and what it waits for are written into `told`."""
        pending: dict[str, task_pb2.Task] = {}
        told.partial = coordinator is None
        if coordinator is not None:
            told.state = state_out(coordinator.machine.state)
            told.at = coordinator.at
            if (why := coordinator.machine.blocked) is not None and not told.HasField("blocked"):
                told.blocked.CopyFrom(blocked_out(blocked_json(why, self._context.clock.now_ms())))
            pending = await self._pending(coordinator, history, told)
        if head.state is State.BLOCKED:
            del told.waits[:]
            told.waits.extend(blocked_waits(told.workflow_id, head.run, head.blocked, head.note).waits)
        return pending

    async def _add_inputs(
        self, told: workflow_pb2.Workflow, request: pb.GetWorkflowRequest, head: Head, room: Room
    ) -> None:
        found, why = await self._inputs.find(request.workflow_id, head, request.input_steps)
        for task in told.tasks:
            if task.step not in request.input_steps:
                continue
            payload = found.get(task.step)
            if payload is None:
                task.input_problem = why or "the code does not ask for this step"
                continue
            fits = room.takes(payload.size)
            task.input.CopyFrom(shaped(payload, request.payload_format if fits else common.PAYLOAD_FORMAT_OMIT))

    # ── what only the owner knows ────────────────────────────────────────────────────────────────────────────────────

    async def _pending(
        self, coordinator: Coordinator, history: History, told: workflow_pb2.Workflow
    ) -> dict[str, task_pb2.Task]:
        """Its pending steps; what it waits for is written into `told`."""
        pendings = dict(coordinator.machine.pending)
        look = await self._context.journal.look(coordinator.workflow_id, list(pendings)) if pendings else None
        claims: Mapping[str, Claim] = look.claims if look is not None else {}
        waits = await self._waits.one(coordinator, claims)
        told.waits.extend(waits.waits)
        told.more_waits = waits.more_waits
        for name, number, oldest_ms in coordinator.machine.unread_signals():
            told.unread_signals.add(signal=name, count=number, oldest_time=timestamp(oldest_ms))
        found, reasons = {}, self._waits.reasons()
        for count, (name, pending) in enumerate(pendings.items(), 1):
            step = history.steps.get(name) or Step(name)
            if step.outcome is None:
                found[name] = self._pending_task(coordinator, pending, step, claims.get(name), reasons)
            if count % AT_A_TIME == 0:
                await asyncio.sleep(0)
        return found

    def _pending_task(
        self, coordinator: Coordinator, pending: Pending, step: Step, claim: Claim | None, reasons: Reasons
    ) -> task_pb2.Task:
        sent = coordinator.sent.get(pending.step)
        running = claim if claim is not None and claim.attempt == pending.attempt else None
        human = pending.phase is OPEN
        state = "WAITING_FOR_HUMAN" if human else "QUEUED" if running is None else "RUNNING"
        told = task_pb2.Task(
            task_id=task_id(coordinator.workflow_id, coordinator.run, pending.step),
            step=pending.step,
            capability=pending.capability or "",
            state=f"TASK_STATE_{state}",
            attempt=pending.attempt,
            schedule_time=timestamp(pending.since_ms),
            failed_attempts=[failure_out(failure) for failure in step.failed],
            escalation_id=escalation_of(coordinator.workflow_id, step.asked),
            max_attempts=max_attempts(pending) if pending.capability else 0,
        )
        tell_times(told, step.spans + self._open_spans(pending, step, running))
        if running is not None:
            told.agent_id = running.agent_id
            told.start_time.CopyFrom(timestamp(running.since_ms))  # type: ignore[arg-type]  # a claim has a time
            if running.fraction > 0:  # a claim has no other word for unknown
                told.fraction = running.fraction
        elif human:
            told.waits_for = "a human's answer"
        else:
            told.waits_for = "blocked" if coordinator.machine.blocked else self._why(pending, sent, reasons)
        return told

    def _why(self, pending: Pending, sent: DispatchedAttempt | None, reasons: Reasons) -> str:
        """In words, why nobody runs it."""
        now = self._context.clock.now_ms()
        if pending.at_ms > now:
            return f"attempt {pending.attempt} in {(pending.at_ms - now) / 1000:.1f} s"
        return reasons.of(pending, sent).words

    def _open_spans(self, pending: Pending, step: Step, running: Claim | None) -> list[Span]:
        """What a pending step does since its last entry."""
        now = self._context.clock.now_ms()
        if pending.phase in (OPEN, ASKING):
            return [Span("HUMAN", pending.asked_ms or pending.since_ms, 0)]
        last = step.spans[-1].end_ms if step.spans else 0
        due = queued_since(pending)
        open_: list[Span] = []
        if last and due > last:
            open_.append(Span("RETRY", last, due if due <= now else 0))
        if due > now:
            return open_
        queued = max(due, last)
        if running is not None:
            return [*open_, Span("QUEUED", queued, max(running.since_ms, queued)), Span("RUNNING", running.since_ms, 0)]
        return [*open_, Span("QUEUED", queued, 0)]


def _view(stored: bytes) -> Payload:
    """JSON, as workflow code publishes it; anything else is shown as bytes."""
    try:
        check_json(stored, "the view")
    except InvalidPayload:
        return Payload("bytes", stored)
    return Payload("json", stored)


def _past(history: History, pending: Mapping[str, object]) -> list[Step]:
    return [step for name, step in history.steps.items() if name not in pending]
