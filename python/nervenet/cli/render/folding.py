# SPDX-License-Identifier: Apache-2.0
"""Steps that are alike as one line: `fetch ×300: 299 ✓ 1 ✗ → fetch.14`. Those that need a look keep lines of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rich.text import Text

from nervenet.cli.render.steps import OPEN, STEPS, is_trouble
from nervenet.cli.render.table import mark_of
from nervenet.v1 import task_pb2 as task

ALIKE = 10
"""From this number on, steps of one name are one line."""
NAMED = 3
"""Failed steps that a fold names, and steps that keep a line of their own."""
_ORDER = (
    task.TASK_STATE_SUCCEEDED,
    task.TASK_STATE_FAILED,
    task.TASK_STATE_RUNNING,
    task.TASK_STATE_WAITING_FOR_HUMAN,
    task.TASK_STATE_QUEUED,
    task.TASK_STATE_CANCELED,
)


@dataclass(frozen=True, slots=True)
class Fold:
    """Steps of one name: `fetch`, `fetch.2`, …"""

    name: str
    steps: Sequence[task.Task]

    @property
    def failed(self) -> list[task.Task]:
        return [step for step in self.steps if step.state == task.TASK_STATE_FAILED]

    @property
    def worst(self) -> int:
        """The state that its line is painted by."""
        states = {step.state for step in self.steps}
        open_ = next((state for state in OPEN if state in states), None)
        return task.TASK_STATE_SUCCEEDED if open_ is None else open_

    def text(self) -> Text:
        counts = Counter(step.state for step in self.steps)
        line = Text(f"{self.name} ×{len(self.steps)}:")
        for state in _ORDER:
            if counts[state]:
                mark = mark_of(STEPS, state)
                said = mark.symbol if state != task.TASK_STATE_CANCELED else "canceled"
                said = "queued" if state == task.TASK_STATE_QUEUED else said
                line.append(f" {counts[state]} {said}", style=mark.style)
        if again := sum(step.state == task.TASK_STATE_SUCCEEDED and bool(step.failed_attempts) for step in self.steps):
            line.append(f" ({again} after failed attempts)", style="yellow")
        if failed := self.failed:
            named = ", ".join(step.step for step in failed[:NAMED])
            more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            line.append(f" → {named}{more}", style="red")
        return line


Item: TypeAlias = task.Task | Fold


def folded(steps: Iterable[task.Task]) -> list[Item]:
    """The steps in their order. Those that are alike are one item, at the place of the first, and behind it are the first few
    that failed, are tried again, or wait for a human."""
    keys = [(step.step.partition(".")[0], step.capability, step) for step in steps]
    groups: dict[tuple[str, str], list[task.Task]] = {}
    for name, capability, step in keys:
        groups.setdefault((name, capability), []).append(step)
    items: list[Item] = []
    for name, capability, step in keys:
        alike = groups[name, capability]
        if len(alike) < ALIKE:
            items.append(step)
        if len(alike) < ALIKE or step is not alike[0]:
            continue
        items.append(Fold(name, alike))
        items += [step for step in alike if is_trouble(step)][:NAMED]
        items += [step for step in alike if step.state == task.TASK_STATE_WAITING_FOR_HUMAN][:NAMED]
    return items
