# SPDX-License-Identifier: Apache-2.0
"""The agent's side: one task of the crew as a handler.

A copy of the crew with this task alone is kicked off, so that CrewAI itself prepares the agent, its tools, its knowledge
and its delegation, checks guardrails and makes structured output. It runs in a thread: CrewAI blocks the thread that it
runs in, and in a thread other than the main one it replaces no signal handler. A request and its answer are JSON:

    {"task": label, "inputs": {…}, "context": "…", "previous"?: output, "feedback"?: ["…"], "messages"?: […]}
    {"output": {…}, "usage": {…}, "messages"?: […]}      messages: of a task whose answer a person reviews
    {"skipped": {…}}                                     the condition of a ConditionalTask is false
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from crewai import Task as CrewTask
from crewai.core.providers.human_input import SyncHumanInputProvider, reset_provider, set_provider
from crewai.crews.crew_output import CrewOutput
from crewai.llms.base_llm import BaseLLM
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput

from nervenet import AgentError, Task
from nervenet.integrations.crewai.outputs import decode_output, encode_output
from nervenet.integrations.crewai.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crewai import Crew
    from crewai.core.providers.human_input import ExecutorContext

__all__ = ["TaskHandler"]


@dataclass(frozen=True)
class TaskHandler:
    """Runs the tasks of one agent.

    Attributes:
        plan: The crew.
        role: The agent.
    """

    plan: Plan
    role: str

    def handler(self) -> Callable[[Task[None], dict[str, Any]], Any]:
        """The function that `mesh.agent` takes."""

        def run(task: Task[None], request: dict[str, Any]) -> dict[str, Any]:
            return self._run(task, request)

        run.__doc__ = f"Tasks of the agent {self.role!r} of the crew {self.plan.name!r}."
        return run

    def _run(self, task: Task[None], request: Mapping[str, Any]) -> dict[str, Any]:
        label = request["task"]
        if label not in self.plan.labels:
            raise AgentError(
                f"this agent runs a version of the crew {self.plan.name!r} without the task {label!r}: deploy agents "
                "before the workflows that call them",
                type="UnknownTask",
            )
        index = self.plan.labels.index(label)
        crew = self.plan.crew.copy()
        own = crew.tasks[index]
        if isinstance(own, ConditionalTask):
            if "previous" in request and not own.should_execute(self._previous(request["previous"])):
                return {"skipped": encode_output(own.get_skipped_task_output())}
            own = _unconditional(own)
        reviewed = bool(own.human_input)
        own.human_input = False  # people answer in the workflow
        own.async_execution = False
        own.context = [_carrier(request["context"])] if request["context"] else None
        if index > 0 and own.allow_crewai_trigger_context is None:
            own.allow_crewai_trigger_context = False  # CrewAI gives the payload to the first task
        crew.tasks, crew.stream = [own], False
        _count_from_zero(crew)
        token = set_provider(_Conversation(request.get("messages", ()), request.get("feedback", ())))
        try:
            result = cast("Any", crew).kickoff(inputs=dict(request["inputs"]))
        finally:
            reset_provider(token)
        if not isinstance(result, CrewOutput):
            raise AgentError(f"the crew {self.plan.name!r} streamed its result", type="NotSupported", retryable=False)
        output, usage = result.tasks_output[-1], result.token_usage
        self._count(task, usage)
        answer: dict[str, Any] = {"output": encode_output(output), "usage": usage.model_dump(mode="json")}
        if reviewed:
            answer["messages"] = _conversation(output)
        return answer

    def _previous(self, previous: Mapping[str, Any]) -> TaskOutput:
        return decode_output(previous["output"], self.plan.tasks[previous["task"]])

    def _count(self, task: Task[None], usage: Any) -> None:
        agent = next(one for one in self.plan.crew.agents if one.role == self.role)
        model = getattr(agent.llm, "model", None) or "unknown"
        if usage.total_tokens:
            task.usage(model, input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)


class _Conversation(SyncHumanInputProvider):
    """Begins the agent's conversation where the last attempt that a person reviewed has left it."""

    def __init__(self, messages: Sequence[Any], feedback: Sequence[str]) -> None:
        self._messages, self._feedback = messages, feedback

    def setup_messages(self, context: ExecutorContext) -> bool:
        """The earlier messages and what the person said, if there is anything. CrewAI calls it."""
        if not self._feedback:
            return False
        context.messages.extend(dict(one) for one in self._messages)  # type: ignore[misc]  # LLMMessage is a TypedDict
        asked = cast("Any", context)._format_feedback_message(self._feedback[-1])  # noqa: SLF001  # a part of the protocol
        context.messages.append(asked)
        return True


def _conversation(output: TaskOutput) -> list[dict[str, Any]]:
    """The messages of an attempt, the agent's answer last."""
    messages: list[dict[str, Any]] = output.model_dump(mode="json", include={"messages"})["messages"]
    if not messages or messages[-1].get("role") != "assistant":
        messages = [*messages, {"role": "assistant", "content": output.raw}]
    return messages


def _count_from_zero(crew: Crew) -> None:
    """A copy of an agent shares the counter of tokens with the original: give it one of its own."""
    for agent in crew.agents:
        if isinstance(agent.llm, BaseLLM):
            llm = cast("Any", agent.llm)
            llm._token_usage = dict.fromkeys(llm._token_usage, 0)  # noqa: SLF001  # there is no other way to reset it


def _unconditional(task: ConditionalTask) -> CrewTask:
    """The same task without its condition: CrewAI refuses a crew with conditional tasks alone."""
    kept = {name: getattr(task, name) for name in CrewTask.model_fields if name not in {"id", "output"}}
    return CrewTask(**kept)


def _carrier(context: str) -> CrewTask:
    """A task that has ended with this output: CrewAI makes a task's context of such ones."""
    output = TaskOutput(description="context", raw=context, agent="")
    return CrewTask(description="context", expected_output="context", output=output)
