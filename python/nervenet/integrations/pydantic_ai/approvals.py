# SPDX-License-Identifier: Apache-2.0
"""What a run waits for from outside: approvals, results of external tools, events. Each is a question to people (`ctx.ask`).

A question is in the journal. The run waits without a process, for weeks if need be, and the answers come in any order. Other engines
refuse this wait or end the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from pydantic import JsonValue
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.durable_exec import ExternalEventError, ExternalEventWaiter
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolDenied

from nervenet import CallFailed
from nervenet.errors import CallTimedOut
from nervenet.integrations.pydantic_ai.encoding import plain
from nervenet.integrations.pydantic_ai.running import workflow

APPROVE, DENY = "approve", "deny"


class AskPeople(AbstractCapability[Any]):
    """Asks people about each deferred call that no handler of the agent has answered.

    A call that needs approval is the question `Run refund(order='7')?` with the choices "approve" and "deny"; the comment of a
    denial is what the model reads. A call of an external tool is the question for its result.

    Args:
        deadline: How long a question stays open. After that the call counts as denied or failed. None: no limit.
    """

    _safe_at_runtime = True

    def __init__(self, deadline: timedelta | None) -> None:
        self._deadline = deadline

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[Any], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        """Ask all questions at once and wait for all answers."""
        approvals = [self._approve(call, requests) for call in requests.approvals]
        results = [self._result(call, requests) for call in requests.calls]
        replies = await asyncio.gather(*approvals, *results)
        ids = [call.tool_call_id for call in (*requests.approvals, *requests.calls)]
        answers = {call: answer for call, (answer, _) in zip(ids, replies, strict=True)}
        people = {call: resolver for call, (_, resolver) in zip(ids, replies, strict=True) if resolver}
        return requests.build_results(
            approvals={call.tool_call_id: answers[call.tool_call_id] for call in requests.approvals},
            calls={call.tool_call_id: answers[call.tool_call_id] for call in requests.calls},
            answered_by=people,
        )

    async def _approve(self, call: ToolCallPart, requests: DeferredToolRequests) -> tuple[Any, str]:
        try:
            answer = await workflow().ask(
                f"Run {_words(call)}?",
                choices=[APPROVE, DENY],
                context=_context(call, requests),
                deadline=self._deadline,
            )
        except CallFailed as failed:
            return ToolDenied(_why(failed)), ""
        if answer.value == APPROVE:
            return True, answer.resolver
        return ToolDenied(answer.comment) if answer.comment else ToolDenied(), answer.resolver

    async def _result(self, call: ToolCallPart, requests: DeferredToolRequests) -> tuple[Any, str]:
        try:
            answer = await workflow().ask(
                f"What is {_words(call)}?", answer=Any, context=_context(call, requests), deadline=self._deadline
            )
        except CallFailed as failed:
            return ToolFailed(_why(failed)), ""
        return answer.value, answer.resolver


class EscalationWaiter(ExternalEventWaiter):
    """Waits for an external event as a question to people, whose answer is the payload.

    `ask` is not called: it would run again in each replay. People see the list of open questions instead.

    Args:
        deadline: How long an event may take. None: no limit but the `timeout` of each wait.
    """

    def __init__(self, deadline: timedelta | None = None) -> None:
        self._deadline = deadline

    async def wait(
        self, name: str, *, ask: Callable[[str], Awaitable[JsonValue]], timeout: timedelta | None
    ) -> JsonValue:
        """The payload.

        Raises:
            ExternalEventError: Nobody answered in time, or a person refused to.
        """
        limits = [limit for limit in (timeout, self._deadline) if limit is not None]
        try:
            payload: JsonValue = (await workflow().ask(name, answer=Any, deadline=min(limits, default=None))).value
        except CallFailed as failed:
            raise ExternalEventError(_why(failed)) from failed
        return payload


def _words(call: ToolCallPart) -> str:
    args = ", ".join(f"{name}={value!r}" for name, value in call.args_as_dict().items())
    return f"{call.tool_name}({args})"


def _context(call: ToolCallPart, requests: DeferredToolRequests) -> Any:
    shown: dict[str, Any] = {"tool": call.tool_name, "args": call.args_as_dict()}
    if metadata := requests.metadata.get(call.tool_call_id):
        shown["metadata"] = plain(metadata, f"the metadata of tool {call.tool_name!r}")
    return shown


def _why(failed: CallFailed) -> str:
    if isinstance(failed, CallTimedOut):
        return "Nobody answered in time."
    return failed.failure.message or "A person refused to answer."
