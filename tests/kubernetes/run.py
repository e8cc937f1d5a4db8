# SPDX-License-Identifier: Apache-2.0
"""The chart's containers as processes, and a rolling update of all of them under load.

    make kubernetes-run
    make kubernetes-run ARGS="--at-once 50"

helm renders tests/kubernetes/run-values.yaml. Three nodes and four agents run as the manifests say: command, environment, probes,
preStop, signals, grace period, read-only root file system, no capabilities (`cluster`). Clients keep this many workflows under way
through the Services, while every Deployment is updated. Ends with one line; exit code 1 where a workflow failed, a step was done
twice, or a pod was killed or restarted.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from nervenet.dev.servers import etcd, valkey
from tests.kubernetes.cluster import GATEWAY, Cluster, enter
from tests.recovery.rolling import Traffic
from tests.recovery.trips_app import BEATS
from tests.support.environment import ROOT
from tests.support.torture import BUILD, command_line, conclude

HELM = ROOT / "build/kubernetes/bin/helm"
BEAT = 0.5


class Host(NamedTuple):
    """What `Traffic` needs to know of a mesh."""

    namespace: str


def manifests(*sets: str) -> list[dict[str, Any]]:
    """What the real helm renders."""
    if not HELM.exists():
        sys.exit("helm is not built: run tools/kubernetes.sh")
    command = [HELM, "template", "mesh", ROOT / "deploy/helm/nervenet", "--namespace", "mesh"]
    command += [
        "--values",
        Path(__file__).with_name("run-values.yaml"),
        *(word for one in sets for word in ("--set", one)),
    ]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    return [one for one in YAML(typ="safe").load_all(rendered) if one]


async def update_all(cluster: Cluster, at_once: int, beat: float) -> dict[str, Any]:
    """Start, put under load, update each Deployment; the report."""
    nodes = [name for name in cluster.deployments if name.endswith("-nodes")]
    agents = [name for name in cluster.deployments if name not in nodes]
    try:
        for name in (*nodes, *agents):
            await cluster.start(name)
        host, service = Host("default"), "mesh-nervenet.mesh.svc:7700"
        traffic, began = Traffic(host, [service], at_once, beat), time.monotonic()  # type: ignore[arg-type]
        await traffic.full(within=120)
        await asyncio.sleep(beat * BEATS)
        for name in (*nodes, *agents):  # docs/upgrades.md: nodes first
            await cluster.roll(name)
        await traffic.end(within=120)
    finally:
        await cluster.close()
    effects = Counter((cluster.folder / "story/effects").read_text().splitlines())
    steps = Counter(line.partition(" ")[2].rpartition("#")[0] for line in effects.elements())
    everybody = [*cluster.gone, *(pod for pods in cluster.pods.values() for pod in pods)]
    return {
        "at_once": at_once,
        "nodes": sum("-nodes-" in pod.name for pod in cluster.gone),
        "agents": sum("-agent-" in pod.name for pod in cluster.gone),
        "workflows": len(traffic.took),
        "failed": traffic.failed,
        "repeated_steps": {step: count for step, count in steps.items() if count > 1},
        "killed": [pod.name for pod in everybody if pod.killed],
        "restarted": [pod.name for pod in everybody if pod.restarts],
        "exit_codes": {pod.name: pod.code for pod in cluster.gone if pod.code},
        "leaving_seconds": {pod.name: round(pod.took or 0, 1) for pod in cluster.gone},
        "slowest_overhead": round(max(took for _, took in traffic.took.values()), 2),
        "seconds": round(time.monotonic() - began, 1),
    }


def violations(report: dict[str, Any]) -> list[str]:
    kinds = ("failed", "repeated_steps", "killed", "restarted", "exit_codes")
    return [f"{kind}: {report[kind]}" for kind in kinds if report[kind]]


def line(report: dict[str, Any]) -> str:
    """The report for people."""
    return (
        f"kubernetes-run: {report['nodes']} nodes and {report['agents']} agents replaced by the chart's commands, probes and "
        f"signals under {report['at_once']} workflows at a time ({report['workflows']} in all): {len(report['failed'])} failed, "
        f"{len(report['repeated_steps'])} steps repeated, {len(report['killed'])} pods killed, {len(report['restarted'])} restarted; "
        f"slowest overhead {report['slowest_overhead']} s"
    )


def main() -> int:
    """Run it from the command line."""
    options = command_line(__doc__, at_once=200, logs=False, out=BUILD / "kubernetes-run.json").parse_args()
    enter()
    os.environ["NERVENET_TLS"] = "off"  # our clients: the addresses are not loopback's
    objects = manifests()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-pods-", dir=ROOT / "build")))
        folder.chmod(0o755)
        (folder / "story").mkdir()
        (folder / "story").chmod(0o777)
        cluster = Cluster(folder, objects, {"valkey": GATEWAY, "etcd": GATEWAY})
        stack.enter_context(valkey(port=6379, options={"bind": f"127.0.0.1 {GATEWAY}", "protected-mode": "no"}))
        urls = f"http://127.0.0.1:2379,http://{GATEWAY}:2379"
        stack.enter_context(etcd(port=2379, options={"listen-client-urls": urls, "advertise-client-urls": urls}))
        report = asyncio.run(update_all(cluster, options.at_once, BEAT))
        if options.logs:
            print(*(f"── {file.name}\n{file.read_text()}" for file in sorted(folder.glob("*.log"))), sep="\n")
    return conclude(options.out, report, line(report), violations(report))


if __name__ == "__main__":
    sys.exit(main())
