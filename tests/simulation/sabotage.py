# SPDX-License-Identifier: Apache-2.0
"""Laws to break: the checker has to notice every one of them.

They live here, never in the product: most are a script of the simulated Redis with another text, in the place of the
real one. A process that runs sabotaged schedules runs no others.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from nervenet.node.background import BackgroundTasks
from nervenet.node.recovery.remembered import RememberedWrites
from nervenet.node.recovery.write_back import WriteBack
from nervenet.node.workflows.coordinator import Coordinator
from nervenet.node.workflows.hosted import HostedWorkflows
from nervenet.node.workflows.owned_journal import OwnedJournal
from nervenet.node.workflows.repair import Repair
from nervenet.node.workflows.unloading import Unloader
from nervenet.redis_link.link import Link
from tests.simulation.store import Store


def _in(name: str, old: str, new: str) -> Callable[[Store], None]:
    return lambda store: store.sabotage(name, old, new)


def _in_both(old: str, new: str) -> Callable[[Store], None]:
    """In the two scripts that append outcomes."""

    def sabotage(store: Store) -> None:
        for name in ("journal_append", "task_complete"):
            store.sabotage(name, old, new)

    return sabotage


def _callers_take_it_along(_: Store) -> None:
    """Who leaves in the middle of a call ends what was done for them, and nobody tidies up behind it."""

    async def run_to_end(_: BackgroundTasks, work: Coroutine[Any, Any, Any]) -> Any:
        return await work

    expecting, kept = HostedWorkflows.expecting, list[object]()

    @contextmanager
    def paired(hosted: HostedWorkflows, *workflow_ids: str) -> Iterator[None]:
        expected = expecting(hosted, *workflow_ids)
        kept.append(expected)  # or the collector would tidy up
        expected.__enter__()
        yield
        expected.__exit__(None, None, None)  # not where the caller was cancelled

    BackgroundTasks.run_to_end = run_to_end
    HostedWorkflows.expecting = paired


def _a_restart_names_no_run(_: Store) -> None:
    """Who repeats a request for the next run gets one more."""
    restart, request = Repair.restart, Repair._request

    async def unnamed(self: Repair, workflow_id: str, run: int = 0, **more: Any) -> Any:
        return await restart(self, workflow_id, 0, **more)

    async def after_any(self: Repair, *args: Any) -> Any:
        return replace(await request(self, *args), after_run=0)

    Repair.restart, Repair._request = unnamed, after_any  # type: ignore[method-assign]  # that is the sabotage


def _no_timer_loads(_: Store) -> None:
    """What left memory does not come back when its timer is due."""
    Unloader._load_due = lambda _: None  # type: ignore[method-assign]  # that is the sabotage


def _tasks_may_be_under_way(_: Store) -> None:
    """A workflow leaves memory in the middle of its work."""
    Coordinator.is_quiet = property(lambda one: not one.dropped)  # type: ignore[assignment,method-assign]


def _old_news_counts(_: Store) -> None:
    """What was said of an entry before a crash of Redis is believed after it, wherever the entry is by then."""

    async def believe(*_: Any) -> None: ...

    WriteBack.doubt_news = believe  # type: ignore[method-assign]  # that is the sabotage


def _reads_do_not_wait(_: Store) -> None:
    """News of a new server is read before anything is compared with what it has."""

    async def at_once(*_: Any) -> None: ...

    Link.reached = at_once  # type: ignore[method-assign]  # that is the sabotage


def _unread_is_forgotten(_: Store) -> None:
    """A node forgets what it has appended before it has read it."""
    OwnedJournal._keep_until_read = lambda *_: None  # type: ignore[method-assign]  # that is the sabotage


def _facts_are_forgotten(_: Store) -> None:
    """A node forgets what it has recorded for others."""
    RememberedWrites.facts = lambda _: ()  # type: ignore[method-assign]  # that is the sabotage


def _ends_are_forgotten(_: Store) -> None:
    """A node forgets a workflow that has closed."""
    RememberedWrites.closed_lately = lambda _: iter(())  # type: ignore[method-assign]  # that is the sabotage


OF_CRASHES: Final[dict[str, Callable[[Store], None]]] = {
    "old news is doubted": _old_news_counts,
    "reads wait for what is compared": _reads_do_not_wait,
    "an own entry is kept until it is read": _unread_is_forgotten,
    "facts are remembered": _facts_are_forgotten,
    "ends are remembered": _ends_are_forgotten,
}
"""These show only where Redis crashes."""
SABOTAGES: Final[dict[str, Callable[[Store], None]]] = {
    "write once": _in_both("if there then", "if false then"),
    "owner check": _in("journal_append", "by ~= '' and by ~= owner", "false"),
    "run fencing": _in_both("run ~= ARGV[1]", "false"),
    "run fencing of claims": _in("task_claim", "h[1] ~= ARGV[1] or h[2]", "false"),
    "a run begins once": _in("workflow_renew", "run ~= ARGV[1]", "false"),
    "closed is closed": _in_both("elseif h[2] then", "elseif false then"),
    "closed once": _in("workflow_close", "elseif h[2] then", "elseif false then"),
    "no attempt after its outcome": _in_both("h[8] or h[9]", "h[8]"),
    "ownership is compared": _in("workflow_adopt", "value('owner') ~= ARGV[2]", "false"),
    "decided once": _in("decision_append", "elseif h[7] then", "elseif false then"),
    "no decision after the outcome": _in("decision_append", "elseif h[8] then", "elseif false then"),
    "a restart names its run": _a_restart_names_no_run,
    "what a caller began goes on": _callers_take_it_along,
    "a run is in one batch": _in("archive_add", "if not redis.call('HGET', KEYS[2], ARGV[i + 1]) then", "do"),
    "what begins again is archived": _in("workflow_renew", "if h[2] and h[6] and not h[7] then", "if false then"),
    "a batch stays what it is": _in(
        "archive_seal", "redis.call('HSET', KEYS[5], batch, table.concat(lines, '\\n'))", ""
    ),
    "a timer loads what left memory": _no_timer_loads,
    "only what waits leaves memory": _tasks_may_be_under_way,
    "a claim is exclusive": _in("task_claim", "n == attempt and who ~= agent", "false"),
    **OF_CRASHES,
}
