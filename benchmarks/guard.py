# SPDX-License-Identifier: Apache-2.0
"""Has a change made workflows a quarter more expensive? For CI: ends with 1 if it has.

    python benchmarks/guard.py [--concurrency 50] [--rounds 6] [--seconds 1] [--record]

The product and the bare pump (pump.py) take turns on the same servers. Compared is CPU for each workflow, which a busy machine
changes least: the pump's divided by the product's, the median of the rounds. The share that was recorded last is in guard.json.
`--record` writes the share of this run there: do that when a change makes workflows cheaper, or knowingly dearer. A share
belongs to a kind of machine only roughly, so the limit is wide; a drop is measured once more before it counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
from contextlib import ExitStack
from pathlib import Path

from throughput import PRODUCT, PUMP, SYSTEMS, start

RECORDED = Path(__file__).with_name("guard.json")
LEAST = 0.75
"""Of the recorded share."""


def share(concurrency: int, rounds: int, seconds: float) -> float:
    """The pump's CPU for a workflow, divided by the product's."""
    with ExitStack() as stack:
        bench = start(stack, 0)
        for name in SYSTEMS:
            bench.slot(name, concurrency, min(seconds, 1))  # warm
        found = []
        for i in range(rounds):
            cpu = {}
            for name in SYSTEMS if i % 2 == 0 else SYSTEMS[::-1]:
                cpu[name] = sum(bench.slot(name, concurrency, seconds)["cpu_ms_per_workflow"].values())
            found.append(cpu[PUMP] / cpu[PRODUCT])
        return statistics.median(found)


def verdict(measured: float, recorded: float) -> str:
    """What to say of a share that is too small; "" if it is not."""
    if measured >= LEAST * recorded:
        return ""
    return (
        f"workflows cost too much: the pump needs {measured:.0%} of the product's CPU, {recorded:.0%} is recorded, and"
        f" {LEAST * recorded:.0%} is the least. benchmarks/builds.py and calls.py find where it goes; if the change is wanted, record it: "
        "python benchmarks/guard.py --record"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--record", action="store_true", help="write the share of this run to guard.json")
    options = parser.parse_args()
    measured = share(options.concurrency, options.rounds, options.seconds)
    if options.record:
        RECORDED.write_text(json.dumps({"share_by_cpu": round(measured, 3), "concurrency": options.concurrency}) + "\n")
    recorded = json.loads(RECORDED.read_text())["share_by_cpu"]
    if verdict(measured, recorded):
        measured = max(measured, share(options.concurrency, options.rounds, options.seconds))
    words = verdict(measured, recorded)
    print(words or f"the pump needs {measured:.0%} of the product's CPU for a workflow; {recorded:.0%} is recorded")
    return int(bool(words))


if __name__ == "__main__":
    raise SystemExit(main())
