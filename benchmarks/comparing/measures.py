# SPDX-License-Identifier: Apache-2.0
"""What is measured. Each function starts what it needs, lets the systems take turns, and returns rows for table.json."""

from __future__ import annotations

import math
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from processes import Process

from nervenet.dev.servers import etcd, valkey

from .systems import CENTRAL, NAIVE, NERVENET, SYSTEMS, Servers, Shape, System, start
from .work import STEPS

Row = Mapping[str, Any]

KNEE_MS: Final = 1000.0
"""A system is beyond its knee when its p99 is above this."""
SETTLE_S: Final = 1.0
WARM_WORKFLOWS: Final = 50
AT_ONCE_PER_NODE: Final = 200


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    concurrency: tuple[int, ...] = (1, 50, 200, 500, 1000)
    work_ms: tuple[int, ...] = (0, 50)
    rounds: int = 3
    rounds_within_s: float = 330.0
    """No further round begins that would take longer than this, so that a slow machine has its table in time too."""
    seconds: float = 2.0
    slot_within_s: float = math.inf
    """A system is not asked for more workflows at once than it ends in this time, at the pace of its last row."""
    rates: tuple[int, ...] = (40, 100, 200, 400, 600, 800, 1000, 1250, 1500, 1750, 2000, 2500, 3000)
    open_seconds: float = 4.0
    in_flight: int = 500
    recovery_rounds: int = 2
    step_ms: int = 500
    memory_seconds: float = 12.0
    sizes: tuple[int, ...] = (1, 2, 4)
    size_seconds: float = 4.0
    seed: int = 1


QUICK: Final = Plan(
    concurrency=(1, 10),
    rounds=1,
    seconds=0.3,
    rates=(20, 40),
    open_seconds=0.5,
    in_flight=20,
    recovery_rounds=1,
    step_ms=100,
    memory_seconds=0.5,
    sizes=(1, 2),
    size_seconds=0.3,
)


def say(text: str) -> None:
    """Progress, for who waits."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


@contextmanager
def servers() -> Iterator[Servers]:
    """Valkey appends to a file and syncs it each second. No rewrite of that file may disturb one system and not the other."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nervenet-table-")))
        options = {"auto-aof-rewrite-percentage": "0"}
        store = stack.enter_context(valkey(data / "valkey", options=options))
        yield Servers(store, stack.enter_context(etcd()))


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]


def in_turn(number: int, names: Sequence[str]) -> list[str]:
    """Each time another system begins."""
    at = number % len(names)
    return [*names[at:], *names[:at]]


def warm(system: Measured) -> None:
    system.ask(loop="burst", workflows=WARM_WORKFLOWS, over_s=0.5)


# ── a fixed number at once, and arrivals at a fixed rate ─────────────────────────────────────────────────────────────


class Measured(Protocol):
    """A system of the table or of the peers: its callers, and whose CPU and memory count."""

    @property
    def name(self) -> str: ...

    @property
    def callers(self) -> Sequence[Process]: ...

    def ask(self, **order: Any) -> list[Any]: ...

    def cpu_ms(self) -> dict[str, float]: ...

    def coordinator_mb(self) -> float: ...

    def forget(self) -> None: ...


def closed_slot(system: Measured, concurrency: int, work_ms: int, seconds: float) -> Row:
    before = system.cpu_ms()
    each = max(1, concurrency // len(system.callers))
    answers = system.ask(loop="closed", concurrency=each, seconds=seconds, work_ms=work_ms)
    cpu = {role: used - before[role] for role, used in system.cpu_ms().items()}
    took = sorted(ms for answer in answers for ms in answer["took_ms"])
    row = {
        "system": system.name,
        "concurrency": concurrency,
        "work_ms": work_ms,
        "workflows_per_s": sum(len(answer["took_ms"]) / answer["seconds"] for answer in answers),
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
        "coordinator_mb": system.coordinator_mb(),
        "cpu_ms_per_workflow": {role: used / len(took) for role, used in cpu.items()},
    }
    system.forget()
    return row


def closed(systems: Mapping[str, Measured], plan: Plan) -> list[Row]:
    """The median of the rounds."""
    began = time.monotonic()
    found: dict[tuple[int, int, str], list[Row]] = defaultdict(list)
    pace = dict.fromkeys(systems, math.inf)
    slots = [(work_ms, concurrency) for work_ms in plan.work_ms for concurrency in plan.concurrency]
    for i in range(plan.rounds):
        if i and (time.monotonic() - began) * (i + 1) / i > plan.rounds_within_s:
            say(f"no time for round {i + 1}")
            break
        for number, (work_ms, concurrency) in enumerate(slots):
            for name in in_turn(i + number, list(systems)):
                if concurrency > pace[name] * plan.slot_within_s:
                    say(f"{name} is too slow for {concurrency} at once: left out")
                    continue
                row = closed_slot(systems[name], concurrency, work_ms, plan.seconds)
                if concurrency > 1:  # one alone that sleeps says nothing about many
                    pace[name] = row["workflows_per_s"]
                found[work_ms, concurrency, name].append(row)
                say(f"round {i + 1} of {plan.rounds}, {_described(row)}")
    place = {name: number for number, name in enumerate(systems)}
    ordered = sorted(found.items(), key=lambda item: (*item[0][:2], place[item[0][2]]))
    return [{**median(rows), "rounds": len(rows)} for _, rows in ordered]


def _described(row: Row) -> str:
    return (
        f"{row['concurrency']:>5} at once, {row['work_ms']:>2} ms: {row['system']:23} {row['workflows_per_s']:7.0f}"
        f" workflows/s, p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms"
    )


def median(rows: Sequence[Row]) -> Row:
    """Of each figure in rows of the same form."""
    first = rows[0]
    result: dict[str, Any] = {}
    for field, value in first.items():
        if isinstance(value, dict):
            result[field] = median([row[field] for row in rows])
        elif isinstance(value, float):
            result[field] = round(statistics.median(row[field] for row in rows), 3)
        else:
            result[field] = value
    return result


def open_loop(systems: Mapping[str, System], plan: Plan, work_ms: int = 50) -> list[Row]:
    """Faster and faster, each system until it is beyond its knee; that last row is in the result too.

    Neighbours on the machine can stop a system for a second. So a row beyond the knee is measured again, and the better one counts.
    """
    rows: list[Row] = []
    left = list(systems)
    for number, rate in enumerate(plan.rates):
        for name in in_turn(number, left):
            row = open_slot(systems[name], rate, work_ms, plan.open_seconds, plan.seed + number)
            if row["beyond_knee"]:
                second = open_slot(systems[name], rate, work_ms, plan.open_seconds, plan.seed + number)
                row = min(row, second, key=lambda each: float(each["p99_ms"]))
            rows.append(row)
            say(f"{rate:>5} workflows/s arrive: {name:13} p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms")
            if row["beyond_knee"]:
                left.remove(name)
        if not left:
            break
    return sorted(rows, key=lambda row: (SYSTEMS.index(row["system"]), row["rate"]))


def open_slot(system: System, rate: int, work_ms: int, seconds: float, seed: int) -> Row:
    before = system.cpu_ms()
    (answer,) = system.ask(loop="open", rate=rate, seconds=seconds, seed=seed, work_ms=work_ms)
    cpu = {role: used - before[role] for role, used in system.cpu_ms().items()}
    took = sorted(answer["took_ms"])
    p99 = percentile(took, 0.99)
    system.forget()
    return {
        "system": system.name,
        "rate": rate,
        "work_ms": work_ms,
        "seed": seed,
        "arrived": len(took),
        "ended_per_s": round(len(took) / answer["seconds"], 1),
        "p50_ms": round(percentile(took, 0.5), 1),
        "p99_ms": round(p99, 1),
        "beyond_knee": p99 > KNEE_MS,
        "cpu_ms_per_workflow": {role: round(used / len(took), 3) for role, used in cpu.items()},
    }


def knees(rows: Iterable[Row]) -> dict[str, int]:
    """The fastest arrivals that each system follows."""
    return {
        name: max((row["rate"] for row in rows if row["system"] == name and not row["beyond_knee"]), default=0)
        for name in dict.fromkeys(row["system"] for row in rows)
    }


def load(plan: Plan, names: Sequence[str] = SYSTEMS) -> tuple[list[Row], list[Row]]:
    """The rows at a fixed number at once, and those at a fixed rate: the same processes."""
    with ExitStack() as stack:
        both = stack.enter_context(servers())
        systems = {name: start(stack, both, name, name) for name in names}
        for system in systems.values():
            warm(system)
            closed_slot(system, min(200, max(plan.concurrency)), 0, min(1.0, plan.seconds))
        return closed(systems, plan), open_loop(systems, plan)


# ── kill -9 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TWO: Final = Shape(nodes=2, agents=2, callers=2)


def recovery(plan: Plan, names: Sequence[str] = SYSTEMS) -> list[Row]:
    """Kill a coordinating process under load. A central system has only one, nervenet two that share the workflows."""
    rows: list[Row] = []
    for workflow in STEPS:
        for i in range(plan.recovery_rounds):
            for name in in_turn(i, list(names)):
                with servers() as both:
                    row = kill(both, name, workflow, plan)
                rows.append({**row, "round": i + 1})
                say(
                    f"kill -9, {workflow}: {name:13} {row['hurt']} of {row['in_flight']} hurt, their next steps began after"
                    f" {row['first_step_p50_ms']} ms (p50), {row['first_step_max_ms']} ms (the last one), all ended"
                    f" after {row['last_end_ms']} ms, {row['lost']} did not end"
                )
    return rows


def kill(both: Servers, name: str, workflow: str, plan: Plan) -> Row:
    folder = Path(tempfile.mkdtemp(prefix="nervenet-table-steps-"))
    try:
        with ExitStack() as stack:
            system = start(stack, both, name, f"kill-{name}", TWO, folder)
            warm(system)
            seconds = STEPS[workflow] * plan.step_ms / 1000
            over = min(1.0, seconds / 3)
            each = plan.in_flight // len(system.callers)
            for caller in system.callers:
                caller.tell(loop="burst", workflows=each, over_s=over, work_ms=plan.step_ms, workflow=workflow)
            time.sleep(over + (seconds - over) / 2)
            owned = system.owned_by_victim()
            at = system.kill_coordinator()
            ends = {key: span for answer in system.hear() for key, span in answer.items()}
            restarted = system.supervisor is not None and system.supervisor.hear() != system.coordinators[0]
        return {**_recovered(name, workflow, plan, at, ends, owned, _steps(folder)), "restarted": restarted}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _steps(folder: Path) -> list[tuple[float, str, str]]:
    """When each step began: moment, workflow, task."""
    found = []
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            at, _, task = line.partition(" ")
            found.append((float(at), task.partition("/")[0], task))
    return sorted(found)


def _recovered(
    name: str,
    workflow: str,
    plan: Plan,
    at: float,
    ends: Mapping[str, tuple[float, float | None]],
    owned: set[str] | None,
    steps: Sequence[tuple[float, str, str]],
) -> Row:
    in_flight = {key for key, (due, end) in ends.items() if due < at and (end is None or end > at)}
    hurt = in_flight if owned is None else in_flight & owned
    progress: dict[str, float] = {}  # workflow → its first sign of life after the kill
    for began, workflow_id, _ in steps:
        if began > at:
            progress.setdefault(workflow_id, began)
    for key in hurt:  # one that was in its last step begins no further one
        end = ends[key][1]
        if end is not None:
            progress[key] = min(progress.get(key, end), end)
    first = sorted((progress[key] - at) * 1000 for key in hurt if key in progress)
    ended = [end for key in hurt if (end := ends[key][1]) is not None]
    undisturbed = max((ends[key][0] for key in hurt), default=at) + STEPS[workflow] * plan.step_ms / 1000
    repeated = sum(times - 1 for task, times in Counter(task for _, _, task in steps).items() if _of(task) in ends)
    return {
        "system": name,
        "workflow": workflow,
        "step_ms": plan.step_ms,
        "in_flight": len(in_flight),
        "hurt": len(hurt),
        "first_step_min_ms": round(first[0], 1) if first else None,
        "first_step_p50_ms": round(percentile(first, 0.5), 1) if first else None,
        "first_step_max_ms": round(first[-1], 1) if first else None,
        "last_end_ms": round((max(ended) - at) * 1000, 1) if ended else None,
        "undisturbed_last_end_ms": round((undisturbed - at) * 1000, 1),
        "steps_repeated": repeated,
        "started": len(ends),
        "lost": sum(end is None for _, end in ends.values()),
    }


def _of(task: str) -> str:
    return task.partition("/")[0]


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def memory(plan: Plan, names: Sequence[str] = SYSTEMS) -> list[Row]:
    """One coordinating process, new for each row: its own memory when it is idle, and at most under each kind of load.

    Idle: it has run a few workflows, so that what the first ones import and allocate is not counted as theirs.
    """
    at_once = plan.in_flight
    slow, busy = plan.step_ms, 50
    kinds: dict[str, dict[str, Any]] = {
        f"{at_once} in flight, 1 KB, steps of {slow} ms": dict(
            loop="closed", concurrency=at_once, seconds=plan.memory_seconds / 2, work_ms=slow
        ),
        f"{at_once} at once, 1 KB, steps of {busy} ms, as fast as they go": dict(
            loop="closed", concurrency=at_once, seconds=plan.memory_seconds, work_ms=busy
        ),
        f"{at_once} in flight, 20 steps, 64 KB of state": dict(
            loop="burst", workflows=at_once, over_s=1.0, work_ms=slow, workflow="twenty"
        ),
    }
    rows: list[Row] = []
    for number, (what, order) in enumerate(kinds.items()):
        for name in in_turn(number, list(names)):
            with ExitStack() as stack:
                system = start(stack, stack.enter_context(servers()), name, f"memory-{name}")
                warm(system)
                time.sleep(SETTLE_S)
                idle = system.own_mb()
                with system.peak_mb() as peak:
                    system.ask(**order)
                most, resident = peak(), system.coordinator_mb()
            rows.append(
                {
                    "system": name,
                    "load": what,
                    "idle_mb": round(idle, 1),
                    "peak_mb": round(most, 1),
                    "above_idle_mb": round(most - idle, 1),
                    "rss_mb": round(resident, 1),
                }
            )
            say(f"memory, {what}: {name:13} {idle:.0f} MB idle, {most:.0f} MB at most")
    return rows


# ── more nodes, more agents ──────────────────────────────────────────────────────────────────────────────────────────


def linearity(plan: Plan, names: Sequence[str] = (NERVENET, CENTRAL)) -> list[Row]:
    """1, 2 and 4 nodes, with as many agents and callers, on the same cores: does a workflow cost more CPU where there are more of them?

    Each node has as many workflows at once as one alone would have.
    """
    rows: list[Row] = []
    each = min(AT_ONCE_PER_NODE, max(plan.concurrency))
    for number, size in enumerate(plan.sizes):
        for name in in_turn(number, list(names)):
            with ExitStack() as stack:
                both = stack.enter_context(servers())
                system = start(stack, both, name, f"size-{name}", Shape(size, size, size))
                warm(system)
                closed_slot(system, each * size, 0, min(1.0, plan.size_seconds))
                row = closed_slot(system, each * size, 0, plan.size_seconds)
            rows.append({"nodes": size if name == NERVENET else 1, "agents": size, **median([row])})
            say(f"{size} of each: {_described(row)}, {sum(row['cpu_ms_per_workflow'].values()):.2f} ms of CPU each")
    return rows


@dataclass(frozen=True)
class Host:
    """What a machine with more cores would carry, by arithmetic from the CPU that a workflow needs of each process.

    Callers are elsewhere, so their CPU does not count. A coordinating process and a Valkey use one core each at most.
    """

    cores: int = 16

    def carries(self, row: Row) -> dict[str, float]:
        cpu = {role: ms for role, ms in row["cpu_ms_per_workflow"].items() if role != "client"}
        by_cores = self.cores * 1000 / sum(cpu.values())
        by_valkey = 1000 / cpu["valkey"]
        one_coordinator = 1000 / cpu["coordinator"]
        central = row["system"] in (CENTRAL, NAIVE)
        one_valkey = min(by_cores, by_valkey, one_coordinator if central else by_cores)
        enough_valkeys = min(by_cores, one_coordinator if central else by_cores)
        return {
            "all_cores": round(by_cores),
            "one_coordinating_process": round(one_coordinator),
            "one_valkey": round(by_valkey),
            "host_with_one_valkey": round(one_valkey),
            "host_with_a_cluster": round(enough_valkeys),
        }
