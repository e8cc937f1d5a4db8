# SPDX-License-Identifier: Apache-2.0
"""People and bad luck: workflows started at their times, signals, humans who answer, and second copies of tasks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from nervenet import Client, Resolution
from nervenet.errors import AlreadyClosed, NervenetError
from tests.chaos.mesh import NAMESPACE, Torture
from tests.chaos.shapes import Case
from tests.support.waiting import until

PATIENCE = 90.0


class Load:
    """`accepted` holds what the mesh said yes to; whatever is in there must end right."""

    def __init__(self, torture: Torture, client: Client, seed: str) -> None:
        self.torture, self.client = torture, client
        self.chance = random.Random(f"{seed} copies")
        self.accepted: dict[str, Case] = {}
        self.busy: set[str] = set()
        self.rested: set[str] = set()
        self.troubles: list[tuple[str, str, str]] = []
        self.duplicates = 0

    @property
    def expected(self) -> set[str]:
        """Ids of all workflows that may be there: the accepted ones and their children."""
        return set(self.accepted) | {child for case in self.accepted.values() for child in case.children}

    async def start(self, todo: list[Case], seconds: float) -> None:
        """Each workflow at its time; a signal for those that listen."""
        begun = time.monotonic()

        async def one(i: int, case: Case) -> None:
            await asyncio.sleep(max(0.0, begun + i * seconds / len(todo) - time.monotonic()))
            if not await self._patiently(case.id, lambda: self.client.start(case.definition, case.plan, id=case.id)):
                return
            self.accepted[case.id] = case
            self.busy |= {case.id} if case.busy else set(case.children)
            if case.signal_after is not None:
                await asyncio.sleep(case.signal_after)
                await self._patiently(case.id, lambda: self.client.handle(case.id).signal("go", 7))

        await asyncio.gather(*(one(i, case) for i, case in enumerate(todo)))

    async def _patiently(self, workflow: str, act: Callable[[], Awaitable[object]]) -> bool:
        """Again and again while the mesh is out of reach; a mesh that stays so is a trouble."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                async with asyncio.timeout(10):
                    await act()
                return True
            except AlreadyClosed:
                return True
            except (NervenetError, TimeoutError) as error:
                if time.monotonic() > end:
                    self.troubles.append(("refused", workflow, f"for {PATIENCE:.0f} s, at last: {error!r}"))
                    return False
                await asyncio.sleep(0.25)

    async def answer(self) -> None:
        """Humans grant whatever waits for them, except what shall be found waiting at the end."""
        while True:
            await asyncio.sleep(0.7)
            with suppress(NervenetError, TimeoutError):
                async with asyncio.timeout(10):
                    for one in [one async for one in self.client.escalations()]:
                        case = self.accepted.get(one.id.rpartition("/")[0])
                        if case is None or not case.parked:
                            await self.client.resolve(one.id, Resolution.retry(2, comment="granted"))

    async def copy(self, p: float) -> None:
        """Each task of an inbox or queue is sent again with probability p: at once or late, there or to another agent."""
        seen = set[bytes]()
        late: list[tuple[float, Any]] = []
        streams, queues, looked = list[bytes](), list[bytes](), 0.0
        while True:
            await asyncio.sleep(0.03)
            now = time.monotonic()
            with suppress(RedisError, OSError):
                door: Any = self.torture.redis
                if now > looked + 0.5:
                    streams, queues = [
                        [key async for key in door.scan_iter(f"nn:{NAMESPACE}:{kind}:*", count=10_000)]
                        for kind in ("inbox", "queue")
                    ]
                    looked = now
                due = [fields for at, fields in late if at <= now]
                late = [one for one in late if one[0] > now]
                for key in (*streams, *queues):
                    for entry, fields in await door.xrange(key, count=200):
                        if entry not in seen and self.chance.random() < p:
                            match self.chance.randrange(4):
                                case 0 | 1 if streams:
                                    seen.add(await self._again(self.chance.choice(streams), fields))
                                case 2:
                                    late.append((now + self.chance.uniform(0.5, 8), fields))
                                case _:
                                    seen.add(await self._again(key, fields))
                        seen.add(entry)
                for fields in due:
                    if streams:
                        seen.add(await self._again(self.chance.choice(streams), fields))

    async def _again(self, key: bytes, fields: Any) -> bytes:
        """Never raises a stream from the dead: that would be our leak."""
        entry: Any = await self.torture.redis.xadd(key, fields, nomkstream=True)
        self.duplicates += entry is not None
        return entry or b""

    async def still_open(self) -> list[str]:
        """Accepted workflows that are neither closed nor, where they shall be, waiting for a human."""
        cases = [case for case in self.accepted.values() if case.id not in self.rested]
        door: Any = self.torture.redis
        pipe = door.pipeline(transaction=False)
        for case in cases:
            pipe.hmget(f"nn:{NAMESPACE}:wf:{{{case.id}}}", "closed", "e:escalated:work#1")
        answers = await pipe.execute()
        rested = {
            case.id for case, (closed, asked) in zip(cases, answers, strict=True) if closed or (case.parked and asked)
        }
        self.rested |= rested
        self.busy -= rested
        return [case.id for case in cases if case.id not in rested]

    async def settle(self) -> None:
        """Until every accepted workflow has come to rest, or the patience is at an end."""

        async def at_rest() -> bool:
            await asyncio.sleep(0.3)
            return not await self.still_open()

        with suppress(AssertionError):  # the checker says what is open
            await until(at_rest, "all is at rest", PATIENCE, ignore=(RedisError, OSError))
