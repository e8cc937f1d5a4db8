# SPDX-License-Identifier: Apache-2.0
"""Counters, histograms and gauges of a process, and the two ways in which others read them.

    registry = Registry("node")
    started = registry.counters(catalog.WORKFLOWS_STARTED)
    started.child("review").add()                    # 40 ns once the child is kept
    exposition.text([registry])                      # Prometheus' text format

`catalog` is the table of all metrics: name, unit, labels, meaning, what to do. `instruments` counts, `registry` collects,
`exposition` writes the text of Prometheus, `door` serves it. OpenTelemetry reads the same registry (`telemetry/metrics.py`).

Each node and each agent has a registry of its own, so two nodes in one process do not mix. Rejected: the instruments of
OpenTelemetry and of prometheus_client. They take a lock and look labels up each time, which costs 1 to 3 µs for each
event, and their registries belong to the process.
"""

from __future__ import annotations

from nervenet.metrics.instruments import Counter, Family, Histogram
from nervenet.metrics.registry import Registry

__all__ = ["Counter", "Family", "Histogram", "Registry"]
