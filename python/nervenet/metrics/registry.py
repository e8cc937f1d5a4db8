# SPDX-License-Identifier: Apache-2.0
"""All metrics of one node or one agent, for the exporters.

    registry = Registry("node")
    sent = registry.counters(catalog.TASKS_SENT)
    registry.read(catalog.NODE_FULL, lambda: float(admission.full))
    for collected in registry.collect(): ...

A metric that is a plain number somewhere already is not counted twice: `read` gives a function that is called when
somebody asks. It must be cheap and change nothing, because it is called in the event loop, and by OpenTelemetry's thread.
What takes longer is looked at in the background while `exported` (`node/gauges.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from nervenet.metrics import catalog
from nervenet.metrics.instruments import Counter, Distribution, Family, Histogram

if TYPE_CHECKING:
    from nervenet.metrics.catalog import Metric

__all__ = ["Collected", "Read", "Registry"]

Value: TypeAlias = float | Distribution
Read: TypeAlias = Callable[[], float | Mapping[tuple[str, ...], float]]
"""Gives the value of a metric without labels, or one value for each set of label values."""

_MOST_READ: Final = 500
"""Label sets of one metric that is read, as `instruments.MOST_CHILDREN`."""


class Collected(NamedTuple):
    """One metric with its values, in the order in which the table of metrics has it."""

    metric: Metric
    points: list[tuple[tuple[str, ...], Value]]


class Registry:
    """See the module. `role` is `node` or `agent`; it becomes a label of everything, and so does `namespace` where it is set."""

    def __init__(self, role: str, caller_labels: tuple[str, ...] = (), namespace: str = "") -> None:
        self.role = role
        self.namespace = namespace
        """Whose metrics these are, in a process that serves several namespaces; else ""."""
        self.caller_labels = caller_labels
        """Labels of workflows that operators allow as labels of metrics (setting `metrics_labels`)."""
        self.exported = False
        """Whether anybody reads it."""
        self._families: dict[str, Family[Any]] = {}
        self._reads: dict[str, tuple[Metric, Read]] = {}
        self.read(catalog.LABELS_DROPPED, self._dropped)

    def __repr__(self) -> str:
        return f"<Registry of a {self.role}, {len(self._families) + len(self._reads)} metrics>"

    def counters(self, metric: Metric) -> Family[Counter]:
        """A new family of counters."""
        return self.add(Family(self._own(metric), Counter))

    def histograms(self, metric: Metric) -> Family[Histogram]:
        """A new family of histograms with the bounds of the metric."""
        return self.add(Family.of_histograms(self._own(metric)))

    def _own(self, metric: Metric) -> Metric:
        if not metric.takes_caller_labels or not self.caller_labels:
            return metric
        return metric._replace(labels=(*metric.labels, *self.caller_labels))

    def add(self, family: Family[Any]) -> Family[Any]:
        """Export a family that a part made itself."""
        assert family.metric.name not in self._families, f"{family.metric.name} is counted twice"
        self._families[family.metric.name] = family
        return family

    def read(self, metric: Metric, read: Read) -> None:
        """Export a number that exists anyway."""
        assert metric.name not in self._reads, f"{metric.name} is read twice"
        self._reads[metric.name] = metric, read

    def values_of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The values that a workflow has for the allowed labels of callers; "" where it has none."""
        return tuple(labels.get(name, "") for name in self.caller_labels) if self.caller_labels else ()

    def collect(self) -> list[Collected]:
        """Everything there is to say now."""
        found = [Collected(family.metric, _values(family)) for family in tuple(self._families.values())]
        found += [Collected(metric, _read(read)) for metric, read in tuple(self._reads.values())]
        return sorted((one for one in found if one.points), key=_place)

    def one(self, name: str) -> Collected | None:
        """One metric; None: this registry does not have it."""
        if (family := self._families.get(name)) is not None:
            return Collected(family.metric, _values(family))
        if (found := self._reads.get(name)) is not None:
            return Collected(found[0], _read(found[1]))
        return None

    def _dropped(self) -> Mapping[tuple[str, ...], float]:
        counts = {(family.metric.name,): family.dropped.value for family in tuple(self._families.values())}
        return {labels: count for labels, count in counts.items() if count}


def _values(family: Family[Any]) -> list[tuple[tuple[str, ...], Value]]:
    return [(labels, one.read() if isinstance(one, Histogram) else one.value) for labels, one in family.points()]


def _read(read: Read) -> list[tuple[tuple[str, ...], Value]]:
    found = read()
    if isinstance(found, Mapping):
        return [*list(found.items())[:_MOST_READ]]
    return [((), found)]


def _place(collected: Collected) -> int:
    return catalog.PLACE[collected.metric.name]
