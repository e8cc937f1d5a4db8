# SPDX-License-Identifier: Apache-2.0
"""The workflow's side: CrewAI's sequential and hierarchical process, with each task a call of an agent's capability.

CrewAI's own loop cannot run in a workflow: it uses threads, an event bus, clocks and generated ids. Its rules are few and
are repeated here: tasks run in their order; the context of a task is the outputs of all tasks before it, or those of the
tasks that it names; a task with `async_execution` runs beside the ones that follow, and the next task without it waits. A
hierarchical crew differs in one point: its manager has all tasks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from crewai.tasks.conditional_task import ConditionalTask
from crewai.types.usage_metrics import UsageMetrics

from nervenet.integrations.crewai.outputs import crew_output, decode_output
from nervenet.integrations.refusals import NotSupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crewai import Task
    from crewai.crews.crew_output import CrewOutput
    from crewai.tasks.task_output import TaskOutput

    from nervenet import Agent, CallOptions, Context
    from nervenet.integrations.crewai.plan import Plan

__all__ = ["CrewRun"]

DIVIDER = "\n\n----------\n\n"
"""What CrewAI writes between two outputs in a context."""
CONTEXT_LIMIT = 16 << 10
"""Characters of an answer that a question to a person shows."""


class CrewRun:
    """One run of a crew in one workflow.

    Args:
        plan: The crew.
        agents: The agent of each role.
        options: Options of the calls of each role.
        ctx: The workflow.
        inputs: What fills the placeholders.
    """

    def __init__(
        self,
        plan: Plan,
        agents: Mapping[str, Agent[Any, Any]],
        options: Mapping[str, CallOptions],
        ctx: Context,
        inputs: Mapping[str, Any],
    ) -> None:
        if missing := sorted(plan.inputs - inputs.keys()):
            raise NotSupported(
                f"crew {plan.name!r} has placeholders without a value: {', '.join(missing)}. Put them into its inputs"
            )
        self._plan, self._agents, self._options, self._ctx = plan, agents, options, ctx
        self._inputs = dict(inputs)
        self._done: dict[str, TaskOutput] = {}
        """The output of each task that has ended, in the order in which CrewAI lists them."""
        self._encoded: dict[str, dict[str, Any]] = {}
        self._usage = UsageMetrics()

    async def run(self) -> CrewOutput:
        """Run all tasks.

        Raises:
            CallFailed: A task failed for good.
        """
        beside: list[tuple[str, asyncio.Task[TaskOutput]]] = []
        try:
            for label, task in self._plan.tasks.items():
                if task.async_execution and not isinstance(task, ConditionalTask):
                    beside.append((label, asyncio.create_task(self._one(label, task, self._named(task)))))
                    continue
                await self._join(beside)
                self._done[label] = await self._one(label, task, self._context(task))
            await self._join(beside)
        finally:  # a task has failed, or the workflow is cancelled: end those beside it
            for _, running in beside:
                running.cancel()
            await asyncio.gather(*(running for _, running in beside), return_exceptions=True)
        return crew_output(list(self._done.values()), self._usage)

    async def _join(self, beside: list[tuple[str, asyncio.Task[TaskOutput]]]) -> None:
        for label, running in beside:
            self._done[label] = await running
        beside.clear()

    async def _one(self, label: str, task: Task, context: str) -> TaskOutput:
        request: dict[str, Any] = {"task": label, "inputs": self._inputs, "context": context}
        if isinstance(task, ConditionalTask) and self._done:
            before = next(reversed(self._done))
            request["previous"] = {"task": before, "output": self._encoded[before]}
        feedback: list[str] = []
        while True:
            reply = await self._call(self._plan.performer(task), request)
            self._encoded[label] = reply.get("skipped") or reply["output"]
            output = decode_output(self._encoded[label], task)
            if "skipped" in reply:
                return output
            self._usage.add_usage_metrics(UsageMetrics.model_validate(reply["usage"]))
            if not task.human_input:
                return output
            said = await self._ask(label, output)
            if not said.strip():
                return output
            feedback = [*feedback, said]
            request = {**request, "feedback": feedback, "messages": reply["messages"]}

    async def _call(self, role: str, request: dict[str, Any]) -> dict[str, Any]:
        agent = self._agents[role]
        options = self._options.get(role)
        reply: dict[str, Any] = await (
            self._ctx.call(agent, request) if options is None else self._ctx.call(agent, request, options=options)
        )
        return reply

    async def _ask(self, label: str, output: TaskOutput) -> str:
        """What a person says about an answer. Nothing: it is accepted."""
        answer = await self._ctx.ask(
            f"{self._plan.name}, {label}: what should be better? An empty answer accepts the result.",
            answer=str,
            context={"task": label, "agent": output.agent, "result": output.raw[:CONTEXT_LIMIT]},
        )
        return answer.value

    def _context(self, task: Task) -> str:
        if isinstance(task.context, list) or task.context is None:
            return self._named(task)
        return DIVIDER.join(output.raw for output in self._done.values())

    def _named(self, task: Task) -> str:
        """The outputs of the tasks that this one names. A task that runs beside others has no other context."""
        if not isinstance(task.context, list):
            return ""
        labels = {id(one): label for label, one in self._plan.tasks.items()}
        named = [self._done.get(labels.get(id(one), "")) for one in task.context]
        return DIVIDER.join(output.raw for output in named if output is not None)
