# SPDX-License-Identifier: Apache-2.0
"""A node as the gateway of a thousand agents that speak only gRPC: memory, tasks per second, CPU.

    python benchmarks/gateway.py [--agents 1000] [--seconds 5] [--in-flight 1000] [--paced 2000]

Each agent is a Connect stream on a connection of its own, all of them in one process (the herd), which hands back the kilobyte
that it is given. Three things are measured:

- *idle*: the node's resident memory before and after they have come, and its CPU while they only send their heartbeats;
- *gateway alone*: a feeder stands for the owners of the tasks: it writes envelopes into the node's inbox and reads the news of their
  outcomes from its own wake, so the node only claims, pushes, records and acknowledges. Once as fast as it goes, once at a pace;
- *and coordinator*: the same node also owns the workflows (four steps in sequence) that ask for the tasks.

"core" is the node's CPU for a task, turned around: the tasks per second that one core does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import uvloop
from four import TEXT
from processes import Process, cpu_ms, machine, product_environment, rss_mb

from nervenet.dev.servers import etcd, valkey
from nervenet.payloads import ANY
from nervenet.records import Start
from nervenet.redis_link.link import Link
from nervenet.redis_link.opening import open_link
from nervenet.streams.answers import NewWorkflow
from nervenet.streams.journal import JournalStore
from nervenet.streams.keys import Keys
from nervenet.streams.queues import Queues, parse_wakes
from nervenet.streams.script import packaged_scripts
from nervenet.v1 import agent_pb2, task_pb2
from nervenet.v1 import agent_service_pb2 as pb
from nervenet.v1 import agent_service_pb2_grpc as pb_grpc
from nervenet.wire import Envelope, encode_entry, encode_envelope

NAMESPACE = "gateway-bench"
OWNER = "n-feeder"
CREDIT = 8
STEPS = 100
"""Tasks of one of the feeder's workflows; then it begins another, as a head grows with its steps."""


# ── the herd ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sheep:
    """One agent: it answers what it is given with what it was given."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self._call: Any = pb_grpc.AgentServiceStub(self._channel).Connect()
        self._writing = asyncio.Lock()
        self.id = self.node = ""
        self.wrote_at = 0.0

    async def connect(self) -> None:
        able = [agent_pb2.Capability(name="noop")]
        hello = pb.Hello(agent=agent_pb2.AgentRecord(name="sheep", capabilities=able, runtime="bench"), credit=CREDIT)
        await self._say([pb.ConnectRequestItem(hello=hello)])
        welcome = (await self._call.read()).items[0].welcome
        self.id, self.node = welcome.agent_id, welcome.node_id

    async def work(self) -> None:
        while (message := await self._call.read()) is not grpc.aio.EOF:
            done = [_answer(item.task) for item in message.items if item.WhichOneof("item") == "task"]
            if done:
                await self._say(done)

    async def beat(self) -> None:
        await self._say([pb.ConnectRequestItem(status=pb.Status())])

    async def _say(self, items: list[pb.ConnectRequestItem]) -> None:
        async with self._writing:
            self.wrote_at = time.monotonic()
            await self._call.write(pb.ConnectRequest(items=items))


def _answer(task: task_pb2.TaskEnvelope) -> pb.ConnectRequestItem:
    result = task_pb2.TaskResult(output=task.input, attempt=task.attempt)
    return pb.ConnectRequestItem(task_completion=pb.TaskCompletion(task_id=task.task_id, result=result))


async def herd(address: str, count: int) -> None:
    """All agents of the run. Comes when it is told to, says who they are."""
    print(json.dumps("ready"), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    flock = [Sheep(address) for _ in range(count)]
    began = time.monotonic()
    for start in range(0, count, 50):
        await asyncio.gather(*(sheep.connect() for sheep in flock[start : start + 50]))
    took = time.monotonic() - began
    async with asyncio.TaskGroup() as group:
        for sheep in flock:
            group.create_task(sheep.work())
        answer = {"agents": [sheep.id for sheep in flock], "node": flock[0].node, "seconds": took}
        print(json.dumps(answer), flush=True)
        while True:
            await asyncio.sleep(0.1)
            late = time.monotonic() - 1.5
            for sheep in flock:
                if sheep.wrote_at < late:
                    await sheep.beat()


# ── the feeder ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Feeder:
    """The owner of many small workflows of which each has one task under way."""

    def __init__(self, link: Link, inbox: str, agents: list[str]) -> None:
        keys = Keys(NAMESPACE)
        self._link, self._journal, self._queues = link, JournalStore(link, keys), Queues(link, keys)
        self._inbox, self._agents = inbox, agents
        self._started = self._turn = 0
        self._begun: dict[str, float] = {}
        self._step: dict[str, int] = {}
        self._input = ANY.encode(TEXT)
        self.took: list[float] = []
        self.sent = 0

    async def prepare(self) -> None:
        await self._queues.make_wake(OWNER)

    async def begin(self) -> None:
        """One more workflow, with its first task."""
        self._started += 1
        workflow_id = f"w-{os.getpid()}-{self._started}"
        now = int(time.time() * 1000)
        start = encode_entry(Start("w", 1, "3.11", ANY.encode(None), bytes(16)))
        await self._journal.create(NewWorkflow(workflow_id, OWNER, "w", 1, "3.11", b"req", start, now, now + 600_000))
        self._step[workflow_id] = 0
        self.send(workflow_id)

    def send(self, workflow_id: str) -> None:
        step = self._step[workflow_id] = self._step[workflow_id] + 1
        agent = self._agents[self._turn % len(self._agents)]
        self._turn += 1
        self.sent += 1
        envelope = Envelope(
            workflow_id=workflow_id,
            run=1,
            step="noop" if step == 1 else f"noop.{step}",
            capability="noop",
            attempt=1,
            input=self._input,
            reply_to=OWNER,
            agent_id=agent,
            enqueue_ms=int(time.time() * 1000),
        )
        self._begun[workflow_id] = time.monotonic()
        self._queues.send_inbox_nowait(self._inbox, encode_envelope(envelope))

    def ended(self, workflow_id: str) -> bool:
        """Whether that workflow may have another task."""
        self.took.append((time.monotonic() - self._begun.pop(workflow_id)) * 1000)
        if self._step[workflow_id] < STEPS:
            return True
        del self._step[workflow_id]
        return False

    async def run(self, in_flight: int, seconds: float, pace: float) -> float:
        """Run with `in_flight` tasks at a time (`pace` 0), or start `pace` tasks a second. Returns the seconds it took."""
        self.took.clear()
        self.sent = 0
        reader = await self._link.dedicated()
        idle: list[str] = []
        last = b"$"
        await asyncio.gather(*(self.begin() for _ in range(in_flight))) if not pace else None
        began = time.monotonic()
        last = b"0"
        while (now := time.monotonic()) < began + seconds or self._begun:
            over = now >= began + seconds
            if pace and not over:
                for _ in range(min(in_flight - len(self._begun), int(pace * (now - began)) - self.sent)):
                    if idle:
                        self.send(idle.pop())
                    else:
                        await self.begin()
            block = 5 if pace else 100
            wakes = parse_wakes(await reader.read(*self._queues.read_wakes(OWNER, last, 1_000, block)))
            for wake in wakes:
                again = self.ended(wake.workflow_id)
                if pace and again:
                    idle.append(wake.workflow_id)
                elif again and not over:
                    self.send(wake.workflow_id)
                elif not over and not pace:
                    await self.begin()
            if wakes:
                last = wakes[-1].id
                self._queues.trim_wakes_nowait(OWNER, last)
        await reader.close()
        return time.monotonic() - began


async def feeder() -> None:
    """Orders: {"node", "agents", "in_flight", "seconds", "pace"}."""
    link = await open_link(os.environ["NERVENET_REDIS"], name="feeder", scripts=packaged_scripts())
    print(json.dumps("ready"), flush=True)
    fed: Feeder | None = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if fed is None:
            fed = Feeder(link, order["node"], order["agents"])
            await fed.prepare()
        took = await fed.run(order["in_flight"], order["seconds"], order["pace"])
        print(json.dumps({"seconds": took, "took_ms": fed.took}), flush=True)


# ── the benchmark ────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(name: str, tasks: int, seconds: float, took: list[float], cpu: dict[str, float]) -> dict[str, Any]:
    took = sorted(took)
    return {
        "what": name,
        "tasks_per_s": tasks / seconds,
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[min(len(took) - 1, int(len(took) * 0.99))],
        "cpu_us_per_task": {who: used * 1000 / tasks for who, used in cpu.items()},
        "tasks_per_s_of_a_core": 1000 * tasks / cpu["node"],
    }


def measure(stack: ExitStack, options: argparse.Namespace) -> dict[str, Any]:
    store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
    env = product_environment(store, members, NAMESPACE)
    node = stack.enter_context(Process("roles.py", "node", env=env))
    env["NERVENET_ADDRESS"] = node.ready
    flock = stack.enter_context(Process("gateway.py", "herd", node.ready, str(options.agents), env=env))
    feed = stack.enter_context(Process("gateway.py", "feeder", env=env))
    pids = {"node": node.pid, "agents": flock.pid, "valkey": store.pid, "etcd": members.pid}

    def used(more: dict[str, int]) -> dict[str, float]:
        return {who: cpu_ms(pid) for who, pid in (pids | more).items()}

    def since(before: dict[str, float], more: dict[str, int]) -> dict[str, float]:
        return {who: ms - before[who] for who, ms in used(more).items()}

    before = rss_mb(node.pid)
    came = flock.ask(come=True)
    time.sleep(2)
    idle_before, at = used({}), time.monotonic()
    time.sleep(options.seconds)
    idle = {who: ms / 10 / (time.monotonic() - at) for who, ms in since(idle_before, {}).items()}
    result: dict[str, Any] = {
        "agents": options.agents,
        "connected_in_s": came["seconds"],
        "kb_per_agent": (rss_mb(node.pid) - before) * 1000 / options.agents,
        "idle_cpu_percent": idle,
        "rows": [],
    }
    order = {"node": came["node"], "agents": came["agents"], "in_flight": options.in_flight}
    feed.ask(**order, seconds=1, pace=0)
    for name, pace in (("gateway alone", 0), (f"the same, {options.paced:,}/s asked for", options.paced)):
        counted = used({"feeder": feed.pid})
        answer = feed.ask(**order, seconds=options.seconds, pace=pace)
        cpu = since(counted, {"feeder": feed.pid})
        result["rows"].append(_row(name, len(answer["took_ms"]), answer["seconds"], answer["took_ms"], cpu))
    caller = stack.enter_context(Process("roles.py", "client", env=env))
    caller.ask(concurrency=options.workflows, seconds=1)
    counted = used({"client": caller.pid})
    answer = caller.ask(concurrency=options.workflows, seconds=options.seconds)
    cpu = since(counted, {"client": caller.pid})
    took = answer["took_ms"]
    result["rows"].append(_row("and coordinator", 4 * len(took), answer["seconds"], [ms / 4 for ms in took], cpu))
    result["kb_per_agent_after"] = (rss_mb(node.pid) - before) * 1000 / options.agents
    return result


def table(result: dict[str, Any]) -> str:
    """For people."""
    idle = "  ".join(f"{who} {percent:.1f} %" for who, percent in result["idle_cpu_percent"].items())
    lines = [
        f"{result['agents']:,} agents connected in {result['connected_in_s']:.1f} s, {result['kb_per_agent']:.0f} KB each"
        f" ({result['kb_per_agent_after']:.0f} KB after all the work); idle they cost, of a core: {idle}",
        f"{'':32}{'tasks/s':>9}{'core':>8}{'p50 ms':>9}{'p99 ms':>9}   CPU µs per task",
    ]
    for row in result["rows"]:
        used = "  ".join(f"{who} {us:.0f}" for who, us in row["cpu_us_per_task"].items())
        lines.append(
            f"{row['what']:32}{row['tasks_per_s']:>9,.0f}{row['tasks_per_s_of_a_core']:>8,.0f}{row['p50_ms']:>9.1f}{row['p99_ms']:>9.1f}   {used}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--in-flight", type=int, default=1000, help="tasks under way at once when it goes as fast as it can"
    )
    parser.add_argument("--paced", type=int, default=2000, help="tasks a second of the paced row")
    parser.add_argument("--workflows", type=int, default=300, help="workflows under way at once in the last row")
    parser.add_argument("--out", type=Path, default=Path("build/bench/gateway.json"))
    options = parser.parse_args()
    facts = machine()
    print("  ".join(f"{what}: {fact}" for what, fact in facts.items()))
    with ExitStack() as stack:
        result = measure(stack, options)
    print(table(result))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result | {"machine": facts}, indent=1) + "\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["herd", address, count]:
            uvloop.run(herd(address, int(count)))
        case ["feeder"]:
            uvloop.run(feeder())
        case _:
            main()
