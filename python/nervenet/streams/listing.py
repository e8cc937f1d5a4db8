# SPDX-License-Identifier: Apache-2.0
"""Walking the sorted sets that list workflows and escalations, page by page, without losing or repeating any.

A cursor is (score, member), not an offset: what comes or goes between two pages shifts nothing. Redis can't begin a range by
score at a member, so a page begins at the score and skips what the cursor has passed; where more than a page shares
one score (a batch of starts in one millisecond) the page is read wider.

Escalations are derived: the owner sets and clears them from the fold, the record itself is in the journal.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.link import Link
from nervenet.streams.derived import Derived
from nervenet.streams.keys import EscalationId, Keys, escalation_id, parse_escalation_id
from nervenet.streams.script import packaged_scripts

__all__ = ["Listed", "Listing"]


class Listed(NamedTuple):
    """One row, and the cursor behind it. The score is a time in ms (a start's, a deadline's; inf = no deadline)."""

    score: float
    member: str


class Listing:
    """The lists of one namespace."""

    __slots__ = ("_keys", "_link", "_scripts")

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._scripts = {script.name: script for script in packaged_scripts()}

    async def running(self, after: Listed | None = None, count: int = 500, *, newest: bool = False) -> list[Listed]:
        """Open workflows by start time (and ids whose start is under way), oldest first unless `newest`."""
        return await self._page(self._keys.running, after, count, newest)

    async def restarting(self, after: Listed | None = None, count: int = 500) -> list[Listed]:
        """Closed workflows that somebody is beginning again, by when he began."""
        return await self._page(self._keys.restarting, after, count, newest=False)

    async def closed(
        self, day: str, after: Listed | None = None, count: int = 500, *, newest: bool = True
    ) -> list[Listed]:
        """Workflows that were closed on that day, by start time. A head may be gone before its row."""
        return await self._page(self._keys.closed(day), after, count, newest)

    async def escalations(self, after: Listed | None = None, count: int = 500) -> list[Listed]:
        """Open escalations by deadline; members are escalation ids (`parse_escalation_id`)."""
        return await self._page(self._keys.escalations, after, count, newest=False)

    async def count(self, *keys: bytes) -> int:
        """How many rows there are in these lists together."""
        return sum(await asyncio.gather(*(Derived(self._link, key, ("ZCARD", key)) for key in keys)))

    def escalation_set(self, workflow_id: str, step: str, k: int, deadline_ms: int | None) -> Awaitable[int]:
        score = "+inf" if deadline_ms is None else deadline_ms
        return self._escalations("ZADD", score, escalation_id(workflow_id, step, k))

    def escalation_clear(self, workflow_id: str, step: str, k: int) -> Awaitable[int]:
        """After the reply of what decided it (or of the workflow's close)."""
        return self._escalations("ZREM", escalation_id(workflow_id, step, k))

    def _escalations(self, command: str, *args: Arg) -> Awaitable[int]:
        key = self._keys.escalations
        return Derived(self._link, key, (command, key, *args))

    async def escalations_over(self, found: Sequence[Listed]) -> list[bool]:
        """Which of these are open no more: decided, their step or workflow over, or their workflow gone (or no question)."""
        asked = [_parsed(row.member) for row in found]
        marks = [(f"e:decided:{one.step}#{one.k}", f"e:task:{one.step}") for one in asked]
        replies = [
            self._link.call("HMGET", self._keys.head(one.workflow_id), "run", "closed", *mark)
            for one, mark in zip(asked, marks, strict=True)
        ]
        return [await self._is_over(one, reply) for one, reply in zip(asked, replies, strict=True)]

    async def _is_over(self, one: EscalationId, reply: Awaitable[Any]) -> bool:
        try:
            run, *over = await reply
        except RedisRefused as refused:
            if not refused.wrong_type:
                raise
            self._link.skips.skip(f"the head of {one.workflow_id}", refused)
            return False
        return run is None or any(over)

    async def escalation_forget(self, found: Listed) -> None:
        """The sweep's: off the list, unless it stands there with another deadline by now (the next run asks too)."""
        keys, args = (self._keys.escalations,), (found.member, _score(found.score))
        await self._link.script(self._scripts["running_remove"], keys, args)

    async def _page(self, key: bytes, after: Listed | None, count: int, newest: bool) -> list[Listed]:
        command, start, end = ("ZREVRANGEBYSCORE", "+inf", "-inf") if newest else ("ZRANGEBYSCORE", "-inf", "+inf")
        if after is not None:
            start = _score(after.score)
        wide = count
        while True:
            words = (command, key, start, end, "WITHSCORES", "LIMIT", 0, wide)
            reply = await Derived(self._link, key, words)
            names = [self._link.skips.text(member, f"a member of {key.decode()}") for member in reply[::2]]
            rows = [
                Listed(float(score), name) for name, score in zip(names, reply[1::2], strict=True) if name is not None
            ]
            fresh = [row for row in rows if after is None or (row < after if newest else row > after)]
            if len(fresh) >= count or len(reply) < 2 * wide:
                return fresh[:count]
            wide += max(count, len(rows) - len(fresh))


def _parsed(member: str) -> EscalationId:
    """Of what is no escalation id: one that no workflow has."""
    try:
        return parse_escalation_id(member)
    except ValueError:
        return EscalationId(member, "", 0)


def _score(score: float) -> str:
    return "+inf" if math.isinf(score) else f"{score:.0f}"
