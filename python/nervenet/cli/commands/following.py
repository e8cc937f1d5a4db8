# SPDX-License-Identifier: Apache-2.0
"""Following one workflow to its end: the events of its watch, resumed where a node was lost, and its result.

A watch ends with the workflow. When its stream breaks before that (a node that stops ends its streams), the next one
begins behind the last entry that was seen; only a mesh in which nobody answers for a while is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from nervenet.cli.context import CommandContext
from nervenet.cli.failures import ExitCode, RunBlocked, StillRunning, Stopped
from nervenet.cli.render import events, workflows
from nervenet.clock import SYSTEM
from nervenet.errors import Unavailable

UNREACHABLE_PATIENCE = 15.0
"""Seconds without any answer after which a broken watch is given up."""


async def follow(
    context: CommandContext, workflow_id: str, *, progress: bool = True, partials: bool = False
) -> AsyncIterator[Any]:
    """Entries and reports of a workflow, from the first one until it is closed; between them, that it is BLOCKED."""
    seen, silent_since, begun = 0, SYSTEM.monotonic(), False
    while True:
        try:
            stream = context.mesh.stream(
                "WatchWorkflow",
                workflow_id=workflow_id,
                after_sequence=seen,
                include_progress=progress,
                include_partials=partials,
                payload_format="PAYLOAD_FORMAT_RAW",
            )
            async for response in stream:
                begun, silent_since = True, SYSTEM.monotonic()
                if response.HasField("blocked"):
                    yield response
                if not response.HasField("entry"):
                    continue  # a sign of life
                seen = max(seen, response.entry.sequence)
                yield response
                if events.close_of(response.entry) is not None:
                    return
        except Unavailable:
            if not begun or SYSTEM.monotonic() - silent_since > UNREACHABLE_PATIENCE:
                raise
        await asyncio.sleep(0.2)


async def finish(context: CommandContext, begun: Any, limit: float | None, *, answer: Any = None) -> int:
    """Wait for the end, print on the way what people should know, print the result, and return the exit code.

    `begun` is the workflow as it was when the wait began. `answer` is the StartWorkflowResponse that `--json` prints,
    with
    the closed workflow in it; without one, `--json` prints a GetWorkflowResponse. A BLOCKED workflow ends the wait,
    unless `--keep-waiting` is given.
    """
    workflow_id = begun.workflow_id
    try:
        async with asyncio.timeout(limit):
            if not workflows.closed(begun):
                await _tell(context, begun)
    except TimeoutError:
        raise StillRunning(f"{workflow_id} is still running. To keep waiting: nervenet result {workflow_id}") from None
    response = await context.mesh.call("GetWorkflow", workflow_id=workflow_id, payload_format="PAYLOAD_FORMAT_RAW")
    found, screen = response.workflow, context.screen
    screen.note(workflows.ended(found))
    if screen.json:
        if answer is not None:
            answer.workflow.CopyFrom(found)
        screen.message(response if answer is None else answer)
    elif workflows.succeeded(found):
        screen.payload(found.output)
    elif screen.quiet:
        screen.complain(workflows.ended(found))
    return ExitCode.DONE if workflows.succeeded(found) else ExitCode.FAILED


async def blocked_now(context: CommandContext, workflow_id: str) -> Any:
    """The workflow, if it is BLOCKED at this moment; else None."""
    found = await context.mesh.call("GetWorkflow", workflow_id=workflow_id, payload_format="PAYLOAD_FORMAT_OMIT")
    return found.workflow if found.workflow.HasField("blocked") else None


async def _stop_if_blocked(context: CommandContext, workflow_id: str) -> None:
    """Say that it is BLOCKED, with the line and the cure. That is the end of the wait, unless `--keep-waiting` is given."""
    screen, keep_waiting = context.screen, getattr(context.args, "keep_waiting", False)
    if (found := await blocked_now(context, workflow_id)) is None:
        return
    lines = workflows.blocked(found, screen.view_of_notes())
    if keep_waiting:
        screen.note(*lines, "Waiting until it continues. Ctrl-C ends the wait, not the workflow.")
        return
    if screen.json:
        raise RunBlocked("\n".join(line.plain for line in lines))
    for line in lines:
        screen.complain(line)
    raise Stopped(ExitCode.BLOCKED)


async def _tell(context: CommandContext, begun: Any) -> None:
    """The live line, and a line for each question that was open when the wait began."""
    screen = context.screen
    async for response in follow(context, begun.workflow_id, progress=screen.animated):
        if response.HasField("blocked"):
            await _stop_if_blocked(context, begun.workflow_id)
            continue
        entry = response.entry
        if question := events.question_of(entry, begun.workflow_id):
            if entry.sequence > begun.journal_entries or question[0] in begun.open_escalations:
                screen.note(workflows.asks(*question))
        elif line := events.doing(entry):
            screen.live(line)
