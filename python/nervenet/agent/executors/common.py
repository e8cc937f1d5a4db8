# SPDX-License-Identifier: Apache-2.0
"""The interface of executors, and what all of them do around the call of a handler."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

from nervenet.agent.task import Reporter, Task, TaskFacts
from nervenet.agent.verdicts import Verdict, accepted, outcome_entry
from nervenet.codecs import PLAIN, Codecs
from nervenet.records import Failure, Payload
from nervenet.streams.tasks.attempt import OutcomeEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nervenet.agent.running import Running
    from nervenet.clock import Clock
    from nervenet.definitions import Agent
    from nervenet.wire import Envelope


class Executor(Protocol):
    """Runs handlers of one kind. `run` returns the entry to record; None: the mesh no longer needs the attempt."""

    async def start(self) -> None: ...
    async def run(self, running: Running) -> OutcomeEntry | None: ...
    async def close(self) -> None: ...


class Resources:
    """The lifespans of one process: each function is entered once, and left in reverse order."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._entered: dict[Callable[[], Any], Any] = {}

    async def enter(self, agents: Iterable[Agent[Any, Any]]) -> None:
        for agent in agents:
            if agent.lifespan is not None and agent.lifespan not in self._entered:
                self._entered[agent.lifespan] = await self._open(agent.lifespan())

    def of(self, agent: Agent[Any, Any]) -> Any:
        return None if agent.lifespan is None else self._entered[agent.lifespan]

    async def close(self) -> None:
        self._entered.clear()
        await self._stack.aclose()

    async def _open(self, manager: Any) -> Any:
        if hasattr(manager, "__aenter__"):
            return await self._stack.enter_async_context(manager)
        return self._stack.enter_context(manager)


def prepare(
    agent: Agent[Any, Any],
    envelope: Envelope,
    reporter: Reporter,
    resource: Any,
    *,
    started_ms: int,
    checkpoint: Payload | None,
    payload_limit: int,
    codecs: Codecs = PLAIN,
) -> tuple[tuple[Any, ...], Task[Any] | None] | Failure:
    """The handler's arguments, and its Task if it takes one; a Failure if the input does not match its type."""
    arguments = accepted(agent, envelope.input, codecs)
    if isinstance(arguments, Failure) or not agent.takes_task:
        return arguments if isinstance(arguments, Failure) else (arguments, None)
    ends = [envelope.deadline_ms] if envelope.deadline_ms else []
    if envelope.attempt_timeout_ms:
        ends.append(started_ms + envelope.attempt_timeout_ms)
    facts = TaskFacts(
        envelope.task_id,
        envelope.workflow_id,
        envelope.capability,
        envelope.attempt,
        min(ends, default=None),
        envelope.labels,
        envelope.hint,
        checkpoint,
        payload_limit,
        codecs,
    )
    task: Task[Any] = Task(facts, reporter, resource)
    return (task, *arguments), task


def conclude(
    running: Running,
    verdict: Verdict,
    clock: Clock,
    task: Task[Any] | None,
    codecs: Codecs = PLAIN,
    limit: int | None = None,
) -> OutcomeEntry | None:
    """The entry of an attempt that has ended.

    A value counts even if it comes too late. If the attempt was stopped, the reason of the stop is recorded, not the
    exception of the handler; nothing, if it is recorded already.
    """
    if running.stop is not None and not isinstance(verdict, Payload):
        failure = running.stop.failure(running.envelope.capability, "agent")
        if failure is None or running.recorded:
            return None
        verdict = failure
    spent = task.spent if task is not None else ()
    return outcome_entry(
        running.envelope,
        running.agent_id,
        verdict,
        running.started_ms,
        clock.now_ms(),
        spent,
        codecs=codecs,
        limit=limit,
    )
