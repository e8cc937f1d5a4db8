# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.chaos`: a run, its report, exit code 1 on violations. Settings from the environment, see the package; REPORT and FOLDER
say where the report and the logs go."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.drive import Ask, torture
from tests.chaos.report import BUILD, lines, merged
from tests.chaos.sabotage import chosen
from tests.support.torture import write_report

SHARES = {"strict": 0.7, "replica": 0.3}
"""Of the workflows."""
SIZES = {"strict": (3, 4), "replica": (2, 3)}
"""Nodes and agents."""
PER_MINUTE = 300
MINUTES = 1.2


def asks(env: dict[str, str]) -> list[Ask]:
    """SEED, MINUTES, WORKFLOWS, SABOTAGE and SETTINGS; a sabotage is one short run on one mesh, without faults."""
    seed, minutes = int(env.get("SEED") or 1), float(env.get("MINUTES") or MINUTES)
    if sabotage := chosen(env.get("SABOTAGE", "")):
        workflows = int(env.get("WORKFLOWS") or 40)
        return [Ask("strict", seed, 5.0, workflows, sabotage, nodes=2, agents=3, faults=False)]
    settings = (env.get("SETTINGS") or ",".join(SHARES)).split(",")
    workflows = int(env.get("WORKFLOWS") or PER_MINUTE * minutes)
    whole = sum(SHARES[setting] for setting in settings)
    return [
        Ask(s, seed, minutes * 60, max(10, round(workflows * SHARES[s] / whole)), nodes=SIZES[s][0], agents=SIZES[s][1])
        for s in settings
    ]


async def run(todo: list[Ask], folder: Path) -> list[dict[str, Any]]:
    """All meshes side by side. Stopped by a signal, they take their processes with them."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(torture(ask, folder / ask.setting)) for ask in todo]
    return [task.result() for task in tasks]


def main() -> int:
    todo, begun = asks(dict(os.environ)), time.monotonic()
    folder = Path(os.environ.get("FOLDER") or BUILD / "run")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        meshes = asyncio.run(run(todo, folder))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("chaos: stopped", file=sys.stderr)
        return 130
    report = merged([todo[0].seed], meshes)
    write_report(Path(os.environ.get("REPORT") or BUILD / "report.json"), report)
    for line in lines(report, time.monotonic() - begun):
        print(line)
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
