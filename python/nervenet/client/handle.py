# SPDX-License-Identifier: Apache-2.0
"""One workflow in the hands of a client: its result, what happens to it, and what can be said to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, overload

from typing_extensions import ParamSpec, TypeForm, TypeVar

from nervenet.client.following import answers, follow
from nervenet.client.inputs import encoded
from nervenet.client.values import Event, Partial, WorkflowInfo
from nervenet.clock import SYSTEM, uuid7
from nervenet.errors import WorkflowCanceled, WorkflowFailed
from nervenet.options import refuse_unknown
from nervenet.payloads import Codec
from nervenet.records import Failure, FailureCode, State
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb
from nervenet.wire import failure_in, payload_in, payload_out, state_in

if TYPE_CHECKING:
    from nervenet.client.awaiting import Awaiter
    from nervenet.client.nodes import Nodes
    from nervenet.definitions import Target
    from nervenet.v1 import workflow_pb2

__all__ = ["WorkflowHandle"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class WorkflowHandle(Generic[T_co]):
    """One workflow. Made by `Client.start` and `Client.handle`.

    Attributes:
        id: Its workflow id.
        created: Whether this start created it. False if it existed before, and for `handle`.
    """

    __slots__ = ("_awaiter", "_nodes", "_output", "created", "id")

    def __init__(self, id: str, created: bool, output: Codec[T_co], nodes: Nodes, awaiter: Awaiter) -> None:
        self.id = id
        self.created = created
        self._output = output
        self._nodes = nodes
        self._awaiter = awaiter

    def __repr__(self) -> str:
        return f"<WorkflowHandle {self.id}>"

    async def result(self, *, timeout: timedelta | float | None = None, wait_while_blocked: bool = False) -> T_co:
        """Wait for its end and return its result.

        Args:
            timeout: Longest wait, in seconds or as a timedelta. Default: no limit.
            wait_while_blocked: Keep waiting while it is BLOCKED, until its code is corrected.

        Raises:
            WorkflowBlocked: It is BLOCKED: its code needs a correction. The error has the line.
            WorkflowFailed: It failed or timed out.
            WorkflowCanceled: It was canceled.
            TimeoutError: `timeout` passed. The workflow continues.
            NotFound: There is no such workflow.
            CodecError: The result is encrypted with a key that the setting `codec` of this process does not have.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        future = self._awaiter.wait(self.id, while_blocked=wait_while_blocked)
        try:
            if seconds is None:
                workflow = await future
            else:
                async with asyncio.timeout(seconds):
                    workflow = await future
        finally:
            self._awaiter.forget(self.id, future)
        return outcome_of(workflow, self._output)

    async def info(self) -> WorkflowInfo:
        """The workflow as it is now.

        Raises:
            NotFound: There is no such workflow.
        """
        request = pb.GetWorkflowRequest(workflow_id=self.id, payload_format=common.PAYLOAD_FORMAT_RAW)
        answer: pb.GetWorkflowResponse = await self._nodes.call("GetWorkflow", request)
        return WorkflowInfo.of(answer.workflow)

    @overload
    async def signal(self, signal: Target[[None], None], /, *, undeclared: bool = ...) -> None: ...
    @overload
    async def signal(self, signal: Target[P, None], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    async def signal(self, signal: Target[[T], None], value: T, /, *, undeclared: bool) -> None: ...
    @overload
    async def signal(self, signal: str, value: object = None, /, *, undeclared: bool = ...) -> None: ...
    async def signal(self, signal: Any, /, *args: Any, **kwargs: Any) -> None:
        """Send it a signal. It is recorded once, even if the client repeats the request.

        Args:
            signal: The signal, or its name (then the value is plain JSON).
            value: What it carries.
            undeclared: Send it even if the workflow's code does not receive it, for code that is deployed later.

        Raises:
            InvalidRequest: The workflow's code receives no such signal, or one of another type.
            AlreadyClosed: The workflow has ended.
            NotFound: There is no such workflow.
        """
        undeclared = bool(kwargs.pop("undeclared", False))
        refuse_unknown("handle.signal", kwargs, ("undeclared",))
        request = pb.SignalWorkflowRequest(
            workflow_id=self.id,
            signal=signal if isinstance(signal, str) else signal.name,
            payload=payload_out(encoded(signal, args)),
            request_id=uuid7(SYSTEM.now_ms()),
            undeclared=undeclared,
        )
        await self._nodes.call("SignalWorkflow", request)

    async def cancel(self, reason: str = "", /) -> None:
        """Ask it to stop. Its clean-up code runs first; `result` raises WorkflowCanceled when it has stopped.

        Args:
            reason: Why, for people.

        Raises:
            AlreadyClosed: The workflow has ended.
            NotFound: There is no such workflow.
        """
        await self._nodes.call("CancelWorkflow", pb.CancelWorkflowRequest(workflow_id=self.id, reason=reason))

    async def watch(self, *, after: int = 0, progress: bool = False, partials: bool = False) -> AsyncIterator[Event]:
        """What happens to it, until its end. When a node stops, the client continues with another one.

        An event of the kind `blocked` says that it is BLOCKED, and why. The watch goes on.

        Args:
            after: Begin after the entry with this number (`Event.sequence`). 0: from the start.
            progress: Also what handlers report with `task.progress`.
            partials: Also what handlers `emit`.

        Raises:
            NotFound: There is no such workflow.
        """
        async for answer in answers(self._nodes, self.id, after=after, progress=progress, partials=partials):
            yield Event.of(answer.entry) if answer.HasField("entry") else Event.of_blocked(answer.blocked)

    @overload
    def partials(self, step: str | Target[..., Any], type: type[T], /) -> AsyncIterator[Partial[T]]: ...
    @overload
    def partials(self, step: str | Target[..., Any], type: TypeForm[T], /) -> AsyncIterator[Partial[T]]: ...
    async def partials(self, step: str | Target[..., Any], type: Any, /) -> AsyncIterator[Partial[Any]]:
        """What the handlers of a step `emit`, from the beginning of the running attempt.

        Args:
            step: The name of one step (`"think.2"`), until that step ends. Or an agent: all of its steps, until the
                workflow ends.
            type: Type of the pieces.

        Raises:
            InvalidPayload: A piece is of another type.
            NotFound: There is no such workflow.
        """
        codec: Codec[Any] = Codec.of(type)
        name = step if isinstance(step, str) else step.name
        exact = isinstance(step, str)
        seen: dict[str, int] = {}
        async for entry in follow(self._nodes, self.id, partials=True):
            if exact and entry.name == f"task:{name}":
                return  # what was said in a step comes before its outcome
            said = entry.progress
            if not said.HasField("partial") or not (said.step == name or (not exact and _is_of(said.step, name))):
                continue
            before = seen.get(said.step, said.attempt)
            if said.attempt < before:
                continue  # a straggler of an attempt that was given up
            seen[said.step] = said.attempt
            yield Partial(codec.decode(payload_in(said.partial)), said.attempt, said.attempt > before)


def _is_of(step: str, name: str) -> bool:
    """`think`, `think.2`, …"""
    base, dot, n = step.rpartition(".")
    return bool(dot) and base == name and n.isdigit()


def outcome_of(workflow: workflow_pb2.Workflow, output: Codec[T]) -> T:
    """The result of a closed workflow. Raises WorkflowFailed or WorkflowCanceled if it has none."""
    state = state_in(workflow.state)
    if state is State.SUCCEEDED:
        return output.decode(payload_in(workflow.output))
    failure = failure_in(workflow.failure) if workflow.HasField("failure") else None
    if state is State.CANCELED:
        raise WorkflowCanceled(
            failure or Failure(FailureCode.CANCELED, "the workflow was canceled", "Canceled"), workflow.workflow_id
        )
    raise WorkflowFailed(failure or Failure(FailureCode.TIMEOUT, f"it {state}", str(state)), workflow.workflow_id)
