# SPDX-License-Identifier: Apache-2.0
"""Runs a durable graph in the test kit with its own nodes as stubs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from nervenet.integrations.langgraph import DurableGraph
from nervenet.testing import Run, WorkflowTest, run_agent

ROOT = Path(__file__).resolve().parents[3]
Answers = Mapping[str, Sequence[tuple[Any, float]]]
"""Question → answers, each with the seconds after which it comes."""


def scripted(graph: DurableGraph, answers: Answers | None = None, **options: Any) -> WorkflowTest:
    """A test in which the graph's nodes are run by their handlers, and in which people answer."""
    test = WorkflowTest(**options)
    for place, agent in enumerate(graph.agents.values()):

        async def handle(request: Any, agent: Any = agent) -> Any:
            return await run_agent(agent, request)

        test.stub(agent, handle, takes=timedelta(milliseconds=place * 37 % 50))
    for question, said in (answers or {}).items():
        for value, seconds in said:
            test.answer(question, value, after=timedelta(seconds=seconds))
    return test


def result_of(graph: DurableGraph, run: Run[Any]) -> Any:
    """The output as Python objects."""
    return graph.decode(run.result)
