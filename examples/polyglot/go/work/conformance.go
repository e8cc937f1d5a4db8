// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "nervenet.dev/nervenet/v1"
)

// Conformance are the capabilities that the conformance suite asks for (tests/conformance/README.md).
var Conformance = map[string]Handler{
	"conf_echo": func(_ context.Context, task *Task) (*pb.Payload, error) { return task.Input, nil },
	"conf_work": work,
}

type told struct {
	Log        string
	Progress   [][2]any
	Emit       []json.RawMessage
	Checkpoint json.RawMessage
	SleepMs    int `json:"sleep_ms"`
	Crash      bool
	Fail       *struct {
		Type, Message string
		Details       json.RawMessage
		Retryable     *bool
		RetryAfterMs  int64  `json:"retry_after_ms"`
		UntilAttempt  *int32 `json:"until_attempt"`
	}
	Size   int
	Number *int64
}

func work(ctx context.Context, task *Task) (*pb.Payload, error) {
	var do told
	if err := json.Unmarshal([]byte(task.Input.GetJson()), &do); err != nil {
		return nil, Invalid(err)
	}
	if do.Log == "" {
		return nil, Invalid(errors.New("log is missing"))
	}
	note(do.Log, "begin", task)
	for _, one := range do.Progress {
		fraction, _ := one[0].(float64)
		task.Report(&pb.TaskProgress{Fraction: &fraction, Message: fmt.Sprint(one[1])})
	}
	for _, part := range do.Emit {
		task.Report(&pb.TaskProgress{Partial: JSON(part)})
	}
	if len(do.Checkpoint) > 0 && string(do.Checkpoint) != "null" {
		task.Report(&pb.TaskProgress{Checkpoint: JSON(do.Checkpoint)})
	}
	select {
	case <-ctx.Done():
		note(do.Log, "canceled", task)
		return nil, ctx.Err()
	case <-time.After(time.Duration(do.SleepMs) * time.Millisecond):
	}
	note(do.Log, "end", task)
	if do.Crash {
		var nowhere *told
		return JSON(nowhere.Checkpoint), nil // the crash that was asked for
	}
	if fail := do.Fail; fail != nil && (fail.UntilAttempt == nil || task.Attempt <= *fail.UntilAttempt) {
		failure := &pb.Failure{Code: pb.FailureCode_FAILURE_CODE_APPLICATION, Type: fail.Type, Message: fail.Message,
			Retryable: fail.Retryable, Details: JSON(fail.Details)}
		if fail.RetryAfterMs > 0 {
			failure.RetryAfter = durationpb.New(time.Duration(fail.RetryAfterMs) * time.Millisecond)
		}
		return nil, &Failed{failure}
	}
	answer := map[string]any{"attempt": task.Attempt, "filler": strings.Repeat("x", do.Size), "checkpoint": nil, "successor": nil}
	if left := task.Checkpoint.GetJson(); left != "" {
		answer["checkpoint"] = json.RawMessage(left)
	}
	if do.Number != nil {
		answer["successor"] = *do.Number + 1
	}
	text, err := json.Marshal(answer)
	return JSON(text), err
}

// JSON is a payload of this JSON text; none for none.
func JSON(text []byte) *pb.Payload {
	if len(text) == 0 {
		return nil
	}
	return &pb.Payload{Body: &pb.Payload_Json{Json: string(text)}}
}

func note(log, word string, task *Task) {
	file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	fmt.Fprintf(file, "%s %s %d\n", word, task.TaskId, task.Attempt)
}
