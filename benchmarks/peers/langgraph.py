# SPDX-License-Identifier: Apache-2.0
"""LangGraph: a graph of four nodes in the process of its callers, with each of its checkpointers; and the same graph on nervenet.

PostgreSQL: a pool of connections, as the saver's documentation recommends for production. A saver works on one command at a time, so the
callers share several savers. `durability="async"` is LangGraph's default: the next node may run before the checkpoint is on disk. With
`"sync"` it waits.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypedDict

from comparing.work import SLOTS, STEPS, work

from .peer import CALLERS, Peer, ready

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph import StateGraph
    from langgraph.graph.state import CompiledStateGraph

    from nervenet import Mesh, Workflow

CONNECTIONS: Final = 16
"""Connections to PostgreSQL, each with a saver of its own."""

PROCESS: Final = {"direct": CALLERS}
LOST: Final = "nothing is stored: a killed process loses its runs"
KEPT: Final = "the callers' process may be killed: its runs stay as checkpoints, and your code has to invoke each again"


def _direct(name: str, durability: str, saver: str, mode: str, *servers: Any, garbage: tuple[str, ...] = ()) -> Peer:
    versions = ("langgraph", "langgraph-checkpoint-postgres") if saver == "postgres" else ("langgraph",)
    settings = {"BENCH_SAVER": saver, "BENCH_DURABILITY": mode, "LANGGRAPH_STRICT_MSGPACK": "true"}
    return Peer(
        name=name,
        module="langgraph",
        environment="langgraph",
        distributions=versions,
        durability=durability,
        processes=PROCESS,
        coordinator=CALLERS,
        servers=servers,
        settings=settings,
        garbage=garbage,
    )


MEMORY: Final = _direct("langgraph-memory", LOST, "memory", "async")
POSTGRES: Final = _direct(
    "langgraph-postgres",
    f"{KEPT}; written while the next node runs, so this node may run again; each commit is on disk",
    "postgres",
    "async",
    "postgres",
)
POSTGRES_SYNC: Final = _direct(
    "langgraph-postgres-sync",
    f"{KEPT}; written before the next node runs; each commit is on disk",
    "postgres",
    "sync",
    "postgres",
)
SAVER: Final = _direct(
    "langgraph-saver",
    f"{KEPT}; written while the next node runs; on disk within a second",
    "nervenet",
    "async",
    "valkey",
    garbage=("nn:langgraph_saver:*",),
)
SAVER_SYNC: Final = _direct(
    "langgraph-saver-sync",
    f"{KEPT}; written before the next node runs; on disk within a second",
    "nervenet",
    "sync",
    "valkey",
    garbage=("nn:langgraph_saver_sync:*",),
)
DURABLE: Final = Peer(
    name="nervenet-graph",
    module="langgraph",
    environment="langgraph",
    distributions=("langgraph",),
    durability="any process may be killed: another one continues, finished nodes do not run again; on disk within a second",
    processes={"durable_node": "coordinator", "durable_agent": "agent", "durable_client": CALLERS},
    coordinator="coordinator",
    servers=("valkey", "etcd"),
    garbage=("nn:nervenet_graph:wf:*", "nn:nervenet_graph:closed:*"),
)


class State(TypedDict):
    text: str


async def step(state: State) -> dict[str, str]:
    """Hands back what it got."""
    await work("", state["text"])
    return {"text": state["text"]}


def four_nodes() -> StateGraph[State, None, State, State]:
    from langgraph.graph import START, StateGraph

    builder = StateGraph(State)
    before = START
    for number in range(1, STEPS["four"] + 1):
        builder.add_node(f"step{number}", step)
        builder.add_edge(before, f"step{number}")
        before = f"step{number}"
    return builder


# ── in the process of its callers ────────────────────────────────────────────────────────────────────────────────────


def direct() -> None:
    import uvloop

    uvloop.run(_invoke())


async def _invoke() -> None:
    from comparing.load import Callers

    async with AsyncExitStack() as stack:
        savers = await SAVERS[os.environ["BENCH_SAVER"]](stack)
        graphs = [four_nodes().compile(checkpointer=saver) for saver in savers]
        durability: Any = os.environ["BENCH_DURABILITY"]

        async def run(_workflow: str, text: str, key: str) -> Any:
            graph: CompiledStateGraph[State, None, State, State] = graphs[hash(key) % len(graphs)]
            thread = {"configurable": {"thread_id": key}}
            return (await graph.ainvoke({"text": text}, thread, durability=durability))["text"]

        callers = Callers(run)
        await callers.burst(1, 0)
        await callers.take_orders()


async def _memory(_stack: AsyncExitStack) -> list[BaseCheckpointSaver[Any] | None]:
    return [None]


async def _postgres(stack: AsyncExitStack) -> list[BaseCheckpointSaver[Any] | None]:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow, dict_row
    from psycopg_pool import AsyncConnectionPool

    savers: list[BaseCheckpointSaver[Any] | None] = []
    pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
        os.environ["BENCH_POSTGRES"],
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    )
    await stack.enter_async_context(pool)
    for number in range(CONNECTIONS):
        saver = AsyncPostgresSaver(pool)
        if not number:
            await saver.setup()
        savers.append(saver)
    return savers


async def _nervenet(stack: AsyncExitStack) -> list[BaseCheckpointSaver[Any] | None]:
    from nervenet.integrations.langgraph import NervenetSaver

    saver = NervenetSaver.from_url(os.environ["BENCH_VALKEY"], namespace=os.environ["BENCH_NAMESPACE"])
    return [await stack.enter_async_context(saver)]


SAVERS: Final[dict[str, Callable[[AsyncExitStack], Awaitable[list[BaseCheckpointSaver[Any] | None]]]]] = {
    "memory": _memory,
    "postgres": _postgres,
    "nervenet": _nervenet,
}


# ── on nervenet ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _durable() -> tuple[Mesh, Workflow[str, str]]:
    from nervenet import Context, Mesh
    from nervenet.integrations.langgraph import durable_graph

    mesh = Mesh("graph")
    graph = durable_graph(mesh, four_nodes().compile(), name="graph", slots=SLOTS)

    @mesh.workflow
    async def four(ctx: Context, text: str) -> str:
        return str((await graph.ainvoke(ctx, {"text": text}))["text"])

    return mesh, four


def durable_node() -> None:
    from roles import serve

    from nervenet.process import run_node

    serve(run_node, "node", _durable()[0], ready)


def durable_agent() -> None:
    from roles import serve

    from nervenet.process import run_agent

    serve(run_agent, "agent", _durable()[0], lambda _facts: ready())


def durable_client() -> None:
    import uvloop

    uvloop.run(_call())


async def _call() -> None:
    from comparing.load import Callers

    from nervenet import Client

    _, four = _durable()
    async with Client() as client:
        callers = Callers(lambda _workflow, text, key: client.run(four, text, id=key))
        await callers.burst(1, 0)
        await callers.take_orders()
