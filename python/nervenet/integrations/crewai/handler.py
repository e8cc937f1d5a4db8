# SPDX-License-Identifier: Apache-2.0
"""The agent's side: one task of the crew as a handler.

A copy of the crew with this task alone is kicked off, so that CrewAI itself prepares the agent, its tools, its knowledge
and its delegation, checks guardrails and makes structured output. It runs in a thread: CrewAI blocks the thread that it
runs in, and in a thread other than the main one it replaces no signal handler. A request and its answer are JSON:

    {"task": label, "inputs": {…}, "context": "…", "previous"?: output, "feedback"?: ["…"], "messages"?: […]}
    {"output": {…}, "usage": {…}, "messages"?: […]}      messages: of a task whose answer a person reviews
    {"skipped": {…}}                                     the condition of a ConditionalTask is false

The agent of a hierarchical crew is its manager. It chooses coworkers while its task runs, so these run in the same process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from crewai import Task as CrewTask
from crewai.core.providers.human_input import SyncHumanInputProvider, reset_provider, set_provider
from crewai.crews.crew_output import CrewOutput
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput

from nervenet import AgentError, Task
from nervenet.integrations.crewai.model_agent import forget_usage, llms_of
from nervenet.integrations.crewai.model_calls import ModelCalls
from nervenet.integrations.crewai.model_faults import ModelCallFailed
from nervenet.integrations.crewai.outputs import decode_output, encode_output
from nervenet.integrations.crewai.plan import Plan
from nervenet.integrations.crewai.remote_model import through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crewai import Crew
    from crewai.core.providers.human_input import ExecutorContext

    from nervenet import Agent

__all__ = ["TaskHandler"]


@dataclass(frozen=True)
class TaskHandler:
    """Runs the tasks of one agent.

    Attributes:
        plan: The crew.
        role: The agent.
        model: The agent that calls the models. None: this one calls them itself.
    """

    plan: Plan
    role: str
    model: Agent[Any, Any] | None = None

    def handler(self) -> Callable[[Task[Any], dict[str, Any]], Any]:
        """The function that `mesh.agent` takes."""

        def run(task: Task[Any], request: dict[str, Any]) -> dict[str, Any]:
            if self.model is None:
                return self._run(task, request, None)
            calls = ModelCalls(task, self.plan.name, self.model)
            try:
                return self._run(task, request, calls)
            except ModelCallFailed:
                raise
            except Exception:
                calls.seal()
                raise

        run.__doc__ = f"Tasks of the agent {self.role!r} of the crew {self.plan.name!r}."
        return run

    def _run(self, task: Task[Any], request: Mapping[str, Any], calls: ModelCalls | None) -> dict[str, Any]:
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
        _prepare_models(crew, calls)
        token = set_provider(_Conversation(request.get("messages", ()), request.get("feedback", ())))
        try:
            result = cast("Any", crew).kickoff(inputs=dict(request["inputs"]))
        finally:
            reset_provider(token)
        if not isinstance(result, CrewOutput):
            raise AgentError(f"the crew {self.plan.name!r} streamed its result", type="NotSupported", retryable=False)
        output, usage = result.tasks_output[-1], result.token_usage
        _count(task, crew)
        answer: dict[str, Any] = {"output": encode_output(output), "usage": usage.model_dump(mode="json")}
        if reviewed:
            answer["messages"] = _conversation(output)
        return answer

    def _previous(self, previous: Mapping[str, Any]) -> TaskOutput:
        return decode_output(previous["output"], self.plan.tasks[previous["task"]])


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


def _prepare_models(crew: Crew, calls: ModelCalls | None) -> None:
    """Let the models of this copy of the crew count tokens from zero, and make their calls tasks."""
    for name, (holder, llm) in llms_of(crew).items():
        if calls is None:
            forget_usage(llm)
        setattr(holder, name[1], llm if calls is None else through(calls, llm, name))


def _count(task: Task[Any], crew: Crew) -> None:
    """Report the tokens of this copy of the crew, by model."""
    for llm in {id(llm): llm for _, llm in llms_of(crew).values()}.values():
        used = llm.get_token_usage_summary()
        if used.total_tokens:
            task.usage(llm.model, input_tokens=used.prompt_tokens, output_tokens=used.completion_tokens)


def _unconditional(task: ConditionalTask) -> CrewTask:
    """The same task without its condition: CrewAI refuses a crew with conditional tasks alone."""
    kept = {name: getattr(task, name) for name in CrewTask.model_fields if name not in {"id", "output"}}
    return CrewTask(**kept)


def _carrier(context: str) -> CrewTask:
    """A task that has ended with this output: CrewAI makes a task's context of such ones."""
    output = TaskOutput(description="context", raw=context, agent="")
    return CrewTask(description="context", expected_output="context", output=output)
