# SPDX-License-Identifier: Apache-2.0
"""The same graph with stubs for nodes, and what a graph must not have.

Nothing of the original is changed. Channels, reducers, edges, branches and Command stay LangGraph's own objects; each node's
function is replaced, each conditional edge and each local node is called in place, each reducer gives stable ids to messages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import Runnable
from langgraph.graph.state import CompiledStateGraph

from nervenet.integrations.langgraph import internals
from nervenet.integrations.langgraph.refusals import placed
from nervenet.integrations.langgraph.stubs import InWorkflow, stable
from nervenet.integrations.refusals import NotSupported, caller

Graph = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(frozen=True)
class Node:
    """A node that becomes a capability.

    Attributes:
        path: Its name, below the names of its subgraphs.
        spec: LangGraph's specification of it.
        before: Whether a human must allow it.
        after: Whether a human must allow what follows.
        channels: The channels of its graph.
    """

    path: str
    spec: Any
    before: bool
    after: bool
    channels: Mapping[str, Any]


def refuse(compiled: Any, name: str) -> None:
    """Refuse what cannot be durable.

    Raises:
        NotSupported: The sentence names the line and the cure.
    """
    where = caller()
    if not isinstance(compiled, CompiledStateGraph):
        raise NotSupported(
            f"{where}: durable_graph takes what StateGraph(…).compile() or create_agent(…) returns, not {type(compiled).__name__}. "
            "For @entrypoint and @task write the workflow itself: @mesh.workflow and @mesh.agent"
        )
    _refuse_saver(compiled, name, where)
    _refuse_nodes(compiled, "", where)


def _refuse_saver(compiled: Graph, name: str, where: str) -> None:
    if compiled.checkpointer is not None and compiled.checkpointer is not False:
        raise NotSupported(
            f"{where}: graph {name!r} is compiled with a checkpointer ({type(compiled.checkpointer).__name__}), but the "
            "journal of the workflow is the checkpoint: compile() it without checkpointer="
        )


def _refuse_nodes(compiled: Graph, prefix: str, where: str) -> None:
    for name, spec in compiled.builder.nodes.items():
        path, runnable = prefix + name, spec.runnable
        if "<" in name:
            raise NotSupported(
                f"{where}: node {path!r}{placed(runnable)} has no name by which an agent can find it: "
                "add_node('a name', …) gives it one"
            )
        if spec.cache_policy is not None:
            raise NotSupported(
                f"{where}: node {path!r}{placed(runnable)} has a cache_policy, which agents do not share: remove it, and "
                "look up what you need in the node"
            )
        if internals.is_expanded(runnable):
            inner: Any = runnable
            _refuse_saver(inner, path, where)
            _refuse_nodes(inner, f"{path}/", where)


def nodes_of(compiled: Graph, inline: Collection[str] = (), prefix: str = "") -> Iterator[Node]:
    """The nodes that an agent or the workflow runs: those of subgraphs instead of the subgraph, unless it is inline."""
    for name, spec in compiled.builder.nodes.items():
        path = prefix + name
        if internals.is_expanded(spec.runnable) and path not in inline:
            yield from nodes_of(spec.runnable, inline, f"{path}/")  # type: ignore[arg-type]  # a graph is a Runnable to typing
        else:
            before, after = (
                _names(name, which) for which in (compiled.interrupt_before_nodes, compiled.interrupt_after_nodes)
            )
            yield Node(path, spec, before, after, compiled.builder.channels)


def rebuilt(compiled: Graph, stubs: Mapping[str, Runnable[Any, Any]], prefix: str = "") -> Graph:
    """The graph for the workflow.

    Args:
        compiled: The user's graph.
        stubs: What stands for each node, by path.
        prefix: The path of this graph below the root, with a slash.
    """
    old = compiled.builder
    new = internals.copied(old)
    for key, channel in old.channels.items():
        new.channels[key] = internals.with_reducer(channel, stable)
    for start, branches in old.branches.items():
        for label, branch in branches.items():
            called = InWorkflow(branch.path, f"the conditional edge {label!r} of {start!r}")
            new.branches[start][label] = internals.with_path(branch, called)
    for name, spec in old.nodes.items():
        path = prefix + name
        runnable: Any = stubs[path] if path in stubs else rebuilt(spec.runnable, stubs, f"{path}/")  # type: ignore[arg-type]
        new.nodes[name] = internals.without_policies(spec, runnable)
    made = new.compile(name=compiled.name, checkpointer=None if prefix else False)
    own = internals.settings(compiled)
    return made.with_config(own) if own else made  # type: ignore[arg-type]


def _names(name: str, which: Any) -> bool:
    return which == "*" or name in which
