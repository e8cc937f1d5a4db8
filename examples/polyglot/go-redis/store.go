// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	pb "nervenet.dev/nervenet/v1"
)

// The scripts are copies of the mesh's own; tests/conformance compares them.
var (
	//go:embed scripts/task_claim.lua
	taskClaim string
	//go:embed scripts/claims_renew.lua
	claimsRenew string
	//go:embed scripts/journal_append.lua
	journalAppend string
	//go:embed scripts/consumer_drop.lua
	consumerDrop string
	//go:embed scripts/progress_hint.lua
	progressHint string

	claimScript  = redis.NewScript(taskClaim)
	renewScript  = redis.NewScript(claimsRenew)
	appendScript = redis.NewScript(journalAppend)
	dropScript   = redis.NewScript(consumerDrop)
	hintScript   = redis.NewScript(progressHint)
)

const (
	group    = "agents"
	claimTTL = 6000 // ms
	wakeMost = 8 << 10

	retention = 7 * 24 * time.Hour
)

// store is the data plane: the keys, scripts and streams of protos/README.md.
type store struct {
	*redis.Client
	ns string
}

func (s *store) key(kind, tag string) string { return fmt.Sprintf("nn:%s:%s:{%s}", s.ns, kind, tag) }
func (s *store) head(workflow string) string { return s.key("wf", workflow) }

// delivery is an entry as a read brought it.
type delivery struct {
	stream, id string
	task       *pb.TaskEnvelope // nil: the pending list names an entry that was deleted
}

// read asks one stream for at most count tasks: new ones (">", blocking if told) or our own pending ones (an id).
func (s *store) read(ctx context.Context, stream, consumer, after string, count int, block time.Duration) ([]delivery, error) {
	found, err := s.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: consumer, Streams: []string{stream, after},
		Count: int64(count), Block: block}).Result()
	if err == redis.Nil {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var tasks []delivery
	for _, message := range found[0].Messages {
		one := delivery{stream: stream, id: message.ID}
		if text, there := message.Values["e"].(string); there {
			task := &pb.TaskEnvelope{}
			if proto.Unmarshal([]byte(text), task) == nil {
				one.task = task
			}
		}
		tasks = append(tasks, one)
	}
	return tasks, nil
}

// queues are the shared queues that an agent with this capability (without labels, of version "1") may read.
func (s *store) queues(ctx context.Context, capability string) (streams []string, err error) {
	named, err := s.HGetAll(ctx, s.key("queues", capability)).Result()
	for requirement, says := range named {
		asked := struct {
			Match   map[string]string
			Version string
		}{}
		if says != "" && json.Unmarshal([]byte(says), &asked) != nil {
			continue
		}
		if len(asked.Match) == 0 && (asked.Version == "" || asked.Version == "1") {
			tag := capability
			if requirement != "" {
				tag += "/" + requirement
			}
			streams = append(streams, s.key("queue", tag))
		}
	}
	return streams, err
}

// claim asks whether this agent must run this attempt: run, done, busy, stale or unknown; with its owner and last checkpoint.
func (s *store) claim(ctx context.Context, task *pb.TaskEnvelope, agent string) (status, owner string, checkpoint *pb.Payload, err error) {
	head := s.head(task.WorkflowId)
	answer, err := claimScript.Run(ctx, s, []string{head, head + ":ckpt"}, task.Run, task.Step, task.Attempt, agent, claimTTL).Slice()
	if err != nil {
		return "", "", nil, err
	}
	if text, there := answer[2].(string); there {
		checkpoint = &pb.Payload{}
		err = proto.Unmarshal([]byte(text), checkpoint)
	}
	owner, _ = answer[1].(string)
	return answer[0].(string), owner, checkpoint, err
}

// renew extends a claim, with how far the task is and perhaps a checkpoint; false = nobody wants the task any more.
func (s *store) renew(ctx context.Context, one *running) (bool, error) {
	task, head := one.task, s.head(one.task.WorkflowId)
	args := []any{task.Run, task.Step, task.Attempt, one.agent, claimTTL, one.fraction, "1"}
	saving := one.checkpoint
	if saving != nil {
		text, err := proto.Marshal(saving)
		if err != nil {
			return true, err
		}
		args = append(args, text)
	}
	held, err := renewScript.Run(ctx, s, []string{head, head + ":ckpt"}, args...).Int()
	if err == nil && one.checkpoint == saving {
		one.checkpoint = nil
	}
	return held == 1, err
}

// record appends an outcome (task:<step>) or a failed attempt (attempt:<step>#<n>), until Redis has taken it, then wakes
// the workflow's owner. Only after that is the delivery needless.
func (s *store) record(ctx context.Context, one *running, result *pb.TaskResult) error {
	task, head := one.task, s.head(one.task.WorkflowId)
	result.AgentId, result.Attempt, result.Capability = one.agent, task.Attempt, task.Capability
	result.InputDigest, result.ScheduleTime = task.InputDigest, task.EnqueueTime
	name := "task:" + task.Step
	if result.GetOutput() == nil {
		name = fmt.Sprintf("attempt:%s#%d", task.Step, task.Attempt)
	}
	entry, err := proto.Marshal(&pb.JournalEntry{Actor: one.agent, Attributes: &pb.JournalEntry_Task{Task: result}})
	if err != nil {
		return err
	}
	for {
		answer, err := appendScript.Run(ctx, s, []string{head, head + ":journal", head + ":ckpt"}, task.Run, name, entry, "").StringSlice()
		switch {
		case err != nil || answer[0] == "unknown": // its owner writes the head back that Redis lost
			time.Sleep(500 * time.Millisecond)
			continue
		case answer[2] != "" && (answer[0] == "new" || answer[0] == "exists"):
			s.wake(ctx, answer[2], task, answer[1], name, entry)
		}
		return s.drop(ctx, one.delivery)
	}
}

// wake tells an owner of an entry. Lost is no harm, but a wake that nobody reads must not be created.
func (s *store) wake(ctx context.Context, owner string, task *pb.TaskEnvelope, id, name string, entry []byte) {
	values := []any{"w", task.WorkflowId, "r", task.Run, "i", id, "n", name}
	if len(entry) <= wakeMost {
		values = append(values, "e", entry)
	}
	s.XAdd(ctx, &redis.XAddArgs{Stream: s.key("wake", owner), NoMkStream: true, Values: values})
}

// tellAgain wakes the owner of a step whose outcome is in the journal: it may have missed the news.
func (s *store) tellAgain(ctx context.Context, task *pb.TaskEnvelope, owner string) {
	name, head := "task:"+task.Step, s.head(task.WorkflowId)
	id, err := s.HGet(ctx, head, "e:"+name).Result()
	if err != nil {
		return
	}
	if found, err := s.XRange(ctx, head+":journal", id, id).Result(); err == nil && len(found) == 1 {
		entry, _ := found[0].Values["e"].(string)
		s.wake(ctx, owner, task, id, name, []byte(entry))
	}
}

// drop deletes and acknowledges a delivery: in this order, since an entry that is acknowledged only is read by nobody.
func (s *store) drop(ctx context.Context, one delivery) error {
	pipe := s.Pipeline()
	pipe.XDel(ctx, one.stream, one.id)
	pipe.XAck(ctx, one.stream, group, one.id)
	_, err := pipe.Exec(ctx)
	return err
}

// tell sends news of a running attempt to watchers; best effort.
func (s *store) tell(ctx context.Context, task *pb.TaskEnvelope, progress *pb.TaskProgress) {
	if text, err := proto.Marshal(progress); err == nil {
		key := s.head(task.WorkflowId) + ":live"
		s.XAdd(ctx, &redis.XAddArgs{Stream: key, MaxLen: 1000, Approx: true, Values: []any{"p", text}})
		s.Expire(ctx, key, retention)
		hintScript.Run(ctx, s.Client, []string{s.head(task.WorkflowId)})
	}
}

// make makes a stream with its group, unless they are there.
func (s *store) make(ctx context.Context, stream string) error {
	err := s.XGroupCreateMkStream(ctx, stream, group, "0").Err()
	if err != nil && redis.HasErrorPrefix(err, "BUSYGROUP") {
		return nil
	}
	return err
}
