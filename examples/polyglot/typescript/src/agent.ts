// SPDX-License-Identifier: Apache-2.0
// Serves `validate` of the licence audit over a node's gateway: the whole of AgentService.Connect as protos/README.md has
// it. With CONFORMANCE=1 it serves what the conformance suite asks for instead.
import { setTimeout as sleep } from "node:timers/promises";
import { type ClientDuplexStream, type Metadata, status } from "@grpc/grpc-js";
import {
  AgentServiceClient, ConnectRequest, type ConnectRequestItem, type ConnectResponse, type ConnectResponseItem, HeldTask, Hello,
} from "@nervenet/protos/nervenet/v1/agent_service";
import { FailureCode } from "@nervenet/protos/nervenet/v1/common";
import { type TaskEnvelope, TaskProgress } from "@nervenet/protos/nervenet/v1/task";
import { conformance } from "./conformance.js";
import { addresses, credentials, expired, metadata, options } from "./dial.js";
import { patience, run, traced } from "./handlers.js";
import { handle as validate } from "./validate.js";

type Item = NonNullable<ConnectRequestItem["item"]>;
type End = { code?: status; message: string; metadata?: Metadata };
type Held = { task: HeldTask; stop: AbortController; result?: Item };

const credit = 4;
const handlers = process.env.CONFORMANCE ? conformance : { validate };
const hello = Hello.fromPartial({
  protocolVersion: 1,
  credit,
  agent: {
    name: process.env.NERVENET_AGENT_NAME ?? "typescript",
    runtime: `node ${process.versions.node}`,
    capabilities: Object.keys(handlers).map((name) => ({ name, slots: credit })),
  },
});
const held = new Map<string, Held>(); // what we answer for until it is acknowledged, whatever becomes of streams
const key = (one: { taskId: string; attempt: number }) => `${one.taskId}#${one.attempt}`;
let stream: ClientDuplexStream<ConnectRequest, ConnectResponse> | undefined;
let gone = false;
let drained = false; // our patience is over: what is stopped now is for others to do

/** Say something on the present stream; what a broken one lost is said again after its welcome. */
function send(item?: Item): void {
  if (item && stream && !stream.destroyed) stream.write({ items: [{ item }] });
}

/** One stream, from hello to its end; handlers run on when it breaks. */
function connect(address: string): Promise<End> {
  return new Promise((ended) => {
    const client = new AgentServiceClient(address, credentials(), options);
    const mine = (stream = client.connect(metadata()));
    let silence = setTimeout(() => mine.cancel(), 6000); // until the welcome tells the node's interval
    const breathing = setInterval(() => send({ $case: "status", value: { load: undefined, credit: undefined } }), 500);
    const end = (why: End) => {
      clearTimeout(silence);
      clearInterval(breathing);
      client.close();
      ended(why);
    };
    mine.on("error", end).on("end", () => end({ message: "the node ended the stream" }));
    mine.on("data", (response: ConnectResponse) => {
      silence.refresh();
      for (const { item } of response.items) {
        if (item?.$case === "welcome" && item.value.statusInterval) {
          const { seconds, nanos } = item.value.statusInterval;
          clearTimeout(silence);
          silence = setTimeout(() => mine.cancel(), 3 * (Number(seconds) * 1000 + nanos / 1e6));
        }
        if (item) hear(item, mine);
      }
    });
    send({ $case: "hello", value: { ...hello, running: [...held.values()].map((one) => one.task) } });
  });
}

function hear(item: NonNullable<ConnectResponseItem["item"]>, mine: { cancel(): void }): void {
  switch (item.$case) {
    case "welcome":
      [hello.agent!.agentId, hello.leaseId] = [item.value.agentId, item.value.leaseId];
      for (const one of held.values()) send(one.result);
      break;
    case "task":
      if (held.has(key(item.value))) send(held.get(key(item.value))!.result);
      else void begin(item.value);
      break;
    case "resultAck":
    case "rejected":
      held.delete(key(item.value));
      break;
    case "taskCancel":
      held.get(key(item.value))?.stop.abort();
      break;
    case "reconnect":
      mine.cancel(); // the next turn is another node
  }
}

async function begin(task: TaskEnvelope): Promise<void> {
  const one: Held = { task: { task: { ...task, input: undefined }, startTime: new Date() }, stop: new AbortController() };
  held.set(key(task), one);
  const report = (news: Parameters<typeof TaskProgress.fromPartial>[0]) =>
    send({ $case: "taskReport", value: { taskId: task.taskId, progress: { ...TaskProgress.fromPartial(news), attempt: task.attempt } } });
  const result = await run(handlers[task.capability as keyof typeof handlers], { ...task, report, signal: one.stop.signal });
  if (drained && result.outcome?.$case === "failure" && result.outcome.value.code === FailureCode.FAILURE_CODE_CANCELED)
    result.outcome.value.code = FailureCode.FAILURE_CODE_AGENT_DRAINED;
  send((one.result = { $case: "taskCompletion", value: { taskId: task.taskId, result } }));
}

/** Finish what runs within our patience, give back the rest, say goodbye. */
async function leave(): Promise<void> {
  const empty = async (ms: number) => {
    for (const end = Date.now() + ms; held.size && Date.now() < end; ) await sleep(20);
  };
  send({ $case: "status", value: { load: undefined, credit: 0 } });
  await empty(patience());
  drained = true;
  for (const one of held.values()) one.stop.abort();
  await empty(5000);
  gone = true;
  send({ $case: "goodbye", value: { reason: "stopped" } });
  stream?.end();
}

const flush = traced();
process.once("SIGTERM", leave).once("SIGINT", leave);
for (let turn = 0; !gone; turn++) {
  const why = await connect(addresses[turn % addresses.length]);
  const late = expired(why); // who renews the file with the token may be late
  if (!late && [status.INVALID_ARGUMENT, status.UNAUTHENTICATED, status.PERMISSION_DENIED].includes(why.code ?? status.OK)) throw why;
  await sleep(late ? 1000 : 100);
}
await flush();
process.exit(0);
