# SPDX-License-Identifier: Apache-2.0
"""Starts workflows, in three steps. `start_plan.py` decides about each one before.

It hides the order of a start. The three steps are on three slots, and their order makes a crash leave a harmless extra:
the id into `running`, the id into the owner's set, then head and journal with a date after which Redis refuses the
creation.

Starts travel together: each has its own outcome, and all of them cost one write. They run to their end in a task of the
node, also when the caller leaves: a workflow that exists has an owner that runs it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from nervenet.errors import RequestError, Unavailable
from nervenet.node.workflows.start_plan import Existing, Misfit, Plan, has_no_room, judge_existing, taken
from nervenet.node.workflows.wakes import send_wake
from nervenet.records import Entry
from nervenet.redis_link.faults import LinkError, RedisRefused, Unreadable
from nervenet.redis_link.replies import settled
from nervenet.streams.answers import Created
from nervenet.timing import START_GRACE_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from nervenet.blobs import Blobs
    from nervenet.node.context import NodeContext
    from nervenet.node.workflows.admission import Admission, Planned
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.load import NewCoordinator
    from nervenet.node.workflows.start_plan import StartPlanner, StartRequest
    from nervenet.streams.answers import Appended
    from nervenet.streams.heads import Head

CREATE_TRIES: Final = 20
CREATE_PAUSE: Final = 0.25
"""Seconds between two tries of a start that Redis did not answer."""

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Started(NamedTuple):
    """The workflow is in its journal. `created` is false when it was there before."""

    workflow_id: str
    created: bool
    owner: str


class _Made(NamedTuple):
    """The answer of `workflow_create`, and the score that this start has set in `running`; 0: it has left that alone."""

    created: Created
    score: int


class Starter:
    """The starts that come to one node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        planner: StartPlanner,
        stored: StoredDefinitions,
        admission: Admission,
        bookkeeping: CloseBookkeeping,
        *,
        load: Callable[[str], Awaitable[object]],
        new_coordinator: NewCoordinator,
        remember: Callable[[Callable[[], Awaitable[bool]]], None],
        losses: Callable[[], int],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._planner = planner
        self._stored = stored
        self._admission = admission
        self._bookkeeping = bookkeeping
        self._load = load
        self._new_coordinator = new_coordinator
        self._remember = remember
        self._losses = losses

    async def start(self, request: StartRequest) -> Started:
        """Raises RequestError: unknown definition, id taken by another request, node full; LinkError: Redis away."""
        (outcome,) = await self._context.background.run_to_end(self._start_many((request,)))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def start_many(self, requests: Sequence[StartRequest]) -> list[Started | RequestError]:
        """Start many: each has its own outcome, and all of them share one round trip per step."""
        outcomes = await self._context.background.run_to_end(self._start_many(requests))
        return [self._in_words(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes]

    def _in_words(self, error: Exception) -> RequestError:
        if isinstance(error, RequestError):
            return error
        if isinstance(error, LinkError):
            return Unavailable(f"Redis: {error}", code="UNAVAILABLE", reason="BACKEND_DOWN")
        _log.error("%s: a start failed: %r", self._context.status.node_id, error, exc_info=error)
        return RequestError(f"{type(error).__name__} in a start; the node's log says more", reason="INTERNAL_ERROR")

    async def _start_many(self, requests: Sequence[StartRequest]) -> list[Started | Exception]:
        await self._stored.find((request.definition, request.version) for request in requests)
        with self._admission.planning() as planned:
            plans = [self._planner.plan(request, planned) for request in requests]
            if any(has_no_room(plan) for plan in plans):
                plans = await self._those_that_exist(requests, plans, planned)
            decided: Sequence[Plan | Started | Exception] = plans
            if any(isinstance(plan, Misfit) for plan in plans):
                decided = await self._those_accepted_before(requests, plans)
            me = self._context.status.node_id
            mine = [plan.request.workflow_id for plan in decided if isinstance(plan, Plan) and plan.owner == me]
            with self._hosted.expecting(*mine):
                if self._context.blobs is not None:
                    decided = await asyncio.gather(
                        *(self._with_values_stored(self._context.blobs, one) for one in decided)
                    )
                outcomes = await self._start_all(decided)
        self._context.link.flush()
        for outcome in outcomes:
            if isinstance(outcome, RequestError):
                self._context.metrics.refused.child(outcome.reason).add()
        return outcomes

    async def _with_values_stored(self, blobs: Blobs, plan: Plan | Started | Exception) -> Plan | Started | Exception:
        """A large input goes to the blob store, before anything of the workflow is in Redis."""
        if not isinstance(plan, Plan) or not blobs.is_large(plan.entry):
            return plan
        try:
            return plan._replace(entry=await blobs.store_entry(plan.request.workflow_id, 1, plan.entry))
        except LinkError as error:
            return error

    async def _those_that_exist(
        self, requests: Sequence[StartRequest], plans: list[Plan | Exception], planned: Planned
    ) -> list[Plan | Exception]:
        """A full mesh also answers a start that was accepted before."""
        heads = dict(await self._context.journal.heads({request.workflow_id for request in requests}, ("owner",)))
        return [
            self._planner.plan(request, planned, head.owner)
            if (head := heads.get(request.workflow_id)) is not None and has_no_room(plan)
            else plan
            for request, plan in zip(requests, plans, strict=True)
        ]

    async def _those_accepted_before(
        self, requests: Sequence[StartRequest], plans: Sequence[Plan | Exception]
    ) -> list[Plan | Started | Exception]:
        """An earlier version of the code accepted an input that no longer fits: answer the same start as then."""
        unfit = {request.workflow_id for request, plan in zip(requests, plans, strict=True) if isinstance(plan, Misfit)}
        heads = dict(await self._context.journal.heads(unfit, ("owner", "request_hash", "closed_ms")))
        return [
            Started(request.workflow_id, False, head.owner)
            if isinstance(plan, Misfit)
            and (head := heads.get(request.workflow_id)) is not None
            and judge_existing(request, request.hash, head) is Existing.SAME
            else plan
            for request, plan in zip(requests, plans, strict=True)
        ]

    async def _start_all(self, plans: Sequence[Plan | Started | Exception]) -> list[Started | Exception]:
        made: dict[int, _Made | Exception] = {}
        everything = left = [plan for plan in plans if isinstance(plan, Plan)]
        for _ in range(3):
            losses = self._losses()
            made |= await self._create(left)
            # this process was stopped until its date had passed; or Redis may have lost it while others of the batch were waited for
            again = {"expired"} if losses == self._losses() else {"expired", "created"}
            left = [plan for plan in everything if _status(made[id(plan)]) in again]
            if not left:
                break
        outcomes: list[Started | Exception] = []
        there: dict[int, Awaitable[Started | RequestError]] = {}
        for plan in plans:
            if not isinstance(plan, Plan):
                outcomes.append(plan)
            elif isinstance(found := made[id(plan)], Exception):
                outcomes.append(found)
            elif found.created.status == "created":
                outcomes.append(self._begin(plan, found.created))
            else:  # looked at after the others: an id may occur twice in one batch
                there[len(outcomes)] = self._found(plan, found)
                outcomes.append(_away())
        if there:
            answers = await asyncio.gather(*there.values(), return_exceptions=True)
            for at, answer in zip(there, answers, strict=True):
                outcomes[at] = _raised(answer)
        return outcomes

    # ── the three steps ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, plans: list[Plan]) -> dict[int, _Made | Exception]:
        """The result of each, by the id of its plan."""
        made: dict[int, _Made | Exception] = {}
        if plans and self._context.link.in_order:
            made = await self._create_at_once(plans)
        left = [p for p in plans if (found := made.get(id(p))) is None or isinstance(found, LinkError)]
        each = await asyncio.gather(*map(self._create_patiently, left), return_exceptions=True) if left else ()
        return made | {id(plan): _raised(one) for plan, one in zip(left, each, strict=True)}

    async def _create_at_once(self, plans: list[Plan]) -> dict[int, _Made | Exception]:
        """All three steps of each start are one script, and all scripts one write."""
        now, seen = self._context.clock.now_ms(), self._context.clock.seen_ms
        replies = [self._context.journal.start_nowait(plan.new_workflow(now, seen)) for plan in plans]
        self._context.link.flush()
        return {id(plan): _made(answer) for plan, answer in zip(plans, await settled(replies), strict=True)}

    async def _create_patiently(self, plan: Plan) -> _Made:
        """A start that Redis did not answer. If it lost something, another node may have accepted the same start, and writes it back: so
        nothing is created in the time for that."""
        context, tries = self._context, CREATE_TRIES
        create = context.journal.create_here if context.link.in_order else context.journal.create  # a cluster redirects
        while True:
            score, losses = await self._list(plan), self._losses()
            await asyncio.sleep(max(0, context.status.doubted_until_ms - context.clock.now_ms()) / 1000)
            if losses != self._losses():
                continue
            try:
                return _Made(await create(plan.new_workflow(score, score)), score)
            except LinkError as error:
                tries -= 1
                passes = error.retry or (isinstance(error, RedisRefused) and error.code == "NOSCRIPT")
                if not passes or not tries:
                    raise
            await asyncio.sleep(CREATE_PAUSE)

    async def _list(self, plan: Plan) -> int:
        score = await self._context.ownership.running_add(plan.request.workflow_id)
        await self._context.ownership.own(plan.owner, plan.request.workflow_id)
        return score

    async def _create_in_order(self, plan: Plan) -> _Made:
        score = await self._list(plan)
        return _Made(await self._context.journal.create(plan.new_workflow(score, score)), score)

    def _begin(self, plan: Plan, created: Created) -> Started | Exception:
        """The workflow is in its journal: run it here, or tell its owner."""
        workflow_id = plan.request.workflow_id
        try:
            if plan.owner == self._context.status.node_id:
                remembered = self._host_run(plan, 1, created.id)
            else:
                remembered = False
                send_wake(self._context, plan.owner, workflow_id, 1, created.id, "start")
            if not remembered:
                self._remember(lambda: self._again(plan))
        except Exception as error:  # noqa: BLE001 - as above; it is loaded again by the sweep
            return error
        self._context.metrics.started(plan.start.definition, plan.start.labels)
        return Started(workflow_id, True, plan.owner)

    def _host_run(self, plan: Plan, run: int, journal_id: bytes) -> bool:
        """Host a run that was created here, from its first entry: no need to read what was just written.

        Returns whether it is folded, and so remembered: Redis may lose it.
        """
        workflow_id, start, data = plan.request.workflow_id, plan.start, plan.entry
        req = b"" if self._context.blobs is None else plan.req  # else the stored start tells it
        if (there := self._hosted.get(workflow_id)) is not None:
            return there.run >= run  # the run before ends in this moment; the sweep loads the next one
        ms, _, n = journal_id.partition(b"-")
        coordinator = self._new_coordinator(
            workflow_id, start.definition, start.version, run, start, applied=int(n) - 1, req=req
        )
        self._hosted.attach(coordinator)
        coordinator.feed_own(Entry("start", start, int(n), int(ms), self._context.status.node_id), data)
        self._hosted.feed_early(coordinator)
        return coordinator.entry_log is not None

    async def _found(self, plan: Plan, made: _Made) -> Started | RequestError:
        """The workflow existed before."""
        workflow_id, head = plan.request.workflow_id, made.created.head
        if made.created.status == "expired":
            return _away()
        assert head is not None
        existing = judge_existing(plan.request, plan.req, head)
        if existing is Existing.RESTART:
            return await self._restart(plan, head)
        if head.closed:
            self._bookkeeping.finish_by_head(workflow_id, head, score=made.score)
        elif head.run == 1 and made.score:  # a later run may follow an end, whose bookkeeping knows its start time
            await self._context.ownership.running_keep(workflow_id, head.created_ms)
        me = self._context.status.node_id
        if head.owner == plan.owner == me and not head.closed and self._hosted.find(workflow_id) is None:
            # my own creation whose answer was lost, or mine and not yet loaded
            await self._load(workflow_id)
            if (
                self._hosted.find(workflow_id) is None
            ):  # Redis has lost it meanwhile, and another node may have it from its caller
                fields = ("run", "owner", "closed_ms", "state", "request_hash")
                there = await self._context.journal.head(workflow_id, fields)
                if there is None or there.run < head.run:
                    return _away()
                head = there
        is_others = existing is Existing.SAME and head.run == 1 and not head.closed and head.owner != me
        if is_others and not await self._remember_for(head.owner, plan):
            return _away()
        return taken(plan, head) if existing is Existing.TAKEN else Started(workflow_id, False, head.owner)

    async def _remember_for(self, owner: str, plan: Plan) -> bool:
        """Redis may lose a start of which its owner does not know yet, and its caller was told of it here, too. It is remembered with the
        entry that is there: an owner who knows how it went on must find the start that it knows, and no other. False: Redis has lost it
        already."""
        try:
            first = await self._context.journal.read(plan.request.workflow_id, count=1)
        except Unreadable:
            return True  # its owner blocks it
        if first and first[0].n == 1:
            same = plan._replace(owner=owner, entry=first[0].data)
            self._remember(lambda: self._again(same))
        return bool(first)

    async def _again(self, plan: Plan) -> bool:
        """Redis came back, and may have lost a start of which the owner did not know yet."""
        created = (await self._create_in_order(plan)).created
        if created.status == "created":
            send_wake(self._context, plan.owner, plan.request.workflow_id, 1, created.id, "start")
        return created.status != "expired"

    async def _restart(self, plan: Plan, head: Head) -> Started | RequestError:
        """Begin the next run of a closed workflow. A second caller finds it begun."""
        workflow_id, me = plan.request.workflow_id, self._context.status.node_id
        losses = self._losses()
        mark, answer = await self._begin_again(plan, head)
        if answer.status == "expired":  # this process was stopped until the date of its mark had passed
            mark, answer = await self._begin_again(plan, head)
        if answer.status in ("expired", "unknown"):
            return _away()
        # until it is hosted, only this node may know of it, while others tell their callers that it has begun
        self._remember(lambda: self._restart_again(plan, head))
        # also when it has begun already: by us, and the answer was lost; or by a node that may die before it does this
        await self._list_begun(workflow_id, head, mark, answer)
        if losses != self._losses() and not await self._stands(workflow_id, answer.run):
            return _away()  # Redis has lost it meanwhile
        if answer.status != "new" or losses != self._losses():
            if answer.owner == me:
                await self._load(workflow_id)
            return Started(workflow_id, False, answer.owner)
        if plan.owner == me:
            self._host_run(plan, answer.run, answer.id)
        else:
            send_wake(self._context, plan.owner, workflow_id, answer.run, answer.id, "start")
        self._context.metrics.started(plan.start.definition, plan.start.labels)
        return Started(workflow_id, True, plan.owner)

    async def _stands(self, workflow_id: str, run: int) -> bool:
        head = await self._context.journal.head(workflow_id, ("run",))
        return head is not None and head.run >= run

    async def _restart_again(self, plan: Plan, head: Head) -> bool:
        """Redis came back, and may have lost a run of which the owner did not know yet. Not settled where it has lost the end of the run
        before, too: the node that ended it writes that back first."""
        there = await self._context.journal.head(plan.request.workflow_id, ("run", "closed_ms"))
        if there is None or (there.run == head.run and not there.closed):
            return False
        if there.run == head.run:
            mark, answer = await self._begin_again(plan, head)
            if answer.status not in ("new", "stale"):
                return False
            await self._list_begun(plan.request.workflow_id, head, mark, answer)
            if answer.status == "new":
                send_wake(self._context, answer.owner, plan.request.workflow_id, answer.run, answer.id, "start")
        return True

    async def _list_begun(self, workflow_id: str, head: Head, mark: int, answer: Appended) -> None:
        """It is running again, and the mark of its restart has done its work."""
        ownership = self._context.ownership
        await ownership.reopen(workflow_id, head.closed_ms)
        await ownership.own(answer.owner, workflow_id)
        await ownership.restart_unmark(workflow_id, mark)

    async def _begin_again(self, plan: Plan, head: Head) -> tuple[int, Appended]:
        request = plan.request
        if self._context.config.hold_ms:  # before: from the next run's begin on nobody finds this one
            await self._context.ownership.list_for_archive(request.workflow_id, head.run, head.closed_ms)
        mark = await self._context.ownership.restart_mark(request.workflow_id)
        answer = await self._context.journal.begin_next(
            request.workflow_id,
            head.run,
            "",
            plan.owner,
            plan.entry,
            head.last.decode(),
            (),
            {
                "definition": request.definition,
                "version": plan.start.version,
                "python": plan.start.runtime,
                "req": plan.req,
                "created": self._context.clock.now_ms(),
                "labels": request.labels_json,
                "trace": request.traceparent,
            },
            not_after_ms=mark + START_GRACE_MS // 2,
        )
        return mark, answer


def _away() -> RequestError:
    return Unavailable("Redis did not answer in time; try again", code="UNAVAILABLE", reason="BACKEND_DOWN")


def _made(answer: Any) -> _Made | Exception:
    """The answer of a start in one step, which does nothing if the workflow exists."""
    if isinstance(answer, LinkError):
        return answer
    try:
        return _Made(Created.parse(answer), 0)
    except Exception as error:  # noqa: BLE001 - what this very start was answered
        return error


def _status(found: _Made | Exception) -> str:
    return found.created.status if isinstance(found, _Made) else ""


def _raised(outcome: _T | BaseException) -> _T | Exception:
    """One result of `gather`. A cancellation is not an outcome: it is raised."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome
    return outcome
