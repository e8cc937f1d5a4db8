# SPDX-License-Identifier: Apache-2.0
"""Workflow code that loops for ever, blocks for ten seconds and ends its process, among good workflows on three nodes.

    python -m tests.recovery.misbehaving --good 500

Three nodes and two agents as an operator starts them, each node in a place of its own: when one ends, another is started
there, as a supervisor does. The good workflows come in at a steady pace, the bad ones among them. In the end every good
one must have its result, and each bad one must be BLOCKED with the line that is at fault; no more than three nodes may
have died. Ends with one line, and writes the same as JSON; exit code 1 when any of that is not so.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from nervenet import Client, WorkflowHandle, WorkflowInfo
from nervenet.dev.servers import free_port
from tests.recovery import misbehaving_app
from tests.support.environment import ROOT
from tests.support.mesh import Supervised, mesh_alone
from tests.support.torture import BUILD, command_line, conclude, wrong_ends
from tests.support.waiting import keep_asking, until

APP = "tests/recovery/misbehaving_app.py"
BAD = {"loops": "it loops here", "stalls": "it stalls here", "exits": "it exits here"}
NODES, AGENTS = 3, 2
PACE = 50
"""Good workflows started in a second."""
MOST_DEAD = 3
WITHIN = 120.0


def lines_of(mark: str) -> list[str]:
    """`misbehaving_app.py:40`, wherever the mark stands."""
    lines = (ROOT / APP).read_text().splitlines()
    return [f"{Path(APP).name}:{n}" for n, line in enumerate(lines, 1) if f"# {mark}" in line]


async def start_all(client: Client, good: int) -> dict[str, tuple[WorkflowHandle[int], int]]:
    """The good ones at a steady pace, the bad ones among them; the good ones with their results."""
    bad = {good * (k + 1) // 4: name for k, name in enumerate(BAD)}
    runs = {}
    for n in range(good):
        if (name := bad.get(n)) is not None:
            await keep_asking(partial(client.start, getattr(misbehaving_app, name), 1, id=f"bad-{name}"), WITHIN)
        start = partial(client.start, misbehaving_app.good, n, id=f"good-{n}")
        runs[f"good-{n}"] = await keep_asking(start, WITHIN), 22 * n
        await asyncio.sleep(1 / PACE)
    return runs


async def blocked(client: Client, name: str) -> WorkflowInfo:
    async def found() -> WorkflowInfo | None:
        info: WorkflowInfo = await keep_asking(lambda: client.handle(f"bad-{name}").info(), WITHIN)
        return info if info.state == "BLOCKED" and info.message.blocked.where else None

    info: WorkflowInfo = await until(found, f"bad-{name} is blocked", WITHIN)
    return info


async def torture(good: int, folder: Path | None, *, stall: float = 10) -> dict[str, Any]:
    """The whole of it; the report."""
    began = time.monotonic()
    with mesh_alone(APP, folder, STALL=str(stall)) as host:
        places = [f"127.0.0.1:{free_port()}" for _ in range(NODES)]
        addresses = ",".join(places)
        nodes = Supervised(*(partial(host.node, APP, "--listen", place) for place in places))
        await asyncio.to_thread(host.up, *nodes.standing)
        await asyncio.to_thread(host.up, *(host.agent(NERVENET_ADDRESS=addresses) for _ in range(AGENTS)))

        async def watch() -> None:
            while True:
                await asyncio.sleep(0.05)
                nodes.tend()

        watching = asyncio.create_task(watch())
        told: dict[str, Any] = {}
        async with Client(addresses, namespace=host.namespace) as client:
            wrong = await wrong_ends(await start_all(client, good), WITHIN)
            ended = time.monotonic() - began
            for name, mark in BAD.items():
                info = await blocked(client, name)
                why = info.message.blocked
                told[name] = {"where": why.where, "found": why.found, "wanted": lines_of(mark)}
        watching.cancel()
        return {
            "good": good,
            "wrong": wrong,
            "blocked": told,
            "nodes_died": len(nodes.codes),
            "exit_codes": nodes.codes,
            "leases_lost": sum(role.log.count("lost its lease and comes back") for role in host.processes),
            "seconds_until_all_good_ended": round(ended, 1),
        }


def violations(report: dict[str, Any]) -> list[str]:
    """What is not as it must be."""
    found = list(report["wrong"])
    found += [
        f"{name}: blocked at {told['where']!r}, not at {told['wanted']}"
        for name, told in report["blocked"].items()
        if told["where"] not in told["wanted"]
    ]
    if report["nodes_died"] > MOST_DEAD:
        found.append(f"{report['nodes_died']} nodes died")
    return found


def line(report: dict[str, Any]) -> str:
    """The report for people."""
    where = ", ".join(f"{name} at {b['where']}" for name, b in report["blocked"].items())
    return (
        f"{report['good'] - len(report['wrong'])} of {report['good']} good workflows ended right within "
        f"{report['seconds_until_all_good_ended']} s; blocked: {where}; {report['nodes_died']} nodes died, "
        f"{report['leases_lost']} leases were slept through"
    )


def main() -> int:
    """Run it from the command line."""
    parser = command_line(__doc__, good=500, out=BUILD / "misbehaving.json")
    parser.add_argument("--folder", type=Path, help="keep the logs of the processes here")
    options = parser.parse_args()
    report = asyncio.run(torture(options.good, options.folder))
    return conclude(options.out, report, line(report), violations(report))


if __name__ == "__main__":
    sys.exit(main())
