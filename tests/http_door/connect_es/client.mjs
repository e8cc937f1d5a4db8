// SPDX-License-Identifier: Apache-2.0
// node client.mjs URL DESCRIPTORS TOKEN json|binary: calls a node as a page would, with the client of the Connect project for
// browsers, and prints what it was told as JSON. The contract comes from descriptors, so no code is generated.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

const [url, descriptors, token, form] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const withToken = (next) => (request) => {
  request.header.set("authorization", `Bearer ${token}`);
  return next(request);
};
const transport = (interceptors) => createConnectTransport({ baseUrl: url, useBinaryFormat: form === "binary", interceptors });
const client = (service, interceptors = [withToken]) =>
  createClient(registry.getService(`nervenet.v1.${service}`), transport(interceptors));
const coordinator = client("CoordinatorService");
const told = async (call) => {
  try {
    await call();
    return null;
  } catch (error) {
    const { code, rawMessage, details } = ConnectError.from(error);
    const info = details.find((detail) => detail.type === "google.rpc.ErrorInfo");
    return { code: Code[code], message: rawMessage, reason: info?.debug?.reason };
  }
};

const found = {};
const started = await coordinator.startWorkflow({
  workflowId: `es-${form}`,
  definition: "echo",
  input: { body: { case: "value", value: { kind: { case: "stringValue", value: "grüß Gott" } } } },
  wait: { seconds: 20n, nanos: 0 },
});
found.state = started.workflow.state;
found.output = toJson(registry.getMessage("nervenet.v1.Payload"), started.workflow.output);

found.entries = [];
for await (const { entry } of coordinator.watchWorkflow({ workflowId: `es-${form}` })) {
  if (entry) found.entries.push(entry.name);
}

await coordinator.startWorkflow({ workflowId: `es-${form}-waits`, definition: "waits" });
const leave = new AbortController();
found.left = await told(async () => {
  for await (const _ of coordinator.watchWorkflow({ workflowId: `es-${form}-waits` }, { signal: leave.signal })) leave.abort();
});
found.late = await told(async () => {
  for await (const _ of coordinator.watchWorkflow({ workflowId: `es-${form}-waits` }, { timeoutMs: 700 }));
});
const nodes = await client("RegistryService").listNodes({});
found.nodes = nodes.nodes.length;
found.missing = await told(() => coordinator.getWorkflow({ workflowId: "nobody" }));
found.missingStream = await told(async () => {
  for await (const _ of coordinator.watchWorkflow({ workflowId: "nobody" }));
});
found.agent = await told(() => client("AgentService").describeAgent({ agentId: "a-aaaaaaaa" }));
found.noToken = await told(() => client("CoordinatorService", []).listWorkflows({}));
found.wrong = await told(() => coordinator.startWorkflow({ definition: "echo", timeout: { seconds: -1n, nanos: 0 } }));
console.log(JSON.stringify(found));
