# SPDX-License-Identifier: Apache-2.0
"""Keeps this node in the registry: under which id, with which record, and what happens when its lease is gone.

An id is one incarnation. When etcd reports that the lease is gone, the node releases everything and continues under a new
id. Other nodes adopt what the old id owned, as after a death.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from nervenet.clock import new_id
from nervenet.registry.etcd import EtcdError
from nervenet.registry.session import Session
from nervenet.timing import NODE_LEASE
from nervenet.wire import encode_node_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from nervenet.clock import Clock
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.admission import Admission
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.registry.etcd import Etcd

_log = logging.getLogger(__name__)

ROOM_AGAIN = 0.95
"""The part of its workflows at which a node that reported itself full reports that it has room."""


class NodeRegistration:
    """See the module. One for each node. `on_new_id` is called with the old id and the new one, after the change."""

    def __init__(
        self,
        context: NodeContext,
        etcd: Etcd,
        clock: Clock,
        hosted: HostedWorkflows,
        admission: Admission,
        checks: Checks,
        on_new_id: Callable[[str, str], None],
    ) -> None:
        self._context = context
        self._etcd = etcd
        self._clock = clock
        self._hosted = hosted
        self._admission = admission
        self._checks = checks
        self._on_new_id = on_new_id
        self.state = "STARTING"
        self.registered = False

    async def begin(self) -> None:
        """The node serves: it is a member from now on."""
        await self._introduce()
        await self.register("ACTIVE")

    async def register(self, state: str) -> None:
        """Write the record of this node."""
        self.state = state
        context, admission = self._context, self._admission
        record = encode_node_record(
            context.status.node_id,
            context.status.address,
            self._checks.published(),
            state=state,
            max_workflows=context.config.max_workflows,
            owned=admission.owned,
            full=admission.full,
            now_ms=context.clock.now_ms(),
            runtime=runtime(),
            pid=os.getpid(),
        )
        await context.status.session.put(context.table.layout.node(context.status.node_id), record)
        self.registered = True

    async def _introduce(self) -> None:
        served = self._context.status.served
        if served is not None and served.contact is not None:
            await served.contact.introduce(self._context.status.node_id)

    async def keep(self) -> None:
        """Register again where that is due, under a new id if the lease is gone."""
        if self._context.status.session.lost.is_set():
            await self._reincarnate()
        if not self.registered:
            await self.register(self.state)

    async def _reincarnate(self) -> None:
        status = self._context.status
        old = status.node_id
        self._release_all()
        new = new_id("n", self._context.entropy)
        await self._context.queues.make_wake(new)
        session = await Session.open(self._etcd, NODE_LEASE, clock=self._clock)
        ended, status.session, self.registered, status.node_id = status.session, session, False, new
        self._release_all()  # what was begun meanwhile belongs to the old id as well
        _log.warning("%s lost its lease and comes back as %s", old, new)
        await self._introduce()
        await ended.abandon()
        self._on_new_id(old, new)

    def _release_all(self) -> None:
        self._hosted.forget_all()

    async def report_room(self) -> None:
        """Tell the registry when this node is full and when it has room again, so that starts go to nodes with room."""
        told, admission, most = False, self._admission, self._context.config.max_workflows
        while True:
            await asyncio.sleep(1)
            if is_room_news(told_full=told, full=admission.full, owned=admission.owned, most=most):
                try:
                    await self.register(self.state)
                    told = not told
                except EtcdError as error:
                    _log.debug("%s: %s", self._context.status.node_id, error)


def is_room_news(*, told_full: bool, full: bool, owned: int, most: int) -> bool:
    """Whether the registry must hear of it. A node that said that it is full says nothing until it has a little room."""
    return full != told_full and not (told_full and owned > most * ROOM_AGAIN)


def runtime() -> str:
    """What this process runs on, for people, and for nodes of another release: `python 3.11.7, nervenet 0.2.0`."""
    return f"python {platform.python_version()}, nervenet {version('nervenet')}"
