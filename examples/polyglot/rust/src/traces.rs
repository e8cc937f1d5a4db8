// SPDX-License-Identifier: Apache-2.0
//! The spans of tasks: OpenTelemetry, from the environment.

use std::collections::HashMap;

use opentelemetry::trace::{SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global, propagation::TextMapPropagator};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};

use crate::pb::TaskEnvelope;
use crate::{Error, dial::setting};

/// A span that continues the task's trace, in the context for its handler.
pub fn span(task: &TaskEnvelope) -> Context {
    let trace = task.trace.clone().unwrap_or_default();
    let carrier = HashMap::from([("traceparent".into(), trace.traceparent), ("tracestate".into(), trace.tracestate)]);
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let tracer = global::tracer("nervenet");
    let attributes = [
        KeyValue::new("nervenet.task.id", task.task_id.clone()),
        KeyValue::new("nervenet.task.attempt", i64::from(task.attempt)),
        KeyValue::new("nervenet.workflow.id", task.workflow_id.clone()),
    ];
    let name = format!("process queue:{}", task.capability);
    let span = tracer.span_builder(name).with_kind(SpanKind::Consumer).with_attributes(attributes);
    let span = span.start_with_context(&tracer, &parent);
    parent.with_span(span)
}

/// Starts OpenTelemetry as the OTEL_* variables say, silent without them; `shutdown` of the answer sends what is left.
pub fn start() -> Result<Option<SdkTracerProvider>, Error> {
    if setting("OTEL_EXPORTER_OTLP_ENDPOINT").or(setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")).is_none() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_tonic().build()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    global::set_tracer_provider(provider.clone());
    Ok(Some(provider))
}
