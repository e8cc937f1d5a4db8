# SPDX-License-Identifier: Apache-2.0
"""The long form: `python -m tests.fuzz --calls 100000 --records 1000000 --seed 7`. Exit code 1 if anything was wrong.

Half of the calls go to a mesh without a token, half to one with a token. The records go to decoders in a process of their own.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from nervenet.rpc.methods import METHODS
from tests.fuzz.calls import KINDS
from tests.fuzz.mesh import APP, Fuzzing, Options
from tests.support.environment import ROOT
from tests.support.mesh import mesh_alone
from tests.support.torture import command_line

MOST_GROWTH_MB = 100
"""From the half of the records to the end: libFuzzer keeps what reached new lines."""


def calls(options: Options) -> tuple[int, list[str]]:
    """Make calls to a mesh; how many, and what was wrong."""
    with mesh_alone(APP) as host:
        done = Fuzzing(options, host)
        asyncio.run(done.run())
        faults = done.faults()
    made = sum(done.codes.values())
    print(f"{made} calls in {done.seconds:.0f} s: {dict(done.codes.most_common())}")
    print(f"the node grew by {done.growth_mb} MB after the warm-up: {done.rss_mb[:: len(done.rss_mb) // 20 + 1]} MB")
    return made, faults


def records(count: int, seed: int) -> tuple[int, list[str]]:
    """Give changed records to the decoders; how many, and what was wrong."""
    with tempfile.TemporaryDirectory(prefix="nervenet-fuzz-") as folder:
        out = Path(folder) / "report.json"
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.records",
            "--records",
            str(count),
            "--seed",
            str(seed),
            "--out",
            str(out),
        ]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not out.exists():
            return 0, [f"the decoders' process ended with {ended.returncode}: {ended.stderr[-2000:]}"]
        report: dict[str, Any] = json.loads(out.read_text())
    guided = "guided by coverage" if report.get("guided", True) else "at random (atheris has no wheel for this machine)"
    print(f"{report['records']} records in {report['seconds']} s, {guided}")
    print(f"the decoders' process had {report['rss_mb']} MB at the first record, at the half and at the end")
    faults = [f"{kind}: {what}" for kind, what in report["failures"].items()]
    half, end = report["rss_mb"][-2:]
    if end - half > MOST_GROWTH_MB:
        faults.append(f"the decoders' process grew: {report['rss_mb']} MB")
    return report["records"], faults


def main() -> int:
    parser = command_line(__doc__, calls=100_000, records=1_000_000, at_once=50)
    parser.add_argument("--seed", type=int, default=None, help="the seed of an earlier run, to repeat it")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="what is sent")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=(), help="only these calls")
    given = parser.parse_args()
    seed = secrets.randbelow(1 << 31) if given.seed is None else given.seed
    print(f"seed {seed}: {given.calls} calls, {given.records} records", flush=True)
    made, faults = 0, list[str]()
    for token in (False, True) if given.calls else ():
        options = Options(given.calls // 2, seed, token, given.kinds, given.methods, given.at_once)
        more, found = calls(options)
        made, faults = made + more, faults + found
    decoded, found = records(given.records, seed) if given.records else (0, [])
    faults += found
    print("\n".join(faults) or "nothing was wrong")
    print(f"fuzz: {made} calls, {decoded} records, {len(faults)} failures")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
