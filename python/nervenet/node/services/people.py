# SPDX-License-Identifier: Apache-2.0
"""Escalations as people meet them: listed by deadline, read from the journal, decided once.

The list in Redis only says where to look; what was asked and what was said is in the journals. A value is checked
against what was asked before it is written: against the choices, or the JSON Schema of the answer.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from nervenet.codecs import CodecError, is_encoded
from nervenet.errors import RequestError
from nervenet.node.services.checks import check_answer
from nervenet.node.services.history import Asked, History
from nervenet.node.services.pages import Room, page_size, token_in, token_out
from nervenet.node.services.payloads import shaped
from nervenet.node.services.starts import checked_json, checked_payload
from nervenet.records import Action, Cancel, Decided, Failure, FailureCode, Outcome
from nervenet.rpc.status import already_closed, invalid, not_found
from nervenet.security.permit import LISTABLE
from nervenet.streams.keys import check_workflow_id, escalation_id, parse_escalation_id
from nervenet.streams.listing import Listed, Listing
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.v1 import workflow_pb2
from nervenet.wire import action_in, action_out, question_out, timestamp

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.services.reads import Reads
    from nervenet.node.workflows.escalations import Escalations
    from nervenet.records import Payload
    from nervenet.streams.answers import Decision


_log = logging.getLogger(__name__)


class People:
    """One for each node."""

    def __init__(self, context: NodeContext, escalations: Escalations, reads: Reads) -> None:
        self._context = context
        self._escalations = escalations
        self._reads = reads
        self._listing = Listing(context.link, context.keys)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def listed(self, request: pb.ListEscalationsRequest) -> pb.ListEscalationsResponse:
        size = page_size(request.page_size)
        state = request.state or workflow_pb2.ESCALATION_STATE_OPEN
        count = await self._listing.count(self._context.keys.escalations)
        if request.workflow_id:
            found = await self._of_workflow(request.workflow_id, state)
            return pb.ListEscalationsResponse(escalations=found[:size], open_count=count)
        if state != workflow_pb2.ESCALATION_STATE_OPEN:
            raise invalid("state", "others than OPEN are listed for one workflow: name its workflow_id")
        cursor = token_in(request, float, str)
        after = Listed(*cursor) if cursor is not None else None
        rows = await self._listing.escalations(after, size)
        more, room = len(rows) == size, Room()
        escalations: list[workflow_pb2.Escalation] = []
        found_here = await asyncio.gather(*(self._open(r.member) for r in rows))
        count -= found_here.count(None)  # decided, but the owner has not removed its row yet
        for row, escalation in zip(rows, found_here, strict=True):
            if escalation is not None and not room.takes(escalation.ByteSize()):
                more = True
                break
            after = row
            if escalation is not None:
                escalations.append(escalation)
        token = token_out(request, after.score, after.member) if more and after is not None else ""
        return pb.ListEscalationsResponse(escalations=escalations, next_page_token=token, open_count=count)

    async def _open(self, id: str) -> workflow_pb2.Escalation | None:
        """What the list names, if the journal agrees and the caller may see it."""
        where, listable = parse_escalation_id(id), LISTABLE.get()
        if listable is not None and not await listable.allows_workflow(where.workflow_id):
            return None
        history = await self._reads.history(where.workflow_id)
        for asked in history.asked:
            if (asked.step, asked.k, asked.state) == (where.step, where.question_number, "OPEN"):
                return _told(where.workflow_id, 1, history, asked)
        return None

    async def _of_workflow(self, workflow_id: str, state: int) -> list[workflow_pb2.Escalation]:
        head, history = await asyncio.gather(self._reads.head(workflow_id), self._reads.history(workflow_id))
        told = [_told(workflow_id, head.run, history, asked) for asked in history.asked]
        return [escalation for escalation in told if escalation.state == state]

    async def get(self, id: str) -> workflow_pb2.Escalation:
        workflow_id, run, history, asked = await self._find(id)
        return _told(workflow_id, run, history, asked)

    async def _find(self, id: str) -> tuple[str, int, History, Asked]:
        """By `<workflow_id>/<step>#<k>`, or without `#<k>` the step's newest."""
        workflow_id, slash, rest = id.rpartition("/")
        step, hash_, k = rest.partition("#")
        try:
            if not slash or not step or (hash_ and not k.isdigit()):
                raise ValueError(f"{id!r} does not read <workflow id>/<step>#<number>, like review-7/ask#1")
            check_workflow_id(workflow_id)
        except ValueError as error:
            raise invalid("escalation_id", str(error)) from None
        head = await self._context.journal.head(workflow_id, ("owner",))
        if head is None:
            there = f"in namespace {self._context.config.namespace}"
            raise not_found("escalation", id, f"there is no workflow {workflow_id!r} {there} that could ask {id!r}")
        history = await self._reads.history(workflow_id)
        for asked in reversed(history.asked):
            if asked.step == step and (not k or asked.k == int(k)):
                return workflow_id, head.run, history, asked
        raise not_found("escalation", id, namespace=self._context.config.namespace)

    # ── deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def resolve(self, id: str, resolution: workflow_pb2.EscalationResolution) -> workflow_pb2.Escalation:
        workflow_id, run, history, asked = await self._find(id)
        if asked.state != "OPEN":
            if not self._is_repeat(resolution, asked):
                raise _refused(workflow_id, asked)
            return _told(workflow_id, run, history, asked)
        decided, outcome, cancel = self._words(resolution, asked)
        decision: Decision = await self._escalations.decide(
            workflow_id, run, asked.step, asked.k, decided, outcome, cancel, resolution.resolver
        )
        workflow_id, run, history, asked = await self._find(escalation_id(workflow_id, asked.step, asked.k))
        if decision.status != "new" and not self._same(asked.decided, decided):
            raise _refused(workflow_id, asked)
        return _told(workflow_id, run, history, asked)

    def _is_repeat(self, resolution: workflow_pb2.EscalationResolution, asked: Asked) -> bool:
        """Whether this very decision, value and resolver included, is the one that stands."""
        try:
            return self._same(asked.decided, self._words(resolution, asked)[0])
        except RequestError:
            return False

    def _check(self, value: Payload, asked: Asked) -> None:
        """Raises InvalidRequest. A node without a codec cannot check an encoded answer."""
        codecs = self._context.codecs
        if is_encoded(value) and not codecs.on:
            return
        try:
            check_answer(codecs.decode_received(value), asked.question, asked.step)
        except CodecError as error:
            raise invalid("resolution.value", str(error)) from None

    def _same(self, one: Decided | None, other: Decided) -> bool:
        """Whether two decisions are the same. Values are compared as they were before they were encoded."""
        if one is None or one.value is None or other.value is None:
            return one == other
        plain = self._context.codecs.for_people
        return replace(one, value=plain(one.value)) == replace(other, value=plain(other.value))

    def _words(
        self, resolution: workflow_pb2.EscalationResolution, asked: Asked
    ) -> tuple[Decided, Outcome | None, Cancel | None]:
        if resolution.action not in _ACTIONS:
            raise invalid("resolution.action", "one of RETRY, COMPLETE, FAIL, CANCEL_WORKFLOW")
        action, comment, resolver = action_in(resolution.action), resolution.comment, resolution.resolver
        if action is Action.RETRY:
            if resolution.attempts < 0:
                raise invalid("resolution.attempts", "0 (one more) or how many more")
            return Decided(action, None, resolution.attempts or 1, comment, resolver), None, None
        if action is Action.COMPLETE:
            limit = self._context.config.payload_limit
            value = checked_payload(resolution.value, limit, "resolution.value", asked.step)
            self._check(checked_json(value, "resolution.value.json"), asked)
            value = self._context.codecs.encode(value)
            return Decided(action, value, 0, comment, resolver), Outcome(value, None), None
        if action is Action.FAIL:
            failure = Failure(FailureCode.APPLICATION, comment or "a human decided so", "FailedByHuman", False)
            return Decided(action, None, 0, comment, resolver), Outcome(None, failure), None
        words = comment or "the workflow was canceled instead of answering"
        failure = Failure(FailureCode.CANCELED, words, "Canceled", False)
        return Decided(action, None, 0, comment, resolver), Outcome(None, failure), Cancel(words, resolver)


_ACTIONS = frozenset(
    {
        workflow_pb2.ESCALATION_ACTION_RETRY,
        workflow_pb2.ESCALATION_ACTION_COMPLETE,
        workflow_pb2.ESCALATION_ACTION_FAIL,
        workflow_pb2.ESCALATION_ACTION_CANCEL_WORKFLOW,
    }
)


def _refused(workflow_id: str, asked: Asked) -> Exception:
    name = escalation_id(workflow_id, asked.step, asked.k)
    if asked.decided is None:
        return already_closed(
            "escalation", name, f"{name} was withdrawn: its step or workflow is over", state=asked.state
        )
    decided = asked.decided
    who = "the deadline" if decided.action is Action.EXPIRED else decided.resolver or "somebody"
    said = (
        decided.value.data.decode(errors="replace")
        if decided.value is not None and decided.value.form == "json"
        else ""
    )
    words = f"{who} decided {name} before: {decided.action}{f' {said[:200]}' if said else ''}"
    details = {"state": asked.state, "resolver": decided.resolver, "action": str(decided.action)}
    return already_closed("escalation", name, words, resolve_time_ms=str(asked.decided_ms), **details)


def _told(workflow_id: str, run: int, history: History, asked: Asked) -> workflow_pb2.Escalation:
    told = workflow_pb2.Escalation(
        escalation_id=escalation_id(workflow_id, asked.step, asked.k),
        workflow_id=workflow_id,
        run=run,
        step=asked.step,
        question=question_out(asked.question),
        state=f"ESCALATION_STATE_{asked.state}",
        create_time=timestamp(asked.asked_ms),
        resolve_time=timestamp(asked.decided_ms),
        definition=history.start.definition if history.start is not None else "",
    )
    question = asked.question
    for name, payload in (("context", question.context), ("suggestion", question.suggestion)):
        if payload.form != "none":
            getattr(told.question, name).CopyFrom(shaped(payload, common.PAYLOAD_FORMAT_VALUE))
        else:
            told.question.ClearField(name)
    if (decided := asked.decided) is not None and decided.action is not Action.EXPIRED:
        told.resolution.CopyFrom(
            workflow_pb2.EscalationResolution(
                action=action_out(decided.action),
                value=None if decided.value is None else shaped(decided.value, common.PAYLOAD_FORMAT_VALUE),
                attempts=decided.attempts,
                comment=decided.comment,
                resolver=decided.resolver,
            )
        )
    return told
