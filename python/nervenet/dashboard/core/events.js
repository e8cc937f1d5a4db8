// SPDX-License-Identifier: Apache-2.0
// Server-sent events by `fetch`, which can carry the token; the browser's own EventSource cannot.
import { headers, reach, refusal } from "./rpc.js";

/** Yields {event, id, data} for each event; ends with the stream. Throws RpcError where the node refuses it. */
export async function* events(address, { stop, lastId = "", body } = {}) {
  const more = { Accept: "text/event-stream" };
  if (lastId) more["Last-Event-ID"] = lastId;
  if (body) more["Content-Type"] = "application/json";
  const options = { method: body ? "POST" : "GET", headers: headers(more), signal: stop };
  const response = await reach(address, body ? { ...options, body: JSON.stringify(body) } : options);
  if (!response.ok) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    yield* parsed(reader);
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function* parsed(reader) {
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const found = parsedEvent(block);
      if (found) yield found;
    }
  }
}

/** Null for a comment, which only keeps the connection. */
function parsedEvent(block) {
  const found = { event: "message", id: "", data: [] };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") found.data.push(value);
    else if (name === "event" || name === "id") found[name] = value;
  }
  return found.data.length ? { ...found, data: found.data.join("\n") } : null;
}
