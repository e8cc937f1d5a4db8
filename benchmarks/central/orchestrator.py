# SPDX-License-Identifier: Apache-2.0
"""The one process that owns all workflows.

It reads events in batches of up to 1,000, decides what follows from each, and writes all of that in one transaction. While Redis
works on a write, the next batch is read. An error of Redis ends the process: the supervisor starts it again, and it
continues from what was saved. So there is no second way to recover.

The naive form handles one event at a time, and awaits each command to Redis before it sends the next one.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Final

from .engine import Engine
from .store import Delivery, Store

BATCHES_READ_AHEAD: Final = 4


async def orchestrate(url: str, namespace: str, *, naive: bool, ready: Callable[[], None]) -> None:
    """Serve until cancelled."""
    store = Store(url, namespace)
    try:
        await store.prepare()
        engine = Engine(await store.load())
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not look at it
        gc.set_threshold(50_000, 20, 100)
        await (_one_at_a_time if naive else _many_at_once)(store, engine, ready)
    finally:
        await store.close()


async def _many_at_once(store: Store, engine: Engine, ready: Callable[[], None]) -> None:
    """Tasks and results of open workflows are in their streams: nothing needs to be sent again after a restart."""
    batches: asyncio.Queue[list[Delivery]] = asyncio.Queue(BATCHES_READ_AHEAD)

    async def read() -> None:
        while True:
            await batches.put(await store.read())

    async def write() -> None:
        while True:
            deliveries = await batches.get()
            while not batches.empty():
                deliveries += batches.get_nowait()
            effects = [effect for each in deliveries for effect in engine.apply(each.event)]
            await store.commit(deliveries, effects)

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        group.create_task(write())
        ready()


async def _one_at_a_time(store: Store, engine: Engine, ready: Callable[[], None]) -> None:
    """A crash may have come between the saved state and the task: every open step is sent again, and some run twice."""
    await store.dispatch([engine.dispatch(workflow) for workflow in engine.open.values()])
    ready()
    while True:
        for delivery in await store.read(most=1):
            await store.commit_one_by_one(delivery, engine.apply(delivery.event))
