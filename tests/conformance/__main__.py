# SPDX-License-Identifier: Apache-2.0
"""Runs candidates through the suite and prints one table: feature by language."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nervenet.dev.servers import backing
from tests.conformance.candidates import CANDIDATES
from tests.conformance.features import FEATURES, check
from tests.conformance.mesh import Candidate, Mesh

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
    features = [name for name in FEATURES if not words or any(word in name for word in words)]
    with tempfile.TemporaryDirectory(prefix="conformance-") as temporary:
        return asyncio.run(compare(chosen, features, args.logs or Path(temporary)))


async def compare(candidates: Sequence[Candidate], features: Sequence[str], folder: Path) -> int:
    results: Results = {}
    console = Console(width=max(100, 30 + 14 * len(candidates)))
    async with backing() as (redis, etcd):
        for candidate in candidates:
            results[candidate.name] = await passed(candidate, features, redis.url, etcd.url, folder.resolve(), console)
    console.print(table(results, features))
    failed = [(name, f) for name, one in results.items() for f in features if isinstance(one[f], str)]
    console.print(f"{len(features)} features, {len(candidates)} candidates, {len(failed)} failures")
    return 1 if failed else 0


async def passed(
    candidate: Candidate, features: Sequence[str], redis: str, etcd: str, folder: Path, console: Console
) -> dict[str, Seconds | str]:
    """Every feature against one candidate; a failure is told at once, and the next feature gets its chance."""
    told: dict[str, Seconds | str] = {}
    async with Mesh(candidate, redis, etcd, f"conf-{candidate.name}", folder / candidate.name) as mesh:
        for name in features:
            began = time.monotonic()
            try:
                await check(mesh, name)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this feature's
                told[name] = f"{type(error).__name__}: {error}"
                console.print(
                    f"✗ {candidate.name}: {name}\n{traceback.format_exc(limit=-4)}", style="red", markup=False
                )
                for node in mesh.nodes:  # the next feature begins with a whole mesh
                    if not node.alive:
                        node.start()
                        await node.ready()
            else:
                told[name] = time.monotonic() - began
                console.print(f"✓ {candidate.name}: {name} ({told[name]:.1f} s)", markup=False, highlight=False)
    return told


def table(results: Results, features: Sequence[str]) -> Table:
    grid = Table("feature", *results, title="Conformance")
    for name in features:
        cells = [one[name] for one in results.values()]
        grid.add_row(name, *("✗" if isinstance(cell, str) else f"✓ {cell:.1f} s" for cell in cells))
    return grid


if __name__ == "__main__":
    sys.exit(main())
