# SPDX-License-Identifier: Apache-2.0
"""Law 3 on real processes: nothing that only carries has to survive.

A vandal deletes queue entries, inboxes, claims, wakes and pending lists by hand, at random, from a seed, while workflows run. All
of them still end right, and each step is recorded once. VANDAL_SECONDS and VANDAL_WORKFLOWS lengthen it; with the first, the leak
checker of the torture must find nothing in the end.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from nervenet.streams.queues import GROUP
from tests.chaos import leaks
from tests.recovery.redis_world import RedisMesh, broken_mesh

COUNT = int(os.environ.get("VANDAL_WORKFLOWS", "120"))
SECONDS = float(os.environ.get("VANDAL_SECONDS", "6"))
"""As long as a claim lives: the vandal is there for what is sent again, too."""
CLEAN_WITHIN = 180.0
"""What a vandal tore out of its order is found by walks: once a minute, or twice in half a minute."""


async def clean(mesh: RedisMesh, etcd_url: str) -> None:
    """Until nothing is left that nobody explains."""
    expected = [name for n in range(COUNT) for name in (f"mixed-{n}", f"mixed-{n}/part")]
    addresses = [role.address for role in mesh.host.processes]
    found: list[leaks.Violation] = []
    try:
        async with asyncio.timeout(CLEAN_WITHIN):
            while True:
                there = leaks.look(mesh.server.port, [etcd_url], mesh.host.namespace, addresses)
                if not (found := leaks.leaks(there, expected)):
                    return
                await asyncio.sleep(1)
    except TimeoutError:
        raise AssertionError(f"not clean within {CLEAN_WITHIN} s: {found}") from None


class Vandal:
    """`done` counts what it destroyed, by kind."""

    def __init__(self, mesh: RedisMesh, seed: int) -> None:
        self._link, self._keys, self._chance = mesh.link, mesh.keys, random.Random(seed)
        self._namespace = mesh.host.namespace
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for act in (self._entries, self._claims, self._pending, self._streams):
                await act()
            await asyncio.sleep(0.03)

    async def _named(self, *kinds: str) -> list[bytes]:
        found: list[bytes] = []
        for kind in kinds:
            found += await self._link.call("KEYS", f"nn:{self._namespace}:{kind}:{{*}}")
        return sorted(found)

    async def _entries(self) -> None:
        """Some of what lies in inboxes, queues and wakes."""
        for stream in await self._named("inbox", "queue", "wake"):
            rows = await self._link.call("XRANGE", stream, "-", "+", "COUNT", 50)
            for at, _ in self._chance.sample(rows, min(len(rows), 3)):
                self.done["entries"] += await self._link.call("XDEL", stream, at)

    async def _claims(self) -> None:
        """Claims of running steps."""
        left = 3
        for n in self._chance.sample(range(COUNT), COUNT):
            head = self._keys.head(f"mixed-{n}")
            claims = [field for field in await self._link.call("HKEYS", head) if field.startswith(b"c:")]
            for claim in claims[: min(left, 1)]:
                self.done["claims"] += await self._link.call("HDEL", head, claim)
                left -= 1

    async def _pending(self) -> None:
        """What was read is acknowledged in its reader's name."""
        for stream in await self._named("inbox", "queue"):
            rows = await self._link.call("XPENDING", stream, GROUP, "-", "+", 20)
            for row in self._chance.sample(rows, min(len(rows), 3)):
                self.done["pending"] += await self._link.call("XACK", stream, GROUP, row[0])

    async def _streams(self) -> None:
        """Now and then a whole inbox, queue or wake, its group with it."""
        if self._chance.random() < 0.1 and (streams := await self._named("inbox", "queue", "wake")):
            self.done["streams"] += await self._link.call("DEL", self._chance.choice(streams))


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 400)
async def test_all_workflows_end_right_whatever_is_destroyed_on_the_way(tmp_path: Path, etcd_url: str) -> None:
    seed = int(os.environ.get("NERVENET_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}: NERVENET_SEED={seed} repeats it")
    async with broken_mesh(tmp_path, etcd_url, data=False) as mesh:
        load = await mesh.load(COUNT)
        vandal = Vandal(mesh, seed)
        destroying = asyncio.create_task(vandal.run())
        try:
            await load.told()
            await asyncio.sleep(SECONDS)
        finally:
            destroying.cancel()
            await asyncio.wait([destroying])
        await load.right()
        if "VANDAL_SECONDS" in os.environ:
            await clean(mesh, etcd_url)
    print(dict(vandal.done))
    kinds = [kind for kind in ("entries", "claims", "pending", "streams") if vandal.done[kind]]
    assert len(kinds) >= (4 if "VANDAL_SECONDS" in os.environ else 2), vandal.done  # the short form is over soon
