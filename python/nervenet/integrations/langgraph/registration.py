# SPDX-License-Identifier: Apache-2.0
"""The agents of a graph's nodes, and the graph for workflows with a stub for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nervenet import Agent, CallOptions, Mesh
from nervenet.integrations.capability_names import CapabilityNames, capability_name
from nervenet.integrations.langgraph import internals
from nervenet.integrations.langgraph.codec import Values
from nervenet.integrations.langgraph.nodes import NodeHandler
from nervenet.integrations.langgraph.policies import options_of
from nervenet.integrations.langgraph.rebuild import Graph, Node, nodes_of, rebuilt
from nervenet.integrations.langgraph.refusals import placed
from nervenet.integrations.langgraph.stubs import InWorkflow, RemoteNode
from nervenet.integrations.refusals import NotSupported, caller

SLOTS = 10
"""Attempts that one agent process runs at the same time, unless the user says otherwise."""


@dataclass(frozen=True)
class Registered:
    """A graph on a mesh.

    Attributes:
        agents: The agent of each node, by path.
        graph: The graph for workflows.
    """

    agents: dict[str, Agent[Any, Any]]
    graph: Graph


def register(
    mesh: Mesh,
    compiled: Graph,
    name: str,
    values: Values,
    options: Mapping[str, CallOptions],
    slots: Mapping[str, int] | int,
    local: Collection[str],
    inline: Collection[str],
    stream: tuple[str, ...],
) -> Registered:
    """Add an agent for each node to the mesh. The arguments are those of `durable_graph`.

    Raises:
        NotSupported: A name is taken, or an argument names a node that there is not.
    """
    nodes = {node.path: node for node in nodes_of(compiled, inline)}
    graphs = [path for path, spec in compiled.builder.nodes.items() if internals.is_expanded(spec.runnable)]
    _refuse_unknown(name, "inline", inline, graphs)
    for argument, paths in (("options", options), ("slots", {} if isinstance(slots, int) else slots), ("local", local)):
        _refuse_unknown(name, argument, paths, nodes)
    names, cure = CapabilityNames(mesh), "rename the node, or give the graph another name="
    capabilities = {
        path: names.take(capability_name(name, path), f"node {path!r}", f"graph {name!r}", cure)
        for path in nodes
        if path not in local
    }
    agents: dict[str, Agent[Any, Any]] = {}
    stubs: dict[str, Any] = {}
    for path, node in nodes.items():
        if path in local:
            stubs[path] = InWorkflow(node.spec.runnable, f"the local node {path!r}")
            continue
        count = slots if isinstance(slots, int) else slots.get(path, SLOTS)
        handler = NodeHandler(path, node.spec, compiled, values, stream).handler()
        agents[path] = mesh.agent(name=capabilities[path], slots=count)(handler)
        stubs[path] = _stub(node, agents[path], values, options.get(path))
    return Registered(agents, rebuilt(compiled, stubs))


def _stub(node: Node, agent: Agent[Any, Any], values: Values, options: CallOptions | None) -> RemoteNode:
    own = options_of(node.spec)
    return RemoteNode(
        node.path,
        agent,
        own if options is None else own.merge(options),
        values,
        wants_state=internals.is_tool_node(node.spec.runnable),
        before=node.before,
        after=node.after,
        where=placed(node.spec.runnable),
        channels=node.channels,
    )


def _refuse_unknown(graph: str, argument: str, paths: Collection[str], known: Collection[str]) -> None:
    for path in paths:
        if path not in known:
            what = "subgraphs" if argument == "inline" else "nodes"
            raise NotSupported(
                f"{caller()}: {argument}= names {path!r}, but the {what} of graph {graph!r} are: "
                f"{', '.join(sorted(known)) or 'none'}"
            )
