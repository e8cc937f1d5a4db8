// SPDX-License-Identifier: Apache-2.0
// Its own coordinator: runs one task, durably, and prints what came of it.
//
//     node dist/client.js REQUEST_ID CAPABILITY JSON
//
// The request id is the task's name. A caller that asks again with it, after a crash or from another machine, gets the one result.
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceError, status } from "@grpc/grpc-js";
import { PayloadFormat } from "@nervenet/protos/nervenet/v1/common";
import { CoordinatorServiceClient, RunTaskRequest, type RunTaskResponse } from "@nervenet/protos/nervenet/v1/coordinator_service";
import { WorkflowState } from "@nervenet/protos/nervenet/v1/workflow";
import { addresses, credentials, metadata, options } from "./dial.js";
import { json, text } from "./handlers.js";

const [requestId, capability, input] = process.argv.slice(2);
if (!input) throw new Error("usage: client REQUEST_ID CAPABILITY JSON");
const request = RunTaskRequest.fromPartial({
  requestId,
  capability,
  input: json(input),
  wait: { seconds: 30n, nanos: 0 },
  payloadFormat: PayloadFormat.PAYLOAD_FORMAT_RAW,
});

function ask(address: string): Promise<RunTaskResponse> {
  const client = new CoordinatorServiceClient(address, credentials(), options);
  return new Promise<RunTaskResponse>((answered, refused) =>
    client.runTask(request, metadata(), { deadline: Date.now() + 60_000 }, (error, answer) => (error ? refused(error) : answered(answer))),
  ).finally(() => client.close());
}

for (let turn = 0; ; ) {
  try {
    const { workflow } = await ask(addresses[turn % addresses.length]);
    if (workflow?.state === WorkflowState.WORKFLOW_STATE_SUCCEEDED) {
      console.log(text(workflow.output));
      break;
    }
    if (workflow?.closeTime) throw new Error(`${WorkflowState[workflow.state]}: ${workflow.failure?.message}`);
  } catch (error) {
    if ((error as ServiceError).code !== status.UNAVAILABLE) throw error;
    turn++; // the same request, at another node
    await sleep(100);
  }
}
