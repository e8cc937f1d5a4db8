# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text format, version 0.0.4.

    exposition.text([node_registry, agent_registry])

Names follow OpenTelemetry's rules for Prometheus: dots become underscores, the unit is added as a word, and counters end
in `_total`. Each line has the label `role`, so a node and an agent in one process can share a page; those of a process that serves
several namespaces have `nervenet_namespace` too, unless they are of the whole process. A label without a
value is left out, which means the same in Prometheus.

Rejected: prometheus_client's `generate_latest`. It needs its own metric objects, made again for each page, and this is
forty lines. Its parser reads every page of the tests.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from nervenet.metrics.instruments import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nervenet.metrics.catalog import Metric
    from nervenet.metrics.registry import Registry, Value

__all__ = ["CONTENT_TYPE", "NAMESPACE", "label_name", "prometheus_name", "text"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UNITS: Final = {"s": "_seconds", "By": "_bytes"}
NAMESPACE: Final = "nervenet.namespace"
"""The label of metrics of one namespace, in a process with several. Not `namespace`, which is Kubernetes' label of targets."""
_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def prometheus_name(metric: Metric) -> str:
    """`nervenet_workflow_started_total`, `rpc_server_call_duration_seconds`."""
    name = metric.name.replace(".", "_") + _UNITS.get(metric.unit, "")
    return f"{name}_total" if metric.kind == "counter" else name


def label_name(name: str) -> str:
    """`gen_ai_agent_name`."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def text(registries: Iterable[Registry]) -> bytes:
    """One page for all of them."""
    metrics: dict[str, Metric] = {}
    lines: dict[str, list[str]] = {}
    for registry in registries:
        for metric, points in registry.collect():
            metrics.setdefault(metric.name, metric)
            own = lines.setdefault(metric.name, [])
            for labels, value in points:
                own += _lines(metric, registry, labels, value)
    parts: list[str] = []
    for name, metric in metrics.items():
        shown = prometheus_name(metric)
        parts.append(f"# HELP {shown} {_help(metric.meaning)}\n# TYPE {shown} {metric.kind}\n")
        parts += lines[name]
    return "".join(parts).encode()


def _lines(metric: Metric, registry: Registry, labels: tuple[str, ...], value: Value) -> Iterator[str]:
    name = prometheus_name(metric)
    pairs = [f'role="{registry.role}"']
    if registry.namespace:
        pairs.append(f'{label_name(NAMESPACE)}="{registry.namespace}"')
    pairs += [
        f'{label_name(label)}="{given.translate(_ESCAPED)}"'
        for label, given in zip(metric.labels, labels, strict=True)
        if given
    ]
    shown = ",".join(pairs)
    if not isinstance(value, Distribution):
        yield f"{name}{{{shown}}} {_number(value)}\n"
        return
    count = 0
    for bound, more in zip(value.bounds, value.counts, strict=False):
        count += more
        yield f'{name}_bucket{{{shown},le="{_number(bound)}"}} {count}\n'
    count += value.counts[-1]
    yield f'{name}_bucket{{{shown},le="+Inf"}} {count}\n'
    yield f"{name}_sum{{{shown}}} {_number(value.total)}\n"
    yield f"{name}_count{{{shown}}} {count}\n"


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _help(words: str) -> str:
    return words.replace("\\", r"\\").replace("\n", " ")
