// SPDX-License-Identifier: Apache-2.0
// What a workflow waits for, in the words of `nervenet list` (python/nervenet/wire/waits.py): `fetch queued 12 min: no live agent
// serves it`. Durations are as of `nowMs`; the contract's own sentence has moments.
import { clean, percent } from "./text.js";
import { millis, moment, slowSpan } from "./times.js";

const NOBODY = "no live agent serves it";
const SILENT_MS = 5000;

const WORDS = {
  WAIT_KIND_BLOCKED: (wait, at) => `blocked${age(wait, at)}${wait.reason ? `: ${wait.reason}` : ""}`,
  WAIT_KIND_NODE: (wait) => wait.reason,
  WAIT_KIND_RETRY: retry,
  WAIT_KIND_HUMAN: human,
  WAIT_KIND_QUEUED: (wait, at) =>
    `${many(wait, task(wait))} queued${age(wait, at)}${wait.reason ? `: ${wait.reason}` : ""}${attempt(wait)}`,
  WAIT_KIND_RUNNING: running,
  WAIT_KIND_CHILD: (wait, at) => `waits for child ${wait.workflowId}${more(wait)}${behind(wait, at)}`,
  WAIT_KIND_DELIVERY: (wait, at) => `sends signal ${wait.signal} to ${wait.workflowId}${more(wait)}${behind(wait, at)}`,
  WAIT_KIND_SIGNAL: (wait, at) => `waits for signal ${many(wait, wait.signal)}${behind(wait, at)}`,
  WAIT_KIND_SLEEP: (wait, at) => `sleeps until ${moment(millis(wait.dueTime), at)}${first(wait)}`,
  WAIT_KIND_TIME_LIMIT: (wait, at) => `gives up at ${moment(millis(wait.dueTime), at)}${first(wait)}`,
};

export function waitWords(wait, nowMs) {
  const words = WORDS[wait.kind];
  return clean(words ? words(wait, nowMs) : wait.words || "waits for something that this page does not know");
}

/** The most urgent wait, and how many more there are beside time limits; "" where nothing is known. */
export function waitSummary(workflow, nowMs) {
  const waits = workflow.waits ?? [];
  if (!waits.length) return workflow.partial ? `its node ${workflow.nodeId} does not answer` : "";
  const others = waits.slice(1).filter((wait) => wait.kind !== "WAIT_KIND_TIME_LIMIT");
  const rest = others.reduce((sum, wait) => sum + (wait.count ?? 1), workflow.moreWaits ?? 0);
  return waitWords(waits[0], nowMs) + (rest ? `, and ${rest} more` : "");
}

/** How urgent it looks: "stuck", "blocked", "attention" or "". */
export function waitTone(wait) {
  if (!wait) return "";
  if (wait.kind === "WAIT_KIND_BLOCKED") return "blocked";
  if (wait.stuck) return "stuck";
  return ["WAIT_KIND_NODE", "WAIT_KIND_RETRY", "WAIT_KIND_HUMAN"].includes(wait.kind) ? "attention" : "";
}

/** What a step waits for, beside its name: `in 12 s after RateLimited: 429 from api (attempt 2 of 5)`; "" where its row says enough. */
export function stepWords(wait, nowMs) {
  const isSilent = wait.stuck && wait.kind === "WAIT_KIND_RUNNING";
  if (!isSilent && !["WAIT_KIND_RETRY", "WAIT_KIND_HUMAN"].includes(wait.kind)) return "";
  const words = waitWords(wait, nowMs);
  const prefix = [`retries ${clean(wait.step)} `, "asks a human: "].find((each) => words.startsWith(each)) ?? "";
  return words.slice(prefix.length);
}

/** `silent for 40 s`: since when the handler that runs gave no sign of life; "" if it just did. */
export function silence(wait, nowMs) {
  if (wait?.kind !== "WAIT_KIND_RUNNING" || !wait.aliveTime) return "";
  const ms = nowMs - millis(wait.aliveTime);
  return ms >= SILENT_MS ? `silent for ${slowSpan(ms)}` : "";
}

/** What to do about the most urgent wait, as `nervenet show` says it: {words, command}, {words, agentId}, or null. */
export function cure(waits) {
  const [wait] = waits;
  if (wait?.kind === "WAIT_KIND_QUEUED" && wait.reason?.startsWith(NOBODY)) {
    const wants = wait.reason.slice(NOBODY.length).trim().replace(/^with /, "");
    const capability = clean(wait.capability);
    return { words: `Start an agent that serves ${capability}${wants ? ` (it wants ${clean(wants)})` : ""}:`, command: `nervenet agent APP --only ${capability}` };
  }
  if (wait?.kind === "WAIT_KIND_RUNNING" && wait.stuck)
    return { words: "Its handler may hang. If you restart the agent, the task runs again, on any agent.", agentId: wait.agentId };
  return null;
}

/** `RateLimited: 429 from api`. */
export function failureWords(failure) {
  if (!failure.type && failure.message) return clean(failure.message);
  const kind = failure.type || (failure.code ?? "FAILURE_CODE_APPLICATION").replace("FAILURE_CODE_", "");
  return clean(failure.message ? `${kind}: ${failure.message}` : kind);
}

function retry(wait, at) {
  const due = millis(wait.dueTime);
  const when = due > at ? `in ${slowSpan(due - at)}` : "now";
  const oldest = count(wait) > 1 ? ", the oldest" : "";
  return `retries ${many(wait, task(wait))}${oldest} ${when} after ${failureWords(wait.lastFailure ?? {})}${attempt(wait)}`;
}

function human(wait, at) {
  const due = millis(wait.dueTime);
  const until = due ? ` (due ${due > at ? `in ${slowSpan(due - at)}` : "now"})` : "";
  return `asks a human: ${wait.question ?? ""}${until}${more(wait)}`;
}

function running(wait, at) {
  const done = wait.fraction === undefined ? "" : `, ${percent(wait.fraction)}`;
  const what = many(wait, task(wait));
  if (!wait.stuck) return `${what} running${age(wait, at)} on ${wait.agentId}${done}${attempt(wait)}`;
  const oldest = count(wait) > 1 ? ", the oldest" : "";
  const silent = `for ${slowSpan(at - millis(wait.aliveTime))}`;
  return `${what} running without a sign of life${oldest} ${silent} on ${wait.agentId}${done}${attempt(wait)}`;
}

const count = (wait) => wait.count ?? 1;
const many = (wait, what) => (count(wait) > 1 ? `${what} ×${count(wait)}` : what);
const more = (wait) => (count(wait) > 1 ? ` and ${count(wait) - 1} more` : "");
const first = (wait) => (count(wait) > 1 ? ` (the first of ${count(wait)})` : "");
// The capability of many steps, otherwise the step.
const task = (wait) => (count(wait) > 1 ? wait.capability : wait.step || wait.capability);

function age(wait, at) {
  if (!wait.sinceTime) return "";
  const said = slowSpan(at - millis(wait.sinceTime));
  return count(wait) > 1 ? `, the oldest ${said}` : ` ${said}`;
}

function behind(wait, at) {
  if (count(wait) > 1) return age(wait, at);
  return wait.sinceTime ? `, ${slowSpan(at - millis(wait.sinceTime))}` : "";
}

function attempt(wait) {
  if ((wait.attempt ?? 0) < 2) return "";
  return ` (attempt ${wait.attempt}${wait.maxAttempts ? ` of ${wait.maxAttempts}` : ""})`;
}
