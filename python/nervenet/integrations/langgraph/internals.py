# SPDX-License-Identifier: Apache-2.0
"""Every name of LangGraph that is not documented and that this package rests on, in one place.

Nothing is imported from `langgraph._internal` or `langgraph.pregel`. `make frameworks` runs the lowest and the newest version
that we support, so a change of one of these names fails a test.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

from langgraph import channels
from langgraph.channels import BinaryOperatorAggregate
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

# Keys of `config["configurable"]`, which LangGraph sets for each task.
READ_STATE = "__pregel_read_state"
"""A function that reads the graph's state behind a `Send`. ToolNode calls it for InjectedState (since 1.1)."""
SCRATCHPAD = "__pregel_scratchpad"
"""A dataclass with the answers of interrupts. `interrupt()` calls its `get_null_resume(consume)` for the next answer."""
NODE_ERROR = "__pregel_node_error"
"""The `NodeError` that an error handler receives (since 1.1)."""

RESERVED = "__pregel_"
"""All keys of this kind belong to LangGraph and never travel."""


def with_answers(config: Mapping[str, Any], next_answer: Callable[[bool], Any]) -> dict[str, Any]:
    """`configurable` with a scratchpad whose answers come from this function."""
    conf = dict(config["configurable"])
    conf[SCRATCHPAD] = dataclasses.replace(conf[SCRATCHPAD], get_null_resume=next_answer)
    return conf


def copied(builder: StateGraph[Any, Any, Any, Any]) -> StateGraph[Any, Any, Any, Any]:
    """A copy of a builder whose nodes, edges and branches can be replaced without a change of the original.

    `_node_defaults` (since 1.1) are part of each node since the first `compile`, which refuses to apply them again.
    """
    new = copy.copy(builder)
    new.edges = set(builder.edges)
    new.waiting_edges = set(builder.waiting_edges)
    new.channels = dict(builder.channels)
    new.branches = type(builder.branches)(dict)
    new.nodes = {}
    defaults = getattr(builder, "_node_defaults", None)
    if defaults is not None:
        new._node_defaults = type(defaults)()  # noqa: SLF001
    return new


def without_policies(spec: Any, runnable: Any) -> Any:
    """A node's specification (`StateNodeSpec`) with another function and without retries, cache and timeout."""
    empty = {name: None for name in ("retry_policy", "cache_policy", "timeout") if hasattr(spec, name)}
    return dataclasses.replace(spec, runnable=runnable, **empty)


def with_path(branch: Any, path: Any) -> Any:
    """A conditional edge (`BranchSpec`, a NamedTuple) with another function."""
    return branch._replace(path=path)


def with_reducer(channel: Any, wrap: Callable[..., Any]) -> Any:
    """The channel with `wrap` of its reducer; the channel itself if it has none.

    A DeltaChannel (since 1.2, in beta) becomes one that keeps its whole value, because LangGraph gives random ids to the messages
    of a DeltaChannel before its reducer has them. Its reducer takes writes one by one as well as together, as it must in LangGraph.
    """
    if isinstance(channel, BinaryOperatorAggregate):
        return BinaryOperatorAggregate(channel.typ, wrap(channel.operator))
    delta: Any = getattr(channels, "DeltaChannel", None)
    if delta is not None and isinstance(channel, delta):
        return BinaryOperatorAggregate(channel.typ, wrap(_one_by_one(channel.reducer), missing=True))
    return channel


def _one_by_one(reducer: Callable[[Any, list[Any]], Any]) -> Callable[[Any, Any], Any]:
    def reduce(left: Any, right: Any) -> Any:
        return reducer(left, [right])

    reduce.__name__ = getattr(reducer, "__name__", "reduce")
    return reduce


def is_expanded(runnable: Any) -> bool:
    """Whether a node is a graph of its own, whose nodes become capabilities."""
    return isinstance(runnable, CompiledStateGraph)


def is_tool_node(runnable: Any) -> bool:
    """Whether a node is LangGraph's ToolNode. Who has one has imported it; langgraph.prebuilt is not imported for others."""
    prebuilt = sys.modules.get("langgraph.prebuilt.tool_node")
    return prebuilt is not None and isinstance(runnable, prebuilt.ToolNode)


def settings(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> dict[str, Any]:
    """What `compiled.with_config(…)` has set, without callbacks, which must not see replays."""
    kept = ("recursion_limit", "max_concurrency", "tags", "metadata", "configurable")
    return {key: value for key, value in (compiled.config or {}).items() if key in kept and value}


def to_this_graph(command: Command[Any]) -> Command[Any]:
    """A command that a graph called inside a node sent to its parent: for the node's own graph it is a plain one."""
    return dataclasses.replace(command, graph=None)
