# SPDX-License-Identifier: Apache-2.0
"""How soon a watcher has what a running attempt says, at what cost, and in which order. The test plays the agent by hand.

The times are limits for a busy machine; the benchmark `benchmarks/tokens.py` has the figures.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from nervenet import Client
from nervenet.node.node import Node
from nervenet.node.services import watches
from nervenet.records import Outcome, Payload
from nervenet.streams.data_plane import DataPlane
from nervenet.streams.tasks.attempt import AttemptKey, TaskAttempt
from nervenet.streams.tasks.progress import ProgressPublisher
from nervenet.wire import encode_entry, encode_progress
from tests.services.world import World, calls
from tests.support.waiting import until


class Attempt(TaskAttempt):
    is_claimed = True  # type: ignore[assignment]


class Seen:
    """What one watcher of the workflow has seen of the step `greet`: each piece, and when."""

    def __init__(self, client: Client) -> None:
        self.pieces: list[tuple[str, float]] = []
        self._task = asyncio.create_task(self._watch(client))

    async def _watch(self, client: Client) -> None:
        async for part in client.handle("w").partials("greet", str):
            self.pieces.append((part.value, time.monotonic()))

    async def until(self, count: int) -> list[tuple[str, float]]:
        await until(lambda: len(self.pieces) >= count, f"{count} pieces are seen")
        return self.pieces

    async def end(self) -> None:
        await asyncio.wait_for(self._task, 20)


@pytest.fixture
async def nodes(world: World) -> tuple[Node, Node]:
    """The owner of the workflow `w`, which waits for a step, and another node."""
    owner, other = await world.node(), await world.node()
    await (await world.client(owner)).start(calls, "Ada", id="w")
    return owner, other


def piece(n: int) -> bytes:
    return encode_progress("greet", 1, "agent-a", 1_000, partial=Payload("json", b'"%d"' % n), sequence=n)


def publisher_of(node: Node) -> ProgressPublisher:
    context = node.context
    data_plane = DataPlane(context.link, context.keys, context.journal, context.queues)
    return ProgressPublisher(data_plane, context.clock.now_ms, 60_000)


async def test_a_piece_is_at_another_node_in_less_than_200_ms(nodes: tuple[Node, Node], world: World) -> None:
    owner, other = nodes
    seen, publisher = Seen(await world.client(other)), publisher_of(owner)
    attempt = Attempt(AttemptKey("w", 1, "greet", 1), "greet", "n-aaaaaaaa", 1, "agent-a", b"inbox", b"1-0")
    head = owner.context.keys.head("w")
    await until(lambda: owner.context.link.call("HGET", head, "watch_until"), "the workflow is watched")
    await asyncio.sleep(0.2)
    sent = []
    for n in range(1, 21):
        attempt.add_part(n, Payload("json", b'"%d"' % n))
        publisher.announce(attempt)
        sent.append(time.monotonic())
        await asyncio.sleep(0.11)
    pieces = await seen.until(20)
    assert [text for text, _ in pieces] == [str(n) for n in range(1, 21)]
    delays = sorted(at - said for (_, at), said in zip(pieces, sent, strict=True))
    assert delays[-1] < 0.2 and delays[10] < 0.1, delays


async def test_a_piece_of_an_agent_that_gives_no_hints_is_found_by_looking(
    nodes: tuple[Node, Node], world: World
) -> None:
    """As agents in other languages may do it: XADD, and nothing else."""
    owner, other = nodes
    seen, live = Seen(await world.client(other)), owner.context.keys.live("w")
    delays = []
    for n in range(1, 7):
        sent = time.monotonic()
        await owner.context.link.call("XADD", live, "*", "p", piece(n))
        delays.append((await seen.until(n))[-1][1] - sent)
    assert [text for text, _ in seen.pieces] == [str(n) for n in range(1, 7)]
    assert max(delays) < 3.0, delays
    assert min(delays[2:]) < 0.8, "once a look has found something, the next ones are sooner"


async def test_a_watcher_of_a_silent_step_costs_two_commands_a_second(nodes: tuple[Node, Node], world: World) -> None:
    _, other = nodes
    client = await world.client(other)
    await asyncio.sleep(0.5)

    async def commands() -> int:
        before = other.context.link.counters.commands
        await asyncio.sleep(3)
        return other.context.link.counters.commands - before

    alone = await commands()
    watchers = [Seen(client) for _ in range(20)]
    await asyncio.sleep(1)
    watched = await commands()
    assert not any(one.pieces for one in watchers)
    assert (watched - alone) / 20 / 3 < 3, "it was ten when each watcher looked five times a second"


async def test_all_pieces_come_before_the_outcome_even_if_both_are_written_while_the_node_reads(
    nodes: tuple[Node, Node], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, other = nodes
    read, count = watches.WatchStream._read_live, 0
    output = encode_entry(Outcome(Payload("json", b'"hi"'), None, "greet", b"", 1, "agent-a", 1, 2, (), 1), "agent-a")

    async def read_and_write(stream: watches.WatchStream) -> object:
        """The worst moment: the agent says its last words and ends, just after the node has read the live stream."""
        nonlocal count
        count += 1
        found = await read(stream)
        if count == 2:
            await owner.context.link.call("XADD", owner.context.keys.live("w"), "*", "p", piece(1))
            await owner.context.journal.append("w", 1, "task:greet", output)
        return found

    monkeypatch.setattr(watches.WatchStream, "_read_live", read_and_write)
    seen = Seen(await world.client(other))
    await seen.end()
    assert [text for text, _ in seen.pieces] == ["1"]
