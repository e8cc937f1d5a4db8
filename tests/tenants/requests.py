# SPDX-License-Identifier: Apache-2.0
"""For each method of the contract: the requests by which a caller could reach what belongs to somebody else.

A new method needs a row. Its requests name every id that it takes. `[{}]` is right for one that takes none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nervenet.v1 import agent_service_pb2 as agents_pb
from tests.gateway.world import hello
from tests.tenants.world import STEPS, Belongings

Rows = list[dict[str, Any]]
Row = Callable[[Belongings], Rows]
TEXT: Final = {"json": '"mine"'}


def _workflows(*names: str, **more: Any) -> Row:
    return lambda b: [{"workflow_id": getattr(b, name), **more} for name in names or _ALL]


_ALL: Final = ("closed", "waiting", "asking", "thinking", "blocked")


def _agents(**more: Any) -> Row:
    return lambda b: [{"agent_id": one, **more} for one in (b.agent, b.gateway_agent)]


def _hellos(b: Belongings) -> Rows:
    """An agent that says it comes back: with their id, with their lease, with both."""
    tries = [(b.gateway_agent, b.gateway_lease), (b.agent, b.agent_lease), (b.agent, b.node_lease)]
    found = []
    for agent_id, lease in tries:
        hi = hello("nothing", name=agent_id.rpartition("-")[0])
        hi.agent.agent_id, hi.lease_id = agent_id, lease
        found.append({"items": [agents_pb.ConnectRequestItem(hello=hi)]})
    return found


def _start(b: Belongings, **more: Any) -> Mapping[str, Any]:
    return {"workflow_id": b.waiting, "definition": "echo", "input": TEXT, "if_exists": "IF_EXISTS_ERROR", **more}


def _definition(b: Belongings) -> Mapping[str, Any]:
    return {"name": b.definition, "version": 1, "description": "another one", "steps": STEPS}


REQUESTS: Final[Mapping[str, Row]] = {
    "StartWorkflow": lambda b: [
        dict(_start(b)),
        dict(_start(b, workflow_id=b.closed, definition=b.definition, version=1)),
    ],
    "StartWorkflows": lambda b: [{"requests": [_start(b, workflow_id=b.asking), _start(b, workflow_id=b.thinking)]}],
    "StreamStarts": lambda b: [{"requests": [_start(b, workflow_id=b.blocked)]}],
    "AwaitWorkflows": lambda b: [{"workflow_ids": [b.closed, b.waiting, b.blocked]}],
    "GetWorkflow": lambda b: [
        {"workflow_id": getattr(b, one), "include_task_payloads": True, "input_steps": ["model"]} for one in _ALL
    ],
    "ListWorkflows": lambda b: [
        {},
        {"include_waits": True, "include_counts": True},
        {"definition": "echo"},
        {"waiting_for": b.capability},
    ],
    "ListWaits": lambda b: [{"workflow_ids": [b.waiting, b.asking, b.thinking]}],
    "ListJournal": _workflows(),
    "WatchWorkflow": _workflows(include_progress=True, include_partials=True),
    "SignalWorkflow": _workflows(signal="go", payload=TEXT, request_id="r-1"),
    "CancelWorkflow": _workflows(reason="I want to"),
    "RetryWorkflow": _workflows(),
    "RestartWorkflow": _workflows(run=1),
    "RunTask": lambda b: [{"capability": b.capability, "input": TEXT, "wait": {"seconds": 0}, "request_id": b.closed}],
    "ListEscalations": lambda b: [{}, {"workflow_id": b.asking}],
    "GetEscalation": lambda b: [{"escalation_id": b.escalation}, {"escalation_id": b.asking}],
    "ResolveEscalation": lambda b: [
        {
            "escalation_id": b.escalation,
            "resolution": {"action": "ESCALATION_ACTION_COMPLETE", "value": {"json": '"yes"'}, "resolver": "me"},
        }
    ],
    "PutDefinition": lambda b: [{"definition": _definition(b)}],
    "GetDefinition": lambda b: [{"name": b.definition}, {"name": b.definition, "version": 1}],
    "ListDefinitions": lambda b: [{}, {"name": b.definition}],
    "RegisterAgent": lambda b: [
        {
            "agent": {"agent_id": agent_id, "capabilities": [{"name": b.capability}], "slots": 1},
            "lease_id": lease,
        }
        for agent_id in (b.agent, b.gateway_agent)
        for lease in (b.agent_lease, b.gateway_lease, b.node_lease)
    ],
    "Heartbeat": lambda b: [
        {"agent_id": b.agent, "lease_id": b.agent_lease, "load": {"active": 1}, "state": "AGENT_STATE_DRAINING"},
        {"agent_id": b.gateway_agent, "lease_id": b.gateway_lease, "load": {"active": 1}},
        {"agent_id": b.agent, "lease_id": b.node_lease},
    ],
    "DeregisterAgent": lambda b: [
        {"agent_id": agent_id, "lease_id": lease}
        for agent_id in (b.agent, b.gateway_agent)
        for lease in (b.node_lease, b.gateway_lease, b.agent_lease)
    ],
    "GetAgent": _agents(),
    "ListAgents": lambda b: [{}, {"include_ejections": True}, {"capability": b.capability}],
    "ListEjections": lambda b: [{}],
    "WatchAgents": lambda b: [{}, {"capability": b.capability}],
    "SelectAgent": lambda b: [{"capability": b.capability, "explain": True}, {"capability": "stamp", "explain": True}],
    "ListNodes": lambda b: [{}],
    "DrainNode": lambda b: [{"node_id": b.node}],
    "DescribeAgent": _agents(),
    "GetLoad": _agents(),
    "ListActiveTasks": _agents(),
    "DrainAgent": _agents(grace={"seconds": 0}),
    "ResumeAgent": _agents(),
    "CancelTask": lambda b: [
        {"agent_id": agent_id, "task_id": f"{b.thinking}/1/model", "run": 1, "reason": "I want to"}
        for agent_id in (b.gateway_agent, b.agent, "speaker-aaaaaaaa")
    ],
    "Connect": _hellos,
}
