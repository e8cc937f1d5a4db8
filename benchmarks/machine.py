# SPDX-License-Identifier: Apache-2.0
"""What the replay machine alone costs: CPU per 4-task workflow, bytes per parked workflow. No servers, no network.

    python benchmarks/machine.py            prints one line of JSON; the best of several rounds, because noise only adds

Reported: `sequential_us` and `gather_us` (start, four tasks, close), `replay_us` (the same journal after a crash, up to
the last task), `parked_bytes` (a workflow that waits for its second call: the machine and all that it holds).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
import tracemalloc
from collections.abc import Callable

from nervenet.definitions import define_agent, define_workflow
from nervenet.durable import PYTHON, Context, Machine
from nervenet.records import Close, Entry, Outcome, Payload, Start, State

PAYLOAD = Payload("json", b'"' + b"x" * 1000 + b'"')


async def echo(text: str) -> str:
    return text


agent = define_agent(echo)


async def sequential(ctx: Context, text: str) -> str:
    for _ in range(4):
        text = await ctx.call(agent, text)
    return text


async def parallel(ctx: Context, text: str) -> str:
    return (await asyncio.gather(*(ctx.call(agent, text) for _ in range(4))))[0]


SEQUENTIAL, PARALLEL = define_workflow(sequential), define_workflow(parallel)


def journal(name: str) -> list[Entry]:
    digest = PAYLOAD.digest()
    entries = [Entry("start", Start(name, 1, PYTHON, PAYLOAD, b"0123456789abcdef"), 1, 1_000)]
    for n, step in enumerate(("echo", "echo.2", "echo.3", "echo.4"), start=2):
        entries.append(Entry(f"task:{step}", Outcome(PAYLOAD, None, "echo", digest, 1), n, 1_000 + n))
    entries.append(Entry("close", Close(State.SUCCEEDED, PAYLOAD), 6, 1_006))
    return entries


def microseconds(work: Callable[[], object], rounds: int, repeat: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(repeat):
            work()
        best = min(best, (time.perf_counter() - begin) / repeat)
    return round(best * 1e6, 1)


def live(workflow: object, entries: list[Entry]) -> Machine:
    machine = Machine(workflow, "bench-1")  # type: ignore[arg-type]  # either of the two above
    for entry in entries:
        machine.apply(entry)
    return machine


def replayed(entries: list[Entry]) -> None:
    machine = Machine(SEQUENTIAL, "bench-1")
    for entry in entries[:-2]:
        machine.apply(entry, replaying=True)
    machine.outstanding()
    machine.close()


def parked_bytes(count: int) -> int:
    entries = journal("sequential")[:2]
    live(SEQUENTIAL, entries)
    gc.collect()
    tracemalloc.start()
    machines = [live(SEQUENTIAL, entries) for _ in range(count)]
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    for machine in machines:
        machine.close()
    return size // count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=2_000)
    args = parser.parse_args()
    one, four = journal("sequential"), journal("parallel")
    assert live(SEQUENTIAL, one).state == live(PARALLEL, four).state == State.SUCCEEDED
    figures = {
        "sequential_us": microseconds(lambda: live(SEQUENTIAL, one), args.rounds, args.repeat),
        "gather_us": microseconds(lambda: live(PARALLEL, four), args.rounds, args.repeat),
        "replay_us": microseconds(lambda: replayed(one), args.rounds, args.repeat),
        "parked_bytes": parked_bytes(2_000),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
