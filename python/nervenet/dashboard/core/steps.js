// SPDX-License-Identifier: Apache-2.0
// Steps of a workflow: what their time went into, and steps that are alike as one line, as `nervenet show` does it.
import { isOpenStep } from "./states.js";
import { durationMs, millis } from "./times.js";

/** From this number on, steps of one name are one line. */
const ALIKE = 10;
const NAMED = 3;

const PHASES = { TASK_PHASE_QUEUED: "queued", TASK_PHASE_RUNNING: "ran", TASK_PHASE_RETRY: "retry", TASK_PHASE_HUMAN: "human" };

export const phaseOf = (part) => PHASES[part.phase] ?? "ran";

/** {queued, ran, retry, human} in ms, until now. */
export function spent(step, nowMs) {
  const totals = {
    queued: durationMs(step.queuedDuration),
    ran: durationMs(step.runDuration),
    retry: durationMs(step.retryDuration),
    human: durationMs(step.humanDuration),
  };
  const last = step.spans?.at(-1);
  if (last && !last.endTime && isOpenStep(step)) totals[phaseOf(last)] += Math.max(nowMs - millis(last.startTime), 0);
  return totals;
}

export const since = (step, begin) => millis(step.scheduleTime) || millis(step.startTime) || begin;

export const isTrouble = (step) =>
  step.state === "TASK_STATE_FAILED" || (isOpenStep(step) && Boolean(step.failedAttempts?.length));

/** The parts of a step's time: [{phase, from, to}] in ms; `to` of what goes on is now. */
export function partsOf(step, begin, nowMs) {
  const isOpen = isOpenStep(step);
  if (step.spans?.length) {
    return step.spans.map((part) => {
      const from = millis(part.startTime);
      return { phase: phaseOf(part), from, to: millis(part.endTime) || (isOpen ? nowMs : from) };
    });
  }
  const from = since(step, begin);
  const phase = step.state === "TASK_STATE_WAITING_FOR_HUMAN" ? "human" : step.state === "TASK_STATE_QUEUED" ? "queued" : "ran";
  return [{ phase, from, to: millis(step.endTime) || (isOpen ? nowMs : from) }];
}

/**
 * Rows of the timeline: {step} or {fold: {name, steps, counts, failed}}. Steps that are alike are one row; behind it are the
 * first few that failed or wait for a human, and all of them if `opened` has its name.
 */
export function folded(steps, opened) {
  const groups = new Map();
  const keyed = steps.map((step) => [`${step.step.split(".")[0]}\n${step.capability ?? ""}`, step]);
  for (const [key, step] of keyed) {
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(step);
  }
  return keyed.flatMap(([key, step]) => {
    const alike = groups.get(key);
    if (alike.length < ALIKE) return [{ step }];
    if (step !== alike[0]) return [];
    const shown = opened.has(key) ? alike : [...alike.filter(isTrouble).slice(0, NAMED), ...alike.filter(isAsked).slice(0, NAMED)];
    return [{ fold: foldOf(key, alike) }, ...shown.map((each) => ({ step: each, isInside: true }))];
  });
}

const isAsked = (step) => step.state === "TASK_STATE_WAITING_FOR_HUMAN";

function foldOf(key, steps) {
  const counts = {};
  for (const step of steps) counts[step.state] = (counts[step.state] ?? 0) + 1;
  return { key, name: key.split("\n")[0], steps, counts, failed: steps.filter((step) => step.state === "TASK_STATE_FAILED") };
}

/** Tokens of all steps by model: [{model, input, output}]. */
export function tokensOf(steps) {
  const models = new Map();
  for (const usage of steps.flatMap((step) => step.usage ?? [])) {
    const found = models.get(usage.model) ?? { model: usage.model ?? "", input: 0, output: 0 };
    found.input += Number(usage.inputTokens ?? 0);
    found.output += Number(usage.outputTokens ?? 0);
    models.set(usage.model, found);
  }
  return [...models.values()];
}
