// SPDX-License-Identifier: Apache-2.0
// Payloads of the contract as text. JSON is laid out by its tokens: no digit is lost, and no depth is too deep.
import { clean, clipped, encodingWords, size, visible } from "./text.js";

/** Below it, JSON goes on in one line. */
const DEEPEST_INDENT = 12;

/** The content type of what a payload codec has encoded: only its users have the key. */
const ENCODED = "application/vnd.nervenet.encoded";

/** {text, kind}: the payload for people; kind is "json", "text", "uri", "bytes" or "none". */
export function payloadText(payload) {
  if (!payload) return { text: "", kind: "none" };
  if (payload.json !== undefined) return { text: visible(laidOut(payload.json)), kind: "json" };
  if (payload.value !== undefined) return { text: visible(laidOut(JSON.stringify(payload.value))), kind: "json" };
  if (payload.text !== undefined) return { text: visible(payload.text), kind: "text" };
  if (payload.uri !== undefined) return { text: visible(payload.uri), kind: "uri" };
  if (payload.contentType === ENCODED) return { text: clean(encodingWords(payload.encoding)), kind: "text" };
  if (payload.data !== undefined) return { text: `(${size(Math.floor((payload.data.length * 3) / 4))} of bytes)`, kind: "bytes" };
  return { text: payload.sizeBytes ? `(${size(Number(payload.sizeBytes))})` : "null", kind: "none" };
}

/** JSON text of a payload; "" where it has none. */
export function payloadJson(payload) {
  if (payload?.json !== undefined) return payload.json;
  if (payload?.value !== undefined) return JSON.stringify(payload.value);
  return payload?.text === undefined ? "" : JSON.stringify(payload.text);
}

/** One line, clipped; a text of JSON without its quotes. */
export function payloadLine(payload, room = 160) {
  if (!payload) return "";
  const json = payloadJson(payload);
  if (!json) return payloadText(payload).text;
  const head = json.slice(0, room * 6);
  if (head.startsWith('"') && head.length === json.length) {
    try {
      return clipped(clean(JSON.parse(json)), room);
    } catch {
      // shown as it is
    }
  }
  return clipped(clean(head), room);
}

/** A piece of output as it came: a text of JSON without its quotes, with every space. */
export function outputText(payload) {
  const json = payloadJson(payload);
  try {
    const value = JSON.parse(json);
    return visible(typeof value === "string" ? value : json);
  } catch {
    return payload?.text === undefined ? visible(json) : visible(payload.text);
  }
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/gs;

/** JSON with line breaks and indents. Text that is no JSON stays as it is. */
export function laidOut(json) {
  let [out, depth] = [[], 0];
  const tokens = json.match(TOKEN) ?? [];
  const lineBreak = () => depth <= DEEPEST_INDENT && out.push("\n", "  ".repeat(depth));
  tokens.forEach((token, at) => {
    if (token === "{" || token === "[") {
      out.push(token);
      depth += 1;
      if (!isClosing(tokens[at + 1])) lineBreak();
    } else if (isClosing(token)) {
      depth -= 1;
      if (!"[{".includes(tokens[at - 1] ?? " ") && depth < DEEPEST_INDENT) lineBreak();
      out.push(token);
    } else if (token === ",") {
      out.push(token);
      lineBreak();
    } else out.push(token === ":" ? ": " : token);
  });
  return out.join("");
}

const isClosing = (token) => token === "}" || token === "]";
