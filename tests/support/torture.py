# SPDX-License-Identifier: Apache-2.0
"""What long tests that are also programs have in common: their command line and their report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def write_report(out: Path, report: dict[str, Any] | Sequence[Any]) -> None:
    """As JSON."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that is not exceeded by this part of them."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * part))]
