// SPDX-License-Identifier: Apache-2.0
// Text from elsewhere, made harmless for a line of the page; numbers and plurals.

// Controls, and the marks that turn the direction of text around.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

// A text that a payload codec has encoded. The page has no keys, so it shows it in words.
const ENCODED = /encoded\[([a-z0-9-]+(?:;[^\]\s]{1,200})?)\]:[A-Za-z0-9_=…-]*/g;

/** An encoding in words: `encrypted (key id 2026-11)`. */
export function encodingWords(encoding) {
  const [name, key] = String(encoding).split(";key=");
  return name === "aes-gcm" ? `encrypted (key id ${key})` : `encoded (${encoding})`;
}

const readable = (text) => (text.includes("encoded[") ? text.replace(ENCODED, (_, encoding) => encodingWords(encoding)) : text);

/** One harmless line. */
export const clean = (text) => readable(String(text ?? "")).replace(CONTROL, " ").trim();

/** Text of several lines, in which marks that nobody sees are shown as JSON writes them: `\u202e`. */
export const visible = (text) =>
  readable(String(text)).replace(HIDDEN, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : many}`;

/** `1 234`: the contract's 64-bit numbers are texts. */
export const count = (number) => String(number ?? 0).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

export const clipped = (text, room) => (text.length <= room ? text : `${text.slice(0, room - 1)}…`);

export const percent = (share) => `${Math.round((share ?? 0) * 100)} %`;

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** `key=value key=value`, sorted. */
export const labelsText = (labels) =>
  Object.keys(labels ?? {})
    .sort()
    .map((key) => `${key}=${clean(labels[key])}`)
    .join(" ");
