# SPDX-License-Identifier: Apache-2.0
"""The history of a run: its journal folded with the code at hand, with LangGraph's own objects after every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nervenet import Context, Workflow
from nervenet.integrations.langgraph.run import observed
from nervenet.testing import Journal, replay


@dataclass(frozen=True)
class GraphStep:
    """The graph after one step.

    Attributes:
        entries: Entries of the journal up to this step.
        updates: What each node returned, by its name, in the order in which they ended.
        values: The state.
    """

    entries: int
    updates: list[tuple[str, Any]]
    values: Any


def history(workflow: Workflow[Any, Any], journal: Journal) -> list[GraphStep]:
    """The steps of the run, in order.

    Args:
        workflow: The workflow, with its code at hand.
        journal: Its journal, also of a run that has not ended.

    Raises:
        AssertionError: Code and journal disagree.
    """
    steps: list[GraphStep] = []
    updates: list[tuple[str, Any]] = []

    def observe(mode: str, chunk: Any, ctx: Context) -> None:
        nonlocal updates
        if mode == "updates":
            updates.extend(chunk.items())
        else:
            steps.append(GraphStep(ctx.entries, updates, chunk))
            updates = []

    with observed(observe):
        replay(workflow, journal)
    return steps
