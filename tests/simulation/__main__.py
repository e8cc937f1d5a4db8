# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.simulation`: many schedules, or one that failed, told in full.

python -m tests.simulation --schedules 100000        all of them; ends with 1 if any broke a promise
python -m tests.simulation --seed 4711               this one, with its story
python -m tests.simulation --seed 4711 815           these, with their stories, one after the other in this process
python -m tests.simulation --schedules 8000 --copies 100     a hundred copies of every second task
python -m tests.simulation --schedules 8000 --crashes         in each of them Redis loses its last commands
python -m tests.simulation --schedules 1000 --sabotage "write once"   until the broken law is noticed, then ends with 1
python -m tests.simulation --schedules 1000 --sabotage all    each law in turn; ends with 1 if a breach goes unnoticed

`make simulate` is the same, with SCHEDULES=, SEED= and SABOTAGE=.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.report import REPORT, Report, schedules, write_found
from tests.simulation.sabotage import OF_CRASHES, SABOTAGES
from tests.simulation.schedule import run

EVERY = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="A mesh in virtual time.")
    parser.add_argument("--schedules", type=int, default=1, metavar="N", help="how many, from --seed on (1: tell it)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], metavar="S", dest="seeds")
    parser.add_argument("--copies", type=int, default=1, metavar="K", help="of a task that is delivered again")
    parser.add_argument("--crashes", action="store_true", help="only schedules in which Redis loses its last commands")
    parser.add_argument("--sabotage", choices=["all", *SABOTAGES], default="", help="a law to break")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="W", help="processes")
    asked = parser.parse_args()
    asked.seed = asked.seeds[0]
    if asked.sabotage == "all":
        return every_sabotage(asked)
    return tell(asked) if asked.schedules == 1 else many(asked)


def tell(asked: argparse.Namespace) -> int:
    """Each schedule with its story, which ends with its seed."""
    sys.unraisablehook = lambda _: None  # what dies in the middle of its work says so to nobody
    sabotage = SABOTAGES[asked.sabotage] if asked.sabotage else None
    failed = False
    for seed in asked.seeds:
        outcome = run(seed, sabotage, asked.copies, crashes=asked.crashes)
        failed |= bool(outcome.violations)
        print(*outcome.story, *(f"VIOLATION {each}" for each in outcome.violations), sep="\n")
        print(f"seed {seed}: {outcome.commands:,} commands, fingerprint {outcome.fingerprint}", flush=True)
    os._exit(failed)  # what was left in the middle of its work stays there


def many(asked: argparse.Namespace) -> int:
    """All of them, or until a sabotage is found."""
    report = explore(asked, asked.sabotage)
    report.write()
    print(f"{report.line}; {REPORT}")
    return int(bool(report.violations))


def every_sabotage(asked: argparse.Namespace) -> int:
    """Each broken law, and how many schedules it took until somebody noticed."""
    found: dict[str, int | None] = {}
    for name in SABOTAGES:
        seeds = explore(asked, name).violations
        found[name] = min(seeds) - asked.seed + 1 if seeds else None
        print(f"{name}: " + (f"noticed by schedule {found[name]}" if seeds else "NOT NOTICED"), flush=True)
    noticed = [count for count in found.values() if count is not None]
    print(f"{len(noticed)} of {len(found)} broken laws noticed, the last by schedule {max(noticed, default=0)}")
    write_found(found)
    return int(len(noticed) < len(found))


def explore(asked: argparse.Namespace, sabotage: str) -> Report:
    report, said, told = Report(asked.seed, asked.copies, sabotage), time.monotonic(), set[int]()
    try:
        for report in schedules(
            asked.seed,
            asked.schedules,
            copies=asked.copies,
            sabotage=sabotage,
            crashes=asked.crashes or sabotage in OF_CRASHES,
            workers=asked.workers,
            size=10 if sabotage else 100,  # most sabotages are noticed early, and the chunk at work runs to its end
        ):
            for seed in sorted(report.violations.keys() - told):
                told.add(seed)
                print(f"seed {seed}: {report.violations[seed][0]}", file=sys.stderr, flush=True)
            if sabotage and report.violations:
                break
            if time.monotonic() - said > EVERY:
                said = time.monotonic()
                print(f"{report.line} so far", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return report


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of strings belongs to what a seed repeats
        os.execve(sys.executable, [*sys.orig_argv], {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main())
