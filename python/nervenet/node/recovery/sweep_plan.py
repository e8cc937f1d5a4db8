# SPDX-License-Identifier: Apache-2.0
"""Decides what a sweep does with the ids of one page, from their heads. `Sweeper` reads the pages and does it.

An id without a head may be a start that is under way (the lists are written first, then the head), so it keeps its place
until the grace period of a start is over.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from nervenet.timing import START_GRACE_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nervenet.streams.heads import Head

AT_ONCE = 64
"""Workflows that are adopted at a time: about 30 ms of the event loop, so that many adoptions delay neither other workflows
nor the lease."""

Found: TypeAlias = "tuple[str, Head]"
"""A workflow's id and its head."""


class OwnSet(NamedTuple):
    """Ids in this node's set that it does not host."""

    mine: list[str]
    anothers: list[str]
    headless: list[str]


def sort_own_set(heads: Iterable[tuple[str, Head | None]], me: str) -> OwnSet:
    """Which of them to load, and which to remove."""
    plan = OwnSet([], [], [])
    for workflow_id, head in heads:
        if head is None:
            plan.headless.append(workflow_id)
        else:
            (plan.mine if head.owner == me else plan.anothers).append(workflow_id)
    return plan


class DeadSet(NamedTuple):
    """Ids in a dead node's set, except those without a head and those that other nodes adopt."""

    anothers: list[str]
    closed: list[Found]
    orphans: list[Found]


def sort_dead_set(heads: Iterable[tuple[str, Head | None]], dead: str, is_ours: Callable[[str, Head], bool]) -> DeadSet:
    """What to remove, to finish and to adopt. `is_ours`: whether this node adopts it."""
    plan = DeadSet([], [], [])
    for workflow_id, head in heads:
        if head is None:
            continue
        if head.owner != dead:
            plan.anothers.append(workflow_id)
        elif head.closed:
            plan.closed.append((workflow_id, head))
        elif is_ours(workflow_id, head):
            plan.orphans.append((workflow_id, head))
    return plan


class Running(NamedTuple):
    """Ids in `running`, except those that may still be starting."""

    never_started: list[str]
    closed: list[Found]
    by_owner: dict[str, list[str]]
    """Those of living owners."""
    orphans: list[Found]


def sort_running(
    heads: Iterable[tuple[str, Head | None]], scores: Mapping[str, int], now_ms: int, lives: Callable[[str], bool]
) -> Running:
    """What to remove, to finish, to remind of and to adopt. `scores` are the times at which they were listed."""
    plan = Running([], [], {}, [])
    for workflow_id, head in heads:
        if head is None:
            if scores[workflow_id] + START_GRACE_MS < now_ms:
                plan.never_started.append(workflow_id)
        elif head.closed:
            plan.closed.append((workflow_id, head))
        elif lives(head.owner):
            plan.by_owner.setdefault(head.owner, []).append(workflow_id)
        else:
            plan.orphans.append((workflow_id, head))
    return plan


class Restart(enum.Enum):
    """What the mark of a restart means."""

    BEGUN = "the next run has begun: list it"
    UNDER_WAY = "it may still begin"
    GIVEN_UP = "it never will"


def judge_restart(head: Head | None, mark_ms: int, now_ms: int) -> Restart:
    """What to do with a workflow that was marked at `mark_ms`."""
    if head is not None and not head.closed:
        return Restart.BEGUN
    return Restart.UNDER_WAY if mark_ms + START_GRACE_MS > now_ms else Restart.GIVEN_UP


class HeadlessIds:
    """Ids that were seen without a head, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def never_started(self, headless: list[str], now: float) -> list[str]:
        """Those that had no head one grace period ago either. `now` in seconds."""
        grace = START_GRACE_MS / 1000
        self._since = {w: at for w, at in self._since.items() if now - at < 2 * grace}
        return [w for w in headless if now - self._since.setdefault(w, now) > grace]


def in_turn(orphans: list[Found]) -> list[list[Found]]:
    """Which workflows to adopt together, and in which order.

    Those with the newest entries come first: a workflow that has waited for a week can wait two seconds more. A workflow
    that may have killed its last adopter comes last and alone: if it kills this node too, no other workflow that is being
    adopted is blamed for that.
    """
    safe = sorted((one for one in orphans if not one[1].unconfirmed_adoptions), key=_last_ms, reverse=True)
    suspected = [[one] for one in orphans if one[1].unconfirmed_adoptions]
    return [safe[start : start + AT_ONCE] for start in range(0, len(safe), AT_ONCE)] + suspected


def _last_ms(orphan: Found) -> int:
    """When something last happened in it."""
    return int(orphan[1].last.partition(b"-")[0])
