// SPDX-License-Identifier: Apache-2.0
// Reads that stay fresh. All reads of the page share one stream of the node, which sends what changed; a hidden page has none.
// A node without that stream is asked again and again.
import { events } from "./events.js";
import { call, RpcError } from "./rpc.js";
import { token } from "./settings.js";
import { signal, useLayoutEffect, useMemo } from "./ui.js";

const REOPEN_AFTER_MS = 2000;
const COLLECT_MS = 10; // views add their reads one after the other
const DEFAULT_EVERY_S = 3;

/** Path of a method → what is read of it, for each different request. */
const reads = new Map();
let hasStream = true;
let opened = null;
let pending = 0;

/** The answer of `method` for `request`, kept fresh while the component is shown: {value, error} as a signal. */
export function useLive(method, request, everySeconds = DEFAULT_EVERY_S) {
  const key = JSON.stringify([method, request]);
  const state = useMemo(() => signal({ value: null, error: null }), [key]);
  // Not useEffect: that waits until the browser has drawn the page, a tenth of a second.
  useLayoutEffect(() => follow(key, { path: `nervenet.v1.${method}`, request, every: everySeconds, state }), [key]);
  return state;
}

/** Read again now what a person has just changed. */
export function refresh() {
  for (const read of reads.values()) ask(read);
}

function follow(key, read) {
  const found = reads.get(key) ?? { ...read, name: `r${++named}`, states: new Set(), timer: 0 };
  found.states.add(read.state);
  if (!reads.has(key)) {
    reads.set(key, found);
    reopenSoon();
  } else if (found.last) read.state.value = found.last;
  return () => {
    found.states.delete(read.state);
    if (found.states.size || reads.get(key) !== found) return;
    clearTimeout(found.timer);
    reads.delete(key);
    reopenSoon();
  };
}

let named = 0;

function reopenSoon() {
  clearTimeout(pending);
  pending = setTimeout(reopen, COLLECT_MS);
}

function reopen() {
  opened?.abort();
  opened = null;
  for (const read of reads.values()) clearTimeout(read.timer);
  if (document.hidden || !reads.size) return;
  opened = new AbortController();
  if (hasStream) stream(opened);
  else for (const read of reads.values()) poll(read, opened);
}

async function stream(mine) {
  const byName = new Map([...reads.values()].map((read) => [read.name, read]));
  const asked = [...byName].map(([name, read]) => [name, { method: read.path, request: read.request, every: read.every }]);
  try {
    for await (const { event, data } of events("./live", { stop: mine.signal, body: { reads: Object.fromEntries(asked) } })) {
      const read = byName.get(event);
      if (read) tell(read, JSON.parse(data));
    }
  } catch (error) {
    if (mine.signal.aborted) return;
    if (["http 404", "http 405", "not_found", "unimplemented"].includes(error.code)) hasStream = false;
    else for (const read of byName.values()) fail(read, error);
  }
  if (!mine.signal.aborted) pending = setTimeout(reopen, hasStream ? REOPEN_AFTER_MS : 0);
}

async function poll(read, mine) {
  await ask(read);
  if (!mine.signal.aborted && read.states.size) read.timer = setTimeout(() => poll(read, mine), read.every * 1000);
}

async function ask(read) {
  try {
    tell(read, await call(read.path, read.request));
  } catch (error) {
    fail(read, error);
  }
}

function tell(read, told) {
  if (told.error) fail(read, new RpcError(told.error));
  else give(read, { value: told, error: null });
}

/** The answer before stays, with the error beside it. */
function fail(read, error) {
  give(read, { value: read.last?.value ?? null, error });
}

function give(read, found) {
  read.last = found;
  for (const state of read.states) state.value = found;
}

document.addEventListener("visibilitychange", reopenSoon);
token.subscribe(reopenSoon);
