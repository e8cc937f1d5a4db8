# SPDX-License-Identifier: Apache-2.0
"""What long tests that are also programs have in common: their command line and their report."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nervenet import WorkflowHandle
from tests.support.waiting import keep_asking

BUILD = Path("build/recovery")


def command_line(doc: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """A parser with an option for each default: `at_once=200` is `--at-once N`, `logs=False` a switch, None an integer."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        if default is False:
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=int if default is None else type(default), default=default)
    return parser


def write_report(out: Path, report: Mapping[str, Any] | Sequence[Any]) -> None:
    """As JSON."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def conclude(out: Path, report: Mapping[str, Any] | Sequence[Any], line: str, wrong: Sequence[str]) -> int:
    """Write the report, print its line and what is wrong; the exit code of the program."""
    write_report(out, report)
    print(line)
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return int(bool(wrong))


async def wrong_ends(runs: Mapping[str, tuple[WorkflowHandle[Any], Any]], within: float, **asking: Any) -> list[str]:
    """Wait until all of them have ended; a line for each that did not give its own result in time.

    Args:
        runs: Each workflow with its result, by id.
        within: Seconds for all of them together.
        **asking: When a call that failed is made again, see `keep_asking`.
    """
    end = time.monotonic() + within

    async def judge(workflow_id: str, run: WorkflowHandle[Any], expected: Any) -> str:
        try:
            result = await keep_asking(lambda: run.result(timeout=5), max(0.1, end - time.monotonic()), **asking)
        except TimeoutError:
            return f"{workflow_id} has not ended within {within:g} s"
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what the report is about
            return f"{workflow_id}: {error!r}"
        return "" if result == expected else f"{workflow_id} gave {result!r}"

    return list(filter(None, await asyncio.gather(*(judge(key, *run) for key, run in runs.items()))))


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that is not exceeded by this part of them."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * part))]
