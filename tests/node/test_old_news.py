# SPDX-License-Identifier: Apache-2.0
"""News of entries that a write-back has moved or dropped since: the journal counts, not the message."""

from __future__ import annotations

from nervenet import Context, Mesh
from nervenet.records import State
from nervenet.wire import encode_entry
from tests.node.hand import Hand, World, entries_of, start
from tests.support.waiting import until

mesh = Mesh("old-news")


@mesh.agent
async def look(n: int) -> int:
    raise AssertionError("the test answers by hand")


@mesh.workflow
async def three(ctx: Context, n: int) -> list[int]:
    return await ctx.map(look, [n, n + 1, n + 2])


async def test_news_from_before_a_write_back_is_looked_up_in_the_journal(
    redis_url: str, etcd_url: str, namespace: str
) -> None:
    """Agents have written their outcomes again before the owner did, so with other numbers. Their news comes afterwards."""
    world = World(redis_url, etcd_url, namespace)
    async with world.node(mesh) as node, world.agent("look") as hand:
        ended = await start(node, "three", "w", b"1")
        first, second, third = [await hand.read() for _ in range(3)]
        coordinator = node.hosted.coordinators["w"]
        await hand.answer(first, b"1")
        await until(lambda: coordinator.applied == 2, within=10)

        await hand.lose("w", 1)
        await hand.answer(second, b"2", wake=False)
        moved = await hand.answer(first, b"1", wake=False)
        assert moved.id.endswith(b"-3")
        await node.recovery.came_back()
        await until(lambda: coordinator.applied == 3, within=10)

        ms = int(moved.id.partition(b"-")[0])
        coordinator.hear(4, ms, "task:look", await entry(hand, "task:look"))
        await hand.answer(third, b"3")
        close = await ended
        assert (close.state, close.output and close.output.data) == (State.SUCCEEDED, b"[1,2,3]")
        assert await hand.names("w") == ["start", "task:look", "task:look.2", "task:look.3", "close"]


async def entry(hand: Hand, name: str) -> bytes:
    """An entry of `w`, as it is stored."""
    return encode_entry((await entries_of(hand.journal, "w"))[name].body, hand.id)
