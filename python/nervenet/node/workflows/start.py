# SPDX-License-Identifier: Apache-2.0
"""Starts workflows: decides which node owns each one, and makes it in three steps.

It hides the order of a start. The three steps are on three slots, and their order makes a crash leave a harmless extra:
the id into `running`, the id into the owner's set, then head and journal with a date after which Redis refuses the
creation.

Starts travel together: each has its own outcome, and all of them cost one write. They run to their end in a task of the
node, also when the caller leaves: a workflow that exists has an owner that runs it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nervenet.durable import PYTHON
from nervenet.errors import AlreadyExists, InvalidRequest, NotFound, Overloaded, RequestError, Unavailable
from nervenet.node.guards.memory import cost_of
from nervenet.node.workflows.wakes import send_wake
from nervenet.options import resolve_start
from nervenet.payloads import read_json
from nervenet.records import NO_TRACE, Entry, ParentStep, Payload, Start, Trace
from nervenet.redis_link.faults import LinkError
from nervenet.redis_link.replies import settled
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.answers import Created, NewWorkflow
from nervenet.timing import START_GRACE_MS
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from nervenet.definitions import Workflow
    from nervenet.node.context import NodeContext
    from nervenet.node.guards.memory import Memory
    from nervenet.node.workflows.admission import Admission, Planned
    from nervenet.node.workflows.bookkeeping import CloseBookkeeping
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.hosted import HostedWorkflows
    from nervenet.node.workflows.load import NewCoordinator
    from nervenet.node.workflows.placement import Placement
    from nervenet.records import State
    from nervenet.schemas import Problem
    from nervenet.streams.answers import Appended
    from nervenet.streams.heads import Head

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(slots=True, frozen=True)
class StartRequest:
    """One checked start. `version` 0 = the highest that a live node has."""

    workflow_id: str
    definition: str
    input: Payload
    version: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout_ms: int | None = None
    if_exists: str = "same"
    trace: Trace = NO_TRACE
    starter: str = ""
    parent: ParentStep | None = None
    identity: Payload | None = None  # what a second start must have in common to be the same; None: the input


class Started(NamedTuple):
    """The workflow is in its journal. `created` is false when it was there before."""

    workflow_id: str
    created: bool
    owner: str


class _Plan(NamedTuple):
    """A start with everything decided: who owns it, which version runs."""

    request: StartRequest
    owner: str
    version: int
    req: bytes
    start: Start
    entry: bytes


class Misfit(InvalidRequest):
    """The input does not fit the definition."""


class _Made(NamedTuple):
    """The answer of `workflow_create`, and the score that the start had set in `running` before."""

    created: Created
    score: int


class Starter:
    """The starts that come to one node."""

    def __init__(
        self,
        context: NodeContext,
        hosted: HostedWorkflows,
        placement: Placement,
        stored: StoredDefinitions,
        admission: Admission,
        checks: Checks,
        bookkeeping: CloseBookkeeping,
        *,
        load: Callable[[str], Awaitable[object]],
        new_coordinator: NewCoordinator,
        remember: Callable[[Callable[[], Awaitable[bool]]], None],
    ) -> None:
        self._context = context
        self._hosted = hosted
        self._placement = placement
        self._stored = stored
        self._admission = admission
        self._checks = checks
        self._bookkeeping = bookkeeping
        self._load = load
        self._new_coordinator = new_coordinator
        self._remember = remember

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
            plans = [self._plan(request, planned) for request in requests]
            if any(_no_room(plan) for plan in plans):
                plans = await self._those_that_exist(requests, plans, planned)
            decided: Sequence[_Plan | Started | Exception] = plans
            if any(isinstance(plan, Misfit) for plan in plans):
                decided = await self._those_accepted_before(requests, plans)
            me = self._context.status.node_id
            mine = [plan.request.workflow_id for plan in decided if isinstance(plan, _Plan) and plan.owner == me]
            with self._hosted.expecting(*mine):
                return await self._start_all(decided)

    async def _start_all(self, plans: Sequence[_Plan | Started | Exception]) -> list[Started | Exception]:
        made: dict[int, _Made | Exception] = {}
        left = [plan for plan in plans if isinstance(plan, _Plan)]
        for _ in range(3):  # repeat what was refused because this process was stopped until its date had passed
            made |= await self._create(left)
            left = [plan for plan in left if _has(made[id(plan)], "expired")]
            if not left:
                break
        outcomes: list[Started | Exception] = []
        there: dict[int, Awaitable[Started | RequestError]] = {}
        for plan in plans:
            if not isinstance(plan, _Plan):
                outcomes.append(plan)
            elif isinstance(found := made[id(plan)], Exception):
                outcomes.append(found)
            elif found.created.status == "created":
                outcomes.append(self._begin(plan, found.created))
            else:  # looked at after the others: an id may occur twice in one batch
                there[len(outcomes)] = self._found(plan, found)
                outcomes.append(self._away())
        if there:
            answers = await asyncio.gather(*there.values(), return_exceptions=True)
            for at, answer in zip(there, answers, strict=True):
                outcomes[at] = _raised(answer)
        return outcomes

    async def _those_that_exist(
        self, requests: Sequence[StartRequest], plans: list[_Plan | Exception], planned: Planned
    ) -> list[_Plan | Exception]:
        """A full mesh also answers a start that was accepted before."""
        heads = dict(await self._context.journal.heads({request.workflow_id for request in requests}, ("owner",)))
        return [
            self._plan(request, planned, head.owner)
            if (head := heads.get(request.workflow_id)) is not None and _no_room(plan)
            else plan
            for request, plan in zip(requests, plans, strict=True)
        ]

    async def _those_accepted_before(
        self, requests: Sequence[StartRequest], plans: Sequence[_Plan | Exception]
    ) -> list[_Plan | Started | Exception]:
        """An earlier version of the code accepted an input that no longer fits: answer the same start as then."""
        unfit = {request.workflow_id for request, plan in zip(requests, plans, strict=True) if isinstance(plan, Misfit)}
        heads = dict(await self._context.journal.heads(unfit, ("owner", "request_hash", "closed_ms")))
        return [
            Started(request.workflow_id, False, head.owner)
            if isinstance(plan, Misfit)
            and (head := heads.get(request.workflow_id)) is not None
            and _is_answered(request, head)
            else plan
            for request, plan in zip(requests, plans, strict=True)
        ]

    def _plan(self, request: StartRequest, planned: Planned, there: str | None = None) -> _Plan | Exception:
        """What to write, or why nothing is written."""
        try:
            return self._decide(request, planned, there)
        except Exception as error:  # noqa: BLE001 - it is the outcome of this start, and of no other
            return error

    def _decide(self, request: StartRequest, planned: Planned, there: str | None) -> _Plan | RequestError:
        name = request.definition
        version, runtime = request.version or self._placement.highest_version(name), PYTHON
        able = self._placement.able(name, version)
        if not able and (flow := self._stored.get(name, request.version)) is not None:
            request = _of_stored(request, flow)
            version, runtime = flow.version, flow.runtime
            able = self._placement.able(name, version, runtime)
        if not able and self._context.status.draining and self._placement.has(name, version, runtime):
            return Unavailable(
                f"{self._context.status.node_id} is draining and no other node has {name!r}",
                code="UNAVAILABLE",
                reason="BACKEND_DOWN",
            )
        if not able:
            return self._nobody(name, request.version)
        if wrong := self._checks.input(name, version, runtime, request.input):
            return _misfit(wrong)
        context, admission = self._context, self._admission
        owner = there or context.status.node_id
        cost = cost_of(request.input.data)
        if there is None and (context.status.node_id not in able or admission.full or not admission.memory.fits(cost)):
            owner = rendezvous(request.workflow_id, admission.with_room(able)) or ""
        if not owner:
            if context.status.node_id in able and admission.owned < context.config.max_workflows:
                return _no_memory(admission.memory, cost, len(able) > 1)
            who = "every node that has its code" if len(able) > 1 else f"{able[0]}, the only node that has its code,"
            return Overloaded(
                f"{who} has as many workflows as it may (NERVENET_MAX_WORKFLOWS is {context.config.max_workflows} here): "
                "come again later, or start another node",
                code="RESOURCE_EXHAUSTED",
                reason="NODE_FULL",
            )
        start = Start(
            definition=name,
            version=version,
            runtime=runtime,
            input=request.input,
            seed=self._context.entropy(16),
            labels=request.labels,
            timeout_ms=request.timeout_ms,
            trace=request.trace,
            span_id=self._context.entropy(8) if self._context.telemetry.on and request.trace.sampled else b"",
            starter=request.starter,
            parent=request.parent,
        )
        req = request_hash(name, request.identity or request.input)
        plan = _Plan(request, owner, version, req, start, encode_entry(start, self._context.status.node_id))
        if owner == context.status.node_id:
            planned.add(cost)
        return plan

    def _nobody(self, name: str, version: int) -> RequestError:
        known = sorted(
            {d for d, _ in self._context.definitions}
            | {d.name for n in self._context.table.nodes.values() for d in n.definitions}
        )
        which = f"workflow {name!r}" + (f" version {version}" if version else "")
        listed = ", ".join(k for k in known if "." not in k) or "none"
        return NotFound(
            f"no live node has {which} (there are: {listed}), and no such definition is stored. Start a node with its "
            "code: nervenet node APP; or store it as data: nervenet definitions put FILE",
            code="NOT_FOUND",
            reason="DEFINITION_NOT_FOUND",
        )

    def _away(self) -> RequestError:
        return Unavailable("Redis did not answer in time; try again", code="UNAVAILABLE", reason="BACKEND_DOWN")

    async def _create(self, plans: list[_Plan]) -> dict[int, _Made | Exception]:
        """The result of each, by the id of its plan."""
        made: dict[int, _Made | Exception] = {}
        if plans and self._context.link.in_order:
            made = await self._create_at_once(plans)
        left = [p for p in plans if (found := made.get(id(p))) is None or isinstance(found, LinkError)]
        each = await asyncio.gather(*map(self._create_in_order, left), return_exceptions=True) if left else ()
        return made | {id(plan): _raised(one) for plan, one in zip(left, each, strict=True)}

    async def _create_at_once(self, plans: list[_Plan]) -> dict[int, _Made | Exception]:
        """All three steps of all starts in one write: they arrive in order, and a lost connection loses only the end."""
        now, seen = self._context.clock.now_ms(), self._context.clock.seen_ms
        replies: list[asyncio.Future[Any]] = []
        for plan in plans:
            workflow_id = plan.request.workflow_id
            replies.append(self._context.ownership.running_add_nowait(workflow_id))
            replies.append(self._context.ownership.own_nowait(plan.owner, workflow_id))
            replies.append(self._context.journal.create_nowait(self._new(plan, now, seen)))
        answers = await settled(replies)
        steps = zip(plans, answers[::3], answers[1::3], answers[2::3], strict=True)
        return {id(plan): _made(*answered) for plan, *answered in steps}

    async def _create_in_order(self, plan: _Plan) -> _Made:
        score = await self._context.ownership.running_add(plan.request.workflow_id)
        await self._context.ownership.own(plan.owner, plan.request.workflow_id)
        return _Made(await self._context.journal.create(self._new(plan, score, score)), score)

    def _new(self, plan: _Plan, created_ms: int, seen_ms: int) -> NewWorkflow:
        request = plan.request
        return NewWorkflow(
            workflow_id=request.workflow_id,
            owner=plan.owner,
            definition=request.definition,
            version=plan.version,
            runtime=plan.start.runtime,
            request_hash=plan.req,
            entry=plan.entry,
            created_ms=created_ms,
            not_after_ms=seen_ms + START_GRACE_MS // 2,
            labels=_labels(request),
            trace=request.trace.traceparent if request.trace.sampled else "",
        )

    def _begin(self, plan: _Plan, created: Created) -> Started | Exception:
        """The workflow is in its journal: run it here, or tell its owner."""
        workflow_id = plan.request.workflow_id
        try:
            if plan.owner == self._context.status.node_id:
                self._host_run(workflow_id, plan.start, plan.entry, plan.version, 1, created.id)
            else:
                self._remember(lambda: self._again(plan))
                send_wake(self._context, plan.owner, workflow_id, 1, created.id, "start")
        except Exception as error:  # noqa: BLE001 - as above; it is loaded again by the sweep
            return error
        return Started(workflow_id, True, plan.owner)

    def _host_run(self, workflow_id: str, start: Start, data: bytes, version: int, run: int, journal_id: bytes) -> None:
        """Host a run that was created here, from its first entry: no need to read what was just written."""
        if self._hosted.get(workflow_id) is not None:
            return
        ms, _, n = journal_id.partition(b"-")
        coordinator = self._new_coordinator(workflow_id, start.definition, version, run, start)
        coordinator.applied = int(n) - 1
        self._hosted.attach(coordinator)
        coordinator.feed_own(Entry("start", start, int(n), int(ms), self._context.status.node_id), data)
        self._hosted.feed_early(coordinator)

    async def _found(self, plan: _Plan, made: _Made) -> Started | RequestError:
        """The workflow existed before."""
        workflow_id, head = plan.request.workflow_id, made.created.head
        if made.created.status == "expired":
            return self._away()
        assert head is not None
        if head.closed and plan.request.if_exists == "restart_if_closed":
            return await self._restart(plan, head)
        if head.closed:
            self._bookkeeping.finish(workflow_id, head.owner, head.created_ms, head.closed_ms, made.score)
        elif head.run == 1:  # a later run may follow an end, whose bookkeeping knows its start time
            await self._context.ownership.running_keep(workflow_id, head.created_ms)
        if (
            head.owner == plan.owner == self._context.status.node_id
            and not head.closed
            and workflow_id not in self._hosted.coordinators
        ):
            # my own creation whose answer was lost, or mine and not yet loaded
            await self._load(workflow_id)
        if plan.request.if_exists == "error" or head.request_hash != plan.req:
            return self._taken(plan, head.state, head.request_hash)
        return Started(workflow_id, False, head.owner)

    async def _again(self, plan: _Plan) -> bool:
        """Redis came back, and may have lost a start of which the owner did not know yet."""
        created = (await self._create_in_order(plan)).created
        if created.status == "created":
            send_wake(self._context, plan.owner, plan.request.workflow_id, 1, created.id, "start")
        return created.status != "expired"

    async def _restart(self, plan: _Plan, head: Head) -> Started | RequestError:
        """Begin the next run of a closed workflow. A second caller finds it begun."""
        workflow_id, ownership = plan.request.workflow_id, self._context.ownership
        mark, answer = await self._begin_again(plan, head)
        if answer.status == "expired":  # this process was stopped until the date of its mark had passed
            mark, answer = await self._begin_again(plan, head)
        if answer.status in ("expired", "unknown"):
            return self._away()
        # also when it has begun already: by us, and the answer was lost; or by a node that may die before it does this
        await ownership.reopen(workflow_id, head.closed_ms)
        await ownership.own(answer.owner, workflow_id)
        await ownership.restart_unmark(workflow_id, mark)
        if answer.status != "new":
            if answer.owner == self._context.status.node_id:
                await self._load(workflow_id)
            return Started(workflow_id, False, answer.owner)
        if plan.owner == self._context.status.node_id:
            self._host_run(workflow_id, plan.start, plan.entry, plan.version, answer.run, answer.id)
        else:
            send_wake(self._context, plan.owner, workflow_id, answer.run, answer.id, "start")
        return Started(workflow_id, True, plan.owner)

    async def _begin_again(self, plan: _Plan, head: Head) -> tuple[int, Appended]:
        request = plan.request
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
                "version": plan.version,
                "python": plan.start.runtime,
                "req": plan.req,
                "created": self._context.clock.now_ms(),
                "labels": _labels(request),
                "trace": request.trace.traceparent if request.trace.sampled else "",
            },
            not_after_ms=mark + START_GRACE_MS // 2,
        )
        return mark, answer

    def _taken(self, plan: _Plan, state: State, req: bytes) -> RequestError:
        difference = (
            "" if req == plan.req else f" with another input ({req.hex()[:12]}, this one is {plan.req.hex()[:12]})"
        )
        return AlreadyExists(
            f"workflow {plan.request.workflow_id} exists{difference} and is {state}: choose another id",
            code="ALREADY_EXISTS",
            reason="WORKFLOW_EXISTS",
            metadata={"state": str(state), "workflow_id": plan.request.workflow_id},
        )


def _of_stored(request: StartRequest, flow: Workflow[Any, Any]) -> StartRequest:
    """The start, with the options of the definition where it has none."""
    options = resolve_start(flow.options)
    return request if request.timeout_ms is not None else replace(request, timeout_ms=options.timeout_ms)


def _labels(request: StartRequest) -> str:
    return json.dumps(dict(request.labels), separators=(",", ":")) if request.labels else ""


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def request_hash(definition: str, input: Payload) -> bytes:
    """Two starts are the same if this is: definition and input, JSON in its canonical form (sorted, compact)."""
    data = input.data
    if input.form == "json":
        try:
            value = read_json(data)
        except ValueError as error:
            raise InvalidRequest(
                f"the input is not JSON: {error}", code="INVALID_ARGUMENT", reason="INVALID_FIELD"
            ) from None
        data = _canonical(value).encode()
    return hashlib.sha256(b"\0".join((definition.encode(), input.form.encode(), data))).digest()


def _misfit(problems: list[Problem]) -> Misfit:
    (path, words), more = problems[0], len(problems) - 1
    ending = f" (and {more} more)" if more else ""
    error = Misfit(f"{path}: {words}{ending}", code="INVALID_ARGUMENT", reason="INVALID_FIELD")
    error.fields = tuple(problems)
    return error


def _is_answered(request: StartRequest, head: Head) -> bool:
    """Whether the existing workflow is what this start asks for."""
    same = head.request_hash == request_hash(request.definition, request.identity or request.input)
    return same and (request.if_exists == "same" or (request.if_exists == "restart_if_closed" and not head.closed))


def _no_room(plan: _Plan | Exception) -> bool:
    return isinstance(plan, Overloaded) and plan.reason in ("NODE_FULL", "MEMORY_FULL")


def _made(score: Any, owned: Any, created: Any) -> _Made | Exception:
    """The answers of the three steps of one start."""
    for answer in (created, owned, score):
        if isinstance(answer, LinkError):
            return answer
    try:
        return _Made(Created.parse(created), int(score))
    except Exception as error:  # noqa: BLE001 - what this very start was answered
        return error


def _has(found: _Made | Exception, status: str) -> bool:
    return isinstance(found, _Made) and found.created.status == status


def _raised(outcome: _T | BaseException) -> _T | Exception:
    """One result of `gather`. A cancellation is not an outcome: it is raised."""
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome
    return outcome


def _no_memory(memory: Memory, cost: int, others: bool) -> RequestError:
    who = "no node that has its code has" if others else "the only node that has its code does not have"
    used, limit, needed = memory.used, memory.limit, cost
    return Overloaded(
        f"{who} the memory for it: it needs about {needed >> 10} KiB, {used >> 20} of {limit >> 20} MiB are used here "
        "(NERVENET_MAX_MEMORY): come again later, start another node, or store large inputs elsewhere and pass a URI",
        code="RESOURCE_EXHAUSTED",
        reason="MEMORY_FULL",
        metadata={"limit": str(limit), "used": str(used), "needed": str(needed)},
    )
