# SPDX-License-Identifier: Apache-2.0
"""What identity, policy and audit cost: throughput with each of them beside throughput without, interleaved in one run.

    python benchmarks/security_cost.py [--quick] [--rounds 7] [--seconds 3] [--concurrency 200]

Four meshes of a client, a node and an agent share a Valkey and an etcd, and take turns within each round, in an order that
rotates: `off` (plain connections on loopback); `mTLS` (each process has a certificate, and the built-in policy decides by its
name); `policy` (the same with a policy file whose rules look at callers and requests); `audit` (the same, and each start is written to a file
before it is made). Shown are the medians of the rounds, and of each round's ratios. "CPU" compares the CPU of node and agent
for a workflow: the figure that noise touches least.

The limit is that of the issue: with mTLS and policy, throughput within 10 % of that without.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from modes import command_line, in_turns, summary, table, write
from processes import Process, product_environment
from throughput import Bench, System

from nervenet.dev.servers import Server, etcd, valkey

OFF, MTLS, POLICY, AUDIT = "off", "mTLS", "policy", "audit"
MODES = (OFF, MTLS, POLICY, AUDIT)
LIMITS = {MTLS: 0.90, POLICY: 0.90}
ROLES = ("node", "agent", "client")
RULES = """
version: 1
roles:
  - {role: node, namespaces: ["*"], means: [mtls], subjects: ["spiffe://bench/nervenet/node"]}
  - {role: agent, namespaces: ["*"], means: [mtls], subjects: ["spiffe://bench/nervenet/agent"], capabilities: ["*"]}
  - {role: client, namespaces: ["*"], when: "subject.endsWith('/client') && means == 'mtls'"}
rules:
  - name: nobody starts the payroll
    deny: [StartWorkflow, StartWorkflows]
    when: workflow.startsWith("payroll")
"""


# ── certificates ─────────────────────────────────────────────────────────────────────────────────────────────────────


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def certificates(folder: Path) -> None:
    """An authority, and a certificate for each role."""
    openssl(folder, "req", "-x509", *KEY, "-subj", "/CN=ca", "-days", "1", "-keyout", "ca.key", "-out", "ca.pem")
    for role in ROLES:
        names = f"subjectAltName=IP:127.0.0.1,DNS:localhost,URI:spiffe://bench/nervenet/{role}\n"
        (folder / "ext").write_text(f"{names}extendedKeyUsage=serverAuth,clientAuth\n")
        openssl(folder, "req", *KEY, "-subj", f"/CN={role}", "-keyout", f"{role}.key", "-out", f"{role}.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "ext")
        openssl(folder, "x509", "-req", "-in", f"{role}.csr", *signed, "-out", f"{role}.pem")


def environment(mode: str, role: str, folder: Path) -> dict[str, str]:
    """The settings of a process in a mode."""
    if mode == OFF:
        return {}
    found = {
        "NERVENET_TLS": str(folder / "ca.pem"),
        "NERVENET_TLS_CERT": str(folder / f"{role}.pem"),
        "NERVENET_TLS_KEY": str(folder / f"{role}.key"),
    }
    if mode in (POLICY, AUDIT):
        found["NERVENET_POLICY"] = str(folder / "policy.yaml")
    if mode == AUDIT:
        found["NERVENET_AUDIT"] = str(folder / f"audit-{role}.jsonl")
    return found


# ── a mesh in each mode ──────────────────────────────────────────────────────────────────────────────────────────────


def start(stack: ExitStack, store: Server, members: Server, mode: str, folder: Path) -> System:
    env = product_environment(store, members, mode) | {"NERVENET_BENCH_WORK_MS": "0"}
    node = stack.enter_context(Process("roles.py", "node", "--facts", env=env | environment(mode, "node", folder)))
    env |= {"NERVENET_ADDRESS": node.ready["address"]}
    agent = stack.enter_context(Process("roles.py", "agent", "--facts", env=env | environment(mode, "agent", folder)))
    client = stack.enter_context(Process("roles.py", "client", env=env | environment(mode, "client", folder)))
    return System(mode, mode, client, node.pid, {"node": node.pid, "agent": agent.pid})


def measured(rounds: int, seconds: float, concurrency: int) -> list[dict[str, dict[str, Any]]]:
    """The row of each mode, for each round."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        certificates(data)
        (data / "policy.yaml").write_text(RULES)
        store = stack.enter_context(valkey(data / "valkey", options={"auto-aof-rewrite-percentage": "0"}))
        members = stack.enter_context(etcd())
        systems = {mode: start(stack, store, members, mode, data) for mode in MODES}
        bench = Bench(redis.Redis(port=store.port), systems, 0)
        for mode in MODES:
            bench.slot(mode, concurrency, min(seconds, 1.0))  # warm
        found = in_turns(MODES, rounds, lambda mode: bench.slot(mode, concurrency, seconds))
        lines = (data / "audit-node.jsonl").read_text().count("\n")
        assert lines, "nothing was written to the audit log"
        print(f"{lines:,} lines in the audit log of the node", flush=True)
        return found


def main() -> None:
    asked = command_line(__doc__, "security_cost")
    began = time.monotonic()
    rows = summary(measured(asked.rounds, asked.seconds, asked.concurrency), ("node", "agent"), LIMITS)
    print(table(rows))
    write(asked, {"rows": rows, "took_s": round(time.monotonic() - began)})


if __name__ == "__main__":
    main()
