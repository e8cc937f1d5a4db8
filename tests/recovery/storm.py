# SPDX-License-Identifier: Apache-2.0
"""Four agents, one of them killed or stopped every second, under 500 workflows: no innocent task may be blamed.

    make storm SEED=7                                  # two minutes
    python -m tests.recovery.storm --seed 7 --seconds 120 --poisons 1

Two nodes and four agents as an operator starts them, with servers of their own, so that two storms run side by side.
What is killed is started again at once, what is stopped goes on after 1 to 9 s (a claim lives 6). The workflows are
chains of tasks of 10 ms to 2 s, as many as the storm is long. Behind the storm every one of them must have succeeded:
none FAILED, none unfinished, and no human asked about any of them. A poison (`--poisons`) ends every agent that runs it, and must
be the one that a human is asked about; its deaths are counted.

Ends with one line, and writes the same as JSON; exit code 1 when any of that is not so.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from nervenet import Client, Resolution, WorkflowHandle
from nervenet.errors import NervenetError
from tests.recovery import stuck_app
from tests.support.mesh import ProcessMesh, Supervised, mesh_alone
from tests.support.processes import NervenetProcess
from tests.support.torture import BUILD, command_line, conclude

APP = "tests/recovery/stuck_app.py"
NODES, AGENTS = 2, 4
EVERY = 1.0
PAUSES = (1.0, 3.0, 7.0, 9.0)
TASKS_A_SECOND = 25
"""About what four agents with five slots do while they die so often: the workflows are made to last as long as the storm."""


class Storm:
    """The agents of a host, and what happens to them. `hits` says how often each kind of thing has."""

    def __init__(self, host: ProcessMesh, seed: int, *, agents: int = AGENTS) -> None:
        self.hits = Counter[str]()
        self._host, self._chance = host, random.Random(seed)
        self._agents = Supervised(*[lambda: host.agent("--name", "worker", app=APP)] * agents)
        self._stopped: dict[NervenetProcess, float] = {}

    async def up(self) -> None:
        """All of them serve."""
        await asyncio.to_thread(self._host.up, *self._agents.standing)

    async def rage(self, seconds: float) -> None:
        """One hit a second; at the end everybody is back."""
        began = time.monotonic()
        next_hit = began + EVERY
        while (now := time.monotonic()) < began + seconds:
            self._tend(now)
            if now >= next_hit:
                next_hit += EVERY
                self._hit(now)
            await asyncio.sleep(0.02)
        self._tend(float("inf"))
        await self.up()

    def _tend(self, now: float) -> None:
        """Those that were stopped for long enough go on, those that ended are started again."""
        for role in [role for role, until in self._stopped.items() if until <= now]:
            role.kill(signal.SIGCONT)
            del self._stopped[role]
        self._agents.tend()
        self.hits["ended"] = len(self._agents.codes)
        self._stopped = {role: until for role, until in self._stopped.items() if role.alive}

    def _hit(self, now: float) -> None:
        serving = [role for role in self._agents.standing if role.is_ready and role not in self._stopped]
        if not (serving or self._stopped):
            self.hits["all are starting"] += 1  # a slow machine
            return
        victim = self._chance.choice(serving or list(self._stopped))
        if not serving or self._chance.random() < 0.6:
            self.hits["killed"] += 1
            victim.kill()
        else:
            self.hits["stopped"] += 1
            victim.kill(signal.SIGSTOP)
            self._stopped[victim] = now + self._chance.choice(PAUSES)


class People:
    """They answer every question: a poison is completed by hand, an innocent is tried again and told in the report."""

    def __init__(self, client: Client) -> None:
        self.asked: dict[str, str] = {}
        self._client = client

    async def answer(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(0.3)
            with suppress(NervenetError, TimeoutError):
                async for one in self._client.escalations():
                    self.asked.setdefault(one.workflow_id, one.question)
                    is_poison = one.workflow_id.startswith("poison-")
                    decision = Resolution.complete("by hand") if is_poison else Resolution.retry()
                    await self._client.resolve(one.id, decision)


async def ending(run: WorkflowHandle[Any], within: float) -> str:
    """The state in which it is in the end, or this many seconds from now."""
    with suppress(NervenetError, TimeoutError):
        await run.result(timeout=within)
    return str((await run.info()).state)


async def storm(
    host: ProcessMesh, seed: int, *, seconds: float, workflows: int, poisons: int = 0, within: float = 240
) -> dict[str, Any]:
    """The whole of it; the report."""
    began = time.monotonic()
    await asyncio.to_thread(host.up, *(host.node(APP) for _ in range(NODES)))
    weather = Storm(host, seed)
    await weather.up()
    steps = max(2, round(seconds * TASKS_A_SECOND / workflows))
    bad = {f"poison-{n}": ("exit", "kill")[n % 2] for n in range(poisons)}
    async with host.client() as client:
        people = People(client)
        answering = asyncio.create_task(people.answer())
        good = {f"busy-{n}": steps for n in range(workflows)}
        runs: dict[str, WorkflowHandle[Any]] = {**await client.start_many(stuck_app.busy, good)}
        runs |= await client.start_many(stuck_app.poisoned, bad)
        await weather.rage(seconds)
        calm = time.monotonic()
        states = await asyncio.gather(*(ending(run, within) for run in runs.values()))
        answering.cancel()
        return {
            "seed": seed,
            "seconds": seconds,
            "workflows": workflows,
            "steps": steps,
            "hits": dict(weather.hits),
            "attempts_lost": sum([await run.result() for key, run in runs.items() if key in good])
            if set(states) == {"SUCCEEDED"}
            else None,
            "states": dict(Counter(states)),
            "not_succeeded": {key: state for key, state in zip(runs, states, strict=True) if state != "SUCCEEDED"},
            "innocents_asked": {key: text for key, text in people.asked.items() if key in good},
            "poisons_asked": sorted(people.asked.keys() & bad.keys()),
            "poison_deaths": {key: len(host.effects(key)) for key in bad},
            "after_the_storm_s": round(time.monotonic() - calm, 1),
            "took_s": round(time.monotonic() - began, 1),
        }


def violations(report: dict[str, Any]) -> list[str]:
    """Every innocent has to end well without a human, and every poison with one."""
    found = [f"{key}: {why}" for key, why in (report["not_succeeded"] | report["innocents_asked"]).items()]
    return found + [f"{key}: nobody was asked" for key in set(report["poison_deaths"]) - set(report["poisons_asked"])]


def line(report: dict[str, Any]) -> str:
    """The report for people."""
    hits = ", ".join(f"{count} {how}" for how, count in report["hits"].items())
    deaths = report["poison_deaths"]
    poisons = f"; deaths by poison {deaths}, asked about {len(report['poisons_asked'])}" if deaths else ""
    return (
        f"seed {report['seed']}: {report['workflows']} workflows of {report['steps']} tasks, agents: {hits}; "
        f"{report['attempts_lost']} attempts lost; states {report['states']}, "
        f"innocents that a human was asked about: {len(report['innocents_asked'])}{poisons}; "
        f"all ended {report['after_the_storm_s']} s behind the storm of {report['seconds']:g} s"
    )


def main() -> int:
    """Run it from the command line."""
    seed = random.randrange(1_000_000)
    parser = command_line(__doc__, seed=seed, seconds=120.0, workflows=500, poisons=0, out=BUILD)
    asked = vars(parser.parse_args())
    out, seed = asked.pop("out"), asked.pop("seed")
    print(f"seed {seed}", flush=True)
    with mesh_alone(APP) as host:
        report = asyncio.run(storm(host, seed, **asked))
    return conclude(out / f"storm-{seed}.json", report, line(report), violations(report))


if __name__ == "__main__":
    sys.exit(main())
