# SPDX-License-Identifier: Apache-2.0
"""nervenet beside its peers in one run: AutoGen, LangGraph, Celery, taskiq, DBOS, Restate, Temporal.

    make bench-peers                                             # about 20 minutes, and some more for the first installation
    make bench-peers ARGS="--quick"                              # every system for a moment, to see that it works
    make bench-peers ARGS="--only nervenet celery --rounds 1"

All of them run the same work (comparing/work.py): four steps, 1 KB in and out, 0 or 50 ms each. They take turns within seconds of each other.
Each has an environment of its own below build/environments, from a lock with hashes. A system that cannot be installed is skipped, with
the reason. docs/benchmarks/peers.md says how each one runs and what it guarantees.

Writes build/bench/peers.json.
"""

from __future__ import annotations

from typing import Final

from comparing.measures import Plan
from comparing.systems import NERVENET
from peers import autogen, celery, comparison, dbos, langgraph, restate, taskiq, temporal

PEERS: Final = (
    autogen.PEER,
    langgraph.MEMORY,
    langgraph.POSTGRES,
    celery.PEER,
    taskiq.PEER,
    dbos.PEER,
    restate.PEER,
    temporal.PEER,
)
FULL: Final = Plan(concurrency=(1, 50, 200, 500), rounds=3, rounds_within_s=1100, seconds=2.0, slot_within_s=30)
QUICK: Final = Plan(concurrency=(1, 10), rounds=1, seconds=0.3)


def main() -> int:
    names = [NERVENET, *(peer.name for peer in PEERS)]
    given = comparison.options(__doc__, names, "build/bench/peers.json").parse_args()
    wanted = given.only or names
    return comparison.run(
        given,
        comparison.plan_of(given, FULL, QUICK),
        [peer for peer in PEERS if peer.name in wanted],
        "docs/benchmarks/peers.md",
        "make bench-peers",
        with_nervenet=NERVENET in wanted,
    )


if __name__ == "__main__":
    raise SystemExit(main())
