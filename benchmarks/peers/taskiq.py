# SPDX-License-Identifier: Apache-2.0
"""taskiq on Valkey: a pipeline of four tasks on Redis Streams, a worker with 1,000 slots, and callers that poll for results.

The worker itself sends the next task of a pipeline: there is no coordinating process. taskiq has no notice of a result: a caller asks for it
again and again. The time between two questions grows with the number of callers, so that they ask about 1,000 times a second.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from comparing.load import Callers
from comparing.work import SLOTS, STEPS, work

from .peer import CALLERS, Peer, ready

PEER: Final = Peer(
    name="taskiq",
    module="taskiq",
    environment="taskiq",
    distributions=("taskiq", "taskiq-redis", "taskiq-pipelines"),
    durability=(
        "the worker may be killed: its unacknowledged tasks run again, by default ten minutes later (`idle_timeout`); no history; on disk"
        " within a second"
    ),
    processes={"worker": "agent", "client": CALLERS},
    coordinator="agent",
    servers=("valkey",),
    garbage=("taskiq:result:*",),
)
POLLS_PER_S: Final = 1000
SHORTEST_POLL_S: Final = 0.01
STREAM_LENGTH: Final = 20_000
PATIENCE_S: Final = 120.0


def _broker() -> tuple[Any, Any]:
    from taskiq_pipelines import PipelineMiddleware
    from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

    url = os.environ["BENCH_VALKEY"]
    results: Any = RedisAsyncResultBackend(url, keep_results=False, result_ex_time=300, prefix_str="taskiq:result")
    broker = RedisStreamBroker(url, queue_name="taskiq-four", maxlen=STREAM_LENGTH, xread_count=SLOTS)
    broker = broker.with_result_backend(results).with_middlewares(PipelineMiddleware())

    @broker.task(task_name="step")
    async def step(text: str) -> str:
        await work("", text)
        return text

    return broker, step


def worker() -> None:
    import uvloop

    uvloop.run(_worker())


async def _worker() -> None:
    from taskiq.api import run_receiver_task

    broker, _ = _broker()
    broker.is_worker_process = True
    serving = asyncio.create_task(run_receiver_task(broker, max_async_tasks=SLOTS, run_startup=True))
    await asyncio.sleep(1)
    ready()
    await serving


def client() -> None:
    import uvloop

    uvloop.run(_client())


async def _client() -> None:
    from taskiq_pipelines import Pipeline

    broker, step = _broker()
    await broker.startup()
    waiting = 0

    async def run(_workflow: str, text: str, _key: str) -> Any:
        nonlocal waiting
        pipeline: Any = Pipeline(broker, step)
        for _ in range(STEPS["four"] - 1):
            pipeline = pipeline.call_next(step)
        waiting += 1
        try:
            task = await pipeline.kiq(text)
            interval = max(SHORTEST_POLL_S, waiting / POLLS_PER_S)
            result = await task.wait_result(check_interval=interval, timeout=PATIENCE_S)
        finally:
            waiting -= 1
        return result.return_value

    callers = Callers(run)
    await callers.burst(1, 0)
    await callers.take_orders()
