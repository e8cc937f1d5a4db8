# SPDX-License-Identifier: Apache-2.0
"""The product's processes as the benchmarks start them: `roles.py node|agent|client [--facts]`, configured by NERVENET_*.

Node and agent are what `nervenet node` and `nervenet agent` run, without the command line around them. Each prints a
JSON line when it serves: its address, or with `--facts` its whole ready file. They end by SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvloop
from four import TEXT, four, go, mesh, napper, parked, sleeper
from pump import take_orders
from sampling import sampled

from nervenet import Client, Mesh
from nervenet.config import Config
from nervenet.process import run_agent, run_node

PAGE = 500
"""Sleepers that are started or woken together."""


def _ready(what: object) -> None:
    print(json.dumps(what), flush=True)


def _tell_address(facts: dict[str, str]) -> None:
    _ready(facts["address"])


def serve(
    run: Callable[..., int], role: str, mesh: Mesh = mesh, tell: Callable[[dict[str, str]], object] = _tell_address
) -> None:
    """Run a role until it is told to stop; its ready file becomes the line on stdout."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ready"

        def when_ready() -> None:
            while not file.exists():
                time.sleep(0.01)
            tell(json.loads(file.read_text()))

        threading.Thread(target=when_ready, daemon=True).start()
        with sampled(role):
            run(mesh, Config.load(), ready_file=file, quiet=True)


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


async def sleeping() -> None:
    """Starts sleepers {"start": 1000, "first": 0}, and wakes them {"wake": 1000, "first": 0}; then it says how long that took.

    Each has a kilobyte of random hexadecimal digits, which packs to 60 %: text of an application packs better.
    """
    async with Client() as product:
        _ready("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            order = json.loads(line)
            began, first = time.monotonic(), order["first"]
            if "start" in order:
                for page in range(first, first + order["start"], PAGE):
                    texts = {f"sleeper-{i}": random.Random(i).randbytes(511).hex() for i in range(page, page + PAGE)}
                    await product.start_many(sleeper, texts)
            else:
                handles = [product.handle(f"sleeper-{i}", sleeper) for i in range(first, first + order["wake"])]
                for page in range(0, len(handles), PAGE):
                    await asyncio.gather(*(one.signal(go, "wake up") for one in handles[page : page + PAGE]))
                await asyncio.gather(*(one.result() for one in handles))
            _ready(time.monotonic() - began)


async def asking() -> None:
    """Asks the node for a workflow every 20 ms until it hears a line; then it says how long the longest answer took, in ms."""
    async with Client() as product:
        asked = await product.start(napper, 0.0)
        await asked.result()
        _ready("ready")
        while await asyncio.to_thread(sys.stdin.readline):
            stop, took = asyncio.create_task(asyncio.to_thread(sys.stdin.readline)), [0.0]
            while not stop.done():
                began = time.monotonic()
                await asked.info()
                took.append(time.monotonic() - began)
                await asyncio.sleep(0.02)
            _ready([1000 * sorted(took)[len(took) * 99 // 100], 1000 * max(took)])


if __name__ == "__main__":
    tell = _ready if "--facts" in sys.argv else _tell_address
    match sys.argv[1]:
        case "node":
            serve(run_node, "node", tell=tell)
        case "agent":
            serve(run_agent, "agent", tell=tell)
        case "client":
            uvloop.run(client())
        case "parking":
            uvloop.run(parking())
        case "sleeping":
            uvloop.run(sleeping())
        case "asking":
            uvloop.run(asking())
