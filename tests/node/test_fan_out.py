# SPDX-License-Identifier: Apache-2.0
"""A workflow that wants thousands of things at once gets them in order, and leaves the node's loop to others meanwhile.

`python -m tests.node.fan_out` measures for how long the loop is blocked.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

from nervenet.mesh import Mesh
from nervenet.node.workflows.coordinator import CALLBACKS_AT_A_TIME, COMMANDS_AT_A_TIME, Coordinator
from nervenet.records import Payload, Signaled, State
from tests.node.hand import World, journal, start
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from nervenet.durable import Command, Context

mesh = Mesh("fan")
COUNT = 3_000


@mesh.agent
async def work(n: int) -> int:
    raise AssertionError("nobody answers")


@mesh.workflow
async def fan(ctx: Context, n: int) -> int:
    return sum(await asyncio.gather(*(ctx.call(work, i) for i in range(n))))


async def turns(seen: list[int], dispatched: list[str]) -> None:
    """What was dispatched at each turn of the loop."""
    while True:
        if not seen or seen[-1] != len(dispatched):
            seen.append(len(dispatched))
        await asyncio.sleep(0)


async def test_thousands_of_calls_go_out_in_order_and_in_parts_and_nothing_overtakes_them(
    redis_url: str, etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(redis_url, etcd_url, namespace)
    dispatched: list[str] = []
    carry_out = Coordinator._carry_out

    def noted(self: Coordinator, command: Command) -> None:
        dispatched.append(getattr(command, "step", type(command).__name__))
        carry_out(self, command)

    monkeypatch.setattr(Coordinator, "_carry_out", noted)
    async with world.node(mesh) as node:
        seen: list[int] = []
        watching = asyncio.create_task(turns(seen, dispatched))
        run = await start(node, "fan", "wide", json.dumps(COUNT).encode())
        await until(lambda: dispatched)
        assert len(dispatched) < COUNT, "others have a turn before all is sent"
        word = Signaled("word", Payload("none", b""))
        await node.facts.record("wide", 1, "signal:early", word, "a test")
        await until(lambda: len(dispatched) == COUNT)
        watching.cancel()
        assert dispatched == ["work", *(f"work.{n}" for n in range(2, COUNT + 1))]
        assert max(b - a for a, b in itertools.pairwise(seen)) <= COMMANDS_AT_A_TIME
        coordinator = node.hosted.coordinators["wide"]
        await until(lambda: coordinator.applied == 2)
        assert list(await journal(node, "wide")) == ["start", "signal:early"]
        assert coordinator.machine.state is State.RUNNING and len(coordinator.sent) == COUNT
        run.cancel()


async def test_it_is_replayed_in_parts_on_another_node(
    redis_url: str, etcd_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(redis_url, etcd_url, namespace)
    async with world.node(mesh) as first:
        run = await start(first, "fan", "wide", json.dumps(COUNT).encode())
        await until(lambda: len(first.hosted.coordinators["wide"].sent) == COUNT)
        run.cancel()
        async with world.node(mesh) as second:
            await until(lambda: len(first.placement.able("fan", 1)) == 2)
            parts: list[int] = []
            replay_on = Coordinator.replay_on

            def counted(self: Coordinator) -> Any:
                parts.append(1)
                return replay_on(self)

            monkeypatch.setattr(Coordinator, "replay_on", counted)
            await first.drain()
            await until(lambda: "wide" in second.hosted.coordinators)
            await until(lambda: len(second.hosted.coordinators["wide"].sent) == COUNT)
            assert len(parts) >= COUNT // CALLBACKS_AT_A_TIME
