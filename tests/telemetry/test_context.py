# SPDX-License-Identifier: Apache-2.0
"""Trace contexts of strangers: what is taken over, what is not, and what each hop makes of it."""

from __future__ import annotations

import pytest

from nervenet.records import NO_TRACE, Trace
from nervenet.telemetry import (
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
    wanted,
)

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "hello",
        GOOD[:-1],
        GOOD + "-more",
        GOOD.upper(),
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        GOOD.replace("00f067aa0ba902b7", "0" * 16),
        "ff" + GOOD[2:],
        GOOD + "\n",
    ],
)
def test_a_malformed_context_is_no_context(header: str) -> None:
    assert checked(Trace(header, "a=1", "b=2")) == NO_TRACE
    assert from_metadata([("traceparent", header)]) == NO_TRACE


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True), ("fe", False)]
)
def test_only_the_sampled_bit_of_the_flags_counts(flags: str, sampled: bool) -> None:
    assert checked(Trace(GOOD[:-2] + flags)).sampled is sampled
    assert not NO_TRACE.sampled


def test_metadata_comes_in_and_goes_out_again() -> None:
    metadata = [("traceparent", GOOD), ("x-request", "1"), ("tracestate", "a=1"), ("baggage", "t=x"), ("blob-bin", b"")]
    trace = from_metadata(metadata)
    assert trace == Trace(GOOD, "a=1", "t=x")
    assert to_metadata(trace) == [("traceparent", GOOD), ("tracestate", "a=1"), ("baggage", "t=x")]
    assert from_metadata([*metadata, ("tracestate", "b=2")]).tracestate == "a=1,b=2"
    assert from_metadata(None) == NO_TRACE
    assert to_metadata(NO_TRACE) == []


def test_what_is_too_long_stays_behind() -> None:
    trace = checked(Trace(GOOD, "a=" + "x" * 600, "b=" + "y" * 9000))
    assert trace == Trace(GOOD, "", "")


def test_each_span_has_an_id_that_everybody_can_compute() -> None:
    trace = Trace(GOOD, "a=1", "t=x")
    ids = {
        task_span_id(trace, "wf/a"),
        send_span_id(trace, "wf/a", 1),
        send_span_id(trace, "wf/a", 2),
        process_span_id(trace, "wf/a", 1, "a-1"),
        process_span_id(trace, "wf/a", 1, "a-2"),
    }
    assert len(ids) == 5
    sent = producer(trace, "wf/a", 1)
    assert span_of(sent) == send_span_id(trace, "wf/a", 1)
    assert trace_id(sent) == trace_id(trace)
    assert (sent.tracestate, sent.baggage, sent.sampled) == ("a=1", "t=x", True)
    assert process_span_id(sent, "wf/a", 1, "a-1") in ids, "an agent computes it from what it was sent"
    assert continued(trace, b"\1" * 8).traceparent == f"{GOOD[:36]}{'01' * 8}-01"


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "audit"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
    ],
)
def test_the_standard_environment_decides_and_nothing_else(environment: dict[str, str], on: bool) -> None:
    assert wanted(environment) is on
