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

/** How many steps a workflow has. `taskCount` is there where the answer has them in short. */
export const stepCount = (one) => one.taskCount ?? one.tasks?.length ?? 0;

/** Whether there are steps that neither are in the answer nor belong to one of its groups. */
export function areStepsMissing(one) {
  if (!one.taskCount) return false;
  const groups = new Set((one.taskGroups ?? []).map(keyOfGroup));
  const alone = (one.tasks ?? []).filter((step) => !groups.has(keyOf(step))).length;
  const grouped = (one.taskGroups ?? []).reduce((sum, group) => sum + sizeOf(group), 0);
  return alone + grouped < one.taskCount;
}

/** How many steps failed, or are open after a failed attempt. */
export function troubleCount(one) {
  const groups = new Map((one.taskGroups ?? []).map((group) => [keyOfGroup(group), group]));
  const alone = (one.tasks ?? []).filter((step) => isTrouble(step) && !groups.has(keyOf(step))).length;
  return [...groups.values()].reduce((sum, group) => sum + (group.troubled ?? 0), alone);
}

const keyOf = (step) => `${step.step.split(".")[0]}\n${step.capability ?? ""}`;
const keyOfGroup = (group) => `${group.name ?? ""}\n${group.capability ?? ""}`;
const sizeOf = (group) => group.stateCounts.reduce((sum, { count }) => sum + count, 0);

/**
 * Rows of the timeline: {step} or {fold: {key, name, count, counts, from, to}}. Steps that are alike are one row; behind it are the
 * first few that failed or wait for a human, and all of them if `opened` has its key. Of a group that the answer has in short all of
 * them are not there yet: {coming} stands for them.
 */
export function folded(steps, groups, opened) {
  const members = new Map();
  for (const step of steps) {
    const key = keyOf(step);
    if (!members.has(key)) members.set(key, []);
    members.get(key).push(step);
  }
  const folds = new Map(groups.map((group) => [keyOfGroup(group), foldOfGroup(group)]));
  for (const [key, alike] of members) if (!folds.has(key) && alike.length >= ALIKE) folds.set(key, foldOf(key, alike));
  const rows = [...folds.values()].map((fold) => ({ at: fold.from, rows: rowsOf(fold, members.get(fold.key) ?? [], opened) }));
  for (const step of steps) if (!folds.has(keyOf(step))) rows.push({ at: since(step, 0), rows: [{ step }] });
  return rows.sort((a, b) => a.at - b.at).flatMap((each) => each.rows);
}

function rowsOf(fold, alike, opened) {
  const isOpened = opened.has(fold.key);
  const isThere = alike.length >= fold.count;
  const shown = isOpened && isThere ? alike : [...alike.filter(isTrouble).slice(0, NAMED), ...alike.filter(isAsked).slice(0, NAMED)];
  const rows = [{ fold }, ...shown.map((step) => ({ step, isInside: true }))];
  return isOpened && !isThere ? [...rows, { coming: fold.count - shown.length }] : rows;
}

const isAsked = (step) => step.state === "TASK_STATE_WAITING_FOR_HUMAN";

function foldOf(key, steps) {
  const counts = {};
  let to = 0;
  for (const step of steps) {
    counts[step.state] = (counts[step.state] ?? 0) + 1;
    to = Math.max(to, isOpenStep(step) ? Infinity : millis(step.endTime));
  }
  return { key, name: key.split("\n")[0], count: steps.length, counts, from: since(steps[0], 0), to };
}

function foldOfGroup(group) {
  const counts = Object.fromEntries(group.stateCounts.map(({ state, count }) => [state, count]));
  return { key: keyOfGroup(group), name: group.name ?? "", count: sizeOf(group), counts, from: millis(group.startTime), to: millis(group.endTime) || Infinity };
}

/** Tokens by model, of a workflow or of some steps: [{model, input, output}]. */
export const tokensOf = (one) => tokens(one.usage ?? (one.tasks ?? []).flatMap((step) => step.usage ?? []));

function tokens(used) {
  const models = new Map();
  for (const usage of used) {
    const found = models.get(usage.model) ?? { model: usage.model ?? "", input: 0, output: 0 };
    found.input += Number(usage.inputTokens ?? 0);
    found.output += Number(usage.outputTokens ?? 0);
    models.set(usage.model, found);
  }
  return [...models.values()];
}
