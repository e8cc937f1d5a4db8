# SPDX-License-Identifier: Apache-2.0
"""A run of an agent for people who watch it: events of the model, results of tools, questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_ai.messages import AgentStreamEvent

from nervenet import Agent, Event, WorkflowHandle
from nervenet.integrations.pydantic_ai.names import MODEL

_events: TypeAdapter[AgentStreamEvent] = TypeAdapter(AgentStreamEvent)


async def watched(agents: Mapping[str, Agent[Any, Any]], handle: WorkflowHandle[Any]) -> AsyncIterator[tuple[str, Any]]:
    """See `DurableAgent.astream`."""
    watching = Watching(agents)
    async for event in handle.watch(partials=True):
        for one in watching.seen(event):
            yield one


class Watching:
    """Turns events of one workflow into events of a run.

    Args:
        agents: The capabilities of the agent, by role.
    """

    def __init__(self, agents: Mapping[str, Agent[Any, Any]]) -> None:
        self._roles = {agent.name: role for role, agent in agents.items()}
        self._streamed: dict[str, int] = {}
        """Steps of which something was streamed, and the attempt that did."""

    def seen(self, event: Event) -> Iterator[tuple[str, Any]]:
        """What watchers get of one event, in order."""
        if event.kind == "escalated":
            yield "question", event.data
        step = event.step or ""
        role = self._roles.get(step.partition(".")[0])
        if role == MODEL:
            yield from self._model(step, event)
        elif role is not None and event.kind == "task" and (returned := returned_by_tool(event.data)) is not None:
            yield "tool", {"toolset": role, "step": step, **returned}

    def _model(self, step: str, event: Event) -> Iterator[tuple[str, Any]]:
        if event.kind == "partial":
            yield from self._restarted(step, event.attempt or 1)
            self._streamed.setdefault(step, event.attempt or 1)
            yield "model", _events.validate_python(event.data)
        elif event.kind == "attempt":
            yield from self._restarted(step, (event.attempt or 0) + 1)

    def _restarted(self, step: str, attempt: int) -> Iterator[tuple[str, Any]]:
        if self._streamed.get(step, attempt) < attempt:
            self._streamed[step] = attempt
            yield "restart", {"step": step, "attempt": attempt}


def returned_by_tool(reply: Any) -> dict[str, Any] | None:
    """What a tool returned, in the words of a watcher. None: the reply is no call's, or the call waits for people.

    Args:
        reply: What the capability returned.
    """
    if not isinstance(reply, dict) or "tool" not in reply:
        return None
    reply = cast("dict[str, Any]", reply)
    about: dict[str, Any] = {"tool": reply["tool"]}
    value: dict[str, Any] = reply["value"]
    match value.get("kind"):
        case "tool_return" | "tool_content_result":
            result: Any = value.get("result")
            if isinstance(result, dict) and cast("dict[str, Any]", result).get("kind") == "tool-return":
                result = cast("dict[str, Any]", result).get("return_value")
            return {**about, "result": cast("Any", result)}
        case "model_retry" | "tool_failed" | "run_cancelled":
            return {**about, "error": value["message"]}
        case "validation_error":
            return {**about, "error": "; ".join(one["msg"] for one in value["errors"])}
        case _:
            return None
