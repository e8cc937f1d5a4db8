# SPDX-License-Identifier: Apache-2.0
"""The product's processes as the benchmarks start them: `roles.py node|agent|client`, configured by NERVENET_*.

Each prints a JSON line when it serves: a node its address. They are what `nervenet node` and `nervenet agent` run, without
the command line around them. They end when their input ends, or by SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import uvloop
from four import TEXT, four, mesh, parked
from pump import take_orders
from sampling import sampled

from nervenet import Client
from nervenet.agent.runtime import AgentRuntime
from nervenet.config import Config
from nervenet.node.node import Node
from nervenet.node.services import serve


def _ready(what: object) -> None:
    print(json.dumps(what), flush=True)


def _told_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


async def node() -> None:
    stop = _told_to_stop()
    async with Node.open(mesh.workflows, Config.load(), serve=serve) as running:
        _ready(running.address)
        with sampled("node"):
            await stop.wait()


async def agent() -> None:
    stop = _told_to_stop()
    async with AgentRuntime.open(mesh.agents.values(), Config.load(), name="noop"):
        _ready("ready")
        with sampled("agent"):
            await stop.wait()


async def client() -> None:
    async with Client() as product:
        await product.run(four, TEXT)
        with sampled("client"):
            await take_orders(lambda: product.run(four, TEXT))


async def parking() -> None:
    """Starts parked workflows: {"workflows": 1000}."""
    async with Client() as product:
        await product.run(four, TEXT)
        _ready("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            await asyncio.gather(*(product.start(parked, TEXT) for _ in range(json.loads(line)["workflows"])))
            _ready("parked")


if __name__ == "__main__":
    uvloop.run({"node": node, "agent": agent, "client": client, "parking": parking}[sys.argv[1]]())
