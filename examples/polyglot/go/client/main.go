// SPDX-License-Identifier: Apache-2.0

// Command client is its own coordinator: it runs one task, durably, and prints what came of it.
//
//	client REQUEST_ID CAPABILITY JSON
//
// The request id is the task's name. A caller that asks again with it, after a crash or from another machine, gets the one result.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"nervenet.dev/examples/go/dial"
	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: client REQUEST_ID CAPABILITY JSON")
	}
	input, err := work.Codec.Encode(work.JSON([]byte(os.Args[3])))
	if err != nil {
		log.Fatal(err)
	}
	request := &pb.RunTaskRequest{RequestId: os.Args[1], Capability: os.Args[2], Input: input,
		Wait: durationpb.New(30 * time.Second), PayloadFormat: pb.PayloadFormat_PAYLOAD_FORMAT_RAW}
	for turn := 0; ; {
		workflow, err := ask(dial.Address(turn), request)
		switch {
		case status.Code(err) == codes.Unavailable: // the same request, at another node
			turn++
			time.Sleep(100 * time.Millisecond)
		case err != nil:
			log.Fatal(err)
		case workflow.State == pb.WorkflowState_WORKFLOW_STATE_SUCCEEDED:
			output, err := work.Codec.Decode(workflow.Output)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(output.GetJson())
			return
		case workflow.CloseTime != nil:
			if err := work.Codec.DecodeFailure(workflow.Failure); err != nil {
				log.Fatal(err)
			}
			log.Fatalf("%s: %s", workflow.State, workflow.Failure.GetMessage())
		}
	}
}

func ask(address string, request *pb.RunTaskRequest) (*pb.Workflow, error) {
	conn, err := dial.Node(address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(dial.Call(context.Background()), time.Minute)
	defer cancel()
	answer, err := pb.NewCoordinatorServiceClient(conn).RunTask(ctx, request)
	return answer.GetWorkflow(), err
}
