# SPDX-License-Identifier: Apache-2.0
"""`make model`: every model with its faults, and every knock-out with the shortest way to what goes wrong without it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.model.engine import check, objection_to
from tests.model.runs import KNOCK_OUTS, LONG, SHORT

LIMIT = 600_000
REPORT = Path("build/model/report.json")


def main() -> int:
    """Ends with 1 if a model breaks a promise, or a knock-out breaks none."""
    began, failed, rows, states = time.monotonic(), 0, {}, 0
    for name, model in (SHORT | LONG).items():
        verdict = check(model, LIMIT)
        failed += not (verdict.ok and verdict.acyclic)
        states += verdict.states
        rows[name] = {"states": verdict.states, "steps": verdict.steps, "verdict": str(verdict)}
        print(f"{verdict.states:>9,} states  {name}: {verdict}", flush=True)
        print(*verdict.objections, sep="\n", end="")
    found = 0
    for name, (model, words) in KNOCK_OUTS.items():
        objection = objection_to(model, words, LIMIT)
        failed += objection is None
        found += objection is not None
        steps = "NOT FOUND" if objection is None else f"{objection.promise}, after {len(objection.trace)} steps"
        rows[f"without: {name}"] = {"objection": None if objection is None else str(objection)}
        print(f"without  {name}: {steps}", flush=True)
    line = (
        f"{len(SHORT | LONG)} models, {states:,} states, {found} of {len(KNOCK_OUTS)} objections found,"
        f" {failed} failed; {time.monotonic() - began:.0f} s"
    )
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"line": line, "runs": rows}, indent=1) + "\n")
    print(f"{line}; {REPORT}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
