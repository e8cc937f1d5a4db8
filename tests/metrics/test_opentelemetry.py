# SPDX-License-Identifier: Apache-2.0
"""The second exporter: an OTLP collector gets from a real process what its page shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as rpc

from nervenet.telemetry import metrics_wanted
from tests.support.mesh import ProcessMesh
from tests.support.waiting import until


class Collector(rpc.MetricsServiceServicer):
    """The last value of each metric, by role and name: (attributes, value) pairs."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.seen: dict[tuple[str, str], list[tuple[dict[str, str], Any]]] = {}
        self.instances: set[str] = set()
        self.kinds: dict[str, str] = {}

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_metrics:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.instances.add(about["service.instance.id"])
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    self.kinds[metric.name] = kind
                    points = [
                        ({one.key: one.value.string_value for one in point.attributes}, point)
                        for point in getattr(metric, kind).data_points
                    ]
                    self.seen[about["nervenet.role"], metric.name] = points
        return pb.ExportMetricsServiceResponse()

    def value(self, role: str, name: str, **attributes: str) -> float:
        total = 0.0
        for own, point in self.seen.get((role, name), ()):
            if attributes.items() <= {key.replace(".", "_"): value for key, value in own.items()}.items():
                total += point.count if hasattr(point, "bucket_counts") else point.as_double or point.as_int
        return total


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    rpc.add_MetricsServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield collector
    server.stop(0).wait()


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
async def test_a_collector_gets_counters_gauges_and_histograms(
    tmp_path: Path, redis_url: str, etcd_url: str, collector: Collector, temporality: str
) -> None:
    asked = {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
        "OTEL_TRACES_EXPORTER": "none",
    }
    got = {"started": 0.0, "waits": 0.0}
    with ProcessMesh(tmp_path, redis_url, etcd_url, app="tests/metrics/app.py", **asked) as mesh:
        (node,) = mesh.up(mesh.node())
        mesh.up(mesh.agent("--only", "greet"))

        def look() -> bool:
            """A cumulative value is the sum; of deltas the largest is enough to see that they arrive."""
            got["started"] = max(
                got["started"], collector.value("node", "nervenet.workflow.started", definition="welcome")
            )
            got["waits"] = max(
                got["waits"], collector.value("agent", "nervenet.task.schedule_to_start", capability="greet")
            )
            return got["started"] >= 1 and got["waits"] >= 1

        async with mesh.client(node) as client:
            for name in ("Ada", "Grace", "Joan"):
                await client.run("welcome", name)
        await until(look, "the collector has it", of=mesh)
        if temporality == "cumulative":
            await until(lambda: collector.value("node", "nervenet.workflow.started", definition="welcome") == 3)
            await until(lambda: collector.value("agent", "nervenet.task.schedule_to_start", capability="greet") == 3)
            (_, point) = collector.seen["agent", "nervenet.task.schedule_to_start"][0]
            assert sum(point.bucket_counts) == point.count == 3
            assert len(point.explicit_bounds) + 1 == len(point.bucket_counts)
            assert not point.HasField("min")
        await until(lambda: collector.value("node", "nervenet.mesh.nodes", state="active") == 1)
        assert collector.kinds["nervenet.workflow.started"] == "sum"
        assert collector.kinds["nervenet.mesh.nodes"] == "gauge"
        assert collector.kinds["rpc.server.call.duration"] == "histogram"
        assert len(collector.instances) == 2


def test_only_what_asks_for_metrics_turns_them_on() -> None:
    general = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4317"}
    assert not metrics_wanted({})
    assert not metrics_wanted(general), "many collectors of traces refuse metrics"
    assert metrics_wanted({**general, "OTEL_METRICS_EXPORTER": "otlp"})
    assert metrics_wanted({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://there:4317"})
    assert not metrics_wanted({**general, "OTEL_METRICS_EXPORTER": "none"})
    assert not metrics_wanted({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"})
