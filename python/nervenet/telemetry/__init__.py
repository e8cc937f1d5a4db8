# SPDX-License-Identifier: Apache-2.0
"""The only door to OpenTelemetry: one workflow is one trace, configured by the standard OTEL_* alone.

    telemetry = start("licence-audit", "node")     # first thing in the process; reads OTEL_*, off when they are silent
    ...
    telemetry.shutdown()                            # sends what is left

`start` decides once for the process, as OpenTelemetry itself has one provider a process; parts that want to trace ask
`current()`. Off is a plain object that does nothing: neither the SDK nor the exporter is imported.

`context` has W3C contexts and computed span ids, `spans` the plain values, `ambient` the API of OpenTelemetry, `sdk` the
rest of it. Only this package imports the last two.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping

from nervenet.clock import new_id
from nervenet.telemetry.context import (
    checked,
    continued,
    from_metadata,
    process_span_id,
    producer,
    send_span_id,
    span_of,
    task_span_id,
    to_metadata,
    trace_id,
)
from nervenet.telemetry.spans import OFF, Attributes, Handling, Kind, RpcSpan, Span, Telemetry

__all__ = [
    "OFF",
    "Attributes",
    "Handling",
    "Kind",
    "RpcSpan",
    "Span",
    "Telemetry",
    "checked",
    "continued",
    "current",
    "from_metadata",
    "process_span_id",
    "producer",
    "send_span_id",
    "span_of",
    "start",
    "task_span_id",
    "to_metadata",
    "trace_id",
    "wanted",
]

_log = logging.getLogger(__name__)
_process: Telemetry | None = None


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether OTEL_* ask for traces: an exporter or an endpoint is set, and nothing disables them."""
    if _disabled(environ):
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    return bool(environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def _disabled(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def start(service_name: str, role: str, instance_id: str = "") -> Telemetry:
    """The telemetry of the process. The first call decides. The names are defaults of the resource."""
    global _process
    if _process is None:
        _process = _made(service_name, role, instance_id or new_id(role))
    return _process


def current() -> Telemetry:
    """What `start` decided. Off before that."""
    return _process or OFF


def _made(service_name: str, role: str, instance_id: str) -> Telemetry:
    asked = wanted(os.environ)
    if _disabled(os.environ) or (not asked and "opentelemetry.sdk.trace" not in sys.modules):
        return OFF
    from nervenet.telemetry import sdk  # 100 ms and 20 MB that only those pay who trace

    found = sdk.existing()
    if found is not None or not asked:
        return found or OFF
    try:
        return sdk.configured(service_name, role, instance_id)
    except sdk.ExporterMissing as error:
        _log.error("traces are off: %s", error)
        return OFF
