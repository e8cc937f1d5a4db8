# SPDX-License-Identifier: Apache-2.0
"""Lists of workflows and escalations: sorted sets, read page by page without losing or repeating a row.

A cursor is (score, member), not an offset, so rows that come or go between two pages shift nothing. Redis cannot begin
a range by score at a member. So a page begins at the score of the cursor and skips the rows up to the cursor; if more
rows than a page have the same score (many starts in one millisecond) a larger page is read.

The list of escalations is derived: the owner adds and removes them from the fold; the record itself is in the journal.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

from nervenet.redis_link.connection import Arg
from nervenet.redis_link.faults import RedisRefused
from nervenet.redis_link.link import Link
from nervenet.streams.derived import DerivedKeyCall
from nervenet.streams.keys import EscalationId, Keys, escalation_id, parse_escalation_id
from nervenet.streams.script import packaged_scripts

__all__ = ["Listed", "Listing"]


class Listed(NamedTuple):
    """One row, which is also the cursor after it. The score is the time in ms of a start or a deadline (inf: no
    deadline)."""

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
        """Open workflows by start time, and ids that are just being started. Oldest first unless `newest`."""
        return await self._page(self._keys.running, after, count, newest)

    async def restarting(self, after: Listed | None = None, count: int = 500) -> list[Listed]:
        """Closed workflows that a node is starting again, by the time at which it began."""
        return await self._page(self._keys.restarting, after, count, newest=False)

    async def closed(
        self, day: str, after: Listed | None = None, count: int = 500, *, newest: bool = True
    ) -> list[Listed]:
        """Workflows that were closed on that day, by start time. A head may expire before its row."""
        return await self._page(self._keys.closed(day), after, count, newest)

    async def escalations(self, after: Listed | None = None, count: int = 500) -> list[Listed]:
        """Open escalations by deadline; members are escalation ids (`parse_escalation_id`)."""
        return await self._page(self._keys.escalations, after, count, newest=False)

    async def longest_retention(self) -> int:
        """The longest retention of a definition, in ms; 0 where none has one of its own."""
        key = self._keys.retentions
        found = await DerivedKeyCall(
            self._link, key, ("ZREVRANGEBYSCORE", key, "+inf", "-inf", "WITHSCORES", "LIMIT", 0, 1)
        )
        return int(float(found[1])) if found else 0

    async def count(self, *keys: bytes) -> int:
        """The number of rows in these lists together."""
        return sum(await asyncio.gather(*(DerivedKeyCall(self._link, key, ("ZCARD", key)) for key in keys)))

    def escalation_set(
        self, workflow_id: str, step: str, question_number: int, deadline_ms: int | None
    ) -> Awaitable[int]:
        score = "+inf" if deadline_ms is None else deadline_ms
        return self._escalations("ZADD", score, escalation_id(workflow_id, step, question_number))

    def escalation_clear(self, workflow_id: str, step: str, question_number: int) -> Awaitable[int]:
        """Remove an escalation. Call it after the reply of its decision, or of the workflow's close."""
        return self._escalations("ZREM", escalation_id(workflow_id, step, question_number))

    def _escalations(self, command: str, *args: Arg) -> Awaitable[int]:
        key = self._keys.escalations
        return DerivedKeyCall(self._link, key, (command, key, *args))

    async def escalations_over(self, found: Sequence[Listed]) -> list[bool]:
        """For each row, whether the escalation is over: it was decided, its step or workflow has ended or is gone, or
        the row is no escalation id."""
        ids = [_parsed(row.member) for row in found]
        marks = [(f"e:decided:{one.step}#{one.question_number}", f"e:task:{one.step}") for one in ids]
        replies = [
            self._link.call("HMGET", self._keys.head(one.workflow_id), "run", "closed", *mark)
            for one, mark in zip(ids, marks, strict=True)
        ]
        return [await self._is_over(one, reply) for one, reply in zip(ids, replies, strict=True)]

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
        """Remove a row, for the sweep. A row that has another deadline by now stays: the next run has asked again."""
        keys, args = (self._keys.escalations,), (found.member, _score(found.score))
        await self._link.script(self._scripts["running_remove"], keys, args)

    async def _page(self, key: bytes, after: Listed | None, count: int, newest: bool) -> list[Listed]:
        command, start, end = ("ZREVRANGEBYSCORE", "+inf", "-inf") if newest else ("ZRANGEBYSCORE", "-inf", "+inf")
        if after is not None:
            start = _score(after.score)
        wide = count
        while True:
            words = (command, key, start, end, "WITHSCORES", "LIMIT", 0, wide)
            reply = await DerivedKeyCall(self._link, key, words)
            names = [self._link.skips.text(member, f"a member of {key.decode()}") for member in reply[::2]]
            rows = [
                Listed(float(score), name) for name, score in zip(names, reply[1::2], strict=True) if name is not None
            ]
            fresh = [row for row in rows if after is None or (row < after if newest else row > after)]
            if len(fresh) >= count or len(reply) < 2 * wide:
                return fresh[:count]
            wide += max(count, len(rows) - len(fresh))


def _parsed(member: str) -> EscalationId:
    """The parts of a row. A row that is no escalation id becomes an id that no workflow has."""
    try:
        return parse_escalation_id(member)
    except ValueError:
        return EscalationId(member, "", 0)


def _score(score: float) -> str:
    return "+inf" if math.isinf(score) else f"{score:.0f}"
