# SPDX-License-Identifier: Apache-2.0
"""A LangGraph graph of four nodes: on LangGraph with PostgreSQL and with NervenetSaver, and as a workflow of nervenet, in one run.

    make bench-langgraph                                              # about 10 minutes
    make bench-langgraph ARGS="--quick"                               # every system for a moment, to see that it works
    make bench-langgraph ARGS="--only nervenet langgraph-postgres --concurrency 200"

All of them run the same work (comparing/work.py): four steps, 1 KB in and out, 0 or 50 ms each, driven by the same callers
(comparing/load.py). They take turns within seconds of each other. docs/benchmarks.md says how each one runs.

Writes build/bench/langgraph.json.
"""

from __future__ import annotations

from typing import Final

from comparing.measures import Plan
from comparing.systems import NERVENET
from peers import comparison
from peers.langgraph import DURABLE, POSTGRES, POSTGRES_SYNC, SAVER, SAVER_SYNC

PEERS: Final = (DURABLE, SAVER, SAVER_SYNC, POSTGRES, POSTGRES_SYNC)
FULL: Final = Plan(concurrency=(1, 50, 200, 500), rounds=3, rounds_within_s=600, seconds=3.0, slot_within_s=60)
QUICK: Final = Plan(concurrency=(1, 10), rounds=1, seconds=0.3)


def main() -> int:
    names = [NERVENET, *(peer.name for peer in PEERS)]
    given = comparison.options(__doc__, names, "build/bench/langgraph.json").parse_args()
    wanted = given.only or names
    return comparison.run(
        given,
        comparison.plan_of(given, FULL, QUICK),
        [peer for peer in PEERS if peer.name in wanted],
        "docs/benchmarks.md",
        "make bench-langgraph",
        with_nervenet=NERVENET in wanted,
    )


if __name__ == "__main__":
    raise SystemExit(main())
