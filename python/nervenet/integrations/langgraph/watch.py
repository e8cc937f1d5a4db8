# SPDX-License-Identifier: Apache-2.0
"""A run of the graph for people who watch it: updates, states, tokens, what nodes write, questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

from langgraph.types import Command

from nervenet import Agent, Client, Event, WorkflowHandle
from nervenet.integrations.langgraph.answers import is_reply
from nervenet.integrations.langgraph.codec import Values

MODES = ("updates", "values", "messages", "custom", "interrupt", "restart")


async def watched(
    values: Values,
    agents: Mapping[str, Agent[Any, Any]],
    client: Client,
    handle: WorkflowHandle[Any],
    modes: Collection[str] | None,
) -> AsyncIterator[tuple[str, Any]]:
    """See `DurableGraph.astream`.

    Raises:
        ValueError: There is no such mode.
    """
    wanted = frozenset(modes or MODES)
    if unknown := wanted.difference(MODES):
        raise ValueError(f"there is no stream mode {min(unknown)!r}: take some of {', '.join(MODES)}")
    watching = Watching(values, agents)
    shown: Any = None
    async for event in handle.watch(partials=True):
        for mode, data in watching.chunks(event):
            if mode in wanted:
                yield mode, data
        if "values" in wanted and event.kind in ("task", "closed"):
            view = (await client.handle(handle.id).info()).view
            encoded = view.get("values") if isinstance(view, dict) else None
            if encoded is not None and encoded != shown:
                shown = encoded
                yield "values", values.decode(encoded)


class Watching:
    """Turns events of one workflow into chunks.

    Args:
        values: The codec of the graph that it runs.
        agents: The graph's agents, by path.
    """

    def __init__(self, values: Values, agents: Mapping[str, Agent[Any, Any]]) -> None:
        self._values = values
        self._paths = {agent.name: path for path, agent in agents.items()}
        self._streamed: dict[str, int] = {}
        """Steps of which something was streamed, and the attempt that did."""
        self._asking: set[str] = set()
        """Nodes that streamed something and then asked a human: they begin again with the answer."""

    def chunks(self, event: Event) -> Iterator[tuple[str, Any]]:
        """The chunks of one event, in order."""
        if event.kind == "escalated":
            yield "interrupt", event.data
        step = event.step or ""
        path = self._paths.get(step.partition(".")[0])
        if path is None:
            return
        if event.kind == "partial":
            yield from self._piece(step, path, event)
        elif event.kind == "attempt" and step in self._streamed:
            yield from self._restart(step, path, (event.attempt or 0) + 1)
        elif event.kind == "task" and isinstance(event.data, dict):
            self._asking.update({path} if "interrupts" in event.data and step in self._streamed else ())
            yield from self._updates(path, event.data)

    def _updates(self, path: str, reply: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        if "value" in reply or not is_reply(reply):  # a human's answer in place of the node is an update too
            value = self._values.decode(reply.get("value", reply))
            yield "updates", {path: value.update if isinstance(value, Command) else value}

    def _piece(self, step: str, path: str, event: Event) -> Iterator[tuple[str, Any]]:
        attempt = event.attempt or 1
        if path in self._asking:
            self._asking.discard(path)
            yield "restart", {"node": path, "attempt": attempt}
        if attempt > self._streamed.get(step, attempt):
            yield from self._restart(step, path, attempt)
        self._streamed.setdefault(step, attempt)
        piece = event.data
        if isinstance(piece, dict) and "mode" in piece:
            yield piece["mode"], self._values.decode(piece["data"])

    def _restart(self, step: str, path: str, attempt: int) -> Iterator[tuple[str, Any]]:
        if self._streamed[step] < attempt:
            self._streamed[step] = attempt
            yield "restart", {"node": path, "attempt": attempt}
