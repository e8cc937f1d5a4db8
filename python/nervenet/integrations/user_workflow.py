# SPDX-License-Identifier: Apache-2.0
"""Workflows that an integration makes for a user's module."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from nervenet import Mesh, Signal, Workflow


def as_workflow(
    mesh: Mesh, run: Any, name: str, version: int, variable: str | None, signals: Collection[Signal[Any]] | None = None
) -> Workflow[Any, Any]:
    """Make a function a workflow as if it were written in the user's module, where other processes find it.

    Args:
        mesh: The mesh.
        run: The function.
        name: Name of the workflow.
        version: Its version.
        variable: The variable at the top of the user's module that holds it. Default: the name.
        signals: What it can be sent.
    """
    frame = inspect.currentframe()
    while frame is not None and f"{frame.f_globals.get('__package__')}.".startswith("nervenet.integrations."):
        frame = frame.f_back
    if frame is not None:
        run.__module__, run.__qualname__ = frame.f_globals.get("__name__", __name__), variable or name
    made: Workflow[Any, Any] = mesh.workflow(name=name, version=version, signals=signals)(run)
    return made
