# SPDX-License-Identifier: Apache-2.0
"""What encrypted payloads cost: throughput with AES-GCM beside throughput without, interleaved in one run.

    python benchmarks/codec_cost.py [--quick] [--rounds 7] [--seconds 3] [--concurrency 200]

Three meshes of a client, a node and an agent share a Valkey and an etcd, and take turns within each round, in an order that
rotates: `plain`, `aes-gcm`, and `gzip,aes-gcm`. A workflow has four steps with small values. Shown are the medians of the rounds and
of each round's ratios. "CPU" compares the CPU of client, node and agent for a workflow: the figure that noise touches least.

First come the prices of single operations, for a value of 100 bytes and one of 10 KB.
"""

from __future__ import annotations

import base64
import os
import tempfile
import timeit
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from modes import command_line, in_turns, summary, table, write
from processes import Process, product_environment
from throughput import Bench, System

from nervenet.codecs import PLAIN, open_codecs
from nervenet.dev.servers import Server, etcd, valkey
from nervenet.records import Payload

CODECS = {"plain": "", "aes-gcm": "aes-gcm:{keys}", "gzip,aes-gcm": "gzip,aes-gcm:{keys}"}
MODES = tuple(CODECS)
ROLES = ("client", "node", "agent")


def microseconds(work: Any, count: int = 20_000) -> float:
    """The best of five runs."""
    return min(timeit.repeat(work, number=count, repeat=5)) / count * 1e6


def operations(keys: Path) -> dict[str, float]:
    """Microseconds of each."""
    codecs = open_codecs(f"aes-gcm:{keys}")
    found = {}
    for size in (100, 10_000):
        payload = Payload("json", b'"' + b"x" * (size - 2) + b'"')
        encoded = codecs.encode(payload)
        found[f"encode {size} B"] = microseconds(lambda p=payload: codecs.encode(p))  # type: ignore[misc]
        found[f"decode {size} B"] = microseconds(lambda p=encoded: codecs.decode(p))  # type: ignore[misc]
        found[f"digests {size} B"] = microseconds(lambda p=payload: codecs.digests(p, b"s" * 16))  # type: ignore[misc]
    found["encode without a codec"] = microseconds(lambda: PLAIN.encode(payload), 200_000)
    return found


def start(stack: ExitStack, store: Server, members: Server, mode: str, keys: Path) -> System:
    """The processes of one mode."""
    namespace = mode.replace(",", "-")
    env = product_environment(store, members, namespace) | {"NERVENET_BENCH_WORK_MS": "0"}
    if CODECS[mode]:
        env["NERVENET_CODEC"] = CODECS[mode].format(keys=keys)
    node = stack.enter_context(Process("roles.py", "node", env=env))
    env["NERVENET_ADDRESS"] = node.ready
    agent = stack.enter_context(Process("roles.py", "agent", env=env))
    client = stack.enter_context(Process("roles.py", "client", env=env))
    return System(mode, namespace, client, node.pid, {"client": client.pid, "node": node.pid, "agent": agent.pid})


def measured(keys: Path, rounds: int, seconds: float, concurrency: int) -> list[dict[str, dict[str, Any]]]:
    """The row of each mode, for each round."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        store = stack.enter_context(valkey(data / "valkey", options={"auto-aof-rewrite-percentage": "0"}))
        members = stack.enter_context(etcd())
        systems = {mode: start(stack, store, members, mode, keys) for mode in MODES}
        bench = Bench(redis.Redis(port=store.port), systems, 0)
        for mode in MODES:
            bench.slot(mode, concurrency, min(seconds, 1.0))  # warm
        return in_turns(MODES, rounds, lambda mode: bench.slot(mode, concurrency, seconds))


def main() -> None:
    asked = command_line(__doc__, "codec_cost")
    with tempfile.TemporaryDirectory(prefix="nervenet-keys-") as folder:
        keys = Path(folder, "keys")
        keys.write_text(f"k1 {base64.b64encode(os.urandom(32)).decode()}\n")
        prices = operations(keys)
        print("\n".join(f"{what:24}{us:>7.1f} µs" for what, us in prices.items()), flush=True)
        rows = summary(measured(keys, asked.rounds, asked.seconds, asked.concurrency), ROLES)
    print(table(rows))
    write(asked, {"operations_us": prices, "rows": rows})


if __name__ == "__main__":
    main()
