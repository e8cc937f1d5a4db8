# SPDX-License-Identifier: Apache-2.0
"""The licence audit twice: all in Python, and each capability in another language. Same report, one trace.

python -m tests.conformance.audit                   # the same report?
python -m tests.conformance.audit --languages rust  # of Rust, the rest in Python
JAEGER=1 python -m tests.conformance.audit          # and are its traces whole, in a real Jaeger?
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from examples.licence_audit.collect import OPEN, Outcome, outcomes
from examples.licence_audit.documents import canonical, installed
from examples.licence_audit.models import Distribution
from examples.licence_audit.workflow import licence_audit
from nervenet import Client
from nervenet.dev.servers import backing, free_port
from tests.conformance.candidates import CANDIDATES
from tests.conformance.mesh import Candidate, Mesh
from tests.support.environment import ROOT
from tests.support.processes import Process
from tests.support.waiting import until
from tests.telemetry.collector import collector

APP = "examples/licence_audit/app.py"
SERVES = {"go": "extract", "typescript": "validate", "java": "summarize", "rust": "summarize"}
"""What each other language's agent does; of two that do the same, one takes part."""
CALLED = {"typescript": "nodejs"}
"""`telemetry.sdk.language`, where an SDK calls the language otherwise than we do."""
LIMIT = 300.0


class Span(NamedTuple):
    id: str
    parents: set[str]
    language: str


def python(capability: str) -> Candidate:
    command = f'{shlex.quote(sys.executable)} -m nervenet agent {APP} --only {capability} --name "$NERVENET_AGENT_NAME"'
    return Candidate(capability, command, redis=True, conformance=False)


def foreign(language: str) -> Candidate:
    return replace(CANDIDATES[language], conformance=False)


def agents(*languages: str) -> list[Candidate]:
    """One for each capability: in these languages, and Python where none of them serves it."""
    theirs = {SERVES[language] for language in languages}
    ours = [name for name in ("classify", "extract", "validate", "summarize") if name not in theirs]
    return [*map(python, ours), *map(foreign, languages)]


async def audited(
    candidates: Sequence[Candidate], distributions: Sequence[Distribution], redis: str, etcd: str, folder: Path, otlp: str = ""
) -> tuple[list[Outcome], list[str]]:  # fmt: skip
    """What became of every audit, and the ids of the traces."""
    mesh = Mesh(candidates[0], redis, etcd, f"audit-{folder.name}", folder, app=APP)
    if otlp:
        mesh.env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        mesh.env["OTEL_BSP_SCHEDULE_DELAY"] = "1000"
    async with mesh:
        await asyncio.gather(*(mesh.agent(f"{one.name}-agent", one) for one in candidates))
        async with Client(mesh.nodes[0].address, namespace=mesh.namespace) as client:
            given = {f"audit-{canonical(one.name)}": one for one in distributions}
            handles = await client.start_many(licence_audit, given)

            async def settled() -> bool:
                states = [info.state async for info in client.list(definition=licence_audit.name)]
                return len(states) == len(given) and not OPEN.intersection(states)

            await until(settled, "every audit is judged or waits for a human", within=LIMIT)
            found = await outcomes(client, {key: (one, handles[key]) for key, one in given.items()})
            closed = [o.row.workflow_id for o in found if o.row.state == "SUCCEEDED"]
            traces = [(await handles[key].info()).trace_id for key in closed]
        await mesh.stop_agents(within=30)  # which sends their last spans, as the end of the nodes does theirs
        for node in mesh.nodes:
            node.kill(signal.SIGTERM)
        await until(lambda: not any(node.alive for node in mesh.nodes), "the nodes ended", within=30)
    return found, [trace for trace in traces if trace]


async def compare(languages: Sequence[str], names: set[str], some: int | None, logs: Path, jaeger: bool) -> int:
    distributions = [one for one in installed() if not names or canonical(one.name) in names][:some]
    async with backing() as (redis, etcd):
        with Jaeger(logs) if jaeger else Collected() as traced:
            alike, _ = await audited(agents(), distributions, redis.url, etcd.url, logs / "python")
            mixed, traces = await audited(
                agents(*languages), distributions, redis.url, etcd.url, logs / "mixed", traced.otlp
            )
            differ = [a.row.name for a, b in zip(alike, mixed, strict=True) if (a.row, a.detail) != (b.row, b.detail)]
            judged = sum(outcome.row.state == "SUCCEEDED" for outcome in mixed)
            print(
                f"{len(distributions)} distributions audited in Python alone and with {', '.join(languages)}: {judged} judged, "
                f"{len(mixed) - judged} wait for a human, {len(differ)} reports differ {' '.join(differ)}"
            )
            expected = {"python", *(CALLED.get(one, one) for one in languages)}
            problems = await traced.problems(traces, expected) if traces else ["no traces"]
    for problem in problems:
        print(f"✗ {problem}")
    return 1 if differ or problems or not judged else 0


class Collected:
    """The traces as a collector in this process got them over OTLP."""

    where = "the collector"
    otlp = ""

    def __enter__(self) -> Collected:
        self._running = collector()
        self._got = self._running.__enter__()
        self.otlp = self._got.endpoint
        return self

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)

    def trace(self, trace: str) -> list[Span]:
        return [
            Span(one.span_id, {one.parent_id} - {""}, str(one.service.get("telemetry.sdk.language")))
            for one in list(self._got.spans)
            if one.trace_id == trace
        ]

    async def problems(self, traces: Sequence[str], languages: set[str]) -> list[str]:
        """What is wrong with the traces: each has one root, no span without its parent, and all these languages."""
        found: list[str] = []
        spans: list[Span] = []
        for trace in traces:
            deadline = time.monotonic() + 15
            while (wrong := judge(seen := self.trace(trace), languages)) and time.monotonic() < deadline:
                await asyncio.sleep(0.3)  # the last spans are on their way
            found += [f"trace {trace}: {one}" for one in wrong]
            spans += seen
        found_in = ", ".join(sorted({span.language for span in spans}))
        print(f"{len(traces)} traces in {self.where}, {len(spans)} spans ({found_in}), {len(found)} problems")
        return found


class Jaeger(Collected):
    """A real one, built by `make jaeger`, on ports of its own."""

    where = "Jaeger"

    def __init__(self, logs: Path) -> None:
        self._log = logs / "jaeger.log"
        self._collector, self._query = free_port(), free_port()
        self.otlp = f"http://127.0.0.1:{self._collector}"

    def __enter__(self) -> Jaeger:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        ports = {"collector.otlp.grpc.host-port": self._collector, "query.http-server.host-port": self._query}
        others = (
            "collector.otlp.http.host-port", "query.grpc-server.host-port", "admin.http.host-port", "http-server.host-port",
            "collector.grpc-server.host-port", "collector.http-server.host-port", "processor.jaeger-compact.server-host-port",
            "processor.jaeger-binary.server-host-port", "processor.zipkin-compact.server-host-port",
        )  # fmt: skip
        ports |= {name: free_port() for name in others}
        flags = [f"--{name}=127.0.0.1:{port}" for name, port in ports.items()]
        self._process = Process([str(ROOT / "build/jaeger/jaeger"), *flags, "--memory.max-traces=5000"], self._log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    def trace(self, trace: str) -> list[Span]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._query}/api/traces/{trace}", timeout=10) as answer:
                told = json.load(answer)["data"][0]
        except OSError:
            return []
        # A parent that is linked too comes as FOLLOWS_FROM alone: every reference within the trace counts.
        languages = {key: _language(process["tags"]) for key, process in told["processes"].items()}
        return [
            Span(one["spanID"], {r["spanID"] for r in one["references"] if r["traceID"] == trace}, languages[one["processID"]])
            for one in told["spans"]
        ]  # fmt: skip


def _language(tags: Sequence[Mapping[str, str]]) -> str:
    return next((tag["value"] for tag in tags if tag["key"] == "telemetry.sdk.language"), "")


def judge(spans: Sequence[Span], languages: set[str]) -> list[str]:
    """What is wrong with one trace."""
    ids = {span.id for span in spans}
    wrong = []
    if missing := languages - {span.language for span in spans}:
        wrong.append(f"no span from {', '.join(sorted(missing))}")
    if (roots := sum(not span.parents for span in spans)) != 1:
        wrong.append(f"{roots} roots")
    if orphans := sum(bool(span.parents - ids) for span in spans):
        wrong.append(f"{orphans} spans whose parent is missing")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.audit", allow_abbrev=False)
    parser.add_argument("--languages", metavar="NAME,…", default="go,typescript,java", help="beside Python")
    parser.add_argument("--only", metavar="NAME,…", default="", help="audit only these distributions")
    parser.add_argument("--some", metavar="N", type=int, help="audit only the first N")
    parser.add_argument("--logs", metavar="DIR", type=Path, help="keep the logs of every process here")
    args = parser.parse_args()
    names = {canonical(name.strip()) for name in args.only.split(",") if name.strip()}
    languages = args.languages.split(",")
    if unknown := [name for name in languages if name not in SERVES]:
        parser.error(f"no such language: {', '.join(unknown)} (there are {', '.join(SERVES)})")
    if len({SERVES[name] for name in languages}) < len(languages):
        parser.error("two of these languages serve the same capability")
    with tempfile.TemporaryDirectory(prefix="audit-") as temporary:
        logs = (args.logs or Path(temporary)).resolve()
        return asyncio.run(compare(languages, names, args.some, logs, os.environ.get("JAEGER") == "1"))


if __name__ == "__main__":
    sys.exit(main())
