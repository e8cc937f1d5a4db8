# SPDX-License-Identifier: Apache-2.0
"""An agent's handler alone: no mesh, no server, a Task that the test scripts.

    assert await run_agent(greet, "Ada") == "Hello, Ada"

    run = await AgentTest(attempt=2, checkpoint=["line 1"]).run(ocr, Page(1, 3))
    assert run.result.lines[0] == "line 1" and run.checkpoints

Input and result pass through their encodings as they do in a mesh, by the same rules (`agent/verdicts.py`). What the
handler raises comes out as itself, not as a CallFailed: a test of a handler wants its line.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import ParamSpec, TypeVar

from nervenet.agent.executors.common import Resources
from nervenet.agent.task import Task, TaskFacts
from nervenet.agent.verdicts import accepted, answered, raised
from nervenet.clock import SYSTEM
from nervenet.definitions import Agent
from nervenet.durable.context import TokenUsage
from nervenet.errors import CallFailed, Escalate
from nervenet.options import EMPTY
from nervenet.payloads import ANY
from nervenet.records import Failure, Payload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import timedelta

    from nervenet.definitions import Target

P = ParamSpec("P")
O = TypeVar("O")  # noqa: E741  # output, as everywhere in the signatures
T_co = TypeVar("T_co", covariant=True)

_LIMIT = 1 << 20


@dataclass
class _Notes:
    """What the handler reported: the Reporter of its Task."""

    cancelled: bool = False
    parts: list[Any] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    said: list[tuple[float | None, str]] = field(default_factory=list)

    def alive(self) -> None:
        """Not counted here."""

    def progress(self, fraction: float | None, message: str) -> None:
        self.said.append((fraction, message))

    def emit(self, part: Payload) -> None:
        self.parts.append(ANY.decode(part))

    def checkpoint(self, value: Payload) -> None:
        self.checkpoints.append(ANY.decode(value))


class AgentRun(Generic[T_co]):
    """One run of a handler in a test, from `AgentTest.run`.

    Attributes:
        error: What the handler raised. None: nothing.
        parts: What it emitted, as plain JSON values.
        checkpoints: Its checkpoints, as plain JSON values.
        progress: Its reports of progress: fraction and message.
        usage: Tokens that it reported.
    """

    def __init__(self, value: T_co | None, error: BaseException | None, notes: _Notes, task: Task[Any]) -> None:
        self._value = value
        self.error = error
        self.parts = notes.parts
        self.checkpoints = notes.checkpoints
        self.progress = notes.said
        used = {one.model: TokenUsage(one.input_tokens, one.output_tokens) for one in task.spent}
        self.usage = TokenUsage(
            sum(one.input_tokens for one in used.values()), sum(one.output_tokens for one in used.values()), used
        )

    def __repr__(self) -> str:
        return f"<AgentRun {self._value!r}>" if self.error is None else f"<AgentRun {self.error!r}>"

    @property
    def result(self) -> T_co:
        """What the handler returned.

        Raises:
            Exception: What the handler raised: its own exception, Escalate or CancelledError.
            CallFailed: The input or the result does not fit the annotation.
        """
        if self.error is not None:
            raise self.error
        return self._value  # type: ignore[return-value]  # set where there is no error


class AgentTest:
    """Runs a handler alone, with a Task that the test describes.

        run = await AgentTest(attempt=2, checkpoint=["line 1"]).run(ocr, Page(1, 3))
        assert run.result.lines[0] == "line 1"

    Args:
        attempt: Number of the attempt.
        checkpoint: What `task.restore` returns.
        resource: What `task.resource` is. Default: the agent's own lifespan is entered.
        cancel_after: When the attempt is cancelled, counted from its start. Default: never.
        hint: What `task.hint` is.
        labels: What `task.labels` is.
    """

    def __init__(
        self,
        *,
        attempt: int = 1,
        checkpoint: object = None,
        resource: object = None,
        cancel_after: timedelta | None = None,
        hint: str = "",
        labels: Mapping[str, str] = EMPTY,
    ) -> None:
        self.attempt = attempt
        self.checkpoint = checkpoint
        self.resource = resource
        self.cancel_after = cancel_after
        self.hint = hint
        self.labels = labels

    async def run(self, agent: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> AgentRun[O]:
        """Run the handler once: a coroutine here, a plain function in a thread (also with `run="process"`).

        Args:
            agent: An agent whose handler is at hand.
            args: Its input, one value or none.

        Raises:
            InvalidPayload: The input cannot be encoded.
            TypeError: There is no handler, or more than one input.
        """
        if not isinstance(agent, Agent) or agent.fn is None:
            raise TypeError(f"AgentTest.run takes an agent with a handler in this process, not {agent!r}")
        if len(args) > 1:
            raise TypeError(f"{agent.name!r} takes one value, got {len(args)}: make them one model or dataclass")
        given: Payload = agent.input.encode(args[0] if args else None)
        notes = _Notes()
        async with self._resource(agent) as resource:
            task: Task[Any] = Task(self._facts(agent), notes, resource)
            payload = accepted(agent, given)
            if isinstance(payload, Failure):
                return AgentRun(None, CallFailed(payload, agent.name), notes, task)
            arguments = (task, *payload) if agent.takes_task else payload
            try:
                value = await self._called(agent, arguments, notes)
            except BaseException as error:
                if not notes.cancelled and isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, SystemExit)):
                    raise  # it is the test that ends
                return AgentRun(None, _judged(agent, error), notes, task)
            verdict = answered(agent, value, _LIMIT)
            if isinstance(verdict, Payload):
                return AgentRun(agent.output.decode(verdict), None, notes, task)
            assert isinstance(verdict, Failure)
            return AgentRun(None, CallFailed(verdict, agent.name), notes, task)

    @asynccontextmanager
    async def _resource(self, agent: Agent[Any, Any]) -> AsyncIterator[Any]:
        if self.resource is not None:
            yield self.resource
            return
        entered = Resources()
        await entered.enter([agent])
        try:
            yield entered.of(agent)
        finally:
            await entered.close()

    def _facts(self, agent: Agent[Any, Any]) -> TaskFacts:
        saved = None if self.checkpoint is None else ANY.encode(self.checkpoint)
        return TaskFacts(
            f"test/{agent.name}",
            "test",
            agent.name,
            self.attempt,
            labels=self.labels,
            hint=self.hint,
            checkpoint=saved,
            payload_limit=_LIMIT,
        )

    async def _called(self, agent: Agent[Any, Any], arguments: tuple[Any, ...], notes: _Notes) -> Any:
        """A task of its own, so that cancelling it does not cancel the test."""
        assert agent.fn is not None
        work = agent.fn(*arguments) if agent.is_async else asyncio.to_thread(agent.fn, *arguments)
        running = asyncio.ensure_future(work)

        def cancel() -> None:
            notes.cancelled = True
            if agent.is_async:
                running.cancel()  # a thread finds out at its next progress/emit/checkpoint/check

        loop = asyncio.get_running_loop()
        timer = None if self.cancel_after is None else loop.call_later(self.cancel_after.total_seconds(), cancel)
        try:
            await asyncio.wait((running,))
        finally:
            if timer is not None:
                timer.cancel()
            running.cancel()
        return running.result()


async def run_agent(agent: Target[P, O], /, *args: P.args, **kwargs: P.kwargs) -> O:
    """Run a handler once and return its result: `assert await run_agent(greet, "Ada") == "Hello, Ada"`.

    Args:
        agent: An agent whose handler is at hand.
        args: Its input, one value or none.

    Raises:
        Exception: What the handler raised.
        CallFailed: The input or the result does not fit the annotation.
    """
    return (await AgentTest().run(agent, *args, **kwargs)).result


def _judged(agent: Agent[Any, Any], error: BaseException) -> BaseException:
    """An Escalate whose suggestion does not fit fails the attempt, as in a mesh. Other errors are unchanged."""
    if isinstance(error, Escalate):
        verdict = raised(agent, error, _LIMIT, SYSTEM.now_ms())
        if isinstance(verdict, Failure):
            return CallFailed(verdict, agent.name)
    return error
