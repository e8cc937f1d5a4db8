# SPDX-License-Identifier: Apache-2.0
"""The definitions that every node has: `nervenet.task`, one task as a workflow of its own, and `nervenet.declared`.

The first is what RunTask starts, so that a program in any language can be its own coordinator: durable, and deduplicated by
its id `task/<request_id>`, with no other store of request ids. The second is never started: by its runtime a node's record
says that the node understands workflows given as data, and which language of them.
"""

from __future__ import annotations

import base64
import dataclasses
from datetime import timedelta
from typing import Any

from nervenet.definitions import Workflow, define_workflow
from nervenet.durable import Context
from nervenet.durable.declared import LANGUAGE
from nervenet.options import CallOptions, RetryPolicy, Selection, Timeouts
from nervenet.payloads import ANY

TASK = "nervenet.task"
DECLARED = "nervenet.declared"


def options_of(given: dict[str, Any]) -> CallOptions:
    """CallOptions from JSON: `{"retry": …, "timeouts": …, "selection": …, "labels": …}`, times in milliseconds."""
    retry = dict(given.get("retry") or {})
    for name in ("initial_interval", "max_interval"):
        if name in retry:
            retry[name] = timedelta(milliseconds=retry[name])
    timeouts = {name: timedelta(milliseconds=ms) for name, ms in (given.get("timeouts") or {}).items()}
    return CallOptions(
        retry=RetryPolicy(**retry) if retry else None,
        timeouts=Timeouts(**timeouts) if timeouts else None,
        selection=Selection(**given["selection"]) if given.get("selection") else None,
        labels=given.get("labels") or None,
    )


async def _task(ctx: Context, request: Any) -> Any:
    """The whole workflow: one call. Its failure is the workflow's, as it is."""
    given = base64.b64decode(request["data"]) if request.get("form") == "bytes" else request.get("data")
    return await ctx.call(request["capability"], given, options=options_of(request.get("options") or {}))


def builtin() -> dict[tuple[str, int], Workflow[Any, Any]]:
    """Name and version → definition."""
    return {
        (TASK, 1): dataclasses.replace(define_workflow(_task, name="task"), name=TASK),
        (DECLARED, 1): Workflow(DECLARED, ANY, ANY, runtime=LANGUAGE),
    }
