# SPDX-License-Identifier: Apache-2.0
"""The long form: rounds of `python -m tests.chaos`, each with a seed and meshes of its own, and one report of all.

    python -m tests.chaos.rounds        # SEED, MINUTES (of all rounds together), WORKFLOWS (likewise), ROUNDS, UNDER

UNDER is a command that each round runs under (`nice -n 10`). Between rounds everything is at rest, so each of them ends with
a look for leaks.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time

from tests.chaos.report import BUILD, lines, merged
from tests.support.environment import ROOT
from tests.support.torture import write_report

MINUTES = 32.0
WORKFLOWS = 11_200
ROUNDS = 4


def main() -> int:
    env, begun = dict(os.environ), time.monotonic()
    seed, rounds = int(env.get("SEED") or 1), int(env.get("ROUNDS") or ROUNDS)
    each = {
        "MINUTES": str(float(env.get("MINUTES") or MINUTES) / rounds),
        "WORKFLOWS": str(int(env.get("WORKFLOWS") or WORKFLOWS) // rounds),
    }
    seeds, meshes, codes = [], [], []
    for number in range(rounds):
        report = BUILD / "rounds" / f"{seed + number}.json"
        report.unlink(missing_ok=True)
        command = [*shlex.split(env.get("UNDER", "")), sys.executable, "-m", "tests.chaos"]
        told = {**env, **each, "SEED": str(seed + number), "REPORT": str(report)}
        codes.append(subprocess.run(command, cwd=ROOT, env=told).returncode)
        if not report.exists():
            print(f"chaos: the round of seed {seed + number} ended with {codes[-1]} and no report", file=sys.stderr)
            return codes[-1] or 1
        seeds.append(seed + number)
        meshes += json.loads(report.read_text(encoding="utf-8"))["meshes"]
    total = merged(seeds, meshes)
    write_report(BUILD / "report.json", total)
    for line in lines(total, time.monotonic() - begun):
        print(line)
    return 1 if total["violations"] or any(codes) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
