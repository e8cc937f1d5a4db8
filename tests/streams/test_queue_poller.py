# SPDX-License-Identifier: Apache-2.0
"""What a queue handed to an agent by a reply that never came is read again after the reconnect."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from nervenet.streams import data_plane
from nervenet.streams.queues import Delivered, QueueRequirement
from nervenet.streams.tasks.deliveries import Deliveries
from nervenet.streams.tasks.queue_poller import KnownQueue, QueuePoller
from tests.support.data_plane import FIRST, DataPlane


class Agent:
    """Serves `classify` with one slot, and keeps what it was handed."""

    consumer, is_registered = FIRST, True

    def __init__(self) -> None:
        self.admitted: list[Delivered] = []

    def capabilities(self) -> Iterable[str]:
        return ("classify",)

    def serves(self, capability: str, requirement: QueueRequirement) -> bool:
        return True

    def room(self, queue: KnownQueue | None) -> int:
        return 1

    def admit(self, stream: bytes, tasks: Sequence[Delivered], queue: KnownQueue | None) -> None:
        self.admitted += tasks


async def test_also_of_a_queue_that_was_made_after_the_agent_had_learned_the_names(store: DataPlane) -> None:
    agent = Agent()
    plane = data_plane.DataPlane(store.link, store.keys, store.journal, store.queues)
    poller = QueuePoller(plane, Deliveries(store.link), time.monotonic, agent)
    reader = await store.link.dedicated()
    await store.queues.make_inbox(FIRST)
    await poller.look(reader)
    assert await poller._reread(reader), "nobody has made the queue yet"
    await store.queues.make_queue_stream("classify")
    queue = store.keys.queue("classify")
    await store.link.call("XADD", queue, "*", "e", b"task")
    await store.link.call(*store.queues.read_tasks(queue, FIRST, 1))  # this reply never comes to the poller
    assert await poller._reread(reader)
    assert [one.envelope for one in agent.admitted] == [b"task"]
