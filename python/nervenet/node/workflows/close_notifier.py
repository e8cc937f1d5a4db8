# SPDX-License-Identifier: Apache-2.0
"""Tells callers what happens to a workflow, on whichever node it runs.

`Hints` is the node's one subscription to the channels of events and of progress, shared by all followers. A hint says "look", never what
happened. Hints may get lost, so every follower also looks every few seconds.

`CloseNotifier` answers the most common question, "when has it closed?", for thousands of workflows at once, without a task
or a timer for any of them. A workflow that is hosted here reports its end directly. For the others a hint leads to one
look at all their heads together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.node.workflows.owned_journal import blocked_json
from nervenet.objects import SinkError
from nervenet.records import Close, Failure, FailureCode, State, UnreadableEntry
from nervenet.redis_link.faults import LinkError
from nervenet.timing import UNKNOWN_WORKFLOW_AFTER
from nervenet.wire import decode_entry

if TYPE_CHECKING:
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.coordinator import Coordinator
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.redis_link.subscription import Subscription
    from nervenet.streams.heads import Head


SLICES: Final = 10
SLICE_SECONDS: Final = 0.5
"""Every follower is told to look once in SLICES × SLICE_SECONDS, a slice of them at a time."""
_log = logging.getLogger(__name__)


class Hints:
    """One for each node. `start` and `close` belong to the services' server."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._followers: dict[bytes, list[Callable[[], None]]] = {}
        self._subscription: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Hints on {len(self._followers)} channels>"

    async def start(self) -> None:
        self._subscription = await self._context.link.subscribe()
        self._tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._remind())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._subscription is not None:
            await self._subscription.close()

    def follow(self, workflow_id: str, look: Callable[[], None]) -> Callable[[], None]:
        """Call `look` whenever something may have happened, for the first time as soon as nothing can be missed.

        → a function that ends it.
        """
        return self._follow(self._context.keys.events(workflow_id), look)

    def follow_progress(self, workflow_id: str, look: Callable[[], None]) -> Callable[[], None]:
        """The same for news of running attempts."""
        return self._follow(self._context.keys.progress(workflow_id), look)

    def follow_queues(self, capability: str, look: Callable[[], None]) -> Callable[[], None]:
        """The same for tasks that are sent to the queues of a capability."""
        return self._follow(self._context.keys.queued(capability), look)

    def _follow(self, channel: bytes, look: Callable[[], None]) -> Callable[[], None]:
        assert self._subscription is not None
        self._followers.setdefault(channel, []).append(look)
        self._subscription.add(channel).add_done_callback(lambda confirmed: None if confirmed.cancelled() else look())
        return partial(self._leave, channel, look)

    def _leave(self, channel: bytes, look: Callable[[], None]) -> None:
        followers = self._followers.get(channel)
        if followers is None or look not in followers:
            return
        followers.remove(look)
        if not followers:
            del self._followers[channel]
            if self._subscription is not None:
                self._subscription.remove(channel)

    async def _hear(self) -> None:
        assert self._subscription is not None
        async for channel, _ in self._subscription:
            for look in tuple(self._followers.get(channel, ())):
                look()

    async def _remind(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(SLICE_SECONDS)
            turn = (turn + 1) % SLICES
            for channel in [channel for channel in self._followers if hash(channel) % SLICES == turn]:
                for look in tuple(self._followers.get(channel, ())):
                    look()


class Closed(NamedTuple):
    """How a run ended; `close` is None where no workflow has that id."""

    workflow_id: str
    run: int
    close: Close | None


class BlockedRun(NamedTuple):
    """A run that is BLOCKED; `cause` as the head has it."""

    workflow_id: str
    run: int
    cause: bytes


class _Waiter(NamedTuple):
    tell: Callable[[Closed], None]
    blocked: Callable[[BlockedRun], None] | None


class CloseNotifier:
    """One for each node."""

    def __init__(self, context: NodeContext, hosted: HostedWorkflows, hints: Hints) -> None:
        self._context = context
        self._hosted = hosted
        self._hints = hints
        self._waiting: dict[str, list[_Waiter]] = {}
        self._blocked: dict[str, BlockedRun] = {}
        """What those who wait have been told of workflows that are BLOCKED."""
        self._leave: dict[str, Callable[[], None]] = {}
        self._to_look: dict[str, None] = {}
        self._looking = False
        self._without_head: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        hosted.on_blocked.append(self._blocked_here)

    def __repr__(self) -> str:
        return f"<CloseNotifier awaited of {len(self._waiting)} workflows>"

    def when_closed(
        self,
        workflow_id: str,
        tell: Callable[[Closed], None],
        blocked: Callable[[BlockedRun], None] | None = None,
    ) -> None:
        """Call `tell` once, when that workflow has closed (perhaps long ago) or turns out to be unknown. Call `blocked`
        whenever it is BLOCKED."""
        waiting = self._waiting.get(workflow_id)
        if waiting is not None:
            waiting.append(_Waiter(tell, blocked))
            if blocked is not None and (known := self._blocked.get(workflow_id)) is not None:
                blocked(known)
            return
        self._waiting[workflow_id] = [_Waiter(tell, blocked)]
        if not self._wait_here(workflow_id):
            self._wait_elsewhere(workflow_id)

    def forget(self, workflow_id: str, tell: Callable[[Closed], None]) -> None:
        """Do not call it any more."""
        waiting = self._waiting.get(workflow_id, [])
        for waiter in waiting:
            if waiter.tell == tell:
                waiting.remove(waiter)
                break
        if not waiting:
            self._done(workflow_id)

    def _wait_here(self, workflow_id: str) -> bool:
        hosted = self._hosted.find(workflow_id)
        if hosted is None:
            return False
        leave = self._hosted.on_close(workflow_id, partial(self._closed_here, workflow_id, hosted.run))
        if leave is None:
            return False
        self._leave[workflow_id] = leave
        if (coordinator := self._hosted.get(workflow_id)) is not None:
            self._blocked_here(coordinator)
        return True

    def _blocked_here(self, coordinator: Coordinator) -> None:
        """A workflow that is hosted here is BLOCKED, or not."""
        why, workflow_id = coordinator.machine.blocked, coordinator.workflow_id
        if why is not None and workflow_id in self._waiting:
            cause = blocked_json(why, self._context.clock.now_ms())
            self._tell_blocked(BlockedRun(workflow_id, coordinator.run, cause))

    def _closed_here(self, workflow_id: str, run: int, close: Close | None) -> None:
        """None: it is another node's from now on."""
        if close is not None:
            self._tell(Closed(workflow_id, run, close))
        elif workflow_id in self._waiting:
            self._blocked.pop(workflow_id, None)  # perhaps only until it is replayed somewhere
            self._wait_elsewhere(workflow_id)

    def _wait_elsewhere(self, workflow_id: str) -> None:
        self._leave[workflow_id] = self._hints.follow(workflow_id, partial(self._look, workflow_id))

    def _look(self, workflow_id: str) -> None:
        if workflow_id in self._waiting:
            self._to_look[workflow_id] = None
            if not self._looking:
                self._looking = True
                self._context.spawn(self._look_at_all())

    async def _look_at_all(self) -> None:
        try:
            while self._to_look:
                ids, self._to_look = list(self._to_look), {}
                heads = await self._context.journal.heads(ids, ("closed_ms", "last", "state", "run", "blocked"))
                for workflow_id, head in heads:
                    self._look_whether_blocked(workflow_id, head)
                await self._read_closes([(each, head) for each, head in heads if self._over(each, head)])
        except LinkError as error:
            _log.debug("looked in vain, again in %d s: %s", SLICES * SLICE_SECONDS, error)
        finally:
            self._looking = False

    def _look_whether_blocked(self, workflow_id: str, head: Head | None) -> None:
        if head is None or head.state is not State.BLOCKED:
            self._blocked.pop(workflow_id, None)
        elif workflow_id in self._waiting:
            self._tell_blocked(BlockedRun(workflow_id, head.run, head.blocked))

    def _tell_blocked(self, blocked: BlockedRun) -> None:
        if self._blocked.get(blocked.workflow_id) == blocked:
            return
        self._blocked[blocked.workflow_id] = blocked
        for waiter in tuple(self._waiting[blocked.workflow_id]):
            if waiter.blocked is not None:
                waiter.blocked(blocked)

    def _over(self, workflow_id: str, head: Head | None) -> bool:
        if head is not None:
            self._without_head.pop(workflow_id, None)
            return head.closed
        now = self._loop.time()
        since = self._without_head.setdefault(workflow_id, now)
        if now - since >= UNKNOWN_WORKFLOW_AFTER:
            self._context.spawn(self._look_into_archive(workflow_id))
        elif since == now:
            self._loop.call_later(UNKNOWN_WORKFLOW_AFTER, self._look, workflow_id)
        return False

    async def _look_into_archive(self, workflow_id: str) -> None:
        """Redis does not have it. An archive that cannot be read has no answer either: it is asked again."""
        archive, closed = self._context.archive, Closed(workflow_id, 0, None)
        if archive is not None:
            try:
                found = await archive.find(workflow_id)
            except (SinkError, ValueError) as error:
                _log.warning("the archive cannot say whether it has %s: %s", workflow_id, error)
                return
            if found is not None and found.entries:
                raw = found.entries[-1]
                body = decode_entry(raw.name, raw.data, raw.n, raw.ms).body
                if isinstance(body, Close):
                    closed = Closed(workflow_id, found.head.run, body)
        if workflow_id in self._waiting:
            self._tell(closed)

    async def _read_closes(self, over: Iterable[tuple[str, Head | None]]) -> None:
        """The last entry of each: its number is in the head."""
        reads = []
        for workflow_id, head in over:
            assert head is not None
            reads.append((workflow_id, head.run, self._context.journal.read(workflow_id, before(head.last), 1)))
        pages = await asyncio.gather(*(page for _, _, page in reads))
        for (workflow_id, run, _), page in zip(reads, pages, strict=True):
            if page and page[0].name == "close":
                body = decode_entry(page[0].name, page[0].data, page[0].n, page[0].ms).body
                if not isinstance(body, Close):
                    words = (
                        f"its end cannot be read: {body.why if isinstance(body, UnreadableEntry) else 'it is no close'}"
                    )
                    body = Close(State.UNRECOGNIZED, failure=Failure(FailureCode.INTERNAL, words, "UnreadableEntry"))
                self._tell(Closed(workflow_id, run, body))

    def _tell(self, closed: Closed) -> None:
        waiting = self._waiting.get(closed.workflow_id, ())
        self._done(closed.workflow_id)
        for waiter in waiting:
            waiter.tell(closed)

    def _done(self, workflow_id: str) -> None:
        self._waiting.pop(workflow_id, None)
        self._blocked.pop(workflow_id, None)
        self._without_head.pop(workflow_id, None)
        leave = self._leave.pop(workflow_id, None)
        if leave is not None:
            leave()


def before(journal_id: bytes) -> str:
    """What to read behind so that this entry is the first: numbers are dense, so the one before it ends in n - 1."""
    ms, _, n = journal_id.partition(b"-")
    return f"{ms.decode()}-{int(n) - 1}"
