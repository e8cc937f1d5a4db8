# SPDX-License-Identifier: Apache-2.0
"""Runs durable agents in the test kit with their own handlers as stubs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from nervenet.integrations.pydantic_ai import DurableAgent
from nervenet.testing import WorkflowTest, run_agent

ROOT = Path(__file__).resolve().parents[3]


def handled(*agents: DurableAgent[Any, Any], seen: list[Any] | None = None, **options: Any) -> WorkflowTest:
    """A test in which the capabilities are run by their handlers. `seen` gets every request."""
    test = WorkflowTest(**options)
    for agent in agents:
        for place, one in enumerate(agent.agents.values()):

            async def handle(request: Any, one: Any = one) -> Any:
                if seen is not None:
                    seen.append(request)
                return await run_agent(one, request)

            test.stub(one, handle, takes=timedelta(milliseconds=place * 37 % 50))
    return test
