# SPDX-License-Identifier: Apache-2.0
"""Tracing that is off, that is somebody else's, and that cannot reach its collector: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

from tests.support.environment import clean_environment
from tests.telemetry.collector import collector


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


ROLES = """
    import sys
    from nervenet import telemetry
    import nervenet.node.node, nervenet.node.services, nervenet.agent.runtime, nervenet.client.client
    spans = telemetry.start("audit", "node")
    assert telemetry.current() is spans
    print(spans, sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""


def test_off_imports_nothing_of_opentelemetry_in_any_role() -> None:
    assert run(ROLES) == "<Telemetry off> []\n"


def test_disabled_wins_over_an_endpoint() -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}
    assert run(ROLES, **environment) == "<Telemetry off> []\n"


def test_off_still_hands_on_the_context_of_a_caller_who_uses_opentelemetry() -> None:
    said = run("""
        from nervenet import telemetry
        from nervenet.telemetry import OFF
        assert OFF.here().traceparent == ""
        from opentelemetry import trace
        context = trace.SpanContext(0xabc, 0xdef, False, trace.TraceFlags(1))
        with trace.use_span(trace.NonRecordingSpan(context)):
            print(telemetry.start("x", "client").outgoing("a.B/C").trace.traceparent)
    """)
    assert said == "00-00000000000000000000000000000abc-0000000000000def-01\n"


def test_a_provider_that_the_users_code_has_set_up_is_used_as_it_is() -> None:
    said = run("""
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        kept = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource.create({"service.name": "the users"}))
        provider.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(provider)

        from nervenet import telemetry
        spans = telemetry.start("audit", "client")
        assert trace.get_tracer_provider() is provider and spans.service == "the users"
        with trace.get_tracer("users").start_as_current_span("request"):
            with spans.outgoing("a.B/C") as call:
                pass
        call, request = kept.get_finished_spans()
        print(call.name, call.parent.span_id == request.context.span_id, call.resource is provider.resource)
    """)
    assert said == "a.B/C True True\n"


def test_a_collector_out_of_reach_does_not_hold_up_the_end_and_what_is_not_installed_is_named() -> None:
    began = time.monotonic()
    run(
        """
        from nervenet import telemetry
        from nervenet.records import NO_TRACE
        spans = telemetry.start("audit", "node")
        assert spans.on
        spans.incoming("a.B/C", NO_TRACE).end()
        spans.shutdown(0.5)
    """,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )
    assert time.monotonic() - began < 10
    said = run(ROLES, OTEL_TRACES_EXPORTER="zipkin")
    assert "no exporter 'zipkin' is installed" in said
    assert "<Telemetry off>" in said


def test_the_sampler_of_the_environment_decides_where_a_trace_begins() -> None:
    with collector() as served:
        said = run(
            """
            from nervenet import telemetry
            from nervenet.records import NO_TRACE, Trace
            spans = telemetry.start("audit", "node", "n-1")
            calls = [spans.incoming("a.B/C", NO_TRACE) for _ in range(2000)]
            print(150 < sum(call.trace.sampled for call in calls) < 350)
            for name, flag in (("yes", "01"), ("no", "00")):
                trace = Trace(f"00-{'a' * 32}-{'b' * 16}-{flag}")
                with spans.incoming(name, trace) as call:
                    assert call.trace.sampled is trace.sampled
            spans.shutdown()
        """,
            OTEL_EXPORTER_OTLP_ENDPOINT=served.endpoint,
            OTEL_TRACES_SAMPLER="parentbased_traceidratio",
            OTEL_TRACES_SAMPLER_ARG="0.125",
            OTEL_SERVICE_NAME="by environment",
            OTEL_RESOURCE_ATTRIBUTES="team=blue",
        )
        assert said == "True\n"
        (span,) = served.wait(len, "the sampled one")
        assert (span.name, span.parent_id, span.kind) == ("yes", "b" * 16, "SERVER")
        assert {key: span.service[key] for key in ("service.name", "service.instance.id", "team", "nervenet.role")} == {
            "service.name": "by environment",
            "service.instance.id": "n-1",
            "team": "blue",
            "nervenet.role": "node",
        }
