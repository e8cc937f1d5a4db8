# SPDX-License-Identifier: Apache-2.0
"""nervenet beside a central orchestrator, fair and naive, in one run: latency, throughput, arrivals, memory, CPU, recovery.

    make bench-table                                            # all of it, under 15 minutes
    make bench-table ARGS="--quick"                             # every part for a moment, to see that it works
    make bench-table ARGS="--only recovery memory --seed 7"

central/README.md says what the central orchestrator does and guarantees. All systems run the same work (comparing/work.py), are driven by the
same callers (comparing/load.py) and share one Valkey, which appends to a file and syncs it each second. They take turns within
seconds of each other, so that a machine that slows down slows all of them.

Writes build/bench/table.json, table.md and two plots. `--publish` also puts the plots and the tables into docs/benchmarks/.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from comparing.measures import QUICK, Host, Plan, knees, linearity, load, memory, recovery
from comparing.pictures import latency, plot
from comparing.report import Found, sections, targets
from comparing.systems import SYSTEMS
from processes import HOME, machine

PARTS: Final = ("load", "recovery", "memory", "linearity")
PAGE: Final = HOME / "docs/benchmarks/table.md"
BEGIN, END = "<!-- Written by `make bench-table`, begin -->", "<!-- Written by `make bench-table`, end -->"


def measure(
    plan: Plan, parts: Sequence[str], known: Mapping[str, Any], save: Callable[[Mapping[str, Any]], None]
) -> dict[str, Any]:
    """All rows. Of a part that is left out, those that are known. What is measured is saved after each part."""
    result: dict[str, Any] = {
        "rows": [],
        "open_loop": [],
        "knee_per_s": {},
        "recovery": [],
        "memory": [],
        "linearity": [],
        "machine": machine(),
        "load_before": {},
        "took_s": {},
        "seed": plan.seed,
        **known,
    }
    for part in parts:
        began = time.monotonic()
        result["load_before"][part] = machine()["load"]
        match part:
            case "load":
                result["rows"], result["open_loop"] = load(plan)
                result["knee_per_s"] = knees(result["open_loop"])
            case "recovery":
                result["recovery"] = recovery(plan)
            case "memory":
                result["memory"] = memory(plan)
            case "linearity":
                host = Host()
                result["linearity"] = [{**row, "host_of_16_cores": host.carries(row)} for row in linearity(plan)]
            case _:
                raise ValueError(part)
        result["took_s"][part] = round(time.monotonic() - began)
        result["targets"] = [
            {"target": what, "measured": value, "met": met} for what, value, met in targets(Found(result))
        ]
        save(result)
    return result


def pictures(result: Mapping[str, Any]) -> dict[str, str]:
    """File name → SVG. The fair central system and nervenet in both; the naive one where it shows what the published curve shows."""
    found: dict[str, str] = {}
    busy = [row for row in result["rows"] if row["work_ms"] == max(each["work_ms"] for each in result["rows"])]
    if busy:
        lines = latency(busy, SYSTEMS, "concurrency")
        ticks = sorted({row["concurrency"] for row in busy})
        title = f"Latency of a workflow of four steps of {busy[0]['work_ms']} ms"
        found["latency.svg"] = plot(title, "workflows at once", "ms", lines, ticks)
    if result["open_loop"]:
        lines = latency(result["open_loop"], SYSTEMS, "rate")
        title = "Latency when workflows arrive at a fixed rate, four steps of 50 ms"
        ticks = sorted({row["rate"] for row in result["open_loop"]})[::2]
        found["arrivals.svg"] = plot(title, "workflows that arrive per second", "ms", lines, ticks)
    return found


def publish(text: str, drawn: Mapping[str, str]) -> None:
    """Replace the plots, and what the page has between its two marks."""
    for name, svg in drawn.items():
        (PAGE.parent / name).write_text(svg)
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def about(result: Mapping[str, Any]) -> str:
    facts = result["machine"]
    loads = ", ".join(f"{part} {load}" for part, load in result["load_before"].items())
    return (
        f"{facts['cpu']}, Linux {facts['kernel']}, CPython {facts['python']}; seed {result['seed']}; {sum(result['took_s'].values()) / 60:.0f} minutes."
        f" Load average before each part: {loads}."
    )


def _save(result: Mapping[str, Any], out: Path) -> None:
    out.write_text(json.dumps(result, indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every part for a moment; the figures mean nothing")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="only these parts")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of arrival")
    parser.add_argument(
        "--read", type=Path, help="begin with the rows of this table.json; measure only what --only names"
    )
    parser.add_argument("--publish", action="store_true", help="also write docs/benchmarks/")
    parser.add_argument("--out", type=Path, default=Path("build/bench/table.json"))
    options = parser.parse_args()
    plan = Plan(**(vars(QUICK if options.quick else Plan()) | {"seed": options.seed}))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(options.read.read_text()) if options.read else {}
    parts = options.only or ([] if options.read else PARTS)
    result = known
    if parts:
        print(f"seed {plan.seed}; {', '.join(f'{what}: {fact}' for what, fact in machine().items())}", flush=True)
        try:
            result = measure(plan, parts, known, lambda rows: _save(rows, options.out))
        except KeyboardInterrupt:
            print(
                "\nInterrupted: every process that was started has ended. The parts that were complete are saved.",
                file=sys.stderr,
            )
            return 130
    text, drawn = f"{about(result)}\n\n{sections(Found(result))}", pictures(result)
    options.out.with_suffix(".md").write_text(text + "\n")
    for name, svg in drawn.items():
        (options.out.parent / name).write_text(svg)
    print(text)
    print(f"\n{options.out}")
    if options.publish:
        publish(text, drawn)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
