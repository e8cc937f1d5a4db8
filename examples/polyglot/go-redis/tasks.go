// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

const (
	limit = 1 << 20 // of a payload
	gone  = "nobody waits for it any more"
	late  = "it took longer than its attempt timeout"
	mute  = "it gave no sign of life within its heartbeat timeout"

	drained = "its agent was drained"
)

// running is an attempt that is ours: from its claim to its record.
type running struct {
	delivery
	agent      string // the incarnation that claimed it
	cancel     context.CancelFunc
	why        string // why it is stopped; the first reason holds
	begin      *timestamppb.Timestamp
	beat       time.Time
	renewed    time.Time
	fraction   string
	message    string
	checkpoint *pb.Payload // not stored yet
	parts      int64
}

func (one *running) stop(why string) {
	if one.why == "" {
		one.why = why
		one.cancel()
	}
}

func name(task *pb.TaskEnvelope) string { return fmt.Sprintf("%s#%d", task.TaskId, task.Attempt) }

// take reads tasks under one id: its inbox by a blocking read, the shared queues in between; never more than there is
// room for. After each connect, and once more a block later, it reads what is pending under its own name.
func (a *agent) take(ctx context.Context, id string, registered <-chan struct{}) {
	inbox := a.key("inbox", id)
	for a.make(ctx, inbox) != nil && ctx.Err() == nil {
		time.Sleep(200 * time.Millisecond)
	}
	select {
	case <-registered:
	case <-ctx.Done():
		return
	}
	const block = 250 * time.Millisecond
	queues, named, seen, again := []string(nil), time.Time{}, int64(0), time.Time{}
	for ctx.Err() == nil {
		if a.room() == 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if connects := a.connects.Load(); connects != seen {
			seen, again = connects, time.Now().Add(block)
			a.own(ctx, id, append(queues, inbox))
		} else if !again.IsZero() && time.Now().After(again) {
			again = time.Time{}
			a.own(ctx, id, append(queues, inbox))
		}
		a.admit(ctx, id, inbox, block)
		if time.Since(named) > time.Second {
			named, queues = time.Now(), nil
			for capability := range a.handlers {
				streams, _ := a.queues(ctx, capability)
				queues = append(queues, streams...)
			}
		}
		for _, stream := range queues {
			a.admit(ctx, id, stream, -1)
		}
	}
}

// room is how many more tasks may be read.
func (a *agent) room() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.record.State != pb.AgentState_AGENT_STATE_ACTIVE {
		return 0
	}
	return max(0, slots-len(a.running))
}

func (a *agent) admit(ctx context.Context, id, stream string, block time.Duration) {
	room := a.room()
	if room == 0 {
		return
	}
	found, err := a.read(ctx, stream, id, ">", room, block)
	if err != nil && ctx.Err() == nil {
		if redis.HasErrorPrefix(err, "NOGROUP") {
			_ = a.make(ctx, stream)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, one := range found {
		a.claimed(ctx, id, one)
	}
}

// own takes what was handed to us by a reply that never came.
func (a *agent) own(ctx context.Context, id string, streams []string) {
	for _, stream := range streams {
		pending, _ := a.read(ctx, stream, id, "0", 100, -1)
		for _, one := range pending {
			if !a.known(one) && (a.room() > 0 || one.task == nil) {
				a.claimed(ctx, id, one)
			}
		}
	}
}

func (a *agent) known(one delivery) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, other := range a.running {
		if other.stream == one.stream && other.id == one.id {
			return true
		}
	}
	return false
}

// claimed asks for a delivery that was read, and does what the answer says.
func (a *agent) claimed(ctx context.Context, id string, got delivery) {
	task := got.task
	if task == nil || a.handlers[task.Capability] == nil {
		_ = a.drop(ctx, got)
		return
	}
	a.mu.Lock()
	first := a.running[name(task)]
	a.mu.Unlock()
	if first != nil { // its first copy is here and stands for it
		_ = a.drop(ctx, got)
		return
	}
	status, owner, checkpoint, err := a.claim(ctx, task, id)
	switch {
	case err != nil || status == "unknown" && time.Since(task.EnqueueTime.AsTime()) < retention:
		time.AfterFunc(time.Second, func() { a.claimed(ctx, id, got) })
	case status == "run":
		a.start(id, got, checkpoint)
	case status == "done":
		a.tellAgain(ctx, task, owner)
		_ = a.drop(ctx, got)
	default: // busy, stale: others answer for it
		_ = a.drop(ctx, got)
	}
}

func (a *agent) start(id string, got delivery, checkpoint *pb.Payload) {
	ctx, cancel := context.WithCancel(context.Background())
	one := &running{delivery: got, agent: id, cancel: cancel, begin: timestamppb.Now(), beat: time.Now(), renewed: time.Now()}
	a.mu.Lock()
	a.running[name(got.task)] = one
	a.mu.Unlock()
	if allowed := got.task.GetTimeouts().GetAttempt(); allowed != nil {
		time.AfterFunc(allowed.AsDuration(), func() { a.mu.Lock(); one.stop(late); a.mu.Unlock() })
	}
	go func() {
		task := &work.Task{TaskEnvelope: got.task, Checkpoint: checkpoint, Report: func(p *pb.TaskProgress) { a.report(one, p) }}
		result := work.Run(ctx, a.handlers[got.task.Capability], task)
		cancel()
		a.finish(one, result)
	}()
}

// report takes what a handler says: the checkpoint goes with the next renewal, the rest to watchers.
func (a *agent) report(one *running, progress *pb.TaskProgress) {
	a.mu.Lock()
	one.beat = time.Now()
	if progress.Checkpoint != nil {
		one.checkpoint, progress.Checkpoint = progress.Checkpoint, nil
	}
	if progress.Fraction != nil {
		one.fraction, one.message = strconv.FormatFloat(*progress.Fraction, 'g', 6, 64), progress.Message
	}
	if progress.Partial != nil {
		one.parts++
		progress.PartialSequence = one.parts
	}
	a.mu.Unlock()
	progress.Step, progress.Attempt, progress.AgentId, progress.Time = one.task.Step, one.task.Attempt, one.agent, timestamppb.Now()
	if progress.Fraction != nil || progress.Partial != nil {
		a.tell(context.Background(), one.task, progress)
	}
}

// finish records what came of it, unless nobody waits for it; the slot is free after that.
func (a *agent) finish(one *running, result *pb.TaskResult) {
	a.mu.Lock()
	why := one.why
	a.mu.Unlock()
	ctx := context.Background()
	failed := func(code pb.FailureCode, kind, words string) {
		result.Outcome = &pb.TaskResult_Failure{Failure: &pb.Failure{Code: code, Type: kind, Message: words, Source: "agent"}}
	}
	output := result.GetOutput()
	switch {
	case output != nil && len(output.GetJson())+len(output.GetText())+len(output.GetData()) > limit:
		failed(pb.FailureCode_FAILURE_CODE_PAYLOAD_TOO_LARGE, "PayloadTooLarge", "the result is above 1 MiB: store it and pass a URI")
	case output != nil: // it came in time all the same
	case why == drained:
		if one.checkpoint != nil {
			_, _ = a.renew(ctx, one)
		}
		failed(pb.FailureCode_FAILURE_CODE_AGENT_DRAINED, "AgentDrained", why)
	case why == late || why == mute:
		failed(pb.FailureCode_FAILURE_CODE_TIMEOUT, "Timeout", one.task.Capability+": "+why)
	}
	if failure := result.GetFailure(); failure != nil {
		failure.Attempt, failure.AgentId = one.task.Attempt, one.agent
	}
	var err error
	if why == gone {
		err = a.drop(ctx, one.delivery)
	} else {
		err = a.store.record(ctx, one, result)
	}
	if err != nil {
		log.Printf("%s: %v", name(one.task), err) // it is pending under our name and read again after the next connect
	}
	a.mu.Lock()
	delete(a.running, name(one.task))
	a.mu.Unlock()
}

// keep renews the claims of what runs; a task whose claim cannot be renewed or taken again is no longer wanted.
func (a *agent) keep(ctx context.Context) {
	for tick := time.NewTicker(250 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		a.mu.Lock()
		var due []*running
		for _, one := range a.running {
			if silence := one.task.GetTimeouts().GetHeartbeat(); silence != nil && time.Since(one.beat) > silence.AsDuration() {
				one.stop(mute)
			}
			if since := time.Since(one.renewed); since > 1250*time.Millisecond || one.checkpoint != nil && since > 750*time.Millisecond {
				one.renewed = time.Now()
				due = append(due, one)
			}
		}
		a.mu.Unlock()
		for _, one := range due {
			if held, err := a.renew(ctx, one); err == nil && !held {
				status, _, _, err := a.claim(ctx, one.task, one.agent) // perhaps only Redis lost the claim
				if err == nil && status != "run" && status != "unknown" {
					a.mu.Lock()
					one.stop(gone)
					a.mu.Unlock()
				}
			}
		}
	}
}
