// SPDX-License-Identifier: Apache-2.0

// Command agent reads its tasks from Redis itself, as the Python agent does, by what protos/README.md says of the data
// plane and nothing else. Over gRPC it only registers, beats, and can be asked and drained.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"nervenet.dev/examples/go/extract"
	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

const slots = 4

type agent struct {
	*store
	pb.UnimplementedAgentServiceServer
	handlers map[string]work.Handler
	control  string       // where our AgentService answers
	connects atomic.Int64 // connections that were made to Redis
	changed  chan struct{}

	mu      sync.Mutex // guards the rest
	record  *pb.AgentRecord
	lease   int64
	running map[string]*running // by task id and attempt, whatever its incarnation
}

func main() {
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	flush := work.Traced(stop)
	a := &agent{handlers: map[string]work.Handler{"extract": extract.Handle}, running: map[string]*running{}, changed: make(chan struct{}, 1)}
	if os.Getenv("CONFORMANCE") != "" {
		a.handlers = work.Conformance
	}
	options, err := redis.ParseURL(work.Env("NERVENET_REDIS", "redis://localhost:6379"))
	if err != nil {
		log.Fatal(err)
	}
	options.MaxRetries = -1 // a read is not repeated: what its lost reply had handed out is read as our own pending
	options.OnConnect = func(context.Context, *redis.Conn) error { a.connects.Add(1); return nil }
	a.store = &store{redis.NewClient(options), work.Env("NERVENET_NAMESPACE", "default")}
	a.control = a.serve()
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-stop.Done(); a.drain(work.Patience()); leave() }()
	go a.keep(ctx)
	for ctx.Err() == nil {
		a.incarnation(ctx)
	}
	a.leave() // only now that nothing registers us any more
	flush()
}

// incarnation lives from a new id to the loss of its lease; what runs then is finished under the old id.
func (a *agent) incarnation(ctx context.Context) {
	a.mu.Lock()
	name, state := work.Env("NERVENET_AGENT_NAME", "go-redis"), pb.AgentState_AGENT_STATE_ACTIVE
	if a.record != nil {
		state = a.record.State
	}
	a.record = &pb.AgentRecord{AgentId: newID(name), Name: name, State: state, Transport: pb.Transport_TRANSPORT_REDIS,
		ControlEndpoint: a.control, Runtime: work.Runtime(), Slots: slots, RegisterTime: timestamppb.Now()}
	for _, capability := range slices.Sorted(maps.Keys(a.handlers)) {
		a.record.Capabilities = append(a.record.Capabilities, &pb.Capability{Name: capability, Version: "1", Slots: slots})
	}
	a.lease = 0
	id := a.record.AgentId
	a.mu.Unlock()
	ctx, end := context.WithCancel(ctx)
	defer end()
	registered := make(chan struct{})
	go a.take(ctx, id, registered)
	a.register(ctx, id, registered)
}

// newID is `<name>-<8 base32>`: one id, one incarnation.
func newID(name string) string {
	random := make([]byte, 5)
	_, _ = rand.Read(random)
	return name + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(random))
}

// drain takes nothing new, lets running tasks continue for this long, and gives back the rest.
func (a *agent) drain(grace time.Duration) {
	a.state(pb.AgentState_AGENT_STATE_DRAINING)
	if !a.empty(grace) {
		a.mu.Lock()
		for _, one := range a.running {
			one.stop(drained)
		}
		a.mu.Unlock()
		a.empty(6 * time.Second)
	}
	a.mu.Lock()
	over := a.record.State == pb.AgentState_AGENT_STATE_DRAINING
	a.mu.Unlock()
	if over { // or somebody resumed us meanwhile
		a.state(pb.AgentState_AGENT_STATE_DRAINED)
	}
}

func (a *agent) empty(patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a.mu.Lock()
		left := len(a.running)
		a.mu.Unlock()
		if left == 0 {
			return true
		}
	}
	return false
}

// state makes it known that we are in another one.
func (a *agent) state(state pb.AgentState) {
	a.mu.Lock()
	a.record.State = state
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default: // it is known already that something changed
	}
}

// leave deregisters, and deletes what nodes would otherwise have to clean up.
func (a *agent) leave() {
	a.mu.Lock()
	id := a.record.AgentId
	a.mu.Unlock()
	a.deregister()
	ctx, end := context.WithTimeout(context.Background(), 2*time.Second)
	defer end()
	a.Del(ctx, a.key("inbox", id))
	for capability := range a.handlers {
		streams, _ := a.queues(ctx, capability)
		for _, stream := range streams {
			dropScript.Run(ctx, a, []string{stream}, group, id)
		}
	}
}
