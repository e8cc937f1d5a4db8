# SPDX-License-Identifier: Apache-2.0
"""A watch that survives its node: it continues after the last entry with any other node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from nervenet.client.nodes import Retry
from nervenet.errors import Unavailable
from nervenet.v1 import common_pb2 as common
from nervenet.v1 import coordinator_service_pb2 as pb

if TYPE_CHECKING:
    from nervenet.client.nodes import Nodes
    from nervenet.v1 import workflow_pb2

__all__ = ["answers", "follow"]


async def follow(
    nodes: Nodes, workflow_id: str, *, after: int = 0, progress: bool = False, partials: bool = False
) -> AsyncIterator[workflow_pb2.JournalEntry]:
    """Entries (and what attempts report) until the workflow ends. What arrives twice is returned once."""
    async for answer in answers(nodes, workflow_id, after=after, progress=progress, partials=partials):
        if answer.HasField("entry"):
            yield answer.entry


async def answers(
    nodes: Nodes, workflow_id: str, *, after: int = 0, progress: bool = False, partials: bool = False
) -> AsyncIterator[pb.WatchWorkflowResponse]:
    """The same, and that the workflow is BLOCKED: answers with an `entry` or with `blocked`."""
    retry = Retry(nodes)
    said: dict[tuple[str, int], int] = {}
    while True:
        request = pb.WatchWorkflowRequest(
            workflow_id=workflow_id,
            after_sequence=after,
            include_progress=progress,
            include_partials=partials,
            payload_format=common.PAYLOAD_FORMAT_RAW,
        )
        try:
            async with aclosing(nodes.stream("WatchWorkflow", request)) as stream:  # type: ignore[type-var]  # it is a generator
                async for answer in stream:
                    retry.answered()
                    if answer.HasField("blocked"):
                        yield answer
                    if not answer.HasField("entry"):
                        continue
                    entry = answer.entry
                    if entry.HasField("progress") and _old(entry, said):
                        continue
                    after = max(after, entry.sequence)
                    yield answer
            return  # with the workflow; a node that stops does not end a stream like this
        except Unavailable as error:
            await retry.pause(error)


def _old(entry: workflow_pb2.JournalEntry, said: dict[tuple[str, int], int]) -> bool:
    """Whether an earlier stream brought this partial already: pieces are numbered within their attempt."""
    progress = entry.progress
    if not progress.partial_sequence:
        return False
    key = (progress.step, progress.attempt)
    if progress.partial_sequence <= said.get(key, 0):
        return True
    said[key] = progress.partial_sequence
    return False
