# SPDX-License-Identifier: Apache-2.0
"""What a graph costs in a workflow: CPU to run it, and bytes while it waits, beside a workflow that makes the same calls.

build/frameworks/newest/bin/python -m tests.frameworks.langgraph.costs
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

from langgraph.graph import START, StateGraph

from nervenet import Context, Mesh, Workflow
from nervenet.durable.check import rebuild
from nervenet.integrations.langgraph import durable_graph
from nervenet.testing import Journal, WorkflowTest
from tests.frameworks.langgraph import agents, graphs
from tests.frameworks.langgraph.kit import scripted

mesh = Mesh("costs")
RUNS, PARKED = 40, 50


@mesh.agent
async def step(state: dict[str, Any]) -> dict[str, Any]:
    return {"log": ["x"]}


@mesh.workflow
async def plain(ctx: Context, state: dict[str, Any]) -> dict[str, Any]:
    log: list[str] = []
    for _ in range(4):
        log += (await ctx.call(step, {"log": log}))["log"]
    return {"log": log}


def node(state: graphs.Log) -> graphs.Log:
    return {"log": ["x"]}


_four = StateGraph(graphs.Log)
for _name, _before in zip("abcd", (START, *"abc"), strict=True):
    _four.add_node(_name, node)
    _four.add_edge(_before, _name)
four_graph = durable_graph(mesh, _four.compile(), name="four")
four = four_graph.workflow()


def journals() -> dict[str, tuple[Workflow[Any, Any], Journal]]:
    test = WorkflowTest(crash_everywhere=False)
    test.stub(step, lambda state: {"log": ["x"]})
    quiet = {"crash_everywhere": False}
    react = agents.react_graph.encode(agents.question(), context=agents.User("ana"))
    return {
        "plain workflow, 4 calls": (plain, test.run(plain, {}).journal),
        "graph of 4 nodes": (four, scripted(four_graph, **quiet).run(four, {}).journal),
        "map-reduce over 20": (
            graphs.map_reduce,
            scripted(graphs.map_graph, **quiet).run(graphs.map_reduce, {}).journal,
        ),
        "agent with 3 tools": (agents.react, scripted(agents.react_graph, **quiet).run(agents.react, react).journal),
    }


def cpu_ms(workflow: Workflow[Any, Any], journal: Journal) -> float:
    """CPU of one run in the machine, the best of five."""
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        for _ in range(RUNS):
            rebuild(workflow, "w", 1, journal.entries).close()
        best = min(best, time.process_time() - begin)
    return 1000 * best / RUNS


def parked_bytes(workflow: Workflow[Any, Any], journal: Journal) -> int:
    """Memory of one run that waits for its last task."""
    entries = journal.entries[:-2]
    rebuild(workflow, "w", 1, entries).close()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = [rebuild(workflow, f"w{n}", 1, entries) for n in range(PARKED)]
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for machine in held:
        machine.close()
    return used // PARKED


def main() -> None:
    for name, (workflow, journal) in journals().items():
        cpu, size = cpu_ms(workflow, journal), parked_bytes(workflow, journal)
        print(
            f"{name:26} {cpu:7.3f} ms CPU, {1000 * cpu / len(journal):5.0f} µs an entry, {size / 1024:6.1f} KiB parked"
        )


if __name__ == "__main__":
    main()
