# SPDX-License-Identifier: Apache-2.0
"""What it costs that Redis syncs its file with each write: throughput with `appendfsync always` beside `everysec`, in one run.

    python benchmarks/durability_cost.py [--quick] [--rounds 7] [--seconds 3] [--concurrency 500]

Two meshes of a client, a node and an agent, each with a Valkey of its own, take turns within each round. `always` also asks for
`NERVENET_DURABILITY=strict`, so that the node refuses to acknowledge what a crash can take back. The limit is that of the issue: at
least half of the throughput. How much a sync costs depends on the disk under the temporary folder.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from modes import command_line, in_turns, summary, table, write
from processes import Process, product_environment
from throughput import Bench, System

from nervenet.dev.servers import etcd, valkey

EVERYSEC, ALWAYS = MODES = ("everysec", "always")


def measured(rounds: int, seconds: float, concurrency: int) -> list[dict[str, dict[str, Any]]]:
    """The row of each mode, for each round."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-bench-")))
        members = stack.enter_context(etcd())
        benches = {}
        for mode in MODES:
            options = {"auto-aof-rewrite-percentage": "0", "appendonly": "yes", "appendfsync": mode}
            store = stack.enter_context(valkey(data / mode, options=options))
            env = product_environment(store, members, mode) | {"NERVENET_BENCH_WORK_MS": "0"}
            strict = {"NERVENET_DURABILITY": "strict"} if mode == ALWAYS else {}
            node = stack.enter_context(Process("roles.py", "node", env=env | strict))
            env["NERVENET_ADDRESS"] = node.ready
            agent = stack.enter_context(Process("roles.py", "agent", env=env))
            client = stack.enter_context(Process("roles.py", "client", env=env))
            pids = {"node": node.pid, "agent": agent.pid, "valkey": store.pid}
            benches[mode] = Bench(redis.Redis(port=store.port), {mode: System(mode, mode, client, node.pid, pids)}, 0)
        for mode in MODES:
            benches[mode].slot(mode, concurrency, min(seconds, 1.0))  # warm
        return in_turns(MODES, rounds, lambda mode: benches[mode].slot(mode, concurrency, seconds))


def main() -> None:
    asked = command_line(__doc__, "durability_cost", concurrency=500)
    rows = summary(measured(asked.rounds, asked.seconds, asked.concurrency), ("node", "agent", "valkey"), {ALWAYS: 0.5})
    print(table(rows))
    write(asked, {"rows": rows})


if __name__ == "__main__":
    main()
