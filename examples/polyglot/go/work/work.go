// SPDX-License-Identifier: Apache-2.0

// Package work is what both Go examples share: what a handler is, how it is run and traced, and the conformance suite's
// two capabilities. Nothing in it knows how tasks arrive.
package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"nervenet.dev/examples/go/seal"
	pb "nervenet.dev/nervenet/v1"
)

// Task is one attempt, as a handler sees it. Its context ends when nobody waits for the result any more.
type Task struct {
	*pb.TaskEnvelope
	Checkpoint *pb.Payload // what an earlier attempt left
	Report     func(*pb.TaskProgress)
}

// Handler answers with a payload, or with an error: any is a failure that may be tried again, a *Failed says more.
type Handler func(ctx context.Context, task *Task) (*pb.Payload, error)

// Failed is a failure in the mesh's own words.
type Failed struct{ *pb.Failure }

func (f *Failed) Error() string { return f.Message }

// Invalid is the error for input that does not fit: never tried again.
func Invalid(err error) error {
	return &Failed{&pb.Failure{Code: pb.FailureCode_FAILURE_CODE_INVALID_INPUT, Type: "InvalidInput", Message: err.Error()}}
}

// Runtime says what this process is, for people.
func Runtime() string { return strings.Replace(runtime.Version(), "go", "go ", 1) }

// Env is an environment variable, or its default.
func Env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Patience is how long tasks may run on after SIGTERM.
func Patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("NERVENET_DRAIN")); err == nil {
		return d
	}
	return 30 * time.Second
}

// Run calls the handler inside a span that continues the task's trace; whatever becomes of it is one outcome.
func Run(ctx context.Context, handler Handler, task *Task) *pb.TaskResult {
	carrier := propagation.MapCarrier{
		"traceparent": task.GetTrace().GetTraceparent(), "tracestate": task.GetTrace().GetTracestate()}
	ctx = propagation.TraceContext{}.Extract(ctx, carrier)
	ctx, span := otel.Tracer("nervenet").Start(ctx, "process queue:"+task.Capability,
		api.WithSpanKind(api.SpanKindConsumer), api.WithAttributes(
			attribute.String("nervenet.task.id", task.TaskId), attribute.Int("nervenet.task.attempt", int(task.Attempt)),
			attribute.String("nervenet.workflow.id", task.WorkflowId)))
	defer span.End()
	result := &pb.TaskResult{Attempt: task.Attempt, StartTime: timestamppb.Now()}
	var output *pb.Payload
	opened, err := open(task)
	if err == nil {
		output, err = guarded(ctx, handler, opened)
	}
	if err == nil {
		output, err = Codec.Encode(output)
	}
	result.EndTime = timestamppb.Now()
	if err == nil {
		if output == nil {
			output = &pb.Payload{} // no value
		}
		result.Outcome = &pb.TaskResult_Output{Output: output}
		return result
	}
	failure := &pb.Failure{Code: pb.FailureCode_FAILURE_CODE_APPLICATION, Type: fmt.Sprintf("%T", err), Message: err.Error()}
	if failed := (*Failed)(nil); errors.As(err, &failed) {
		failure = failed.Failure
	} else if ctx.Err() != nil {
		failure.Code = pb.FailureCode_FAILURE_CODE_CANCELED
	}
	if failure.Type != missingKey { // a missing key is no secret, and an operator must read which one it is
		if err := Codec.EncodeFailure(failure); err != nil {
			failure = &pb.Failure{Code: failure.Code, Type: failure.Type, Message: "its words cannot be encoded: " + err.Error()}
		}
	}
	span.SetStatus(codes.Error, failure.Message)
	result.Outcome = &pb.TaskResult_Failure{Failure: failure}
	return result
}

const missingKey = "CodecError"

// Codec encodes and decodes what goes through handlers, as NERVENET_CODEC says.
var Codec = codec()

func codec() *seal.Codec {
	found, err := seal.Open(os.Getenv("NERVENET_CODEC"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return found
}

// open is the task as its handler sees it: input and checkpoint decoded, and whatever it reports encoded.
func open(task *Task) (*Task, error) {
	clear := &Task{TaskEnvelope: proto.Clone(task.TaskEnvelope).(*pb.TaskEnvelope)}
	var input, checkpoint error
	clear.Input, input = Codec.Decode(task.Input)
	clear.Checkpoint, checkpoint = Codec.Decode(task.Checkpoint)
	if err := errors.Join(input, checkpoint); err != nil { // another agent may have the key, so it is tried again
		return nil, &Failed{&pb.Failure{Code: pb.FailureCode_FAILURE_CODE_DEPENDENCY, Type: missingKey,
			Message: task.Capability + ": the input: " + err.Error()}}
	}
	clear.Report = func(progress *pb.TaskProgress) {
		var text, partial, saved error
		progress.Message, text = Codec.EncodeText(progress.Message)
		progress.Partial, partial = Codec.Encode(progress.Partial)
		progress.Checkpoint, saved = Codec.Encode(progress.Checkpoint)
		if errors.Join(text, partial, saved) == nil { // what cannot be hidden is not said
			task.Report(progress)
		}
	}
	return clear, nil
}

// guarded turns a panic into a failure: a bug costs one attempt, not the process.
func guarded(ctx context.Context, handler Handler, task *Task) (output *pb.Payload, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			err = &Failed{&pb.Failure{Code: pb.FailureCode_FAILURE_CODE_APPLICATION, Type: fmt.Sprintf("%T", bug),
				Message: fmt.Sprint(bug), StackTrace: string(debug.Stack())}}
		}
	}()
	return handler(ctx, task)
}

// Traced starts OpenTelemetry as the OTEL_* variables say (OTEL_TRACES_EXPORTER=otlp; silent without it); the function
// that it returns sends what is left.
func Traced(ctx context.Context) func() {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_TRACES_EXPORTER") == "" {
		return func() {}
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no traces:", err)
		return func() {}
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter, trace.WithBatchTimeout(time.Second)))
	otel.SetTracerProvider(provider)
	return func() { _ = provider.Shutdown(context.Background()) }
}
