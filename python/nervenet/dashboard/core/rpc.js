// SPDX-License-Identifier: Apache-2.0
// Calls of the contract (protos/nervenet/v1) as JSON over HTTP: the Connect protocol. A refusal is an RpcError with the reason
// that the contract names.
import { takeFirst } from "./first.js";
import { namespace, namespaceRefused, token, tokenRefused } from "./settings.js";
import { signal } from "./ui.js";

const LONGEST_CALL_MS = 30_000;

/** Whether the last call reached the node. */
export const isReachable = signal(true);

export class RpcError extends Error {
  constructor({ code = "unknown", message = "", details = [] }) {
    super(message || code);
    this.code = code;
    const info = details.map((each) => each.debug ?? {});
    this.reason = info.find((each) => each.reason)?.reason ?? "";
    this.metadata = info.find((each) => each.metadata)?.metadata ?? {};
    /** [{field, description}]: what is wrong with the request. */
    this.fields = info.flatMap((each) => each.fieldViolations ?? []);
  }
}

export const coordinator = (method, request, options) => call(`nervenet.v1.CoordinatorService/${method}`, request, options);
export const registry = (method, request, options) => call(`nervenet.v1.RegistryService/${method}`, request, options);
export const agentService = (method, request, options) => call(`nervenet.v1.AgentService/${method}`, request, options);

export async function call(path, request = {}, { signal: stop } = {}) {
  const deadline = AbortSignal.timeout(LONGEST_CALL_MS);
  const response = await reach(`./${path}`, {
    method: "POST",
    headers: headers({ "Content-Type": "application/json", "Connect-Protocol-Version": "1" }),
    body: JSON.stringify(request),
    signal: stop ? AbortSignal.any([stop, deadline]) : deadline,
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** `fetch`, which also notes whether the node answers. */
export async function reach(address, options) {
  try {
    const response = await (takeFirst(address, options.body) ?? fetch(address, options));
    isReachable.value = true;
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    isReachable.value = false;
    throw Object.assign(new RpcError({ code: "unavailable", message: "The node does not answer." }), { isUnreachable: true });
  }
}

export async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) tokenRefused.value = true;
  const error = new RpcError({ code: `http ${response.status}`, ...told });
  if (error.reason === "WRONG_NAMESPACE") namespaceRefused.value = true;
  return error;
}

export function headers(more = {}) {
  const all = namespace ? { ...more, "Nervenet-Namespace": namespace } : more;
  return token.value ? { ...all, Authorization: `Bearer ${token.value}` } : all;
}

/** All pages of a list as one array, at most `most` items. `isWhole` is false where there are more. */
export async function allPages(list, request, name, most = 1000) {
  const found = [];
  let pageToken = "";
  do {
    const page = await list({ ...request, pageSize: Math.min(1000, most - found.length), pageToken });
    found.push(...(page[name] ?? []));
    pageToken = page.nextPageToken ?? "";
  } while (pageToken && found.length < most);
  return { found, isWhole: !pageToken };
}
