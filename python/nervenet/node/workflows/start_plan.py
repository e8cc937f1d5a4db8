# SPDX-License-Identifier: Apache-2.0
"""Decides about starts before anything is written: which version runs, which node owns it, or why it is refused.

It reads what the node knows in memory (the registry table, definitions, limits) and does no I/O. `Starter` does what is
decided here.

Two starts are the same if their `request_hash` is: a start that is sent again finds what the first one created.
"""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from nervenet.codecs import is_encoded
from nervenet.codecs.layout import fingerprint_of
from nervenet.durable import PYTHON
from nervenet.errors import AlreadyExists, InvalidRequest, NotFound, Overloaded, RequestError, Unavailable
from nervenet.node.guards.memory import cost_of
from nervenet.node.workflows.builtin import TASK
from nervenet.options import resolve_start
from nervenet.payloads import read_json
from nervenet.records import NO_TRACE, ParentStep, Payload, Start, Trace
from nervenet.registry.rendezvous import rendezvous
from nervenet.streams.answers import NewWorkflow
from nervenet.timing import START_GRACE_MS
from nervenet.wire import encode_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nervenet.node.context import NodeContext
    from nervenet.node.guards.memory import Memory
    from nervenet.node.workflows.admission import Admission, Planned
    from nervenet.node.workflows.checks import Checks
    from nervenet.node.workflows.definitions import StoredDefinitions
    from nervenet.node.workflows.placement import Placement
    from nervenet.schemas import Problem
    from nervenet.streams.heads import Head


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
    same_as: bytes = b""  # the hash of the start that this one repeats
    after_run: int = 0  # the run that a restart follows; 0: whichever is closed

    @property
    def hash(self) -> bytes:
        return self.same_as or request_hash(self.definition, self.identity or self.input)

    @property
    def labels_json(self) -> str:
        return json.dumps(dict(self.labels), separators=(",", ":")) if self.labels else ""

    @property
    def traceparent(self) -> str:
        return self.trace.traceparent if self.trace.sampled else ""


class Plan(NamedTuple):
    """A start with everything decided: who owns it, which version runs."""

    request: StartRequest
    owner: str
    req: bytes
    start: Start
    entry: bytes

    def new_workflow(self, created_ms: int, seen_ms: int) -> NewWorkflow:
        """What Redis is asked to create. It refuses after half of the grace period, counted from its time `seen_ms`."""
        request = self.request
        return NewWorkflow(
            workflow_id=request.workflow_id,
            owner=self.owner,
            definition=request.definition,
            version=self.start.version,
            runtime=self.start.runtime,
            request_hash=self.req,
            entry=self.entry,
            created_ms=created_ms,
            not_after_ms=seen_ms + START_GRACE_MS // 2,
            labels=request.labels_json,
            trace=request.traceparent,
        )


class Existing(enum.Enum):
    """What a start means where its workflow exists."""

    SAME = "it was accepted before: the answer is the same"
    RESTART = "the workflow has closed: its next run begins"
    TAKEN = "the id belongs to another start"


def judge_existing(request: StartRequest, req: bytes, head: Head) -> Existing:
    """What this start, whose hash is `req`, means for the workflow that has its id."""
    if request.after_run and head.run > request.after_run:
        return Existing.SAME
    if head.closed and request.if_exists == "restart_if_closed":
        return Existing.RESTART
    if request.if_exists == "error" or head.request_hash != req:
        return Existing.TAKEN
    return Existing.SAME


class Misfit(InvalidRequest):
    """The input does not fit the definition."""


class StartPlanner:
    """One for each node."""

    def __init__(
        self,
        context: NodeContext,
        placement: Placement,
        stored: StoredDefinitions,
        admission: Admission,
        checks: Checks,
    ) -> None:
        self._context = context
        self._placement = placement
        self._stored = stored
        self._admission = admission
        self._checks = checks

    def plan(self, request: StartRequest, planned: Planned, there: str | None = None) -> Plan | Exception:
        """What to write, or why nothing is written. `there`: who owns the workflow, if it exists."""
        try:
            return self._plan(request, planned, there)
        except Exception as error:  # noqa: BLE001 - it is the outcome of this start, and of no other
            return error

    def _plan(self, request: StartRequest, planned: Planned, there: str | None) -> Plan | RequestError:
        context, name = self._context, request.definition
        version, runtime = request.version or self._placement.highest_version(name), PYTHON
        able = self._placement.able(name, version)
        if not able and (flow := self._stored.get(name, request.version)) is not None:
            version, runtime = flow.version, flow.runtime
            able = self._placement.able(name, version, runtime)
            if request.timeout_ms is None:
                request = replace(request, timeout_ms=resolve_start(flow.options).timeout_ms)
        if not able:
            leaving = context.status.draining and self._placement.has(name, version, runtime)
            return _draining(context.status.node_id, name) if leaving else self._nobody(name, request.version)
        if wrong := self._checks.input(name, version, runtime, request.input):
            return _misfit(wrong)
        request = self._encoded(request)
        cost = cost_of(request.input.data)
        owner = there or self._owner(request.workflow_id, able, cost)
        if not owner:
            return self._full(able, cost)
        start = Start(
            definition=name,
            version=version,
            runtime=runtime,
            input=request.input,
            seed=context.entropy(16),
            labels=request.labels,
            timeout_ms=request.timeout_ms,
            trace=request.trace,
            span_id=context.entropy(8) if context.telemetry.on and request.trace.sampled else b"",
            starter=request.starter,
            parent=request.parent,
        )
        plan = Plan(request, owner, request.hash, start, encode_entry(start, context.status.node_id))
        if owner == context.status.node_id:
            planned.add(cost)
        return plan

    def _encoded(self, request: StartRequest) -> StartRequest:
        """What a caller without the codec sends is stored encoded all the same. In a task alone that is done already."""
        codecs = self._context.codecs
        if not codecs.on or request.definition == TASK or is_encoded(request.input):
            return request
        fingerprint = codecs.fingerprint(request.input, request.workflow_id)
        return replace(request, input=codecs.encode(request.input, fingerprint))

    def _owner(self, workflow_id: str, able: list[str], cost: int) -> str:
        """This node if it has the code and room, otherwise a node that has both; "" = nobody."""
        admission, me = self._admission, self._context.status.node_id
        if me in able and not admission.full and admission.memory.fits(cost):
            return me
        return rendezvous(workflow_id, admission.with_room(able)) or ""

    def _full(self, able: list[str], cost: int) -> RequestError:
        context, admission = self._context, self._admission
        if context.status.node_id in able and admission.owned < context.config.max_workflows:
            return _no_memory(admission.memory, cost, len(able) > 1)
        who = "every node that has its code" if len(able) > 1 else f"{able[0]}, the only node that has its code,"
        return Overloaded(
            f"{who} has as many workflows as it may (NERVENET_MAX_WORKFLOWS is {context.config.max_workflows} here): "
            "come again later, or start another node",
            code="RESOURCE_EXHAUSTED",
            reason="NODE_FULL",
        )

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


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def request_hash(definition: str, input: Payload) -> bytes:
    """Two starts are the same if this is: definition and input, JSON in its canonical form (sorted, compact)."""
    data = fingerprint_of(input) or input.data
    if input.form == "json":
        try:
            value = read_json(data)
        except ValueError as error:
            raise InvalidRequest(
                f"the input is not JSON: {error}", code="INVALID_ARGUMENT", reason="INVALID_FIELD"
            ) from None
        data = _canonical(value).encode()
    return hashlib.sha256(b"\0".join((definition.encode(), input.form.encode(), data))).digest()


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def has_no_room(plan: Plan | Exception) -> bool:
    """Whether the start is refused only because the mesh is full."""
    return isinstance(plan, Overloaded) and plan.reason in ("NODE_FULL", "MEMORY_FULL")


def taken(plan: Plan, head: Head) -> RequestError:
    """The id belongs to another start."""
    there, mine = head.request_hash, plan.req
    difference = "" if there == mine else f" with another input ({there.hex()[:12]}, this one is {mine.hex()[:12]})"
    return AlreadyExists(
        f"workflow {plan.request.workflow_id} exists{difference} and is {head.state}: choose another id",
        code="ALREADY_EXISTS",
        reason="WORKFLOW_EXISTS",
        metadata={"state": str(head.state), "workflow_id": plan.request.workflow_id},
    )


def _draining(node_id: str, name: str) -> RequestError:
    words = f"{node_id} is draining and no other node has {name!r}"
    return Unavailable(words, code="UNAVAILABLE", reason="BACKEND_DOWN")


def _misfit(problems: list[Problem]) -> Misfit:
    (path, words), more = problems[0], len(problems) - 1
    ending = f" (and {more} more)" if more else ""
    error = Misfit(f"{path}: {words}{ending}", code="INVALID_ARGUMENT", reason="INVALID_FIELD")
    error.fields = tuple(problems)
    return error


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
