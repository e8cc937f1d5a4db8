# SPDX-License-Identifier: Apache-2.0
"""One run of several systems side by side: start them all, let them take turns, and say what was skipped."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from comparing import systems as product
from comparing.measures import Measured, Plan, closed, closed_slot, say, warm
from environments import Missing
from processes import HOME, machine

from .peer import Peer
from .running import Backings, Installed, backings, start
from .table import about, guarantees, load_table, publish

WARM_S: Final = 1.0
WARM_AT_ONCE: Final = 50
DURABILITY: Final = (
    "any process may be killed: another one continues, finished steps do not run again; on disk within a second"
)


def options(description: str | None, names: Sequence[str], out: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every system for a moment; the figures mean nothing")
    parser.add_argument("--only", nargs="+", choices=names, metavar="SYSTEM", help=f"of {', '.join(names)}")
    parser.add_argument("--concurrency", nargs="+", type=int, help="workflows at once")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--publish", action="store_true", help="also write the page in docs/")
    parser.add_argument("--out", type=Path, default=Path(out))
    return parser


def plan_of(given: argparse.Namespace, full: Plan, quick: Plan) -> Plan:
    plan = vars(quick if given.quick else full)
    if given.concurrency:
        plan = plan | {"concurrency": tuple(given.concurrency)}
    return Plan(**(plan | ({"rounds": given.rounds} if given.rounds else {})))


def compare(plan: Plan, peers: Sequence[Peer], *, with_nervenet: bool) -> dict[str, Any]:
    """The rows of all systems that this machine can run, and why it cannot run the others."""
    began, facts = time.monotonic(), machine()
    installed, skipped = install(peers)
    with backings() as servers, ExitStack() as stack:
        systems: dict[str, Measured] = {}
        described: dict[str, dict[str, str]] = {}
        if with_nervenet:
            systems[product.NERVENET] = _nervenet(stack, servers)
            described[product.NERVENET] = {"version": _own_version(), "durability": DURABILITY}
        for one in installed:
            name = one.peer.name
            say(f"{name} starts")
            try:
                systems[name] = start(stack, servers, one)
            except Missing as reason:
                skipped[name] = _say_skipped(name, reason)
                continue
            described[name] = {"version": one.version, "durability": one.peer.durability}
        for system in systems.values():
            warm(system)
            closed_slot(system, min(WARM_AT_ONCE, max(plan.concurrency)), 0, min(WARM_S, plan.seconds))
        rows = closed(systems, plan) if systems else []
    return {
        "rows": [{**_first(row), **described[row["system"]], **row} for row in rows],
        "skipped": skipped,
        "machine": facts,
        "took_s": round(time.monotonic() - began),
    }


def _first(row: Mapping[str, Any]) -> dict[str, Any]:
    """So that a row begins with its system."""
    return {"system": row["system"]}


def install(peers: Sequence[Peer]) -> tuple[list[Installed], dict[str, str]]:
    found, skipped = [], {}
    for peer in peers:
        try:
            found.append(Installed.of(peer))
        except Missing as reason:
            skipped[peer.name] = _say_skipped(peer.name, reason)
    return found, skipped


def _say_skipped(name: str, reason: Missing) -> str:
    say(f"{name} is skipped: {reason}")
    return str(reason)


def _nervenet(stack: ExitStack, servers: Backings) -> product.System:
    """One node, one agent and one process of callers, as in the table."""
    both = product.Servers(servers.valkey(), servers.etcd())
    return product.start(stack, both, product.NERVENET, "nervenet")


def _own_version() -> str:
    from importlib.metadata import version

    return version("nervenet")


def finish(result: Mapping[str, Any], out: Path, pages: Path | None, command: str) -> None:
    """Write, print and, if asked for, publish."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    parts = [about(result)]
    if result["rows"]:
        parts.append(load_table(result["rows"]))
    parts.append(guarantees(result["rows"], result["skipped"]))
    text = "\n\n".join(parts)
    print(f"{text}\n\n{out}")
    if pages:
        publish(pages, command, text)


def run(
    given: argparse.Namespace, plan: Plan, peers: Sequence[Peer], page: str, command: str, *, with_nervenet: bool
) -> int:
    print(", ".join(f"{what}: {fact}" for what, fact in machine().items()), flush=True)
    try:
        result = compare(plan, peers, with_nervenet=with_nervenet)
    except KeyboardInterrupt:
        print("\nInterrupted: every process that was started has ended.", file=sys.stderr)
        return 130
    finish(result, given.out, HOME / page if given.publish else None, command)
    return 0
