// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

func key(task string, attempt int32) string { return fmt.Sprintf("%s#%d", task, attempt) }

// begin starts a task's handler, unless we have the task; under the lock.
func (a *agent) begin(task *pb.TaskEnvelope) {
	id := key(task.TaskId, task.Attempt)
	if one := a.held[id]; one != nil {
		a.send(one.result)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	slim := proto.Clone(task).(*pb.TaskEnvelope)
	slim.Input = nil
	one := &held{task: &pb.HeldTask{Task: slim, StartTime: timestamppb.Now()}, cancel: cancel}
	a.held[id] = one
	report := func(progress *pb.TaskProgress) {
		progress.Attempt = task.Attempt
		a.Lock()
		defer a.Unlock()
		a.send(&item{Item: &pb.ConnectRequestItem_TaskReport{TaskReport: &pb.TaskReport{TaskId: task.TaskId, Progress: progress}}})
	}
	go func() {
		result := work.Run(ctx, a.handlers[task.Capability], &work.Task{TaskEnvelope: task, Checkpoint: task.Checkpoint, Report: report})
		a.Lock()
		defer a.Unlock()
		if failure := result.GetFailure(); failure.GetCode() == pb.FailureCode_FAILURE_CODE_CANCELED && a.drained {
			failure.Code = pb.FailureCode_FAILURE_CODE_AGENT_DRAINED
		}
		completion := &pb.TaskCompletion{TaskId: task.TaskId, Result: result}
		one.result = &item{Item: &pb.ConnectRequestItem_TaskCompletion{TaskCompletion: completion}}
		a.send(one.result)
	}()
}

// send says something on the present stream, under the lock; what a broken stream lost is said again after its welcome.
func (a *agent) send(one *item) {
	if one != nil && a.stream != nil {
		_ = a.stream.Send(&pb.ConnectRequest{Items: []*item{one}})
	}
}

// breathe gives signs of life for as long as the stream lives.
func (a *agent) breathe(ctx context.Context, interval time.Duration) {
	for tick := time.NewTicker(interval / 2); ctx.Err() == nil; <-tick.C {
		a.Lock()
		a.send(&item{Item: &pb.ConnectRequestItem_Status{Status: &pb.Status{}}})
		a.Unlock()
	}
}

// leave finishes what runs within our patience, gives back the rest, and says goodbye.
func (a *agent) leave() {
	a.Lock()
	a.send(&item{Item: &pb.ConnectRequestItem_Status{Status: &pb.Status{Credit: proto.Int32(0)}}})
	a.Unlock()
	if !a.empty(work.Patience()) {
		a.Lock()
		a.drained = true
		for _, one := range a.held {
			one.cancel()
		}
		a.Unlock()
		a.empty(5 * time.Second)
	}
	a.Lock()
	defer a.Unlock()
	a.send(&item{Item: &pb.ConnectRequestItem_Goodbye{Goodbye: &pb.Goodbye{Reason: "stopped"}}})
	if a.stream != nil {
		_ = a.stream.CloseSend()
	}
	time.Sleep(200 * time.Millisecond)
}

// empty waits until everything is acknowledged, no longer than that.
func (a *agent) empty(patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a.Lock()
		left := len(a.held)
		a.Unlock()
		if left == 0 {
			return true
		}
	}
	return false
}
