# SPDX-License-Identifier: Apache-2.0
"""The only door to OpenTelemetry: traces (one workflow is one trace) and metrics, configured by the standard OTEL_* alone.

    telemetry = start("licence-audit", "node")     # first thing in the process; reads OTEL_*, off when they are silent
    ...
    telemetry.shutdown()                            # sends what is left

`start` decides once for the process, as OpenTelemetry itself has one provider a process; parts that want to trace ask
`current()`. Off is a plain object that does nothing: neither the SDK nor the exporter is imported.

`context` has W3C contexts and computed span ids, `spans` the plain values, `ambient` the API of OpenTelemetry; `sdk` and
`metrics` use the SDK. Metrics are of a node or an agent, not of the process: see `export_metrics`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from nervenet.metrics import Registry

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
    "export_metrics",
    "from_metadata",
    "metrics_wanted",
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


def metrics_wanted(environ: Mapping[str, str]) -> bool:
    """Whether OTEL_* ask for metrics: an exporter of metrics or their own endpoint is set.

    The endpoint for everything is not enough: many collectors of traces, such as Jaeger, refuse metrics.
    """
    if _disabled(environ):
        return False
    exporter = environ.get("OTEL_METRICS_EXPORTER", "").strip().lower()
    if exporter:
        return exporter != "none"
    return bool(environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"))


def export_metrics(registry: Registry, service_name: str) -> Callable[[], None] | None:
    """Send a registry's metrics as OTEL_* ask, until the returned function is called. None: they do not ask."""
    if not metrics_wanted(os.environ):
        return None
    from nervenet.telemetry import metrics  # the SDK, for those who use it

    try:
        return metrics.export(registry, service_name)
    except metrics.ExporterMissing as error:
        _log.error("metrics are not sent: %s", error)
        return None


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
