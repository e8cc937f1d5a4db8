# SPDX-License-Identifier: Apache-2.0
"""The audit log: a line for each call that changes something, before it does, and for each refusal. Without it nothing changes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from nervenet.config import Config
from nervenet.errors import ConfigError, RequestError, Unavailable
from nervenet.rpc.methods import CALLS_IN_A_STREAM, METHODS
from nervenet.rpc.server import GrpcServer, Service
from nervenet.rpc.status import error_of
from nervenet.security.audit import AuditLog, FileSink, Record, lines
from nervenet.security.roles import ACCESS
from nervenet.v1 import coordinator_service_pb2 as pb
from tests.gateway.world import hello
from tests.policy.world import GuardedMesh, audit_has, audited
from tests.support.waiting import DEADLINE, until

CANARY = "canary-4711"
"""In every payload and every text that people write: it must be in no line."""


async def attempt(call: Any) -> str:
    """The reason of a refusal, or ""."""
    try:
        await call
    except RequestError as error:
        return error.reason
    return ""


async def test_each_change_is_on_record_with_who_and_what(guarded: GuardedMesh) -> None:
    log = guarded.folder / "audit.jsonl"
    node = await guarded.guarded(audit=log)
    operator = await guarded.by("operator")
    secret = {"json": json.dumps(CANARY)}
    start: dict[str, Any] = {
        "workflow_id": "order-7",
        "definition": "call",
        "input": secret,
        "labels": {"note": CANARY},
    }
    await operator.call("StartWorkflow", **start)
    await operator.call("StartWorkflows", requests=[{**start, "workflow_id": ""}, {**start, "workflow_id": "order-8"}])
    await operator.call("SignalWorkflow", workflow_id="order-7", signal="paid", payload=secret, undeclared=True)
    await operator.call("CancelWorkflow", workflow_id="order-7", reason=CANARY)
    await attempt(operator.call("RetryWorkflow", workflow_id="order-7"))
    await attempt(operator.call("RestartWorkflow", workflow_id="order-7", reason=CANARY))
    await attempt(operator.call("RunTask", request_id="r-1", capability="work", input=secret))
    resolution = {"action": "ESCALATION_ACTION_FAIL", "comment": CANARY, "resolver": "ada"}
    await attempt(operator.call("ResolveEscalation", escalation_id="order-7/ask#1", resolution=resolution))
    await attempt(operator.call("PutDefinition", definition={"name": "flow", "version": 1}))
    await attempt(operator.call("DrainNode", node_id="n-none"))
    for rpc in ("DrainAgent", "ResumeAgent"):
        await attempt(operator.call(rpc, agent_id="a-none"))
    await attempt(operator.call("CancelTask", agent_id="a-none", task_id="order-7/work", reason=CANARY))
    agent = await guarded.by("agent")
    record = {"agent_id": "a-aaaaaaaa", "name": "a", "capabilities": [{"name": "work", "description": CANARY}]}
    lease = (await agent.call("RegisterAgent", agent=record)).lease_id
    await agent.call("DeregisterAgent", agent_id="a-aaaaaaaa", lease_id=lease)
    async with guarded.stream("agent") as stream:
        await stream.say(hello=hello("work"))
        await stream.hear("welcome")

    found = {line["rpc"].partition("/")[2]: line for line in audited(log)}
    changing = {rpc.name for rpc in METHODS.values() if ACCESS[rpc.path].changes}
    assert found.keys() == changing - CALLS_IN_A_STREAM.keys(), "each RPC that changes"
    cancel = found["CancelWorkflow"]
    assert cancel.pop("time") <= found["DeregisterAgent"]["time"]
    assert cancel == {
        "decision": "allowed",
        "subject": "spiffe://test/nervenet/operator",
        "means": "mtls",
        "namespace": guarded.namespace,
        "rpc": "nervenet.v1.CoordinatorService/CancelWorkflow",
        "target": {"workflow_id": "order-7"},
        "role": "operator",
        "by": "the SPIFFE id",
        "process": node.node_id,
    }
    generated, given = found["StartWorkflows"]["target"]["workflow_ids"]
    assert given == "order-8"
    workflow = (await operator.call("GetWorkflow", workflow_id=generated)).workflow
    assert workflow.definition == "call", "the id in the line is the id that the node generated"
    assert found["SignalWorkflow"]["target"] == {"workflow_id": "order-7", "signal": "paid"}
    assert found["ResolveEscalation"]["target"] == {
        "escalation_id": "order-7/ask#1",
        "action": "FAIL",
        "resolver": "ada",
    }
    assert found["RegisterAgent"]["target"] == {"agent": "a-aaaaaaaa", "capabilities": ["work"]}
    assert CANARY not in log.read_text()


async def test_who_reads_leaves_no_line_and_who_is_refused_does(guarded: GuardedMesh) -> None:
    log = guarded.folder / "audit.jsonl"
    await guarded.guarded(audit=log)
    viewer = await guarded.by("viewer")
    await viewer.call("ListWorkflows")
    assert audited(log) == []
    assert await attempt(viewer.call("CancelWorkflow", workflow_id="w")) == "ROLE_MISSING"
    line = await audit_has(log, decision="denied")
    assert (line["subject"], line["reason"]) == ("spiffe://test/nervenet/viewer", "ROLE_MISSING")
    assert line["rpc"] == "nervenet.v1.CoordinatorService/CancelWorkflow"


async def test_the_line_names_the_trace(guarded: GuardedMesh) -> None:
    log = guarded.folder / "audit.jsonl"
    await guarded.guarded(audit=log)
    trace = "0af7651916cd43dd8448eb211c80319c"
    metadata = (("traceparent", f"00-{trace}-b7ad6b7169203331-01"),)
    async with grpc.aio.secure_channel(guarded.nodes[0].address, guarded.tls("operator")) as channel:
        cancel: Any = channel.unary_unary(METHODS["CancelWorkflow"].path)
        with pytest.raises(grpc.aio.AioRpcError):
            await cancel(pb.CancelWorkflowRequest(workflow_id="w").SerializeToString(), metadata=metadata)
    assert (await audit_has(log, decision="allowed"))["trace_id"] == trace


async def test_results_of_agents_are_in_the_journal_not_here(guarded: GuardedMesh) -> None:
    log = guarded.folder / "audit.jsonl"
    await guarded.guarded(audit=log)
    await guarded.speaker("agent", {"work": lambda task: 1})
    operator = await guarded.by("operator")
    await operator.call("StartWorkflow", workflow_id="w", definition="call", input={"json": "1"}, wait={"seconds": 10})
    assert [line["rpc"].partition("/")[2] for line in audited(log)] == ["Connect", "StartWorkflow"]


class Gate:
    """A sink that waits until it is opened, or fails."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.error: Exception | None = None
        self.groups: list[int] = []
        self.lines = b""

    def write(self, records: Sequence[Record]) -> None:
        self.open.wait(20)
        if self.error is not None:
            raise self.error
        self.groups.append(len(records))
        self.lines += lines(records)

    def close(self) -> None:
        pass


class Signals:
    """A servicer that tells when it is called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    async def SignalWorkflow(self, request: Any, context: Any) -> Any:
        self.called.append(request.workflow_id)
        return pb.SignalWorkflowResponse()


@pytest.fixture
async def gated(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server whose audit log is written when the test says so."""
    gate, servicer = Gate(), Signals()
    monkeypatch.setattr("nervenet.rpc.access._sink", lambda where, role: gate)
    config = Config.load(environ={}, listen="127.0.0.1:0", audit="-")
    services = [Service("nervenet.v1.CoordinatorService", servicer)]
    server = await GrpcServer.start(config, "node", services, asyncio.Event())
    yield gate, servicer, server
    gate.open.set()
    await server.stop(0)


async def send(server: GrpcServer, name: str) -> None:
    """One signal, sent once: a client would try again elsewhere. Raises RequestError."""
    rpc = METHODS["SignalWorkflow"]
    async with grpc.aio.insecure_channel(server.address) as channel:
        signal: Any = channel.unary_unary(rpc.path, request_serializer=rpc.request.SerializeToString)
        try:
            await signal(rpc.request(workflow_id=name, signal="go"), timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise error_of(error, server.address) from None


async def test_the_line_is_written_before_the_effect(gated: Any) -> None:
    gate, servicer, server = gated
    sending = asyncio.create_task(send(server, "w"))
    await until(lambda: server._access._audit._waiting.unfinished_tasks > 0)
    await asyncio.sleep(0)
    assert servicer.called == [] and not sending.done()
    gate.open.set()
    await sending
    assert servicer.called == ["w"]
    assert b'"workflow_id":"w"' in gate.lines


async def test_many_calls_share_a_write(gated: Any) -> None:
    gate, servicer, server = gated
    sending = [asyncio.create_task(send(server, f"w-{n}")) for n in range(50)]
    await until(lambda: server._access._audit._waiting.unfinished_tasks == 50)
    gate.open.set()
    await asyncio.gather(*sending)
    assert sum(gate.groups) == 50
    assert len(gate.groups) <= 2, "one line was being written, the others waited for the next write"
    assert len(servicer.called) == 50


async def test_what_cannot_be_written_is_not_done(gated: Any) -> None:
    gate, servicer, server = gated
    gate.error = OSError(28, "No space left on device")
    gate.open.set()
    with pytest.raises(Unavailable, match=r"No space left on device") as refused:
        await send(server, "w")
    assert refused.value.reason == "AUDIT_UNWRITABLE"
    assert servicer.called == []
    gate.error = None
    await send(server, "w")
    assert servicer.called == ["w"]


async def test_a_sink_that_hangs_refuses_the_call_in_time() -> None:
    gate = Gate()
    log = AuditLog(gate, within=0.05)
    with pytest.raises(Unavailable, match="longer than"):
        await log.write({"rpc": "x"})
    gate.open.set()
    await log.close()


async def test_a_file_that_was_rotated_away_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(FileSink(path))
    await log.write({"n": 1})
    path.rename(tmp_path / "audit.jsonl.1")
    await log.write({"n": 2})
    path.write_text("")  # copytruncate
    await log.write({"n": 3})
    path.unlink()
    await log.write({"n": 4})
    await log.close()
    assert audited(tmp_path / "audit.jsonl.1") == [{"n": 1}]
    assert audited(path) == [{"n": 4}]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_line_that_was_torn_does_not_spoil_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(FileSink(path))
    write = os.write
    monkeypatch.setattr(os, "write", full_disk(write))
    with pytest.raises(Unavailable):
        await log.write({"n": 1})
    monkeypatch.setattr(os, "write", write)
    await log.write({"n": 2})
    await log.close()
    torn, whole = path.read_text().splitlines()
    assert (torn, json.loads(whole)) == ('{"n', {"n": 2})


def full_disk(write: Any) -> Any:
    """A disk with room for three bytes."""
    room = 3

    def limited(file: int, data: bytes) -> int:
        nonlocal room
        if file <= 2 or (not data.startswith(b"{") and room == 3):
            return int(write(file, data))
        if not room:
            raise OSError(28, "No space left on device")
        done = int(write(file, data[:room]))
        room = 0
        return done

    return limited


def test_a_name_with_a_line_break_is_one_line() -> None:
    assert lines([{"subject": "a\nb\u2028c"}]).count(b"\n") == 1


def test_a_log_that_cannot_be_opened_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NERVENET_AUDIT is a file that this process can write"):
        FileSink(tmp_path)
    with pytest.raises(ConfigError, match="audit is"):
        Config.load(environ={}, audit=tmp_path / "none" / "audit.jsonl")


async def test_lines_go_to_standard_output(tmp_path: Path) -> None:
    code = """
import asyncio
from nervenet.security.audit import AuditLog, StreamSink
async def main():
    log = AuditLog(StreamSink())
    await log.write({"n": 1})
    await log.close()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert json.loads(out) == {"n": 1}
