# SPDX-License-Identifier: Apache-2.0
"""The audit log as OpenTelemetry logs: each line is a log record, sent over OTLP before the call that it is about is made.

The SDK's exporter gives the connection, with everything that OTEL_EXPORTER_OTLP_* and OTEL_EXPORTER_OTLP_LOGS_* say. The
message is made here, because the SDK's classes for logs differ from one version to the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from nervenet.clock import SYSTEM
from nervenet.telemetry.resource import resource
from nervenet.timing import AUDIT_WRITTEN_WITHIN

__all__ = ["OtlpSink"]

EVENT: Final = "nervenet.audit"
_SENT_WITHIN: Final = AUDIT_WRITTEN_WITHIN - 1


class _Exporter(OTLPLogExporter):
    """The SDK's exporter, for messages that are made already."""

    def _translate_data(self, data: Any) -> Any:
        """The one request in the list that `export` was given."""
        return data[0]


class OtlpSink:
    """A sink of the audit log (`nervenet.security.audit`)."""

    def __init__(self, service_name: str, role: str, instance_id: str) -> None:
        self._exporter: Any = _Exporter(timeout=_SENT_WITHIN)
        attributes = resource(service_name, role, instance_id).attributes
        self._resource = Resource(attributes=[_pair(name, str(value)) for name, value in attributes.items()])
        self._scope = InstrumentationScope(name=EVENT, version=version("nervenet"))

    def __repr__(self) -> str:
        return "<OtlpSink>"

    def write(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Send them. Raises OSError where the collector did not take them."""
        scope = ScopeLogs(scope=self._scope, log_records=[_record(one) for one in records])
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[scope])])
        if self._exporter.export([request]).name != "SUCCESS":
            raise OSError(f"the collector did not take it within {_SENT_WITHIN:g} s (OTEL_EXPORTER_OTLP_LOGS_ENDPOINT)")

    def close(self) -> None:
        self._exporter.shutdown()


def _record(line: Mapping[str, Any]) -> LogRecord:
    now = SYSTEM.now_ns()
    denied = line.get("decision") == "denied"
    record = LogRecord(
        time_unix_nano=now,
        observed_time_unix_nano=now,
        severity_number=SeverityNumber.SEVERITY_NUMBER_WARN if denied else SeverityNumber.SEVERITY_NUMBER_INFO,
        severity_text="WARN" if denied else "INFO",
        body=AnyValue(string_value=json.dumps(line, separators=(",", ":"))),
        attributes=[_pair(f"{EVENT}.{name}", value) for name, value in line.items() if isinstance(value, str)],
    )
    record.attributes.append(_pair("event.name", EVENT))
    if trace_id := line.get("trace_id"):
        record.trace_id = bytes.fromhex(trace_id)
    return record


def _pair(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))
