# SPDX-License-Identifier: Apache-2.0
"""The audit log as OpenTelemetry logs, sent to a real collector before the call is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as pb
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as rpc
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from nervenet.errors import Unavailable
from nervenet.security.audit import AuditLog
from nervenet.telemetry import audit
from tests.policy.world import GuardedMesh

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(rpc.LogsServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.resources: list[dict[str, str]] = []
        self.records: list[LogRecord] = []
        self.refuses = False

    def Export(self, request: Any, context: Any) -> Any:  # the contract's name
        if self.refuses:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not today")
        for resource in request.resource_logs:
            self.resources.append({each.key: each.value.string_value for each in resource.resource.attributes})
            self.records += [record for scope in resource.scope_logs for record in scope.log_records]
        return pb.ExportLogsServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    rpc.add_LogsServiceServicer_to_server(found, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", f"http://127.0.0.1:{port}")
    yield found
    server.stop(0)


async def test_a_change_is_a_log_record_at_the_collector(guarded: GuardedMesh, collector: Collector) -> None:
    await guarded.guarded(audit="otlp")
    operator = await guarded.by("operator")
    await operator.call("StartWorkflow", workflow_id="w", definition="call", input={"json": "1"})
    (record,) = collector.records
    attributes = {each.key: each.value.string_value for each in record.attributes}
    assert attributes["event.name"] == "nervenet.audit"
    assert attributes["nervenet.audit.subject"] == "spiffe://test/nervenet/operator"
    assert json.loads(record.body.string_value)["target"]["workflow_id"] == "w"
    assert record.severity_text == "INFO"
    assert collector.resources[0]["nervenet.role"] == "node"


async def test_a_refusal_is_a_warning_and_belongs_to_its_trace(collector: Collector) -> None:
    log = AuditLog(audit.OtlpSink("nervenet", "node", "n-1"))
    await log.write({"decision": "denied", "trace_id": TRACE})
    await log.close()
    (record,) = collector.records
    assert (record.severity_text, record.trace_id.hex()) == ("WARN", TRACE)


async def test_what_the_collector_does_not_take_is_not_done(collector: Collector) -> None:
    collector.refuses = True
    log = AuditLog(audit.OtlpSink("nervenet", "node", "n-1"))
    with pytest.raises(Unavailable, match="the collector did not take it") as refused:
        await log.write({"decision": "allowed"})
    assert refused.value.reason == "AUDIT_UNWRITABLE"
    await log.close()
