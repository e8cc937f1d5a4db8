// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"nervenet.dev/examples/go/dial"
	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

// register is our entry in the registry: made through any node, kept by a heartbeat to any node. It returns when the
// lease is lost; the silence of all nodes is no loss, since work goes on by Redis alone.
func (a *agent) register(ctx context.Context, id string, registered chan struct{}) {
	for turn := 0; ctx.Err() == nil; turn++ {
		err := a.beat(ctx, dial.Address(turn), registered)
		if dial.Hopeless(err) {
			log.Fatal(err)
		}
		if status.Code(err) == codes.NotFound {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

var errLost = status.Error(codes.NotFound, "the lease is lost")

// beat registers at one node and beats there, until the stream breaks, the lease is lost or our record changed.
func (a *agent) beat(ctx context.Context, address string, registered chan struct{}) error {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	conn, err := dial.Node(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	registry := pb.NewRegistryServiceClient(conn)
	a.mu.Lock()
	request := &pb.RegisterAgentRequest{Agent: a.said(), LeaseId: a.lease}
	a.mu.Unlock()
	call, end := context.WithTimeout(dial.Call(ctx), 5*time.Second)
	answer, err := registry.RegisterAgent(call, request)
	end()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.lease = answer.LeaseId
	a.mu.Unlock()
	select {
	case <-registered:
	default:
		close(registered)
	}
	stream, err := registry.Heartbeat(dial.Call(ctx))
	if err != nil {
		return err
	}
	interval := answer.HeartbeatInterval.AsDuration()
	silence := time.AfterFunc(3*interval, cut)
	defer silence.Stop()
	lost := make(chan error, 1)
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				lost <- err
				return
			}
			silence.Reset(3 * interval)
			switch {
			case answer.LeaseLost:
				lost <- errLost
				return
			case answer.DesiredState == pb.AgentState_AGENT_STATE_DRAINING:
				go a.drain(work.Patience())
			case answer.DesiredState == pb.AgentState_AGENT_STATE_ACTIVE:
				a.resume()
			}
		}
	}()
	for tick := time.NewTicker(interval / 4); ; { // soon after a change of load, which selection goes by
		a.mu.Lock()
		beat := &pb.HeartbeatRequest{AgentId: a.record.AgentId, LeaseId: a.lease, Load: a.load(), State: a.record.State}
		a.mu.Unlock()
		if err := stream.Send(beat); err != nil {
			return err
		}
		select {
		case err := <-lost:
			return err
		case <-a.changed:
			return nil
		case <-tick.C:
		}
	}
}

func (a *agent) deregister() {
	for turn := range 3 {
		conn, err := dial.Node(dial.Address(turn))
		if err != nil {
			continue
		}
		ctx, end := context.WithTimeout(dial.Call(context.Background()), 2*time.Second)
		a.mu.Lock()
		request := &pb.DeregisterAgentRequest{AgentId: a.record.AgentId, LeaseId: a.lease}
		a.mu.Unlock()
		_, err = pb.NewRegistryServiceClient(conn).DeregisterAgent(ctx, request)
		end()
		conn.Close()
		if err == nil {
			return
		}
	}
}

// said is our record as it is now, to be sent; under the lock.
func (a *agent) said() *pb.AgentRecord { return proto.Clone(a.record).(*pb.AgentRecord) }

// load is how busy we are; under the lock.
func (a *agent) load() *pb.Load {
	load := &pb.Load{Active: int32(len(a.running)), Slots: slots, SampleTime: timestamppb.Now(), ActiveByCapability: map[string]int32{}}
	for _, one := range a.running {
		load.ActiveByCapability[one.task.Capability]++
	}
	return load
}

func (a *agent) resume() {
	a.mu.Lock()
	draining := a.record.State != pb.AgentState_AGENT_STATE_ACTIVE
	a.mu.Unlock()
	if draining {
		a.state(pb.AgentState_AGENT_STATE_ACTIVE)
	}
}

// ── AgentService, about ourselves ────────────────────────────────────────────────────────────────────────────────────

func (a *agent) serve() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	config, err := dial.Secured()
	if err != nil {
		log.Fatal(err)
	}
	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}
	server := grpc.NewServer(grpc.Creds(creds))
	pb.RegisterAgentServiceServer(server, a)
	go func() { log.Print(server.Serve(listener)) }()
	return listener.Addr().String()
}

func (a *agent) DescribeAgent(context.Context, *pb.DescribeAgentRequest) (*pb.DescribeAgentResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &pb.DescribeAgentResponse{Agent: a.said(), Load: a.load()}, nil
}

func (a *agent) GetLoad(context.Context, *pb.GetLoadRequest) (*pb.GetLoadResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &pb.GetLoadResponse{Load: a.load()}, nil
}

func (a *agent) ListActiveTasks(context.Context, *pb.ListActiveTasksRequest) (*pb.ListActiveTasksResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := &pb.ListActiveTasksResponse{}
	for _, one := range a.running {
		answer.Tasks = append(answer.Tasks, &pb.ActiveTask{TaskId: one.task.TaskId, WorkflowId: one.task.WorkflowId, Step: one.task.Step,
			Run: one.task.Run, Attempt: one.task.Attempt, Capability: one.task.Capability, StartTime: one.begin, Message: one.message})
	}
	return answer, nil
}

func (a *agent) DrainAgent(_ context.Context, request *pb.DrainAgentRequest) (*pb.DrainAgentResponse, error) {
	grace := work.Patience()
	if request.Grace != nil {
		grace = request.Grace.AsDuration()
	}
	a.state(pb.AgentState_AGENT_STATE_DRAINING)
	go a.drain(grace)
	a.mu.Lock()
	defer a.mu.Unlock()
	return &pb.DrainAgentResponse{State: a.record.State, Active: int32(len(a.running))}, nil
}

func (a *agent) ResumeAgent(context.Context, *pb.ResumeAgentRequest) (*pb.ResumeAgentResponse, error) {
	a.resume()
	return &pb.ResumeAgentResponse{State: pb.AgentState_AGENT_STATE_ACTIVE}, nil
}

func (a *agent) CancelTask(_ context.Context, request *pb.CancelTaskRequest) (*pb.CancelTaskResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := &pb.CancelTaskResponse{}
	for _, one := range a.running {
		if one.task.TaskId == request.TaskId && one.task.Run == max(1, request.Run) && (request.Attempt == 0 || request.Attempt == one.task.Attempt) {
			one.stop(gone)
			answer.Found = true
		}
	}
	return answer, nil
}
