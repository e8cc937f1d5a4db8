# SPDX-License-Identifier: Apache-2.0
"""Runs candidates through the suite and prints one table: feature by language."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nervenet.dev.servers import backing
from tests.conformance.callers import CALLERS, resumed
from tests.conformance.candidates import CANDIDATES
from tests.conformance.features import FEATURES, check
from tests.conformance.mesh import Candidate, Mesh
from tests.conformance.sealed import sealed

SEALED = "TLS and a token"
"""On a mesh of its own: `sealed.sealed`."""
CALLER = "client: RunTask resumed"
"""For languages with a client of their own: `callers.resumed`."""
ROWS = (*FEATURES, SEALED, CALLER)
Seconds = float
Results = dict[str, dict[str, Seconds | str]]
"""Candidate → feature → how long it took, or why it failed."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", allow_abbrev=False)
    parser.add_argument("--only", metavar="NAME,…", default="", help=f"of {', '.join(CANDIDATES)}")
    parser.add_argument(
        "--features", metavar="WORD,…", default="", help="only features whose name has one of these words"
    )
    parser.add_argument("--command", metavar="CMD", help="your own agent: the command that starts one")
    parser.add_argument("--redis", action="store_true", help="with --command: it reads Redis itself (NERVENET_REDIS)")
    parser.add_argument("--parallel", type=int, default=5, help="so many candidates at once (default 5)")
    parser.add_argument("--logs", metavar="DIR", type=Path, help="keep the logs of every process here")
    args = parser.parse_args(argv)
    if args.command:
        chosen = [Candidate("yours", args.command, redis=args.redis)]
    else:
        names = [name for name in args.only.split(",") if name] or list(CANDIDATES)
        if unknown := [name for name in names if name not in CANDIDATES]:
            parser.error(f"no such candidate: {', '.join(unknown)} (there are {', '.join(CANDIDATES)})")
        chosen = [CANDIDATES[name] for name in names]
    words = [word for word in args.features.split(",") if word]
    features = [name for name in ROWS if not words or any(word in name for word in words)]
    with tempfile.TemporaryDirectory(prefix="conformance-") as temporary:
        return asyncio.run(compare(chosen, features, (args.logs or Path(temporary)).resolve(), args.parallel))


async def compare(candidates: Sequence[Candidate], features: Sequence[str], folder: Path, parallel: int) -> int:
    console = Console(width=max(100, 30 + 14 * len(candidates)))
    turn = asyncio.Semaphore(parallel)

    async def one(candidate: Candidate) -> dict[str, Seconds | str]:
        async with turn, backing() as (redis, etcd):  # servers of its own: some features cut every connection
            name, servers = candidate.name, (redis.url, etcd.url)
            told = await passed(candidate, [one for one in features if one in FEATURES], *servers, folder, console)
            if SEALED in features:
                told[SEALED] = await tried(
                    name, SEALED, sealed(candidate, *servers, folder / f"{name}-sealed"), console
                )
            if CALLER in features and name in CALLERS:
                told[CALLER] = await tried(name, CALLER, resumed(name, *servers, folder / f"{name}-caller"), console)
            return told

    told = await asyncio.gather(*(one(candidate) for candidate in candidates))
    results: Results = {candidate.name: cells for candidate, cells in zip(candidates, told, strict=True)}
    console.print(table(results, features))
    failures = [(name, what, why) for name, cells in results.items() for what, why in cells.items() if type(why) is str]
    for name, what, why in failures:  # once more at the end, where a reader of CI looks
        console.print(f"FAILED {name}: {what}: {why}", markup=False, highlight=False)
    console.print(f"{len(features)} features, {len(candidates)} candidates, {len(failures)} failures")
    return 1 if failures else 0


async def tried(candidate: str, what: str, trial: Awaitable[None], console: Console) -> Seconds | str:
    """How long it took, or why it failed, which is told at once."""
    began = time.monotonic()
    try:
        await trial
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this trial's
        console.print(f"✗ {candidate}: {what}\n{traceback.format_exc(limit=-4)}", style="red", markup=False)
        return f"{type(error).__name__}: {error}"
    took = time.monotonic() - began
    console.print(f"✓ {candidate}: {what} ({took:.1f} s)", markup=False, highlight=False)
    return took


async def passed(
    candidate: Candidate, features: Sequence[str], redis: str, etcd: str, folder: Path, console: Console
) -> dict[str, Seconds | str]:
    """Every feature against one candidate; a failure is told at once, and the next feature gets its chance."""
    told: dict[str, Seconds | str] = {}
    async with Mesh(candidate, redis, etcd, f"conf-{candidate.name}", folder / candidate.name) as mesh:
        for name in features:
            told[name] = await tried(candidate.name, name, check(mesh, name), console)
            for node in mesh.nodes:  # the next feature begins with a whole mesh
                if isinstance(told[name], str) and not node.alive:
                    await node.start()
    return told


def table(results: Results, features: Sequence[str]) -> Table:
    grid = Table("feature", *results, title="Conformance")
    for name in features:
        cells = [one.get(name) for one in results.values()]
        grid.add_row(name, *("–" if c is None else "✗" if isinstance(c, str) else f"✓ {c:.1f} s" for c in cells))
    return grid


if __name__ == "__main__":
    sys.exit(main())
