# SPDX-License-Identifier: Apache-2.0
"""What metrics and traces cost: throughput with each of them beside throughput without, interleaved in one run.

    python benchmarks/metrics_cost.py [--quick] [--rounds 7] [--seconds 3] [--concurrency 200]

Four meshes of a client, a node and an agent share a Valkey and an etcd, and take turns within each round, in an order that
rotates: `off`; `metrics` (both pages are scraped once a second, fifteen times as often as Prometheus does); `traces 1 %` and
`traces 100 %` (sent to a collector of this machine, whose CPU is not counted). Shown are the medians of the rounds, and of each
round's ratios. "CPU" compares the CPU of node and agent for a workflow: the figure that noise touches least.

The limits are those of the issue: metrics within 2 %, traces at 1 % within 3 %, at 100 % less than 40 % lost.

First come the prices of single operations, and what all of them together cost for one workflow of four steps. Counting cannot
be switched off, so `off` has it too; `benchmarks/compared.py` compares with a checkout that does not count.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
import timeit
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import redis
from modes import command_line, in_turns, summary, table, write
from processes import Process, product_environment
from throughput import Bench, System

from nervenet.clock import SYSTEM
from nervenet.dev.servers import Server, etcd, valkey
from nervenet.metrics import Registry, catalog
from nervenet.node.metrics import NodeMetrics
from nervenet.records import Close, State
from nervenet.streams.metrics import TaskMetrics
from nervenet.streams.tasks.attempt import OutcomeEntry

OFF, METRICS, SOME, ALL = "off", "metrics", "traces 1 %", "traces 100 %"
MODES = (OFF, METRICS, SOME, ALL)
LIMITS = {METRICS: 0.98, SOME: 0.97, ALL: 0.60}
ROLES = ("node", "agent")


# ── single operations ────────────────────────────────────────────────────────────────────────────────────────────────


def nanoseconds(work: Any, count: int = 200_000) -> float:
    """The best of five runs, without the price of the loop and the call."""
    empty = min(timeit.repeat(lambda: None, number=count, repeat=5))
    return (min(timeit.repeat(work, number=count, repeat=5)) - empty) / count * 1e9


def operations() -> dict[str, float]:
    """Nanoseconds of each."""
    registry = Registry("node")
    counters = registry.counters(catalog.TASKS_SENT)
    counter = counters.child("classify", "inbox")
    histogram = registry.histograms(catalog.TASK_RUN).child("classify", "succeeded")
    add, observe = counter.add, histogram.observe

    def directly() -> None:
        counter.value += 1

    return {
        "counter.value += 1": nanoseconds(directly),
        "counter.add()": nanoseconds(add),
        "family.child(…).add()": nanoseconds(lambda: counters.child("classify", "inbox").add()),
        "histogram.observe(…)": nanoseconds(lambda: observe(0.03)),
    }


def per_workflow() -> float:
    """Microseconds of everything that node and agent count for a workflow of four steps."""
    node, agent = NodeMetrics(Registry("node"), SYSTEM), TaskMetrics(Registry("agent"))
    close, outcome = Close(State.SUCCEEDED, None, None), OutcomeEntry("task:a", b"", False)
    labels: dict[str, str] = {}

    def workflow() -> None:
        node.started("four", labels)
        node.folded(1_100)
        for _ in range(4):
            node.sent.child("step", "inbox").add()
            agent.claimed("step", 3)
            agent.recorded("step", outcome, 2)
            node.folded(1_100)
            node.task_over("step", 7, None)
        node.folded(40)
        node.appended(close)
        node.closed("four", close, 30, labels)

    return nanoseconds(workflow, 20_000) / 1000


# ── a mesh in each mode ──────────────────────────────────────────────────────────────────────────────────────────────


def collect() -> None:
    """A collector that takes spans and forgets them; its own process."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

    class Forgets(rpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  # the contract's name
            return pb.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    rpc.add_TraceServiceServicer_to_server(Forgets(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps(f"http://127.0.0.1:{port}"), flush=True)
    sys.stdin.read()
    server.stop(0)


def environment(mode: str, collector: str) -> dict[str, str]:
    if mode == METRICS:
        return {"NERVENET_METRICS": "127.0.0.1:0"}
    if mode == OFF:
        return {}
    ratio = "0.01" if mode == SOME else "1"
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": ratio,
    }


class Scraper:
    """Reads pages once a second, beside the measurement. Leaving it raises what went wrong."""

    def __init__(self, addresses: list[str]) -> None:
        self.read = 0
        self._problem: Exception | None = None
        self._addresses = addresses
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Scraper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            raise RuntimeError("a page of metrics could not be read") from self._problem

    def _run(self) -> None:
        try:
            while not self._over.wait(1.0):
                for address in self._addresses:
                    self._look(address)
        except Exception as error:  # noqa: BLE001 - it is raised where the measurement ends
            self._problem = error

    def _look(self, address: str) -> None:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            page = answer.read()
        if b"nervenet_build_info" not in page:
            raise ValueError(f"{address} shows no metrics: {page[:500]!r}")
        self.read += 1


def start(stack: ExitStack, store: Server, members: Server, mode: str, collector: str) -> tuple[System, list[str]]:
    """The processes of one mode, and where their pages are."""
    namespace = mode.replace(" ", "-").replace("%", "percent")
    env = product_environment(store, members, namespace) | {"NERVENET_BENCH_WORK_MS": "0"}
    served = env | environment(mode, collector)
    node = stack.enter_context(Process("roles.py", "node", "--facts", env=served))
    address = {"NERVENET_ADDRESS": node.ready["address"]}
    agent = stack.enter_context(Process("roles.py", "agent", "--facts", env=served | address))
    client = stack.enter_context(Process("roles.py", "client", env=env | address))
    pages = [each.ready["metrics"] for each in (node, agent) if each.ready["metrics"]]
    return System(mode, namespace, client, node.pid, {"node": node.pid, "agent": agent.pid}), pages


def measured(rounds: int, seconds: float, concurrency: int) -> list[dict[str, dict[str, Any]]]:
    """The row of each mode, for each round."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        options = {"auto-aof-rewrite-percentage": "0"}
        store = stack.enter_context(valkey(data / "valkey", options=options))
        members = stack.enter_context(etcd())
        collector = stack.enter_context(Process("metrics_cost.py", "collector")).ready
        systems, pages = {}, []
        for mode in MODES:
            systems[mode], shown = start(stack, store, members, mode, collector)
            pages += shown
        bench = Bench(redis.Redis(port=store.port), systems, 0)
        for mode in MODES:
            bench.slot(mode, concurrency, min(seconds, 1.0))  # warm
        scraper = stack.enter_context(Scraper(pages))
        found = in_turns(MODES, rounds, lambda mode: bench.slot(mode, concurrency, seconds))
        assert scraper.read, "no page was read"
        return found


def main() -> None:
    asked = command_line(__doc__, "metrics_cost")
    prices, whole = operations(), per_workflow()
    print("\n".join(f"{what:24}{ns:>7.0f} ns" for what, ns in prices.items()))
    print(f"{'all of one workflow':24}{whole:>7.1f} µs", flush=True)
    began = time.monotonic()
    rows = summary(measured(asked.rounds, asked.seconds, asked.concurrency), ROLES, LIMITS)
    print(table(rows))
    took = round(time.monotonic() - began)
    write(asked, {"operations_ns": prices, "workflow_us": whole, "rows": rows, "took_s": took})


if __name__ == "__main__":
    if sys.argv[1:] == ["collector"]:
        collect()
    else:
        main()
