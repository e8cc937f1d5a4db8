# SPDX-License-Identifier: Apache-2.0
"""The SERVER span of a start: the workflow's own span stands below it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nervenet.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nervenet.node.workflows.start import Started, Starter
    from nervenet.node.workflows.start_plan import StartRequest
    from nervenet.telemetry import RpcSpan, Telemetry


def incoming(telemetry: Telemetry, method: str, start: StartRequest) -> RpcSpan:
    """The call that starts this workflow. A trace begins here where the caller has none and the sampler takes it."""
    attributes = {"nervenet.workflow.id": start.workflow_id}
    return telemetry.incoming(f"nervenet.v1.CoordinatorService/{method}", start.trace, attributes)


def inside(call: RpcSpan, start: StartRequest) -> StartRequest:
    """The start as a child of its call."""
    return start if call.trace is start.trace else replace(start, trace=call.trace)


async def start_traced(
    telemetry: Telemetry, starter: Starter, starts: Sequence[StartRequest]
) -> list[Started | RequestError]:
    """Starts that came in one batch: a call each, as if they had come alone."""
    if not telemetry.on:
        return await starter.start_many(starts)
    calls = [incoming(telemetry, "StartWorkflow", start) for start in starts]
    answers = await starter.start_many([inside(call, start) for call, start in zip(calls, starts, strict=True)])
    for call, answer in zip(calls, answers, strict=True):
        if isinstance(answer, RequestError):
            call.fail(answer)
        else:
            call.end()
    return answers
