# SPDX-License-Identifier: Apache-2.0
"""The first message of an agent, checked, and the record that is made of it. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from nervenet.rpc.status import check_values, invalid
from nervenet.streams.keys import check_name, check_workflow_id
from nervenet.v1 import agent_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nervenet.v1 import agent_service_pb2 as pb
    from nervenet.v1.task_pb2 import TaskEnvelope

MAX_CREDIT: Final = 10_000
PROTOCOL_VERSION: Final = 1
"""The newest version of the gateway protocol that this node speaks; protos/README.md says when it changes."""
MAX_CAPABILITIES: Final = 200
MAX_RECORD: Final = 256 * 1024
_AGENT_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}-[a-z2-7]{8}")
_AT: Final = "items[0].hello"


class Address(NamedTuple):
    """A task id, taken apart: it names workflow, run and step."""

    workflow_id: str
    run: int
    step: str


def address_of(task_id: str) -> Address:
    """`<workflow_id>/<step>`, in later runs `<workflow_id>~<run>/<step>`; ValueError where it is none."""
    head, slash, step = task_id.rpartition("/")
    workflow_id, tilde, run = head.partition("~")
    if not (slash and step) or (tilde and not (run.isascii() and run.isdigit())):
        raise ValueError(f"{task_id!r} is no task id: it reads <workflow id>/<step>")
    return Address(check_workflow_id(workflow_id), int(run) if tilde else 1, step)


def check_hello(items: Iterable[pb.ConnectRequestItem]) -> pb.Hello:
    """The hello of a stream's first message, or InvalidRequest with the path of what is wrong."""
    first = next(iter(items), None)
    if first is None or first.WhichOneof("item") != "hello":
        raise invalid("items[0]", "a stream begins with hello")
    hello = first.hello
    check_values(hello, f"{_AT}.")
    check_credit(hello.credit, f"{_AT}.credit", least=1)
    _check_agent(hello.agent)
    _check_return(hello)
    return hello


def check_credit(credit: int, field: str, *, least: int = 0) -> None:
    if not least <= credit <= MAX_CREDIT:
        raise invalid(field, f"{credit} is not between {least} and {MAX_CREDIT:,}")


def record_of(hello: pb.Hello, subject: str = "", *, now_ms: int) -> agent_pb2.AgentRecord:
    """The record to register, as far as the hello has it. The node adds the ids and addresses. `subject`: who sent it."""
    agent = hello.agent
    record = agent_pb2.AgentRecord(
        name=agent.name,
        capabilities=agent.capabilities,
        transport=agent_pb2.TRANSPORT_GATEWAY,
        labels=agent.labels,
        runtime=agent.runtime,
        slots=hello.credit,
        subject=subject,
    )
    record.register_time.FromMilliseconds(now_ms)
    return record


def _check_agent(agent: agent_pb2.AgentRecord) -> None:
    _check_name(agent.name, "agent name", f"{_AT}.agent.name")
    if not 0 < len(agent.capabilities) <= MAX_CAPABILITIES:
        raise invalid(f"{_AT}.agent.capabilities", f"an agent serves 1 to {MAX_CAPABILITIES} capabilities")
    seen = set()
    for i, capability in enumerate(agent.capabilities):
        at = f"{_AT}.agent.capabilities[{i}]"
        _check_name(capability.name, "capability", f"{at}.name")
        if capability.slots < 0:
            raise invalid(f"{at}.slots", "0 (as many as the credit) or more")
        if capability.name in seen:
            raise invalid(f"{at}.name", f"{capability.name} is there twice")
        seen.add(capability.name)
    if agent.ByteSize() > MAX_RECORD:
        raise invalid(f"{_AT}.agent", f"above {MAX_RECORD // 1024} KiB, schemas included")


def _check_return(hello: pb.Hello) -> None:
    """An agent that comes back sends id and lease. A new one sends neither, and runs no task."""
    agent_id = hello.agent.agent_id
    if bool(agent_id) != bool(hello.lease_id):
        wrong = "lease_id" if agent_id else "agent.agent_id"
        raise invalid(
            f"{_AT}.{wrong}", "an agent that comes back sends agent_id and lease_id; a new agent leaves both empty"
        )
    if agent_id and not _AGENT_ID.fullmatch(agent_id):
        raise invalid(f"{_AT}.agent.agent_id", f"{agent_id!r} is no id that a welcome gave")
    if hello.running and not agent_id:
        raise invalid(f"{_AT}.running", "a new agent runs nothing: name agent_id and lease_id when you come back")
    for i, held in enumerate(hello.running):
        _check_held(held.task, f"{_AT}.running[{i}].task")


def _check_held(task: TaskEnvelope, at: str) -> None:
    try:
        address = address_of(task.task_id)
    except ValueError as error:
        raise invalid(f"{at}.task_id", str(error)) from None
    if task.attempt < 1:
        raise invalid(f"{at}.attempt", "attempts count from 1")
    if (task.workflow_id, task.run, task.step) != address:
        raise invalid(f"{at}.workflow_id", "send the envelope back as it came (only its input may be left out)")


def _check_name(name: str, what: str, field: str) -> None:
    try:
        check_name(name, what)
    except ValueError as error:
        raise invalid(field, str(error)) from None
