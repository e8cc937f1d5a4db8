# SPDX-License-Identifier: Apache-2.0
"""The next run of a workflow: `ctx.continue_as_new`.

It hides that a run ends without a `close`: one script removes the old journal and begins the new one. So callers that
await the workflow continue to wait, and a crash leaves either the one run or the other. The next run has the labels, time
limit, parent and trace of the first; its time begins again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from nervenet.durable import PYTHON
from nervenet.errors import RequestError, Unavailable
from nervenet.node.workflows.start_plan import request_hash
from nervenet.node.workflows.wakes import send_wake
from nervenet.records import Entry, Start
from nervenet.redis_link.faults import LinkError
from nervenet.registry.rendezvous import rendezvous
from nervenet.wire import decode_entry, encode_entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.durable import ContinueRun
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.children import Children
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.handover import Handover
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.load import NewCoordinator
    from nervenet.node.workflows.placement import Placement
    from nervenet.node.workflows.run_end import RunEnd

_log = logging.getLogger(__name__)


class ContinueAsNew:
    """See the module. One for each node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        placement: Placement,
        children: Children,
        run_end: RunEnd,
        handover: Handover,
        *,
        new_coordinator: NewCoordinator,
        reload: Callable[[Coordinator, str], None],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._placement = placement
        self._children = children
        self._run_end = run_end
        self._handover = handover
        self._new_coordinator = new_coordinator
        self._reload = reload

    async def continue_run(self, old: Coordinator, command: ContinueRun) -> None:
        """Begin the next run. If that fails for now (Redis away, no node has the code), the next look repeats it."""
        try:
            await self._continue(old, command)
        except (LinkError, RequestError) as error:
            _log.warning("%s: its next run is put off: %s", old.workflow_id, error)
            old.defer(command)
        except Exception:
            old.defer(command)  # otherwise it would wait forever; the log has the reason
            raise

    async def _continue(self, old: Coordinator, command: ContinueRun) -> None:
        context, workflow_id = self._context, old.workflow_id
        version, owner = self._place(workflow_id, command)
        await self._children.cancel_orphans(old)
        if owner != context.status.node_id:
            await context.ownership.own(owner, workflow_id)
        start, req = await self._start(old, command, version)
        if old.dropped:
            return
        data = encode_entry(start, context.status.node_id)
        if context.blobs is not None and context.blobs.is_large(data):
            data = await context.blobs.store_entry(workflow_id, old.run + 1, data)
        answer = await context.journal.begin_next(
            workflow_id,
            old.run,
            context.status.node_id,
            owner,
            data,
            command.folded,
            command.unread,
            {"definition": command.definition, "version": version, "python": PYTHON},
        )
        if answer.status != "new":  # it is another node's, or has begun already and the answer was lost: read it
            old.defer(command)  # it may turn out that Redis had lost this run, and no other began
            self._reload(old, f"its next run is {answer.status}")
        elif owner != context.status.node_id:
            self._run_end.release(old, "the run is over")
            self._hosted.forget(old)
            send_wake(context, owner, workflow_id, answer.run, answer.id, "start")
            await context.ownership.own(owner, workflow_id)
            await self._handover.disown(context.status.node_id, workflow_id)
        else:
            self._begin(old, answer.run, answer.id, start, data, req)

    def _place(self, workflow_id: str, command: ContinueRun) -> tuple[int, str]:
        """The version of the next run and its owner: this node, if it has the code."""
        context, name = self._context, command.definition
        version = command.version or self._placement.highest_version(name)
        able = self._placement.able(name, version)
        if context.status.node_id in able:
            return version, context.status.node_id
        owner = rendezvous(workflow_id, able)
        if owner is None:
            raise RequestError(f"no live node has {name!r}", code="NOT_FOUND", reason="DEFINITION_NOT_FOUND")
        return version, owner

    async def _start(self, old: Coordinator, command: ContinueRun, version: int) -> tuple[Start, bytes]:
        """The start of the next run: that of the first, with another code, input and seed. And the hash of the first request."""
        page = await self._context.journal.read(old.workflow_id, count=1)
        if not page:
            raise Unavailable(
                f"Redis has lost the journal of {old.workflow_id}", code="UNAVAILABLE", reason="BACKEND_DOWN"
            )
        (first,) = page
        body = decode_entry(first.name, first.data, first.n, first.ms).body
        assert isinstance(body, Start)  # this run was folded from it
        start = replace(
            body,
            definition=command.definition,
            version=version,
            runtime=PYTHON,
            input=command.input,
            seed=self._context.entropy(16),
        )
        return start, old.req or request_hash(body.definition, body.input)

    def _begin(self, old: Coordinator, run: int, journal_id: bytes, start: Start, data: bytes, req: bytes) -> None:
        context = self._context
        ms, _, n = journal_id.partition(b"-")
        coordinator = self._new_coordinator(
            old.workflow_id, start.definition, start.version, run, start, applied=int(n) - 1, req=req
        )
        self._run_end.replace(old, coordinator)
        coordinator.feed_own(Entry("start", start, int(n), int(ms), context.status.node_id), data)
        coordinator.catch_up()
