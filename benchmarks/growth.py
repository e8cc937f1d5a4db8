# SPDX-License-Identifier: Apache-2.0
"""How the replay machine's cost grows with the number of steps: in sequence, and in a fan-out. No servers, no network.

    python benchmarks/growth.py [--steps 10 1000 10000]

For each number it runs a workflow from its start to its end, as a node does: in parts of `CALLBACKS_AT_A_TIME` callbacks. Shown is the
CPU of one step, and the longest part: during it nothing else happens in the node. `cancel` is the longest part of a cancellation
that stops all of the steps of the fan-out. The least of several rounds counts, because noise only adds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from pathlib import Path
from typing import Any

from nervenet.definitions import define_agent, define_workflow
from nervenet.durable import PYTHON, Context, Dispatch, Machine
from nervenet.node.workflows.coordinator import CALLBACKS_AT_A_TIME
from nervenet.records import Cancel, Entry, Outcome, Payload, Start, State

EMPTY = Payload("json", b'""')


async def echo(text: str) -> str:
    return text


agent = define_agent(echo)


async def sequential(ctx: Context, count: int) -> int:
    for _ in range(count):
        await ctx.call(agent, "")
    return count


async def gathered(ctx: Context, count: int) -> int:
    return len(await asyncio.gather(*(ctx.call(agent, "") for _ in range(count))))


async def mapped(ctx: Context, count: int) -> int:
    return len(await ctx.map(agent, [""] * count, concurrency=count))


WORKFLOWS = {run.__name__: define_workflow(run) for run in (sequential, gathered, mapped)}


class Run:
    """One run of a workflow. `longest` is its longest part, `cpu` all of them, in seconds."""

    def __init__(self, name: str, count: int) -> None:
        self.machine = Machine(WORKFLOWS[name], "growth-1")
        self.longest = self.cpu = 0.0
        self._n = 0
        given = Payload("json", str(count).encode())
        self.wanted = self.apply("start", Start(name, 1, PYTHON, given, b"0123456789abcdef"))

    def apply(self, name: str, body: Any) -> list[Dispatch]:
        """The steps that the code asks for after this entry."""
        self._n += 1
        entry = Entry(name, body, self._n, 1_000 + self._n)
        commands = self._part(lambda: self.machine.apply(entry, most=CALLBACKS_AT_A_TIME))
        while self.machine.unfinished:
            commands = self._part(lambda: self.machine.go_on(CALLBACKS_AT_A_TIME))
        return [command for command in commands if isinstance(command, Dispatch)]

    def _part(self, work: Any) -> Any:
        begin = time.thread_time()
        found = work()
        _ = self.machine.state  # a node looks at it after each entry
        took = time.thread_time() - begin
        self.cpu += took
        self.longest = max(self.longest, took)
        return found

    def to_the_end(self) -> None:
        digest = EMPTY.digest()
        waiting = self.wanted
        while waiting:
            asked: list[Dispatch] = []
            for command in waiting:
                asked += self.apply(f"task:{command.step}", Outcome(EMPTY, None, "echo", digest, 1))
            waiting = asked
        assert self.machine.result is not None, self.machine.blocked
        self.apply("close", self.machine.result)
        assert self.machine.state is State.SUCCEEDED

    def canceled(self) -> float:
        """The longest part of a cancellation."""
        self.longest = 0.0
        self.apply("cancel", Cancel("enough", "bench"))
        return self.longest


def measure(name: str, count: int) -> dict[str, Any]:
    gc.collect()
    run = Run(name, count)
    run.to_the_end()
    row: dict[str, Any] = {"workflow": name, "steps": count, "us_per_step": run.cpu / count * 1e6}
    row["longest_ms"] = run.longest * 1e3
    row["cancel_ms"] = Run(name, count).canceled() * 1e3
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/bench/growth.json"))
    options = parser.parse_args()
    gc.disable()  # in a node it runs between the turns of the event loop
    rows = []
    print(
        "| workflow | steps | CPU µs of a step | longest part, ms | of a cancellation, ms |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for name in WORKFLOWS:
        for count in options.steps:
            found = [measure(name, count) for _ in range(options.rounds)]
            row = {key: min(one[key] for one in found) for key in found[0]}
            rows.append(row)
            print(
                f"| {name} | {count:,} | {row['us_per_step']:.0f} | {row['longest_ms']:.1f} | {row['cancel_ms']:.1f} |",
                flush=True,
            )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
