# SPDX-License-Identifier: Apache-2.0
"""When a workflow leaves memory, and what brings it back.

    unloader.unload(coordinator)      # it only waits, and had no news for half a minute
    unloader.load_soon(workflow_id)   # news, or a timer is due

It hides the queue of loads: however many workflows are woken together, few are loaded at a time, so that the event loop and the
memory hold. A workflow that is woken is loaded from its journal, like that of a node that died (`load.py`).

A load that fails is repeated. News that is lost is found by the monitor, which looks at each unloaded workflow once a minute.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from typing import TYPE_CHECKING, Final

from nervenet.heap import return_free_memory
from nervenet.node.workflows.unloaded import UnloadedWorkflow
from nervenet.redis_link.faults import LinkError
from nervenet.timing import (
    CROWDED_WORKFLOW_UNLOADED_MS,
    LOAD_AGAIN_MS,
    PENDING_MONITOR_TICK,
    QUIET_WORKFLOW_UNLOADED_MS,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nervenet.node.context import NodeContext
    from nervenet.node.timers import Timer
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows

_log = logging.getLogger(__name__)

LOADS_AT_A_TIME: Final = 16
"""Their replays follow each other without a pause if Redis answers them together: about 10 ms of the event loop."""
DUE_AT_A_TIME: Final = 1_000
"""Workflows whose timers are due that are put into the queue without a pause: about a millisecond."""
LEAST_CROWDED: Final = 1_000
UNLOADED_AT_A_TIME: Final = 60
"""Their code ends and their entries are packed without a pause: about 25 ms."""
QUIET_IN_MEMORY: Final = 1_000
"""Workflows in memory from which those that only wait leave it sooner: about 7 MB."""
LOOKED_AT_AT_A_TIME: Final = 250
"""Workflows of which it is found without a pause whether they only wait."""
MANY: Final = 500
"""Workflows that have come together, or have left memory, after which the C library is asked to give back what that left free: about
3 MB."""


class Unloader:
    """One for each node. `load`: hosts a workflow of this node."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows, load: Callable[[str], Awaitable[bool]]) -> None:
        self._context = context
        self._hosted = hosted
        self._load = load
        self._due: list[tuple[int, str]] = []
        self._crowded = LEAST_CROWDED
        self._alarm: Timer | None = None
        self._wanted: dict[str, None] = {}
        self._loading = 0
        self._untrimmed = 0
        # workflows in memory at the last look, and the fewest since memory was returned
        self._before = self._fewest = 0

    def __repr__(self) -> str:
        return f"<Unloader {len(self._hosted.unloaded)} unloaded, {len(self._wanted)} wait for their load>"

    # ── out of memory ────────────────────────────────────────────────────────────────────────────────────────────────

    def unload(self, coordinator: Coordinator, *, crowded: bool = False) -> bool:
        """Take it out of memory if it only waits, and has done so for a while. `crowded`: many such ones are in memory.

        Returns whether it is out of memory.
        """
        quiet_ms = CROWDED_WORKFLOW_UNLOADED_MS if crowded else QUIET_WORKFLOW_UNLOADED_MS
        if self._context.clock.now_ms() - coordinator.applied_ms < quiet_ms:
            return False
        return self.unload_now(coordinator)

    def unload_now(self, coordinator: Coordinator) -> bool:
        """Take it out of memory if it only waits. Returns whether it is."""
        if not coordinator.is_quiet or self._hosted.is_locked(coordinator.workflow_id):
            return False
        unloaded = UnloadedWorkflow(coordinator)
        self._hosted.unload(coordinator, unloaded)
        self._untrimmed += 1
        if unloaded.due_ms is not None:
            self._wait_until(unloaded.due_ms, unloaded.workflow_id)
        return True

    async def unload_some(self, quiet: Sequence[Coordinator], *, crowded: bool = False) -> None:
        """`unload` for many, with pauses."""
        for first in range(0, len(quiet), UNLOADED_AT_A_TIME):
            for coordinator in quiet[first : first + UNLOADED_AT_A_TIME]:
                self.unload(coordinator, crowded=crowded)
            await asyncio.sleep(0)
        self._return_memory()

    async def run(self) -> None:
        """For as long as the node lives. Where many are in memory, as in a wave of starts, those that only wait leave it without a look
        of the monitor: theirs is the one at those that are out of memory."""
        hosted = self._hosted.coordinators
        while True:
            await asyncio.sleep(PENDING_MONITOR_TICK)
            self._look_for_wave(len(hosted))
            everyone = list(hosted) if len(hosted) > QUIET_IN_MEMORY else []
            for first in range(0, len(everyone), LOOKED_AT_AT_A_TIME):
                some = (hosted.get(workflow_id) for workflow_id in everyone[first : first + LOOKED_AT_AT_A_TIME])
                await self.unload_some([one for one in some if one is not None and one.is_quiet], crowded=True)

    def _look_for_wave(self, here: int) -> None:
        """Return memory when a wave of starts is over: glibc keeps what their messages and commands needed."""
        self._fewest = min(self._fewest, here)
        if here <= self._before and (came := here - self._fewest) >= MANY:
            self._fewest = here
            self._untrimmed += came
            self._return_memory()
        self._before = here

    def _return_memory(self) -> None:
        """Give back to the system what many workflows have left: glibc keeps a third of it otherwise."""
        if self._untrimmed >= MANY:
            self._untrimmed = 0
            self._context.spawn(asyncio.to_thread(return_free_memory))

    def close(self) -> None:
        """The node stops: load nothing more."""
        self._wanted.clear()
        self._due.clear()

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait_until(self, due_ms: int, workflow_id: str) -> None:
        if len(self._due) >= self._crowded:
            self._forget_loaded()
        heapq.heappush(self._due, (due_ms, workflow_id))
        self._set_alarm()

    def _forget_loaded(self) -> None:
        """Those that were loaded before their time stay until it comes, so remove them when the number has doubled."""
        self._due = [(due_ms, workflow_id) for due_ms, workflow_id in self._due if self._waits(due_ms, workflow_id)]
        heapq.heapify(self._due)
        self._crowded = max(LEAST_CROWDED, 2 * len(self._due))

    def _waits(self, due_ms: int, workflow_id: str) -> bool:
        one = self._hosted.unloaded.get(workflow_id)
        return one is not None and one.due_ms == due_ms

    def _set_alarm(self) -> None:
        first = self._due[0][0]
        if self._alarm is None or self._alarm.due_ms > first:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self._context.timers.at(first, self._load_due)

    def _load_due(self) -> None:
        self._alarm, now = None, self._context.clock.now_ms()
        for _ in range(DUE_AT_A_TIME):
            if not self._due or self._due[0][0] > now:
                break
            due_ms, workflow_id = heapq.heappop(self._due)
            if self._waits(due_ms, workflow_id):
                self.load_soon(workflow_id)
        if self._due:
            asyncio.get_running_loop().call_soon(self._set_alarm_again)

    def _set_alarm_again(self) -> None:
        if self._due:
            self._set_alarm()

    # ── into memory ──────────────────────────────────────────────────────────────────────────────────────────────────

    def load_soon(self, workflow_id: str) -> None:
        """Load it, when those that were wanted before are loaded: there is news, or its time has come."""
        self._wanted[workflow_id] = None
        if self._loading < LOADS_AT_A_TIME:
            self._loading += 1
            self._context.spawn(self._load_wanted())

    async def _load_wanted(self) -> None:
        try:
            while self._wanted:
                workflow_id = next(iter(self._wanted))
                del self._wanted[workflow_id]
                await self._load_one(workflow_id)
        finally:
            self._loading -= 1

    async def _load_one(self, workflow_id: str) -> None:
        try:
            await self._load(workflow_id)
        except LinkError as error:
            _log.info("%s is not loaded: %s", workflow_id, error)
        except Exception:  # noqa: BLE001 - whatever it is, the others go on
            _log.exception("%s is not loaded", workflow_id)
        if workflow_id in self._hosted.unloaded:  # any other is loaded by the sweep
            self._context.timers.at(self._context.clock.now_ms() + LOAD_AGAIN_MS, self._load_again, workflow_id)

    def _load_again(self, workflow_id: str) -> None:
        if workflow_id in self._hosted.unloaded:
            self.load_soon(workflow_id)
