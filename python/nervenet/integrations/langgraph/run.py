# SPDX-License-Identifier: Apache-2.0
"""LangGraph's own loop, run once in a workflow.

A run that begins with an earlier state reads it from a checkpointer of one checkpoint (`Seed`), as LangGraph does with a thread.
Nothing is written to it: the journal of the workflow is the checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    empty_checkpoint,
)
from langsmith import tracing_context

from nervenet import Context
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.internals import RESERVED
from nervenet.integrations.langgraph.rebuild import Graph
from nervenet.integrations.langgraph.stubs import CURRENT, GraphRun
from nervenet.integrations.refusals import NotEncodable
from nervenet.payloads import PayloadTooLarge

RECURSION_LIMIT = 10_000
"""Steps of one run, unless `config` says otherwise. LangGraph's default comes from the environment of whatever node replays."""

Observer = Callable[[str, Any, Context], None]


class _Observing(threading.local):
    """Who sees every chunk of the stream: mode, chunk, workflow. A journal that is folded for its history runs in the thread of
    the fold, and in a context of its own, so a ContextVar would not reach it."""

    observer: Observer | None = None


_OBSERVING = _Observing()


@dataclass(frozen=True)
class Outcome:
    """What a run of the graph came to.

    Attributes:
        output: The output, as `compiled.ainvoke` returns it.
        state: The whole state, for the next run of the same thread.
    """

    output: Any
    state: Mapping[str, Any]


async def run_graph(
    graph: Graph,
    values: Values,
    ctx: Context,
    input: Any,
    config: RunnableConfig | None,
    context: Any,
    state: Mapping[str, Any] | None,
    show: Callable[[Mapping[str, Any]], Any] | None,
    seen: Callable[[Any], None] | None = None,
) -> Outcome:
    """Run it to its end.

    Args:
        graph: The rebuilt graph.
        values: Its codec.
        ctx: The workflow.
        input: The graph's input.
        config: The user's config.
        context: The runtime context.
        state: What to begin with. None: nothing.
        show: Makes the view that is published after a step. None: none is.
        seen: Called with the state after each step.
    """
    given = dict(config or {})
    token = CURRENT.set(GraphRun(ctx, _request(values, given, context)))
    if state is not None:
        graph = graph.copy({"checkpointer": Seed(state)})
    observer = _OBSERVING.observer
    reached: Any = None
    try:
        with tracing_context(enabled=False):  # a tracer would take each replay for a run
            async for mode, chunk in _stream(graph, ctx, input, given, context, updates=observer is not None):
                if observer is not None:
                    observer(mode, chunk, ctx)
                if mode == "values":
                    reached = chunk
                    if seen is not None:
                        seen(chunk)
                    if show is not None:
                        _publish(ctx, values, chunk, show)
    finally:
        CURRENT.reset(token)
    return Outcome(output_of(graph, reached), reached)


def _stream(
    graph: Graph, ctx: Context, input: Any, given: dict[str, Any], context: Any, *, updates: bool
) -> AsyncIterator[Any]:
    own: Any = {key: given[key] for key in ("recursion_limit", "max_concurrency", "tags") if key in given}
    own.setdefault("recursion_limit", (graph.config or {}).get("recursion_limit", RECURSION_LIMIT))
    own["configurable"] = {"thread_id": ctx.workflow_id, **_users(given)}
    return graph.astream(
        input,
        own,
        context=context,
        stream_mode=["values", "updates"] if updates else ["values"],
        output_keys=graph.stream_channels_asis,
        durability="exit" if graph.checkpointer else None,
    )


def _request(values: Values, given: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """What every request to a node carries."""
    sent = {key: given[key] for key in ("tags", "metadata", "recursion_limit", "max_concurrency") if given.get(key)}
    if users := _users(given):
        sent["configurable"] = users
    request = {}
    for name, value in (("config", sent or None), ("context", context)):
        if value is not None:
            try:
                request[name] = values.encode(value)
            except NotEncodable as error:
                raise NotEncodable(f"{name}: {error}") from None
    return request


def _users(given: Mapping[str, Any]) -> dict[str, Any]:
    """The user's own keys of `configurable`."""
    return {key: value for key, value in (given.get("configurable") or {}).items() if not key.startswith(RESERVED)}


def _publish(ctx: Context, values: Values, state: Any, show: Callable[[Mapping[str, Any]], Any]) -> None:
    encoded: Any = None
    try:
        encoded = values.encode(state)
        ctx.publish(show({"values": encoded}))
    except PayloadTooLarge:
        ctx.publish(
            show({"values": None, "note": "the state is above 64 KiB: nervenet journal export, then graph.history(…)"})
        )


def output_of(graph: Graph, state: Any) -> Any:
    """What the output schema has of a state."""
    channels = graph.output_channels
    if isinstance(channels, str) or not isinstance(state, dict):
        return state
    return {key: state[key] for key in channels if key in state}


class Seed(BaseCheckpointSaver[int]):
    """A checkpointer with one checkpoint, made of a state; it forgets what it is given."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self._state = state

    def _tuple(self, config: RunnableConfig) -> CheckpointTuple:
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = dict(self._state)
        checkpoint["channel_versions"] = dict.fromkeys(self._state, 1)
        return CheckpointTuple(config, checkpoint, CheckpointMetadata(source="update", step=-1, parents={}))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The state, for the graph itself; nothing for its subgraphs."""
        return None if (config.get("configurable") or {}).get("checkpoint_ns") else self._tuple(config)

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any
    ) -> RunnableConfig:
        """Forget it."""
        return config

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Forget them."""

    def get_next_version(self, current: int | None, channel: Any) -> int:
        """One more."""
        return (current or 0) + 1


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """While the block runs, workflows of this thread show each chunk to the observer."""
    outer, _OBSERVING.observer = _OBSERVING.observer, observer
    try:
        yield
    finally:
        _OBSERVING.observer = outer
