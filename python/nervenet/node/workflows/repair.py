# SPDX-License-Identifier: Apache-2.0
"""What people do about workflows that are stuck or have failed: replay a BLOCKED run again, begin a run again.

Neither needs a protocol of its own. A retry drops the coordinator and loads the workflow, as a crash of the node would
have done: what is outstanding is carried out, what is recorded is not repeated. A restart is the `restart_if_closed` of
a start; a BLOCKED run is canceled before. It names the run that it follows, so a repeated request begins one run.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from nervenet.errors import PreconditionFailed, Unavailable
from nervenet.node.workflows.blob_values import whole
from nervenet.node.workflows.start_plan import StartRequest
from nervenet.records import NO_TRACE, Cancel, Start, State
from nervenet.rpc.status import already_closed, not_found
from nervenet.timing import RESTART_CANCEL_POLL, RESTART_CANCEL_TIMEOUT
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.facts import Facts
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.start import Started, Starter
    from nervenet.records import Trace
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

FIELDS = ("run", "owner", "state", "closed_ms", "definition", "request_hash")


class Repair:
    """One for each node. `load`: hosts a workflow that is this node's."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        starter: Starter,
        facts: Facts,
        load: Callable[[str], Awaitable[object]],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._starter = starter
        self._facts = facts
        self._load = load

    # ── retry ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def owner(self, workflow_id: str) -> str:
        """The node at which an open workflow can be retried. Raises RequestError: there is none."""
        head = await self._head(workflow_id)
        if head.closed:
            words = f"workflow {workflow_id} is {head.state}. To begin it again: nervenet restart {workflow_id}"
            raise already_closed("workflow", workflow_id, words, state=str(head.state))
        if not self._context.table.lives(head.owner) and head.owner != self._context.status.node_id:
            words = f"the node of {workflow_id} is gone; another one takes the workflow and replays it within seconds"
            raise Unavailable(words, code="UNAVAILABLE", reason="BACKEND_DOWN")
        return head.owner

    async def retry(self, workflow_id: str) -> bool:
        """Replay a workflow of this node again. False: it was not BLOCKED."""
        return await self._context.background.run_to_end(self._retry(workflow_id))

    async def _retry(self, workflow_id: str) -> bool:
        async with self._hosted.lock(workflow_id):
            if workflow_id in self._hosted.unloaded:  # one that only waits is not BLOCKED
                return False
            coordinator = self._hosted.get(workflow_id)
            if coordinator is not None:
                if coordinator.machine.blocked is None:
                    return False
                if coordinator.awaiting_reconciliation:  # it remembers what Redis may have lost
                    words = f"{workflow_id} is being compared with Redis, which came back; try again"
                    raise Unavailable(words, code="UNAVAILABLE", reason="BACKEND_DOWN")
                self._hosted.forget(coordinator)
        _log.info("%s is replayed again", workflow_id)
        await self._load(workflow_id)
        return True

    # ── restart ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def restart(
        self,
        workflow_id: str,
        run: int = 0,
        *,
        version: int = 0,
        reason: str = "",
        requester: str = "",
        trace: Trace = NO_TRACE,
    ) -> Started | None:
        """Begin the run that follows `run` (0: the present one). None: it had begun before.

        Raises RequestError: the run is open and not BLOCKED, or it cannot be started (no code, no room).
        """
        head = await self._head(workflow_id)
        run = run or head.run
        if head.run == run and not head.closed:
            if head.state is not State.BLOCKED:
                raise _is_open(workflow_id, f"is {head.state}: cancel it first, or wait for its end")
            await self._facts.record(
                workflow_id, run, "cancel", Cancel(reason or "restarted while BLOCKED", requester), requester
            )
            head = await self._closed(workflow_id, run)
        if head.run != run:
            return None
        return await self._starter.start(await self._request(workflow_id, head, version, requester, trace))

    async def _closed(self, workflow_id: str, run: int) -> Head:
        """The head once this run has ended."""
        try:
            async with asyncio.timeout(RESTART_CANCEL_TIMEOUT):
                while not (head := await self._head(workflow_id)).closed and head.run == run:  # noqa: ASYNC110 - another node may write it
                    await asyncio.sleep(RESTART_CANCEL_POLL)
                return head
        except TimeoutError:
            raise _is_open(workflow_id, "is canceled and has not ended yet: try again") from None

    async def _request(self, workflow_id: str, head: Head, version: int, requester: str, trace: Trace) -> StartRequest:
        """The start of the run that is over, again. A child begins again on its own: its parent has its outcome."""
        page = await self._context.journal.read(workflow_id, count=1)
        start = decode_entry(page[0].name, page[0].data, page[0].n, page[0].ms).body if page else None
        if not isinstance(start, Start):
            raise not_found("workflow", workflow_id, f"the start of {workflow_id} is not there or cannot be read")
        return StartRequest(
            workflow_id,
            start.definition,
            await whole(self._context, start.input, workflow_id),
            version,
            start.labels,
            start.timeout_ms,
            "restart_if_closed",
            trace,
            requester,
            same_as=head.request_hash,
            after_run=head.run,
        )

    async def _head(self, workflow_id: str) -> Head:
        head = await self._context.journal.head(workflow_id, FIELDS)
        if head is None:
            raise self._context.no_workflow(workflow_id)
        return head


def _is_open(workflow_id: str, words: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"workflow {workflow_id} {words}",
        code="FAILED_PRECONDITION",
        reason="WORKFLOW_OPEN",
        metadata={"workflow_id": workflow_id},
    )
