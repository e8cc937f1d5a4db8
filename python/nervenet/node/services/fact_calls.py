# SPDX-License-Identifier: Apache-2.0
"""Calls that record a fact in a workflow's journal: signals and cancels. Any node takes them; the owner is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nervenet.clock import SYSTEM, uuid7
from nervenet.codecs import is_encoded
from nervenet.errors import Overloaded, Unavailable
from nervenet.node.services.starts import checked_json, checked_payload
from nervenet.node.workflows.close_notifier import before
from nervenet.records import Cancel, Signaled, State
from nervenet.rpc.status import already_closed, id_reused, invalid
from nervenet.streams.keys import check_name, check_signal_id
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import decode_entry, state_out

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.facts import Facts
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.records import Body
    from nervenet.streams.answers import Appended


RUNS_MISSED: Final = 10
"""How often a workflow may begin again while a fact is on its way to it."""


class FactCalls:
    """One for each node."""

    def __init__(
        self, context: NodeContext, hosted: HostedWorkflows, facts: Facts, admission: Admission, checks: Checks
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._facts = facts
        self._admission = admission
        self._checks = checks

    async def signal(self, request: pb.SignalWorkflowRequest) -> pb.SignalWorkflowResponse:
        """Record a signal once for each request id."""
        try:
            signal_id = check_signal_id(request.request_id) if request.request_id else uuid7(SYSTEM.now_ms())
        except ValueError as error:
            raise invalid("request_id", str(error)) from None
        try:
            signal = check_name(request.signal, "signal", step=False)
        except ValueError as error:
            raise invalid("signal", str(error)) from None
        payload = checked_payload(request.payload, self._context.config.payload_limit, "payload", signal)
        name = f"signal:{signal_id}"
        try:
            await self._admission.check_signal(request.workflow_id)
        except Overloaded:
            if not await self._context.journal.entry_id(request.workflow_id, name):
                raise
        body = Signaled(signal, checked_json(payload, "payload.json"), request.sender)
        wrong = await self._checks.signal(
            request.workflow_id, signal, payload, signal_id, undeclared=request.undeclared
        )
        if wrong is not None:
            raise wrong
        body = replace(body, payload=self._context.codecs.encode(body.payload))
        answer = await self._record(request.workflow_id, name, body, request.sender)
        if answer.status != "new":
            await self._check_same(request, answer.id, body)
        return pb.SignalWorkflowResponse(sequence=_sequence(answer.id), created=answer.status == "new")

    async def _check_same(self, request: pb.SignalWorkflowRequest, journal_id: bytes, body: Signaled) -> None:
        (raw,) = await self._context.journal.read(request.workflow_id, before(journal_id), 1)
        if (blobs := self._context.blobs) is not None:
            there = (await blobs.read_entry(raw.name, raw.data, raw.n, raw.ms, request.workflow_id)).body
        else:
            there = decode_entry(raw.name, raw.data, raw.n, raw.ms).body
        if not isinstance(there, Signaled):
            return
        old, new = (self._context.codecs.for_people(one.payload) for one in (there, body))
        if there.signal != body.signal or (old != new and not (is_encoded(old) and is_encoded(new))):
            words = f"another {there.signal!r} signal was sent to {request.workflow_id} with it"
            raise id_reused(request.request_id, words, workflow_id=request.workflow_id)

    async def cancel(self, request: pb.CancelWorkflowRequest) -> pb.CancelWorkflowResponse:
        """Record that the workflow must end. Only the first cancel counts."""
        body = Cancel(request.reason, request.requester)
        answer = await self._record(request.workflow_id, "cancel", body, request.requester)
        created = answer.status == "new"
        return pb.CancelWorkflowResponse(state=state_out(State.CANCELING if created else answer.state), created=created)

    async def _record(self, workflow_id: str, name: str, body: Body, actor: str) -> Appended:
        """A fact from outside; the run is the current one, which the first answer tells.

        What was recorded before is answered so, also when the workflow has closed since.
        """
        hosted = self._hosted.find(workflow_id)
        run = 1 if hosted is None else hosted.run
        answer = await self._facts.record(workflow_id, run, name, body, actor)
        for _ in range(RUNS_MISSED):
            if answer.status != "stale":
                break
            answer = await self._facts.record(workflow_id, answer.run, name, body, actor)
        if answer.status == "stale":
            words = (
                f"workflow {workflow_id} begins again faster than a {name.partition(':')[0]} reaches it: send it again"
            )
            raise Unavailable(words, code="UNAVAILABLE")
        if answer.status == "unknown":
            raise self._context.no_workflow(workflow_id)
        if answer.status == "closed" and not answer.recorded:
            words = f"workflow {workflow_id} is {answer.state} and no longer accepts a {name.partition(':')[0]}"
            raise already_closed("workflow", workflow_id, words, state=str(answer.state))
        return answer


def _sequence(journal_id: bytes) -> int:
    return int(journal_id.partition(b"-")[2])
