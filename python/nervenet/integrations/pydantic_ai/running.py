# SPDX-License-Identifier: Apache-2.0
"""Where code finds the run that it belongs to: the workflow in a node, the attempt in an agent."""

from __future__ import annotations

from contextvars import ContextVar

from nervenet import Context, Task

WORKFLOW: ContextVar[Context | None] = ContextVar("nervenet-pydantic-ai-workflow", default=None)
"""The workflow whose code runs. None: this is no workflow."""
ATTEMPT: ContextVar[Task[None] | None] = ContextVar("nervenet-pydantic-ai-attempt", default=None)
"""The attempt whose handler runs. None: this is no agent."""


def workflow() -> Context:
    """The workflow whose code runs."""
    ctx = WORKFLOW.get()
    assert ctx is not None
    return ctx
