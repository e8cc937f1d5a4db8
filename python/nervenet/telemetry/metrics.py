# SPDX-License-Identifier: Apache-2.0
"""Metrics for OpenTelemetry: observable instruments that read the counters of a registry.

It hides the SDK. Counters and gauges are observable instruments: the SDK asks, we read. OpenTelemetry has no observable
histogram, so the reader adds ours to what the SDK has collected, in the SDK's own form, with the temporality that the
exporter prefers.

Each registry has a meter provider of its own, with its own `service.instance.id`: two nodes in a process stay apart, and
the provider that a user's program may have is left alone. OTEL_EXPORTER_OTLP_*, OTEL_METRIC_EXPORT_INTERVAL and
OTEL_RESOURCE_ATTRIBUTES hold, because the SDK reads them.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
)

from nervenet.clock import SYSTEM, new_id
from nervenet.metrics import catalog
from nervenet.metrics.exposition import NAMESPACE
from nervenet.metrics.instruments import Distribution
from nervenet.telemetry.resource import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nervenet.metrics.registry import Registry

_log = logging.getLogger(__name__)
SHUTDOWN_WITHIN: Final = 3.0


class ExporterMissing(Exception):
    """OTEL_METRICS_EXPORTER names an exporter that is not installed."""


def export(registry: Registry, service_name: str) -> Callable[[], None]:
    """Send this registry's metrics as OTEL_* say, until the returned function is called. Raises ExporterMissing."""
    names = os.environ.get("OTEL_METRICS_EXPORTER", "otlp").split(",")
    readers = [_Reader(_exporter(name.strip()), registry) for name in names if name.strip()]
    provider = MeterProvider(
        readers, resource(service_name, registry.role, new_id(registry.role)), shutdown_on_exit=False
    )
    meter = provider.get_meter("nervenet", version("nervenet"))
    for metric in catalog.ALL:
        observe = partial(_observed, registry, metric)
        if metric.kind == "counter":
            meter.create_observable_counter(metric.name, [observe], metric.unit, metric.meaning)
        elif metric.kind == "gauge":
            meter.create_observable_gauge(metric.name, [observe], metric.unit, metric.meaning)
    registry.exported = True
    return partial(_end, provider)


def _end(provider: MeterProvider) -> None:
    """Send once more. A collector that is out of reach does not hold up the end of the process."""
    sending = threading.Thread(target=provider.shutdown, name="nervenet-last-metrics", daemon=True)
    sending.start()
    sending.join(SHUTDOWN_WITHIN)
    if sending.is_alive():
        _log.warning("the last metrics were not sent within %g s", SHUTDOWN_WITHIN)


def _exporter(name: str) -> MetricExporter:
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") or os.environ.get(
            "OTEL_EXPORTER_OTLP_PROTOCOL"
        )
        name = "otlp_proto_http" if (protocol or "grpc").startswith("http") else "otlp_proto_grpc"
    for found in entry_points(group="opentelemetry_metrics_exporter", name=name):
        made: MetricExporter = found.load()()
        return made
    raise ExporterMissing(f"no exporter {name!r} is installed (OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL)")


def _observed(registry: Registry, metric: catalog.Metric, _: object) -> Iterator[Observation]:
    collected = registry.one(metric.name)
    if collected is None:
        return
    for labels, value in collected.points:
        if not isinstance(value, Distribution):
            yield Observation(value, _attributes(registry, collected.metric, labels))


def _attributes(registry: Registry, metric: catalog.Metric, labels: tuple[str, ...]) -> dict[str, str]:
    own = {NAMESPACE: registry.namespace} if registry.namespace else {}
    return own | {name: value for name, value in zip(metric.labels, labels, strict=True) if value}


class _Reader(PeriodicExportingMetricReader):
    """Adds the registry's histograms to what the SDK has collected."""

    def __init__(self, exporter: MetricExporter, registry: Registry) -> None:
        self._registry = registry
        self._began_ns = self._last_ns = SYSTEM.now_ns()
        self._before: dict[tuple[str, tuple[str, ...]], Distribution] = {}
        super().__init__(exporter)
        # The keys are the SDK's own subclasses of the classes that it shows.
        preferences = self._instrument_class_temporality
        self._preferred = next(given for kind, given in preferences.items() if issubclass(kind, SdkHistogram))

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        added = list(self._histograms(self._preferred))
        resources = list(metrics_data.resource_metrics)
        if added and resources:
            scopes = list(resources[0].scope_metrics)
            scopes[0] = replace(scopes[0], metrics=[*scopes[0].metrics, *added])
            resources[0] = replace(resources[0], scope_metrics=scopes)
            metrics_data = replace(metrics_data, resource_metrics=resources)
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)

    def _histograms(self, temporality: AggregationTemporality) -> Iterable[Metric]:
        now = SYSTEM.now_ns()
        delta = temporality is AggregationTemporality.DELTA
        since = self._last_ns if delta else self._began_ns
        for metric, points in self._registry.collect():
            if metric.kind != "histogram":
                continue
            made = []
            for labels, value in points:
                assert isinstance(value, Distribution)
                shown = value
                if delta:
                    shown = _since(self._before.get((metric.name, labels)), value)
                    self._before[metric.name, labels] = value
                made.append(_point(_attributes(self._registry, metric, labels), since, now, shown))
            yield Metric(metric.name, metric.meaning, metric.unit, Histogram(made, temporality))
        self._last_ns = now


def _since(before: Distribution | None, now: Distribution) -> Distribution:
    if before is None:
        return now
    counts = tuple(new - old for new, old in zip(now.counts, before.counts, strict=True))
    return Distribution(now.bounds, counts, now.total - before.total)


def _point(attributes: dict[str, str], since: int, now: int, value: Distribution) -> HistogramDataPoint:
    """The SDK's form. Smallest and largest value are not known: the wire format has them as optional."""
    unknown: Any = None
    return HistogramDataPoint(
        attributes, since, now, sum(value.counts), value.total, value.counts, value.bounds, min=unknown, max=unknown
    )
