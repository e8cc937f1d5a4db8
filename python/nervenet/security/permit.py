# SPDX-License-Identifier: Apache-2.0
"""What is left to decide about a call once its request is read.

A permit is made once for a caller, an RPC and a namespace, and kept: it has no state of a single call.

A caller whose role is limited to some workflows learns nothing about others: a call about one is answered like one about a
workflow that does not exist. What they are is read from their heads, for such callers only (`Lookups`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from nervenet.clock import new_workflow_id
from nervenet.errors import RequestError, Unavailable
from nervenet.security.policy import BY_REQUEST, Decision, Item, Policy
from nervenet.security.roles import ACCESS, rpc_name
from nervenet.security.targets import Lease, Targets, targets_of

if TYPE_CHECKING:
    from nervenet.security.recording import Call, Recorder

__all__ = [
    "HIDDEN_WORKFLOWS",
    "LISTABLE",
    "REFUSED_ITEMS",
    "AgentFacts",
    "Listable",
    "Lookups",
    "Permit",
    "WorkflowFacts",
    "must_not_wait",
]

REFUSED_ITEMS: Final[ContextVar[Mapping[int, RequestError]]] = ContextVar("nervenet_refused_items", default={})  # noqa: B039
"""Of a call with many items, each with its own outcome: those that the policy refuses, by their position."""
HIDDEN_WORKFLOWS: Final[ContextVar[frozenset[str]]] = ContextVar("nervenet_hidden_workflows", default=frozenset())
"""Of a call whose answer passes over workflows that do not exist: those that the caller must not know of."""


class Listable(Protocol):
    """Which workflows and definitions the answer of a list may contain."""

    def allows(self, definition: str, labels: Mapping[str, str] = MappingProxyType({})) -> bool: ...

    async def allows_workflow(self, workflow_id: str) -> bool: ...


LISTABLE: Final[ContextVar[Listable | None]] = ContextVar("nervenet_listable", default=None)
"""Of a call that lists: what a rule about workflows, labels or definitions leaves of the list. None: all of it."""


class WorkflowFacts(NamedTuple):
    """What a rule can ask about a workflow."""

    definition: str
    labels: Mapping[str, str]


class AgentFacts(NamedTuple):
    """Who registered an agent, and its lease; 0: not known."""

    subject: str
    lease_id: int


class Lookups(Protocol):
    """What is known of workflows and agents, and how it is told that there are none."""

    async def workflow(self, workflow_id: str) -> WorkflowFacts | None: ...

    async def agent(self, agent_id: str) -> AgentFacts | None: ...

    def no_workflow(self, workflow_id: str, escalation_id: str = "") -> RequestError: ...

    def no_agent(self, agent_id: str) -> RequestError: ...


class Permit:
    """What is left to decide about the calls of one caller to one RPC. It has no state of a single call."""

    def __init__(
        self,
        call: Call,
        standing: Decision | None,
        policy: Policy | None,
        recorder: Recorder,
        lookups: Lookups | None,
        *,
        owned: bool,
    ) -> None:
        self.call = call
        self.standing = standing
        """What the caller alone decides; None: the request decides too."""
        self._policy = policy
        self._recorder = recorder
        self._lookups = lookups
        self._owned = owned
        self._must_not_wait = policy is not None and must_not_wait(policy, call)
        self._named_workflows = ACCESS[call.path].about == "workflow" if call.path in ACCESS else False

    def __repr__(self) -> str:
        return f"<Permit {rpc_name(self.call.path)} of {self.call.caller.subject or self.call.caller.means}>"

    async def before(self, request: Any, trace_id: str = "") -> None:
        """Decide by the request, and write the line. To be awaited before the method is called.

        Raises:
            Unauthorized: The policy denies it.
            NotFound: It names what the caller must not know of.
            Unavailable: The audit log cannot be written.
        """
        recorded = self._recorder.keeps(self.call)
        if recorded:
            _give_ids(rpc_name(self.call.path), request)
        targets, decision = await self._check(request, trace_id)
        for part in targets.parts(REFUSED_ITEMS.get() if targets.batch else {}) if recorded else ():
            await self._recorder.write(self.call, decision, part, trace_id)

    async def again(self, request: Any) -> None:
        """Decide again about a stream that is open, by the request that opened it. Nothing is written for one that goes on.

        Args:
            request: None where the stream had a right without limits, and nobody kept what it asked for.

        Raises:
            Unauthorized: The policy denies it now.
            NotFound: It is about what the caller must not know of any more.
            Unavailable: It cannot be judged while it is open: its caller opens it again.
        """
        if self.standing is not None:
            return
        targets = Targets() if request is None else targets_of(rpc_name(self.call.path), request)
        if request is None or targets.omits:  # which of them were hidden from it is known to the call alone
            raise Unavailable(
                "the policy has changed: open this stream again", code="UNAVAILABLE", reason="POLICY_CHANGED"
            )
        await self._decide(targets, "")

    async def each(
        self, requests: AsyncIterator[Any], trace_id: str = "", opened: Callable[[Any], None] = lambda request: None
    ) -> AsyncIterator[Any]:
        """The requests of a stream. The first one is decided and written down; those after it are decided where they name
        workflows. What else a stream says later is about the agent that its first request named. `opened` hears of the first one.
        """
        first = True
        async for request in requests:
            if first:
                await self.before(request, trace_id)
                opened(request)
            elif self._named_workflows:
                await self._check(request, trace_id)
            first = False
            yield request

    async def _check(self, request: Any, trace_id: str) -> tuple[Targets, Decision]:
        if self._must_not_wait:
            for start in request.requests:
                start.ClearField("wait")
        targets = targets_of(rpc_name(self.call.path), request)
        decision = await self._decide(targets, trace_id)
        if self._owned and not await self._check_leases(targets.leases, targets, trace_id):
            _begin_again(request)
        return targets, decision

    async def _decide(self, targets: Targets, trace_id: str) -> Decision:
        if self.standing is not None:
            return self.standing
        LISTABLE.set(self if targets.lists else None)
        if targets.unfiltered:
            decision = self._of(Item())
            if not decision.allowed:
                words = f"{decision.words.partition(', and this is')[0]}: {targets.unfiltered}"
                raise self._recorder.refusal(self.call, decision._replace(words=words), targets, trace_id)
        if targets.batch:
            return await self._decide_batch(targets, trace_id)
        decision = Decision(True)
        for item in targets.items or (() if targets.workflow_ids else (Item(),)):
            decision = self._of(item)
            if not decision.allowed:
                raise self._recorder.refusal(self.call, decision, targets, trace_id)
        if targets.omits:
            hidden = await asyncio.gather(*map(self._is_hidden, targets.workflow_ids))
            HIDDEN_WORKFLOWS.set(frozenset(itertools.compress(targets.workflow_ids, hidden)))
            return decision
        for workflow_id in targets.workflow_ids:
            decision = await self._of_workflow(workflow_id, targets, trace_id)
        for workflow_id in targets.taken_ids if decision.is_limited else ():
            await self._of_workflow(workflow_id, targets, trace_id)
        return decision

    def allows(self, definition: str, labels: Mapping[str, str] = MappingProxyType({})) -> bool:
        """Whether a list may contain a definition, or a workflow of it with these labels."""
        return self._of(Item("", definition, labels)).allowed

    async def allows_workflow(self, workflow_id: str) -> bool:
        """Whether a list may contain something of a workflow. One that does not exist is nothing to see."""
        return not await self._is_hidden(workflow_id)

    def _of(self, item: Item) -> Decision:
        assert self._policy is not None
        answer = self._policy.decide(self.call.caller, self.call.path, self.call.namespace, item)
        assert answer is not BY_REQUEST
        return answer

    async def _of_workflow(self, workflow_id: str, targets: Targets, trace_id: str) -> Decision:
        """Of one that exists. One that does not is left to the method, whose refusal has the same words."""
        lookups = self._lookups
        assert lookups is not None
        facts = await lookups.workflow(workflow_id)
        if facts is None:
            return Decision(True)
        decision = self._of(Item("", facts.definition, facts.labels))
        if decision.allowed:
            return decision
        error = self._recorder.refusal(self.call, decision, targets, trace_id)
        if decision.reason == "DENIED_BY_RULE":
            raise error
        raise lookups.no_workflow(workflow_id, targets.noted.get("escalation_id", ""))

    async def _is_hidden(self, workflow_id: str) -> bool:
        """One that does not exist is hidden too: it may be started by others while the call waits for it."""
        assert self._lookups is not None
        facts = await self._lookups.workflow(workflow_id)
        return facts is None or not self.allows(facts.definition, facts.labels)

    async def _decide_batch(self, targets: Targets, trace_id: str) -> Decision:
        """Each item has an outcome of its own: `REFUSED_ITEMS` tells the method which ones are refused."""
        allowed = Decision(True)
        errors: dict[int, RequestError] = {}
        taken: dict[int, str] = {}
        for at, item in enumerate(targets.items):
            decision = self._of(item)
            if not decision.allowed:
                errors[at] = self._recorder.refusal(self.call, decision, targets.only(at), trace_id)
                continue
            allowed = decision
            if decision.is_limited and targets.taken_ids[at]:
                taken[at] = targets.taken_ids[at]
        looks = (self._of_workflow(workflow_id, targets.only(at), trace_id) for at, workflow_id in taken.items())
        for at, found in zip(taken, await asyncio.gather(*looks, return_exceptions=True), strict=True):
            if isinstance(found, RequestError):
                errors[at] = found
            elif isinstance(found, BaseException):
                raise found
        if errors and len(errors) == len(targets.items):
            raise next(iter(errors.values()))
        REFUSED_ITEMS.set(errors)
        return allowed

    async def _check_leases(self, leases: tuple[Lease, ...], targets: Targets, trace_id: str) -> bool:
        """False: an agent comes to the gateway under an id that nobody has any more, so it must begin again as a new one."""
        lookups, known = self._lookups, True
        for lease in leases if lookups is not None else ():
            assert lookups is not None
            facts = await lookups.agent(lease.agent_id)
            if facts is None and lease.lease_id:
                if rpc_name(self.call.path) != "Connect":
                    raise lookups.no_agent(lease.agent_id)
                known = False
            if facts is None:
                continue
            shown = lease.lease_id in (0, facts.lease_id) or not facts.lease_id
            mine = shown and facts.subject in ("", self.call.caller.subject)
            if not mine:
                words = "that agent was registered by another caller, or with another lease"
                decision = Decision(False, reason="NOT_YOUR_AGENT", words=words)
                raise self._recorder.refusal(self.call, decision, targets, trace_id)
        return known


def must_not_wait(policy: Policy, call: Call) -> bool:
    """Whether a call of StartWorkflows must not answer with the workflow's end: a rule denies its caller AwaitWorkflows, at least
    for some workflows. The caller then has to await it by that call, about which the policy decides on its own."""
    if rpc_name(call.path) != "StartWorkflows":
        return False
    answer = policy.decide(call.caller, call.path.replace("StartWorkflows", "AwaitWorkflows"), call.namespace)
    return answer is BY_REQUEST or not answer.allowed


def _begin_again(request: Any) -> None:
    """Make the hello of an agent that comes back one of a new agent: whose its old id and lease were cannot be known."""
    for item in request.items:
        if item.WhichOneof("item") == "hello":
            item.hello.agent.ClearField("agent_id")
            item.hello.ClearField("lease_id")
            item.hello.ClearField("running")


def _give_ids(rpc: str, request: Any) -> None:
    """Workflows that are started without an id get one now, so that the line in the log names them."""
    starts = (request,) if rpc == "StartWorkflow" else request.requests if rpc == "StartWorkflows" else ()
    for start in starts:
        if not start.workflow_id and start.definition:
            start.workflow_id = new_workflow_id(start.definition)
