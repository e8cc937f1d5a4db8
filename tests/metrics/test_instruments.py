# SPDX-License-Identifier: Apache-2.0
"""Counters, histograms, and the page: pure, no server."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nervenet.metrics import Registry, catalog, exposition
from nervenet.metrics.instruments import MOST_CHILDREN, OTHER
from tests.metrics.world import samples


def page_of(*registries: Registry) -> str:
    return exposition.text(registries).decode()


def test_a_histogram_counts_a_value_at_its_bound_below_it() -> None:
    registry = Registry("node")
    lag = registry.histograms(catalog.LOOP_LAG).child()
    for value in (0.001, 0.0011, 100.0):
        lag.observe(value)
    found = {
        sample.labels["le"]: sample.value
        for sample in samples(page_of(registry))["nervenet_loop_lag_seconds"]
        if sample.name.endswith("_bucket")
    }
    assert (found["0.001"], found["0.005"], found["5"], found["+Inf"]) == (1, 2, 2, 3)
    assert "nervenet_loop_lag_seconds_sum" in page_of(registry)


def test_a_family_has_a_limit_and_says_that_it_has_dropped_labels() -> None:
    registry = Registry("node")
    sent = registry.counters(catalog.TASKS_SENT)
    for at in range(MOST_CHILDREN + 50):
        sent.child(f"capability-{at}", "inbox").add()
    known = sent.child("capability-7", "inbox")
    known.add()
    assert known is sent.child("capability-7", "inbox")
    assert sent.child("one more", "queue") is sent.child(OTHER, OTHER)
    assert len(sent.points()) == MOST_CHILDREN + 1
    dropped = registry.one("nervenet.metrics.labels_dropped")
    assert dropped is not None
    assert dropped.points == [(("nervenet.task.sent",), 51.0)]


def test_what_is_read_has_the_same_limit() -> None:
    registry = Registry("node")
    registry.read(catalog.QUEUE_DEPTH, lambda: {(f"capability-{at}",): 1.0 for at in range(MOST_CHILDREN + 50)})
    depth = registry.one("nervenet.queue.depth")
    assert depth is not None
    assert len(depth.points) == MOST_CHILDREN


def test_a_metric_is_counted_at_one_place_only() -> None:
    registry = Registry("node")
    registry.counters(catalog.TASKS_SENT)
    with pytest.raises(AssertionError, match="counted twice"):
        registry.counters(catalog.TASKS_SENT)


def test_any_text_may_be_a_label() -> None:
    registry = Registry("agent")
    strange = 'a"b\\c\nd é 🙂' + "x" * 200
    registry.counters(catalog.TASKS_SENT).child(strange, "inbox").add()
    (found,) = samples(page_of(registry))["nervenet_task_sent"]
    assert found.labels == {"role": "agent", "capability": strange[:100], "route": "inbox"}


def test_every_metric_of_the_table_makes_a_page_that_the_parser_takes() -> None:
    registry = Registry("node", ("tenant", "team.name"))
    for metric in catalog.ALL:
        if metric.name == catalog.LABELS_DROPPED.name:
            continue
        labels = tuple(f"value of {label}" for label in metric.labels)
        caller = ("acme", "legal") if metric.takes_caller_labels else ()
        if metric.kind == "histogram":
            registry.histograms(metric).child(*labels, *caller).observe(0.3)
        elif metric.kind == "counter":
            registry.counters(metric).child(*labels, *caller).add(2)
        else:
            registry.read(metric, lambda labels=labels: {labels: 0.25})  # type: ignore[misc]
    families = list(text_string_to_metric_families(page_of(registry)))
    assert len(families) == len(catalog.ALL) - 1
    for family in families:
        assert family.type in ("counter", "gauge", "histogram"), family.name
        assert family.documentation
        for sample in family.samples:
            assert sample.labels["role"] == "node"
    closed = next(family for family in families if family.name == "nervenet_workflow_closed")
    assert closed.samples[0].labels["tenant"] == "acme"
    assert closed.samples[0].labels["team_name"] == "legal"


def test_names_and_labels_of_the_table_are_well_formed() -> None:
    for metric in catalog.ALL:
        assert metric.name.startswith(("nervenet.", "rpc.", "gen_ai.", "process.")), metric.name
        assert not any("id" in label.split("_") or label.endswith(".id") for label in metric.labels), metric.name
        assert (metric.kind == "histogram") == bool(metric.bounds), metric.name
        assert list(metric.bounds) == sorted(set(metric.bounds)), metric.name
        for words in (metric.meaning, metric.moves, metric.action):
            assert words.endswith((".", "…")), metric.name
