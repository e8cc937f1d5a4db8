// SPDX-License-Identifier: Apache-2.0
// The first read of a workflow. It begins with this module, which imports nothing, while the browser still loads the others:
// of a workflow with thousands of steps the node needs as long for its answer as the browser for the page.

/** The request of a workflow: its steps in short, or all of them. */
export const workflowRequest = (workflowId, isWhole = false) => ({ workflowId, payloadFormat: "PAYLOAD_FORMAT_RAW", summarizeTasks: !isWhole });

const begun = begin();

function begin() {
  const [, id] = location.hash.match(/^#\/workflows\/([^?]+)/) ?? [];
  if (!id || document.hidden) return null;
  const address = "./nervenet.v1.CoordinatorService/GetWorkflow";
  const token = sessionStorage.getItem("nervenet.token");
  const namespace = new URLSearchParams(location.search).get("namespace");
  const headers = { "Content-Type": "application/json", "Connect-Protocol-Version": "1" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (namespace) headers["Nervenet-Namespace"] = namespace;
  try {
    const body = JSON.stringify(workflowRequest(decodeURIComponent(id)));
    const response = fetch(address, { method: "POST", headers, body, signal: AbortSignal.timeout(30_000) });
    response.catch(() => {}); // Whoever takes it is told.
    return { address, body, response };
  } catch {
    return null; // The id in the address is not one.
  }
}

let isTaken = false;

/** The answer to this request if it was begun here; null otherwise, and when it was taken before. */
export function takeFirst(address, body) {
  if (isTaken || begun?.address !== address || begun.body !== body) return null;
  isTaken = true;
  return begun.response;
}
