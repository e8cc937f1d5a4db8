// SPDX-License-Identifier: Apache-2.0

// Command agent serves `extract` of the licence audit over a node's gateway: the whole of AgentService.Connect as
// protos/README.md has it. With CONFORMANCE=1 it serves what the conformance suite asks for instead.
package main

import (
	"context"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"nervenet.dev/examples/go/dial"
	"nervenet.dev/examples/go/extract"
	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

type item = pb.ConnectRequestItem

// held is a task that we answer for until its result is acknowledged, whatever becomes of streams.
type held struct {
	task   *pb.HeldTask
	cancel context.CancelFunc
	result *item // once the handler is over
}

type agent struct {
	sync.Mutex
	handlers map[string]work.Handler
	hello    *pb.Hello
	held     map[string]*held
	stream   pb.AgentService_ConnectClient
	drained  bool // our patience is over: what is stopped now is for others to do
}

func main() {
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	flush := work.Traced(stop)
	a := &agent{handlers: map[string]work.Handler{"extract": extract.Handle}, held: map[string]*held{}}
	if os.Getenv("CONFORMANCE") != "" {
		a.handlers = work.Conformance
	}
	a.hello = &pb.Hello{ProtocolVersion: 1, Credit: 4, Agent: &pb.AgentRecord{Name: work.Env("NERVENET_AGENT_NAME", "go"), Runtime: work.Runtime()}}
	for _, name := range slices.Sorted(maps.Keys(a.handlers)) {
		a.hello.Agent.Capabilities = append(a.hello.Agent.Capabilities, &pb.Capability{Name: name, Slots: 4})
	}
	ctx, leave := context.WithCancel(context.Background())
	go func() { <-stop.Done(); a.leave(); leave() }()
	for turn := 0; ctx.Err() == nil; turn++ {
		err := a.connect(ctx, dial.Address(turn))
		if dial.Hopeless(err) {
			log.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if dial.Expired(err) {
			time.Sleep(time.Second) // who renews the file may be late
		}
	}
	flush()
}

// connect is one stream, from hello to its end; handlers run on when it breaks.
func (a *agent) connect(ctx context.Context, address string) error {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	conn, stream, err := dial.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	patience := 6 * time.Second // until the welcome tells the node's interval
	silence := time.AfterFunc(patience, cut)
	a.Lock()
	a.stream, a.hello.Running = stream, nil
	for _, one := range a.held {
		a.hello.Running = append(a.hello.Running, one.task)
	}
	err = stream.Send(&pb.ConnectRequest{Items: []*item{{Item: &pb.ConnectRequestItem_Hello{Hello: a.hello}}}})
	a.Unlock()
	for err == nil {
		var response *pb.ConnectResponse
		if response, err = stream.Recv(); err != nil {
			break
		}
		silence.Reset(patience)
		a.Lock()
		for _, one := range response.Items {
			switch it := one.Item.(type) {
			case *pb.ConnectResponseItem_Welcome:
				a.hello.Agent.AgentId, a.hello.LeaseId = it.Welcome.AgentId, it.Welcome.LeaseId
				patience = 3 * it.Welcome.StatusInterval.AsDuration()
				silence.Reset(patience)
				for _, one := range a.held {
					a.send(one.result)
				}
				go a.breathe(ctx, it.Welcome.StatusInterval.AsDuration())
			case *pb.ConnectResponseItem_Task:
				a.begin(it.Task)
			case *pb.ConnectResponseItem_ResultAck:
				delete(a.held, key(it.ResultAck.TaskId, it.ResultAck.Attempt))
			case *pb.ConnectResponseItem_Rejected:
				delete(a.held, key(it.Rejected.TaskId, it.Rejected.Attempt))
			case *pb.ConnectResponseItem_TaskCancel:
				if one := a.held[key(it.TaskCancel.TaskId, it.TaskCancel.Attempt)]; one != nil {
					one.cancel()
				}
			case *pb.ConnectResponseItem_Reconnect:
				cut() // the next turn is another node
			}
		}
		a.Unlock()
	}
	return err
}
