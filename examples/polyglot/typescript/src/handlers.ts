// SPDX-License-Identifier: Apache-2.0
// What a handler is, and how one is run and traced; nothing here knows how tasks arrive.
import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { defaultResource, detectResources, envDetector } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { Failure, FailureCode, Payload } from "@nervenet/protos/nervenet/v1/common";
import { type TaskEnvelope, type TaskProgress, TaskResult } from "@nervenet/protos/nervenet/v1/task";

export type Task = TaskEnvelope & { report(news: Partial<TaskProgress>): void; signal: AbortSignal };
/** Answers with a payload, or throws: any error is a failure that may be tried again, a Failed says more. */
export type Handler = (task: Task) => Payload | Promise<Payload>;

/** A failure in the mesh's own words. */
export class Failed extends Error {
  readonly failure: Failure;
  constructor(failure: Partial<Failure>) {
    super(failure.message);
    this.failure = Failure.fromPartial(failure);
  }
}

/** Input that does not fit: never tried again. */
export const invalid = (why: string) =>
  new Failed({ code: FailureCode.FAILURE_CODE_INVALID_INPUT, type: "InvalidInput", message: why });

export const json = (text: string): Payload => Payload.fromPartial({ body: { $case: "json", value: text } });

/** The JSON text of a payload; undefined where it has another form or none. */
export const text = (payload?: Payload): string | undefined =>
  payload?.body?.$case === "json" ? payload.body.value : undefined;

/** How long tasks may run on after SIGTERM, in ms. */
export const patience = (): number => 1000 * parseFloat(process.env.NERVENET_DRAIN ?? "30s");

/** Call the handler inside a span that continues the task's trace; whatever becomes of it is one outcome. */
export async function run(handler: Handler, task: Task): Promise<TaskResult> {
  const parent = propagation.extract(context.active(), { ...task.trace });
  const attributes = {
    "nervenet.task.id": task.taskId,
    "nervenet.task.attempt": task.attempt,
    "nervenet.workflow.id": task.workflowId,
  };
  const name = `process queue:${task.capability}`;
  const span = trace.getTracer("nervenet").startSpan(name, { kind: SpanKind.CONSUMER, attributes }, parent);
  const startTime = new Date();
  let outcome: TaskResult["outcome"];
  try {
    outcome = { $case: "output", value: await context.with(trace.setSpan(parent, span), async () => handler(task)) };
  } catch (error) {
    const failure = failureOf(error, task.signal.aborted);
    span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
    outcome = { $case: "failure", value: failure };
  }
  span.end();
  return TaskResult.fromPartial({ outcome, attempt: task.attempt, startTime, endTime: new Date() });
}

function failureOf(error: unknown, aborted: boolean): Failure {
  if (error instanceof Failed) return error.failure;
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const code = aborted ? FailureCode.FAILURE_CODE_CANCELED : FailureCode.FAILURE_CODE_APPLICATION;
  return Failure.fromPartial({ code, type: name, message, stackTrace: stack });
}

/** Starts OpenTelemetry as the OTEL_* variables say, silent without them; the answer sends what is left. */
export function traced(): () => Promise<void> {
  if (!process.env.OTEL_EXPORTER_OTLP_ENDPOINT && !process.env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return async () => {};
  const provider = new NodeTracerProvider({
    resource: defaultResource().merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 1000 })],
  });
  provider.register({ propagator: new W3CTraceContextPropagator() });
  return () => provider.shutdown();
}
