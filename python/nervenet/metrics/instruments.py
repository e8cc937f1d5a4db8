# SPDX-License-Identifier: Apache-2.0
"""What counts: plain attributes, without a lock, because only the event loop's thread changes them.

A family is one metric with its labels. Labels become a child once; the code that counts keeps the child. A family has at most
`MOST_CHILDREN` children. Further label values are counted together under `_other`, so a caller that invents names cannot
fill the memory of a node or of its Prometheus.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nervenet.metrics.catalog import Metric

__all__ = ["MOST_CHILDREN", "OTHER", "Counter", "Distribution", "Family", "Histogram"]

MOST_CHILDREN: Final = 500
"""Label sets of one metric."""
OTHER: Final = "_other"
"""The label value of everything above that."""
LONGEST_LABEL: Final = 100
"""Characters of a label value."""


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def __repr__(self) -> str:
        return f"<Counter {self.value:g}>"

    def add(self, amount: float = 1) -> None:
        self.value += amount


class Distribution(NamedTuple):
    """A histogram at one moment. `counts` has one more number than there are bounds: what is above the last one."""

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


class Histogram:
    """How many values were at most as large as each bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def __repr__(self) -> str:
        return f"<Histogram {sum(self.counts)} values>"

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def read(self) -> Distribution:
        return Distribution(self.bounds, tuple(self.counts), self.total)


_C = TypeVar("_C", Counter, Histogram)


class Family(Generic[_C]):
    """One metric: its children by the values of its labels."""

    __slots__ = ("_children", "_make", "dropped", "metric")

    def __init__(self, metric: Metric, make: Callable[[], _C]) -> None:
        self.metric = metric
        self.dropped = Counter()
        """Label sets that were counted under `_other`."""
        self._make: Callable[[], _C] = make
        self._children: dict[tuple[str, ...], _C] = {}

    def __repr__(self) -> str:
        return f"<Family {self.metric.name} {len(self._children)} children>"

    @staticmethod
    def of_histograms(metric: Metric) -> Family[Histogram]:
        """Histograms with the bounds of the metric."""
        return Family(metric, partial(Histogram, metric.bounds))

    def child(self, *labels: str) -> _C:
        """The child of these values, in the order of the metric's labels. Keep it where it is used often."""
        found = self._children.get(labels)
        return self._born(labels) if found is None else found

    def _born(self, labels: tuple[str, ...]) -> _C:
        assert len(labels) == len(self.metric.labels), f"{self.metric.name} has the labels {self.metric.labels}"
        labels = tuple(label[:LONGEST_LABEL] for label in labels)
        if labels not in self._children and len(self._children) >= MOST_CHILDREN:
            self.dropped.add()
            labels = (OTHER,) * len(labels)
        found = self._children.get(labels)
        if found is None:
            found = self._children[labels] = self._make()
        return found

    def points(self) -> list[tuple[tuple[str, ...], _C]]:
        """All children. Safe from another thread: copying a dict's items is one step of the interpreter."""
        return list(self._children.items())
