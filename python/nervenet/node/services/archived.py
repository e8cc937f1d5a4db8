# SPDX-License-Identifier: Apache-2.0
"""Reads of the archive, for a workflow that Redis no longer has.

Each is a call to a folder or a bucket, so the errors of those become the contract's, and a read that takes too long ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nervenet.errors import PreconditionFailed, Unavailable
from nervenet.objects import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.archive.reader import ListPage, Period
    from nervenet.archive.record import ArchivedRun
    from nervenet.node.context import NodeContext
    from nervenet.streams.heads import Head

PATIENCE: Final = 10.0
"""Seconds for one read."""


async def archived_run(context: NodeContext, workflow_id: str) -> ArchivedRun | None:
    """The last run of a workflow in the archive; None: it is not there, or there is no archive. Raises Unavailable."""
    if context.archive is None:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            return await context.archive.find(workflow_id)
    except (SinkError, TimeoutError, ValueError) as error:
        raise _down(error) from error


async def archived_page(
    context: NodeContext, size: int, fits: Callable[[Head], bool], period: Period, cursor: tuple[str, int] | None
) -> ListPage:
    """A page of the list of the archive. Raises Unavailable, and PreconditionFailed where there is no archive."""
    if context.archive is None:
        words = "this mesh has no archive: set NERVENET_ARCHIVE on its nodes, or list without `archived`"
        raise PreconditionFailed(words, code="FAILED_PRECONDITION", reason="NO_ARCHIVE")
    try:
        async with asyncio.timeout(PATIENCE):
            return await context.archive.page(size, fits, period, cursor)
    except (SinkError, TimeoutError, ValueError, KeyError, TypeError) as error:
        raise _down(error) from error


def _down(error: Exception) -> Unavailable:
    words = str(error) or f"no answer within {PATIENCE:g} s"
    return Unavailable(f"the archive cannot be read: {words}", code="UNAVAILABLE", reason="ARCHIVE_DOWN")
