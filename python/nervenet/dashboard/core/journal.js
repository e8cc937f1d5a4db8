// SPDX-License-Identifier: Apache-2.0
// Journal entries in one line each, in the words of `nervenet watch`.
import { payloadLine } from "./payload.js";
import { markOf, WORKFLOW } from "./states.js";
import { clean, percent } from "./text.js";
import { millis, took } from "./times.js";
import { failureWords } from "./waits.js";

const line = (symbol, tone, what, words = "") => ({ symbol, tone, what: clean(what), words });

const LINES = {
  start: ({ start }) => line("●", "running", "start", `${start.definition} v${start.version}  ${payloadLine(start.input)}`),
  task,
  progress,
  timer: ({ name }) => line("●", "running", `timer ${rest(name)}`, "is due"),
  signal: ({ signal }) =>
    line("●", "running", `signal ${signal.signal}`, [payloadLine(signal.payload), clean(signal.sender)].filter(Boolean).join("  ")),
  escalated: ({ name, escalated }) => line("?", "human", unnumbered(name), `“${clean(escalated.question?.text)}”`),
  decided,
  patch: ({ name, patch }) => line("●", "running", `patch ${rest(name)}`, patch.answer ? "the new code" : "the old code"),
  child: ({ name, child }) =>
    line(child.failure ? "✗" : "●", child.failure ? "bad" : "running", rest(name), child.failure ? failureWords(child.failure) : `child ${child.workflowId}`),
  sent: ({ name, sent }) =>
    line(sent.failure ? "✗" : "●", sent.failure ? "bad" : "running", rest(name), sent.failure ? failureWords(sent.failure) : `signal ${sent.signal} to ${sent.workflowId}`),
  cancel: ({ cancel }) =>
    line("–", "quiet", "cancel", [clean(cancel.requester), cancel.timeout ? "its time ran out" : clean(cancel.reason)].filter(Boolean).join(": ")),
  close,
};

/** {sequence, ms, symbol, tone, what, words} */
export function journalLine(entry) {
  const kind = Object.keys(LINES).find((name) => entry[name] !== undefined);
  const said = kind ? LINES[kind](entry) : line(" ", "quiet", entry.name ?? "");
  return { sequence: Number(entry.sequence ?? 0), ms: millis(entry.progress?.time ?? entry.time), ...said };
}

const rest = (name = "") => name.slice(name.indexOf(":") + 1);
const unnumbered = (name) => rest(name).replace(/#1$/, "");
const by = (task) => (task.agentId ? `  on ${task.agentId}` : "");

function task({ name, task }) {
  const what = name.startsWith("attempt:") ? rest(name).replace("#", " #") : rest(name);
  if (task.failure) return line("✗", "bad", what, failureWords(task.failure) + by(task));
  if (task.question) return line("?", "human", what, `asks a human${by(task)}`);
  return line("✓", "good", what, task.startTime && task.endTime ? took(task.startTime, task.endTime) + by(task) : by(task).trim());
}

function progress({ progress }) {
  const words = [`on ${progress.agentId}`];
  if (progress.fraction !== undefined) words.push(percent(progress.fraction));
  if (progress.message) words.push(clean(progress.message));
  return line("●", "running", progress.step, words.join("  "));
}

function decided({ name, decided }) {
  if (decided.expired) return line("–", "quiet", unnumbered(name), "nobody answered in time");
  const action = (decided.action ?? "").replace("ESCALATION_ACTION_", "").toLowerCase().replaceAll("_", " ");
  const who = decided.resolver ? `${clean(decided.resolver)}: ` : "";
  const comment = decided.comment ? `, “${clean(decided.comment)}”` : "";
  return line("●", "running", unnumbered(name), `${who}${action} ${payloadLine(decided.value)}`.trim() + comment);
}

function close({ close }) {
  const { symbol, tone, word } = markOf(WORKFLOW, close.state);
  return line(symbol, tone, word, close.failure ? failureWords(close.failure) : payloadLine(close.output));
}
