// SPDX-License-Identifier: Apache-2.0
package dev.nervenet.examples;

import com.google.protobuf.util.Timestamps;
import dev.nervenet.v1.Failure;
import dev.nervenet.v1.FailureCode;
import dev.nervenet.v1.Payload;
import dev.nervenet.v1.TaskEnvelope;
import dev.nervenet.v1.TaskProgress;
import dev.nervenet.v1.TaskResult;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import io.opentelemetry.sdk.autoconfigure.AutoConfiguredOpenTelemetrySdk;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/** What a handler is, and how one is run and traced; nothing here knows how tasks arrive. */
final class Handlers {
  /** Answers with a payload, or throws: any error is a failure that may be tried again, a Failed says more. */
  interface Handler {
    Payload handle(TaskEnvelope task, Consumer<TaskProgress.Builder> report) throws Exception;
  }

  /** A failure in the mesh's own words. */
  static final class Failed extends Exception {
    final Failure failure;

    Failed(Failure.Builder failure) {
      super(failure.getMessage());
      this.failure = failure.build();
    }

    /** Input that does not fit: never tried again. */
    static Failed invalid(String why) {
      return new Failed(Failure.newBuilder().setCode(FailureCode.FAILURE_CODE_INVALID_INPUT).setType("InvalidInput").setMessage(why));
    }
  }

  /** Call the handler inside a span that continues the task's trace; whatever becomes of it is one outcome. */
  static TaskResult run(Handler handler, TaskEnvelope task, Consumer<TaskProgress.Builder> report) {
    var carrier = Map.of("traceparent", task.getTrace().getTraceparent(), "tracestate", task.getTrace().getTracestate());
    var parent = W3CTraceContextPropagator.getInstance().extract(Context.root(), carrier, new TextMapGetter<Map<String, String>>() {
      @Override public Iterable<String> keys(Map<String, String> from) { return List.copyOf(from.keySet()); }
      @Override public String get(Map<String, String> from, String key) { return from.get(key); }
    });
    var span = GlobalOpenTelemetry.getTracer("nervenet").spanBuilder("process queue:" + task.getCapability()).setParent(parent)
        .setSpanKind(SpanKind.CONSUMER).setAttribute("nervenet.task.id", task.getTaskId())
        .setAttribute("nervenet.task.attempt", (long) task.getAttempt())
        .setAttribute("nervenet.workflow.id", task.getWorkflowId()).startSpan();
    var result = TaskResult.newBuilder().setAttempt(task.getAttempt()).setStartTime(Timestamps.now());
    try (var current = span.makeCurrent()) {
      result.setOutput(handler.handle(task, report));
    } catch (Throwable error) { // a bug costs one attempt, not the process
      result.setFailure(failureOf(error));
      span.setStatus(StatusCode.ERROR, result.getFailure().getMessage());
    } finally {
      span.end();
    }
    return result.setEndTime(Timestamps.now()).build();
  }

  private static Failure failureOf(Throwable error) {
    if (error instanceof Failed) return ((Failed) error).failure;
    var stack = new StringWriter();
    error.printStackTrace(new PrintWriter(stack));
    boolean stopped = error instanceof InterruptedException;
    return Failure.newBuilder().setCode(stopped ? FailureCode.FAILURE_CODE_CANCELED : FailureCode.FAILURE_CODE_APPLICATION)
        .setType(error.getClass().getSimpleName()).setMessage(String.valueOf(error.getMessage())).setStackTrace(stack.toString()).build();
  }

  /** How long tasks may run on after SIGTERM, in ms. */
  static long patience() { return (long) (1000 * Double.parseDouble(Dial.setting("NERVENET_DRAIN", "30s").replace("s", ""))); }

  /** Starts OpenTelemetry as the OTEL_* variables say, silent without them; the answer sends what is left. */
  static Runnable traced() {
    if (System.getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == null && System.getenv("OTEL_TRACES_EXPORTER") == null) return () -> { };
    var sdk = AutoConfiguredOpenTelemetrySdk.builder().disableShutdownHook().setResultAsGlobal()
        .addPropertiesSupplier(() -> Map.of("otel.metrics.exporter", "none", "otel.logs.exporter", "none", "otel.bsp.schedule.delay", "1000"))
        .build().getOpenTelemetrySdk();
    return () -> sdk.getSdkTracerProvider().shutdown().join(5, TimeUnit.SECONDS);
  }
}
