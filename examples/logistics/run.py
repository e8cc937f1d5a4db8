# SPDX-License-Identifier: Apache-2.0
"""`make logistics`: 50,000 shipment updates through a mesh on this machine, then checks that none was lost and nothing done twice.

    make logistics                                            # about 8 minutes on two quiet cores
    make logistics ARGS="--updates 2000 --seed 7 --minutes 1" # shorter
    make logistics ARGS="--updates 400 --minutes 0.1 --sabotage drop"   # must fail

1. As fast as possible: the updates of a day.
2. One hour of a day: the busiest hour of a day with ten times as many updates (`--times`), in fast motion (`--minutes`), while a node is
   killed with kill -9 every minute and started again, as a supervisor would. Updates start when they are due, whatever the earlier ones do.

Ends with a table, writes the same to build/bench/logistics.json, and exits with 1 if anything was lost, done twice or ended wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, get_args

import uvloop

from nervenet import Client, NervenetError
from nervenet.dev.servers import etcd, valkey

from . import checks, report
from .generate import BUSIEST, Shipments, generate, read
from .load import Load, Sabotage
from .people import Person
from .processes import ROOT, Mesh, ProcessFailed, Program
from .services import services_at

FOLDER: Final = ROOT / "build" / "logistics"
OUT: Final = ROOT / "build" / "bench" / "logistics.json"
PAGE: Final = ROOT / "docs" / "benchmarks" / "logistics.md"
AT_ONCE: Final = 500
TELL_EVERY_S: Final = 5.0
MOST_STARTS: Final = 5
RESTART_AFTER_S: Final = 0.5
"""How long a supervisor needs to notice the end of a process and start it again."""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


class Killer:
    """Kills the nodes in turn, each a while into its minute, and starts them again."""

    def __init__(self, mesh: Mesh, load: Load, times: int, every_s: float) -> None:
        self._mesh, self._load, self._times, self._every_s = mesh, load, times, every_s
        self.kills: list[dict[str, Any]] = []

    async def kill(self) -> None:
        began = time.monotonic()
        for number in range(self._times):
            await asyncio.sleep(max(0.0, began + (number + 0.5) * self._every_s - time.monotonic()))
            node = self._mesh.nodes[number % len(self._mesh.nodes)]
            at, pid, in_flight = time.monotonic(), node.pid, self._load.in_flight
            await node.kill()
            starts = await self._supervise(node)
            back_s = round(time.monotonic() - at, 2)
            self.kills.append(
                {"node": node.name, "pid": pid, "in_flight": in_flight, "back_after_s": back_s, "starts": starts}
            )
            say(f"kill -9 of {node.name} (pid {pid}) with {in_flight} updates in flight; back after {back_s} s")

    async def _supervise(self, node: Program) -> int:
        """Start it until it runs, as a supervisor does; how many starts that took. Raises ProcessFailed after MOST_STARTS."""
        for starts in range(1, MOST_STARTS):
            await asyncio.sleep(RESTART_AFTER_S)
            try:
                await node.start()
                return starts
            except ProcessFailed as error:
                say(f"start {starts} of {node.name} has failed: {error}")
                await node.kill()
        await node.start()
        return MOST_STARTS


async def _tell(name: str, load: Load, person: Person, mesh: Mesh) -> None:
    """How far it is, every few seconds. Raises ProcessFailed if a process has ended that nobody kills."""
    before = 0
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        mesh.check()
        ended = len(load.ends)
        say(
            f"{name}: {ended:,} of {len(load.planned):,} updates have ended, {(ended - before) / TELL_EVERY_S:,.0f}/s, "
            f"{load.in_flight:,} in flight, {len(person.answered):,} questions answered"
        )
        before = ended


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these as long as the block. If one fails, the block ends too."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def run(
    shipments: Shipments, folder: Path, minutes: float, at_once: int, sabotage: Sabotage
) -> list[dict[str, Any]]:
    """Both parts; a row for each."""
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-logistics-")))
        redis = await stack.enter_async_context(valkey(data / "valkey"))
        members = await stack.enter_async_context(etcd())
        mesh = await stack.enter_async_context(Mesh(redis, members, folder))
        say(
            f"{len(mesh.nodes)} nodes and {len(mesh.agents)} agents are up ({mesh.address}); their logs are in {folder / 'logs'}"
        )
        client = await stack.enter_async_context(Client(mesh.address, namespace=mesh.namespace))
        person = Person(client)
        fast, hour = Load(client, shipments.day, sabotage), Load(client, shipments.hour)
        speed = 60 / minutes
        killer = Killer(mesh, hour, max(1, int(minutes)), 60 * min(1.0, minutes))
        async with beside(person.answer()):
            async with beside(_tell("as fast as possible", fast, person, mesh)):
                before = mesh.cpu_ms()
                await fast.as_fast_as_possible(at_once)
                cpu = {kind: used - before[kind] for kind, used in mesh.cpu_ms().items()}
            say(f"as fast as possible: {len(fast.ends):,} updates in {fast.seconds:.1f} s")
            async with beside(_tell("one hour", hour, person, mesh)):
                await asyncio.gather(hour.as_they_arrive(speed), killer.kill())
        if sabotage == "repeat":
            await _repeat(mesh)
        return await _judged(mesh, person, fast, hour, killer, speed, cpu)


async def _repeat(mesh: Mesh) -> None:
    """Send a message again whose workflow has ended: what an agent would do that runs a task for nothing."""
    row = next(row for row in read(mesh.ledger) if row["result"] == "sent")
    async with services_at(mesh.services) as services:
        await services.ask("send", row["key"], update=row["update"], customer="", text="")


async def _judged(
    mesh: Mesh, person: Person, fast: Load, hour: Load, killer: Killer, speed: float, cpu: Mapping[str, float]
) -> list[dict[str, Any]]:
    say("checking every update: what the nodes list, what the callers got, and the ledger of the services outside")
    async with Client(mesh.address, namespace=mesh.namespace) as client:
        verdicts = await checks.judge(client, (fast, hour), person, mesh.ledger)
    name = f"{BUSIEST}:00 to {BUSIEST + 1}:00, {speed:g} times as fast"
    return [
        report.part("as fast as possible", fast, verdicts[0], [], cpu),
        report.part(name, hour, verdicts[1], killer.kills, {}),  # a killed node takes its figures along
    ]


async def _until_told(work: Coroutine[Any, Any, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Ctrl-C and SIGTERM cancel the work, which stops every process."""
    task = asyncio.ensure_future(work)
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    return await task


def conclude(
    parts: Sequence[Mapping[str, Any]], seed: int, facts: Mapping[str, str], out: Path, page: Path | None
) -> int:
    """Print and write the result; the exit code."""
    crimes = [crime for row in parts for crime in row["crimes"]]
    kept = sum(row["lost"] + row["doubled"] + row["wrong"] for row in parts) == 0
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {"seed": seed, "machine": facts, "parts": parts, "passed": kept}
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    about = f"{facts['cpu']}, Linux {facts['kernel']}, CPython {facts['python']}; seed {seed}; load average before: {facts['load']}."
    text = f"{about}\n\n{report.table(parts)}"
    print(text)
    for crime in crimes[:20]:
        print(f"✗ {crime}")
    print(f"\n{'✓ Nothing was lost, nothing was done twice.' if kept else '✗ The run has failed.'} {out}")
    if page is not None:
        report.publish(page, text)
    return int(not kept)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors of a group and of the groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _number(at_least: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if value < at_least:
            raise argparse.ArgumentTypeError(f"{text} is less than {at_least:g}")
        return value

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.logistics", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=_number(8, int), default=50_000, help="of a day (50000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--minutes", type=_number(0.05, float), default=5.0, help="how long the hour of part 2 lasts (5)"
    )
    parser.add_argument(
        "--times", type=_number(0.1, float), default=10.0, help="how many times as busy its day is (10)"
    )
    parser.add_argument("--at-once", type=_number(1, int), default=AT_ONCE, help=f"callers of part 1 ({AT_ONCE})")
    parser.add_argument(
        "--sabotage", choices=get_args(Sabotage)[1:], default="", help="do this wrong on purpose: the run must fail"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for data, ledger and logs")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--publish", action="store_true", help=f"also write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(argv)
    folder, facts = options.folder.resolve(), report.machine()
    shipments = generate(options.updates, options.seed, options.times)
    shipments.write(folder)
    say(
        f"seed {options.seed}: {len(shipments.day):,} updates of a day and {len(shipments.hour):,} of an hour, {len(shipments.orders):,} orders"
    )
    try:
        parts = uvloop.run(_until_told(run(shipments, folder, options.minutes, options.at_once, options.sabotage)))
    except (NervenetError, ProcessFailed) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    except BaseExceptionGroup as group:
        expected, rest = group.split((NervenetError, ProcessFailed))
        if expected is None or rest is not None:
            raise
        print("\n".join(f"✗ {error}" for error in _leaves(expected)), file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("Stopped; nothing is left running.", file=sys.stderr)
        return 130
    return conclude(parts, options.seed, facts, options.out, PAGE if options.publish else None)
