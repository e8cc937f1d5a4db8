# SPDX-License-Identifier: Apache-2.0
"""For how long a workflow of thousands of steps keeps its node's event loop from everything else.

    python benchmarks/fan_out.py [--steps 1000 5000 10000] [--ways gathered mapped] [--rounds 3] [--what]

A real node, agent, Valkey and etcd. Each row is one fan-out: all calls in one `asyncio.gather`, or in one `ctx.map` with as
many at once. Shown is the longest turn of the node's event loop in each part of its life, in ms of CPU (turns.py), the
median of the rounds; `--what` tells what ran in turns above 15 ms.

- start: the calls are made and all tasks are in the queue, for which there is no agent yet
- open: `nervenet show` asks for the workflow with every pending step, and the dashboard for it in short
- wait: for ten seconds nothing happens but the node's looks at its pending steps
- adopted: the node is killed; the next one replays the calls and sends the tasks again
- run: an agent comes, all results come in, the workflow waits for a signal
- replay: the node is killed again, the next one replays the whole journal
- told: the same is asked as in "open", and the whole journal
- end: the signal comes, the workflow closes
- cancel: another fan-out with all tasks in the queue is canceled
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from builds import lay_out
from processes import HOME, Process, machine, product_environment
from roles import serve
from turns import serve_measured

from nervenet import Client, Context, Mesh, Signal
from nervenet.client.raw import RawClient
from nervenet.config import Config
from nervenet.dev.servers import etcd, valkey
from nervenet.node.workflows.coordinator import Coordinator
from nervenet.process import run_agent

PARTS = ("start", "open", "wait", "adopted", "run", "replay", "told", "end", "cancel")
WITHIN = 180.0
WAIT = 10.0

mesh = Mesh("fan")
go = Signal("go", str)


@mesh.agent(slots=1000)
async def work(n: int) -> int:
    """Hands its number back."""
    return n


@mesh.workflow
async def gathered(ctx: Context, count: int) -> int:
    """All calls in one callback."""
    found = await asyncio.gather(*(ctx.call(work, n) for n in range(count)))
    await ctx.receive(go)
    return len(found)


@mesh.workflow
async def mapped(ctx: Context, count: int) -> int:
    """As many at once as there are."""
    found = await ctx.map(work, range(count), concurrency=count)
    await ctx.receive(go)
    return len(found)


async def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not await asyncio.to_thread(what):
        if time.monotonic() > deadline:
            raise SystemExit("a part of the benchmark did not end in time")
        await asyncio.sleep(0.02)


class Bench:
    """One namespace on its own servers, for one fan-out."""

    def __init__(self, stack: ExitStack, home: Path, way: str, count: int, number: int) -> None:
        self.way, self.count = way, count
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-fan-out-")))
        store, members = stack.enter_context(valkey(folder)), stack.enter_context(etcd())
        self.namespace = f"fan-{number}"
        self.env = product_environment(store, members, self.namespace, home)
        self.env |= {"NERVENET_MAX_QUEUED": "1000000", "NERVENET_BENCH_HOME": str(home)}
        self.link = stack.enter_context(redis.Redis(port=store.port))
        self.stack = stack
        self.found: dict[str, dict[str, Any]] = {}
        self.node: Process

    def new_node(self) -> None:
        self.node = self.stack.enter_context(Process(Path(__file__), "node", env=self.env))
        self.env["NERVENET_ADDRESS"] = self.node.ready["address"]
        self.node.ask(take=True)

    def kill_node(self) -> None:
        os.kill(self.node.pid, signal.SIGKILL)

    def note(self, part: str) -> None:
        self.found[part] = self.node.ask(take=True)

    def queued(self) -> int:
        return sum(self.link.xlen(key) for key in self.link.keys(f"nn:{self.namespace}:queue:*"))

    def entries(self, workflow_id: str) -> int:
        return int(self.link.xlen(f"nn:{self.namespace}:wf:{{{workflow_id}}}:journal"))

    def client(self) -> Client:
        return Client(self.env["NERVENET_ADDRESS"], namespace=self.namespace)

    async def start(self, workflow_id: str) -> None:
        before = self.queued()
        async with self.client() as client:
            await client.start(self.way, self.count, id=workflow_id)
            await until(lambda: self.queued() >= before + self.count)

    async def ask(self, workflow_id: str, *, journal: bool) -> None:
        config = Config.load(environ={}, address=self.env["NERVENET_ADDRESS"], namespace=self.namespace)
        async with RawClient(config) as raw:
            told = await raw.call("GetWorkflow", workflow_id=workflow_id)
            assert len(told.workflow.tasks) == self.count
            told = await raw.call("GetWorkflow", workflow_id=workflow_id, summarize_tasks=True)
            assert told.workflow.task_count == self.count
            token = ""
            while journal:
                page = await raw.call("ListJournal", workflow_id=workflow_id, page_token=token)
                if not (token := page.next_page_token):
                    break

    async def hosted(self, workflow_id: str) -> None:
        """Wait until the new node has replayed the workflow."""

        def here() -> bool:
            return self.node.ask(hosted=workflow_id)["hosted"]

        await until(here)

    async def run(self) -> dict[str, dict[str, Any]]:
        self.new_node()
        await self.start("fan")
        self.note("start")
        await self.ask("fan", journal=False)
        self.note("open")
        await asyncio.sleep(WAIT)
        self.note("wait")
        self.kill_node()
        before = self.queued()
        self.new_node()
        await until(lambda: self.queued() >= before + self.count)
        self.note("adopted")
        agent = self.stack.enter_context(Process(Path(__file__), "agent", env=self.env))
        await until(lambda: self.entries("fan") > self.count)
        await until(lambda: self.node.ask(hosted="fan")["applied"] > self.count)
        self.note("run")
        self.kill_node()
        self.new_node()
        await self.hosted("fan")
        self.note("replay")
        await self.ask("fan", journal=True)
        self.note("told")
        async with self.client() as client:
            handle = client.handle("fan")
            await handle.signal(go, "")
            assert await handle.result() == self.count
        await asyncio.sleep(0.5)  # the bookkeeping of its end
        self.note("end")
        agent.__exit__()
        await self.start("other")
        self.node.ask(take=True)
        async with self.client() as client:
            await client.handle("other").cancel("enough")
            key = f"nn:{self.namespace}:wf:{{other}}"
            await until(lambda: self.link.hget(key, "state") == b"CANCELED")
        await asyncio.sleep(0.5)
        self.note("cancel")
        return self.found


def measure(home: Path, way: str, count: int, number: int) -> dict[str, dict[str, Any]]:
    with ExitStack() as stack:
        return asyncio.run(Bench(stack, home, way, count, number).run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[1_000, 5_000, 10_000])
    parser.add_argument("--ways", nargs="+", default=["gathered", "mapped"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--what", action="store_true", help="tell what ran in long turns")
    parser.add_argument("--revision", default="", help="measure another build of nervenet, with this tree's benchmark")
    parser.add_argument("--out", type=Path, default=Path("build/bench/fan_out.json"))
    options = parser.parse_args()
    home = lay_out(options.revision) if options.revision else HOME
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    print(f"| | steps | {' | '.join(PARTS)} |\n| --- | ---: {'| ---: ' * len(PARTS)}|")
    rows = []
    for way in options.ways:
        for count in options.steps:
            found = [measure(home, way, count, number) for number in range(options.rounds)]
            row = {part: statistics.median(one[part]["longest_ms"] for one in found) for part in PARTS}
            rows.append({"way": way, "steps": count, **row})
            print(f"| {way} | {count:,} | {' | '.join(f'{row[part]:.0f}' for part in PARTS)} |", flush=True)
            if options.what:
                _tell(found)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"rows": rows, "machine": facts}, indent=1) + "\n")


def _tell(found: list[dict[str, dict[str, Any]]]) -> None:
    for part in PARTS:
        for one in found:
            turns = one[part]
            if turns["over_20_ms"]:
                print(f"  {part}: {turns['over_20_ms']} ms, garbage {turns['gc_ms']:.0f} ms")
                for words, times in turns["seen"]:
                    print(f"    {times} × {words}")


def hosted(order: dict[str, Any]) -> dict[str, Any]:
    """Whether this process hosts a workflow, and how many entries it has folded."""
    for each in gc.get_objects():
        if type(each) is Coordinator and each.workflow_id == order["hosted"] and each.watched is not None:
            return {"hosted": True, "applied": each.applied}
    return {"hosted": False, "applied": 0}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node"]:
            serve_measured(mesh, hosted)
        case ["agent"]:
            serve(run_agent, "agent", mesh)
        case _:
            main()
