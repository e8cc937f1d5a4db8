# SPDX-License-Identifier: Apache-2.0
"""What a log record says of the attempt that runs: `workflow_id`, `step`, `attempt`, `trace_id`, for every logger; and of which
`namespace` it is in a node that serves several.

The fields are bound to the context of the attempt, so that lines of the handler's own loggers and of the libraries that it
calls have them too. A program that sets up logging itself adds the filter to its handler:

    handler.addFilter(BoundFields())
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar

from nervenet.records import Trace

__all__ = ["BoundFields", "bind_attempt", "bind_fields", "bind_namespace", "bound_fields", "trace_id"]

_NOTHING: Mapping[str, object] = {}
_fields: ContextVar[Mapping[str, object]] = ContextVar("nervenet_log_fields", default=_NOTHING)


def bind_attempt(workflow_id: str, step: str, attempt: int, trace: Trace) -> None:
    """From now on, records of this task or thread carry these fields."""
    bound: dict[str, object] = {"workflow_id": workflow_id, "step": step, "attempt": attempt}
    if found := trace_id(trace):
        bound["trace_id"] = found
    _fields.set(bound)


def bind_namespace(namespace: str) -> None:
    """From now on, records of this task, and of the tasks that it starts, carry the namespace."""
    bind_fields({**_fields.get(), "namespace": namespace})


def bound_fields() -> Mapping[str, object]:
    """The fields that records of this task carry."""
    return _fields.get()


def bind_fields(fields: Mapping[str, object]) -> None:
    """From now on, records of this task carry these fields: those that another task had."""
    _fields.set(fields)


def trace_id(trace: Trace) -> str:
    """The 32 digits that name a trace; "" if there is none."""
    return trace.traceparent[3:35]


class BoundFields(logging.Filter):
    """Adds the bound fields to each record that has no field of that name. It lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields. `logging` calls it."""
        for name, value in _fields.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
