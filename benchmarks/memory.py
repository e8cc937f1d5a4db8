# SPDX-License-Identifier: Apache-2.0
"""What parked workflows cost: resident memory of a node with a thousand of them, and of each by difference.

    python benchmarks/memory.py [--parked 1000]

Each waits for a signal. What one costs is the difference between a thousand and two thousand of them: the first thousand
also brings what their sudden arrival leaves behind in the process, once.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from processes import HOME, Process, product_environment, rss_mb

from nervenet.dev.servers import etcd, valkey

SETTLE_S = 2.0  # for what a start leaves for later: the watch's first look, replies that are still parsed


def measure(parked: int, home: Path = HOME) -> dict[str, Any]:
    """Start everything, park them, read /proc; prints a line for people."""
    with ExitStack() as stack:
        store, members = stack.enter_context(valkey()), stack.enter_context(etcd())
        env = product_environment(store, members, "memory", home)
        roles = home / "benchmarks" / "roles.py"
        node = stack.enter_context(Process(roles, "node", env=env))
        env["NERVENET_ADDRESS"] = node.ready
        stack.enter_context(Process(roles, "agent", env=env))
        client = stack.enter_context(Process(roles, "parking", env=env))
        seen = [rss_mb(node.pid)]
        for _ in range(2):
            client.ask(workflows=parked)
            time.sleep(SETTLE_S)
            seen.append(rss_mb(node.pid))
    idle, once, twice = seen
    found = {
        "parked": parked,
        "node_rss_mb": round(once, 1),
        "idle_rss_mb": round(idle, 1),
        "kb_per_workflow": round((twice - once) * 1000 / parked, 2),
    }
    print(
        f"memory: a node with {parked} parked workflows has {found['node_rss_mb']} MB, without them"
        f" {found['idle_rss_mb']} MB; each more costs {found['kb_per_workflow']} KB"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parked", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("build/bench/memory.json"))
    options = parser.parse_args()
    found = measure(options.parked)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
