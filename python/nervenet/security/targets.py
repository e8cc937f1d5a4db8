# SPDX-License-Identifier: Apache-2.0
"""What a request names: the things that a rule can limit, and what the audit log says about it.

    targets = targets_of("SignalWorkflow", request)
    targets.workflow_ids, targets.noted          # ["order-7"], {"workflow_id": "order-7", "signal": "paid"}

Requests are the contract's messages, read by the names of their fields. Ids and names are noted; payloads, texts that people
write (reasons, comments) and labels never are, because anything may be in them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nervenet.security.policy import Item

__all__ = ["Lease", "Targets", "targets_of", "without_empty"]

TASK_WORKFLOW: Final = "nervenet.task"
"""The definition behind RunTask."""
TASK_PREFIX: Final = "task/"
"""What the ids of its workflows begin with; the request's id follows."""
MOST_NOTED: Final = 100
"""Workflows in one line of the audit log: a larger batch has several lines, each with the number of all."""


class Lease(NamedTuple):
    """An agent that a caller acts for, and the lease that it shows."""

    agent_id: str
    lease_id: int


class Targets(NamedTuple):
    """What one request names.

    Attributes:
        items: Capabilities, or definitions with labels, each of which must be allowed.
        workflow_ids: Workflows whose definition and labels must be allowed.
        taken_ids: Ids for new workflows: one that exists already must be allowed too.
        leases: Agents that must be the caller's own.
        noted: For the audit log.
        batch: Whether each item has an outcome of its own, so that one that is refused does not refuse the others.
        omits: Whether the answer passes over workflows that do not exist, and so over those that the caller must not see.
        lists: Whether the answer is a list, of which each row must be allowed.
        unfiltered: For lists: what a caller whose role is limited to workflows must add to the request.
    """

    items: tuple[Item, ...] = ()
    workflow_ids: tuple[str, ...] = ()
    taken_ids: tuple[str, ...] = ()
    leases: tuple[Lease, ...] = ()
    noted: Mapping[str, Any] = MappingProxyType({})
    batch: bool = False
    unfiltered: str = ""
    omits: bool = False
    lists: bool = False

    def only(self, at: int) -> Targets:
        """One item of a batch, for the log."""
        return Targets(noted={"workflow_id": self.taken_ids[at], "workflow": self.items[at].workflow})

    def parts(self, refused: Collection[int] = ()) -> Iterator[Targets]:
        """What each line of the log notes: one, or several for a large batch, without the items that are refused."""
        if not self.batch:
            yield self
            return
        left = [at for at in range(len(self.items)) if at not in refused]
        for one in range(0, len(left), MOST_NOTED):
            some = left[one : one + MOST_NOTED]
            noted = {
                "workflow_ids": [self.taken_ids[at] for at in some],
                "workflows": sorted({self.items[at].workflow for at in some}),
                "count": len(left),
            }
            yield Targets(noted=noted)


def targets_of(rpc: str, request: Any) -> Targets:
    """By the RPC's name."""
    read = _READ.get(rpc)
    return read(request) if read is not None else Targets()


def _ids(*ids: str) -> tuple[str, ...]:
    return tuple(each for each in ids if each)


def _start(request: Any) -> Targets:
    item = Item("", request.definition, dict(request.labels))
    noted = {"workflow_id": request.workflow_id, "workflow": request.definition, "starter": request.starter}
    return Targets((item,), taken_ids=_ids(request.workflow_id), noted=noted)


def _starts(request: Any) -> Targets:
    each = request.requests
    noted = {"workflows": sorted({one.definition for one in each}), "count": len(each)}
    items = tuple(Item("", one.definition, dict(one.labels)) for one in each)
    return Targets(items, taken_ids=tuple(one.workflow_id for one in each), noted=noted, batch=True)


def _workflow(*fields: str) -> Callable[[Any], Targets]:
    """A request about one workflow; the fields are noted beside its id."""

    def read(request: Any) -> Targets:
        noted = {"workflow_id": request.workflow_id} | {name: getattr(request, name) for name in fields}
        return Targets(workflow_ids=_ids(request.workflow_id), noted=noted)

    return read


def _task(request: Any) -> Targets:
    noted = {"capability": request.capability, "request_id": request.request_id}
    item = Item(request.capability, TASK_WORKFLOW, dict(request.labels))
    taken = f"{TASK_PREFIX}{request.request_id}" if request.request_id else ""
    return Targets((item,), taken_ids=_ids(taken), noted=noted)


def _many(request: Any) -> Targets:
    missing = "" if request.workflow_ids else "name its workflow_ids"
    return Targets(workflow_ids=tuple(request.workflow_ids), unfiltered=missing, omits=True)


def _awaits(request: Any) -> Targets:
    return Targets(workflow_ids=tuple(request.workflow_ids), omits=True)


def _list(request: Any) -> Targets:
    if request.include_counts:
        return Targets(unfiltered="leave include_counts out, which counts the whole namespace", lists=True)
    return Targets((Item("", request.definition, dict(request.labels)),), lists=True)


def _questions(request: Any) -> Targets:
    return Targets(
        workflow_ids=_ids(request.workflow_id),
        unfiltered="" if request.workflow_id else "name its workflow_id",
        lists=True,
    )


def _question(request: Any) -> Targets:
    workflow_id = request.escalation_id.rpartition("/")[0]
    return Targets(workflow_ids=_ids(workflow_id), noted={"escalation_id": request.escalation_id})


def _resolution(request: Any) -> Targets:
    found = _question(request)
    decided = request.resolution.DESCRIPTOR.fields_by_name["action"].enum_type.values_by_number
    action = decided.get(request.resolution.action)
    said = {"action": action.name.removeprefix("ESCALATION_ACTION_")} if action is not None else {}
    return found._replace(noted={**found.noted, **said, "resolver": request.resolution.resolver})


def _definition(request: Any) -> Targets:
    definition = request.definition
    noted = {"workflow": definition.name, "version": definition.version, "validate_only": request.validate_only}
    return Targets((Item("", definition.name),), noted=noted)


def _named_definition(request: Any) -> Targets:
    return Targets((Item("", request.name),), lists=True)


def _active_tasks(request: Any) -> Targets:
    return Targets(unfiltered="agents run tasks of all workflows")


def _items(record: Any) -> tuple[Item, ...]:
    return tuple(Item(capability.name) for capability in record.capabilities)


def _noted_agent(record: Any) -> dict[str, Any]:
    return {"agent": record.agent_id or record.name, "capabilities": [one.name for one in record.capabilities]}


def _register(request: Any) -> Targets:
    record = request.agent
    own = (Lease(record.agent_id, request.lease_id),)
    return Targets(_items(record), leases=own, noted=_noted_agent(record))


def _beat(request: Any) -> Targets:
    return Targets(leases=(Lease(request.agent_id, request.lease_id),) if request.agent_id else ())


def _deregister(request: Any) -> Targets:
    return Targets(leases=(Lease(request.agent_id, request.lease_id),), noted={"agent": request.agent_id})


def _connect(request: Any) -> Targets:
    """The first message of a gateway stream has a hello; what follows belongs to the agent that it named."""
    hellos = [item.hello for item in request.items if item.WhichOneof("item") == "hello"]
    if not hellos:
        return Targets()
    leases = tuple(Lease(hello.agent.agent_id, hello.lease_id) for hello in hellos if hello.agent.agent_id)
    items = tuple(item for hello in hellos for item in _items(hello.agent))
    return Targets(items, leases=leases, noted=_noted_agent(hellos[0].agent))


def _noted(*fields: str) -> Callable[[Any], Targets]:
    return lambda request: Targets(noted={name: getattr(request, name) for name in fields})


_READ: Final[dict[str, Callable[[Any], Targets]]] = {
    "StartWorkflow": _start,
    "StartWorkflows": _starts,
    "StreamStarts": _starts,
    "AwaitWorkflows": _awaits,
    "GetWorkflow": _workflow(),
    "ListWorkflows": _list,
    "ListWaits": _many,
    "ListJournal": _workflow(),
    "WatchWorkflow": _workflow(),
    "SignalWorkflow": _workflow("signal", "request_id", "sender"),
    "CancelWorkflow": _workflow("requester"),
    "RetryWorkflow": _workflow(),
    "RestartWorkflow": _workflow("run", "version", "requester"),
    "RunTask": _task,
    "ListEscalations": _questions,
    "GetEscalation": _question,
    "ResolveEscalation": _resolution,
    "PutDefinition": _definition,
    "GetDefinition": _named_definition,
    "ListDefinitions": _named_definition,
    "ListActiveTasks": _active_tasks,
    "RegisterAgent": _register,
    "Heartbeat": _beat,
    "DeregisterAgent": _deregister,
    "Connect": _connect,
    "DrainNode": _noted("node_id"),
    "DrainAgent": _noted("agent_id"),
    "ResumeAgent": _noted("agent_id"),
    "CancelTask": _noted("agent_id", "task_id", "run", "attempt"),
}


def without_empty(noted: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """What is noted, without what is empty."""
    return {name: value for name, value in noted if value not in ("", 0, [], False, None)}
