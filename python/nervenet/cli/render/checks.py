# SPDX-License-Identifier: Apache-2.0
"""What `nervenet doctor` found, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from nervenet.cli.doctor.check import Check
from nervenet.cli.render import text
from nervenet.cli.render.table import Mark
from nervenet.cli.render.text import View

_CONSOLE = Console()
MARKS: Mapping[str, Mark] = {
    "error": Mark("✗", "red", "error"),
    "warning": Mark("!", "yellow", "warning"),
    "ok": Mark("✓", "green", "ok"),
}


def listed(checks: Sequence[Check], view: View) -> list[Text]:
    """One line for each check, and one with the remedy below what is wrong."""
    order = list(MARKS)
    width = max(len(one.name) for one in checks)
    lines = []
    first: dict[tuple[str, str], str] = {}
    for one in sorted(checks, key=lambda each: order.index(each.status)):
        mark = MARKS[one.status]
        if one.remedy and (before := first.setdefault((one.detail, one.remedy), one.name)) != one.name:
            lines.append(Text.assemble((f"{mark.symbol} {one.name:{width}}", mark.style), f"  the same as {before}"))
            continue
        lines.append(Text.assemble((f"{mark.symbol} {one.name:{width}}", mark.style), f"  {text.clean(one.detail)}"))
        if one.remedy:
            lines.append(Text(f"  {'':{width}}  → {text.clean(one.remedy)}"))
    return (
        lines if not view.people or not view.width else [part for line in lines for part in _folded(line, width, view)]
    )


def _folded(line: Text, indent: int, view: View) -> list[Text]:
    """The line in parts that fit, each below the text of the first."""
    if line.cell_len <= view.width:
        return [line]
    margin = indent + 4
    head, rest = line.divide([margin]) if len(line.plain) > margin else (line, Text())
    parts = list(rest.wrap(_CONSOLE, max(view.width - margin, 20)))
    first, *others = parts or [Text()]
    return [head + first, *(Text(" " * margin) + each for each in others)]


def summary(checks: Sequence[Check]) -> str:
    """`2 errors, 1 warning, 17 checks passed.`"""
    count = Counter(one.status for one in checks)
    parts = [text.plural(count[name], name) for name in ("error", "warning") if count[name]]
    parts.append(f"{text.plural(count['ok'], 'check')} passed")
    return ", ".join(parts) + "."
