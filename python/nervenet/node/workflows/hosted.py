# SPDX-License-Identifier: Apache-2.0
"""The registry of the workflows that this node hosts: their coordinators, those that are out of memory because they only wait, and
what arrives before a coordinator exists.

Every operation that decides which node has a workflow (start, adopt, load, hand over, close) holds the lock of that
workflow. Nothing in memory is the truth: `owned`, `running` and the head in Redis are, and the sweep compares.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from nervenet.node.timers import Round
from nervenet.node.workflows.unloaded import UnloadedWorkflow, UnloadedWorkflows
from nervenet.timing import NODE_LEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.records import Close

LOOK_MS = int(NODE_LEASE * 1000)


class _Early(list[tuple[int, int, str, bytes]]):
    """Entries of a workflow that is not hosted yet, kept while starts and loads of it are under way here: `users` of them."""

    users = 0


class HostedWorkflows:
    """See the module. One for each node."""

    def __init__(self, context: NodeContext) -> None:
        self.coordinators: dict[str, Coordinator] = {}
        """Those in memory."""
        self.unloaded = UnloadedWorkflows()
        """Those that only wait. One is never in both."""
        self.to_look_at: Round[Coordinator] = Round(context.clock, LOOK_MS)
        """Each workflow from the time when it was hosted; the pending monitor looks at what is due."""
        self._early: dict[str, _Early] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._on_close: dict[str, list[Callable[[Close | None], None]]] = {}
        self.on_blocked: list[Callable[[Coordinator], None]] = []
        """Called with each workflow that becomes BLOCKED here."""

    def __repr__(self) -> str:
        return f"<HostedWorkflows {len(self.coordinators)} in memory, {len(self.unloaded)} unloaded>"

    def __len__(self) -> int:
        return len(self.coordinators) + len(self.unloaded)

    def get(self, workflow_id: str) -> Coordinator | None:
        """The coordinator of a workflow in memory."""
        return self.coordinators.get(workflow_id)

    def find(self, workflow_id: str) -> Coordinator | UnloadedWorkflow | None:
        """A workflow that is hosted here, in memory or not."""
        return self.coordinators.get(workflow_id) or self.unloaded.get(workflow_id)

    def all(self) -> list[Coordinator | UnloadedWorkflow]:
        """All that are hosted here now, in memory or not."""
        return [*self.coordinators.values(), *self.unloaded.items().values()]

    def here(self, workflow_id: str) -> bool:
        """Whether it is hosted, or a start or load of it is under way here."""
        return workflow_id in self.coordinators or workflow_id in self.unloaded or workflow_id in self._early

    def is_locked(self, workflow_id: str) -> bool:
        """Whether it is being decided who hosts that workflow."""
        lock = self._locks.get(workflow_id)
        return lock is not None and lock.locked()

    def lock(self, workflow_id: str) -> asyncio.Lock:
        """Held while it is decided who hosts that workflow. It is one lock for as long as anybody holds or awaits it."""
        lock = self._locks.get(workflow_id)
        if lock is None:
            lock = self._locks[workflow_id] = asyncio.Lock()
        return lock

    # ── what comes before it is hosted ───────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def expecting(self, *workflow_ids: str) -> Iterator[None]:
        """Starts or loads of these are under way here: keep their entries until the coordinator exists, or this ends."""
        expected = []
        for workflow_id in workflow_ids:
            early = self._early.get(workflow_id)
            if early is None:
                early = self._early[workflow_id] = _Early()
            early.users += 1
            expected.append(early)
        try:
            yield
        finally:
            for workflow_id, early in zip(workflow_ids, expected, strict=True):
                early.users -= 1
                if not early.users and self._early.get(workflow_id) is early:
                    del self._early[workflow_id]

    def early(self, workflow_id: str) -> list[tuple[int, int, str, bytes]] | None:
        """Where to keep entries of a workflow whose start or load is under way here; None: there is none under way."""
        return self._early.get(workflow_id)

    def feed_early(self, coordinator: Coordinator) -> None:
        """Give a new coordinator the entries that arrived before it existed."""
        for n, ms, name, data in self._early.pop(coordinator.workflow_id, ()):
            coordinator.hear(n, ms, name, data)

    # ── hosted, and no longer hosted ─────────────────────────────────────────────────────────────────────────────────

    def attach(self, coordinator: Coordinator) -> None:
        """It is hosted here, and in memory, from now on."""
        self.unloaded.pop(coordinator.workflow_id)
        self.coordinators[coordinator.workflow_id] = coordinator
        coordinator.watched = self.to_look_at.put(coordinator)

    def forget(self, coordinator: Coordinator, close: Close | None = None) -> None:
        """It is no longer hosted here: closed, or another node's. Those who wait for its end are told which."""
        if self.coordinators.get(coordinator.workflow_id) is coordinator:
            del self.coordinators[coordinator.workflow_id]
            for tell in self._on_close.pop(coordinator.workflow_id, ()):
                tell(close)
        coordinator.drop()

    def unload(self, coordinator: Coordinator, unloaded: UnloadedWorkflow) -> None:
        """It is still hosted here, and no longer in memory. Those who wait for its end continue to wait."""
        if self.coordinators.get(coordinator.workflow_id) is coordinator:
            del self.coordinators[coordinator.workflow_id]
            self.unloaded.put(unloaded)
            coordinator.drop()

    def forget_unloaded(self, unloaded: UnloadedWorkflow) -> None:
        """One that is out of memory is no longer hosted here. Those who wait for its end are told."""
        if self.unloaded.get(unloaded.workflow_id) is unloaded:
            self.unloaded.pop(unloaded.workflow_id)
            for tell in self._on_close.pop(unloaded.workflow_id, ()):
                tell(None)

    def forget_all(self) -> None:
        """Nothing is hosted here any more: this node leaves, or its id is another one."""
        for one in self.all():
            self.forget_any(one)

    def forget_any(self, one: Coordinator | UnloadedWorkflow) -> None:
        """One that is in memory or not is no longer hosted here."""
        if isinstance(one, UnloadedWorkflow):
            self.forget_unloaded(one)
        else:
            self.forget(one)

    def blocked(self, coordinator: Coordinator) -> None:
        """It is BLOCKED: tell those who want to know."""
        for tell in self.on_blocked:
            tell(coordinator)

    def on_close(self, workflow_id: str, tell: Callable[[Close | None], None]) -> Callable[[], None] | None:
        """Call `tell` with `close` when a workflow that is hosted here closes, or with None when it leaves this node.

        Returns a function that ends it, or None when the workflow is not hosted here.
        """
        if self.find(workflow_id) is None:
            return None
        waiting = self._on_close.setdefault(workflow_id, [])
        waiting.append(tell)
        return lambda: waiting.remove(tell) if tell in waiting else None
