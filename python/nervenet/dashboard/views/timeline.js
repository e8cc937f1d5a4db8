// SPDX-License-Identifier: Apache-2.0
// Steps of a workflow as bars over time: what waited in a queue, ran, waited between attempts, waited for a human. Steps that are
// alike are one line. Above 300 steps the bars are off until somebody wants them.
import { STEP, isClosed, isOpenStep } from "../core/states.js";
import { folded, isTrouble, partsOf, since, spent, stepCount, troubleCount } from "../core/steps.js";
import { clean, count, percent, plural } from "../core/text.js";
import { DASH, exact, millis, now, span } from "../core/times.js";
import { html, useEffect, useMemo, useState } from "../core/ui.js";
import { failureWords, silence, stepWords, waitTone, waitWords } from "../core/waits.js";
import { Empty, Id } from "../parts/basics.js";
import { VirtualList } from "../parts/virtual.js";
import { StepPanel } from "./step.js";

const MOST_BARS = 300;
const ROW = 34;
const PHASES = [["queued", "queued"], ["ran", "ran"], ["retry", "between attempts"], ["human", "with humans"]];
const MOMENTS = ["WAIT_KIND_SIGNAL", "WAIT_KIND_SLEEP", "WAIT_KIND_TIME_LIMIT", "WAIT_KIND_DELIVERY"];

/** `want(true)`: all steps are wanted, not only those in short. */
export function Timeline({ one, news, want }) {
  const steps = useMemo(() => inOrder(one), [one.tasks]);
  const troubles = useMemo(() => troubleCount(one), [one]);
  const [opened, setOpened] = useState(new Set());
  const [isTroubleOnly, setTroubleOnly] = useState(false);
  const [areBarsShown, setBars] = useState(stepCount(one) <= MOST_BARS);
  const [chosen, setChosen] = useState("");
  const rows = useMemo(() => {
    const waits = isTroubleOnly ? [] : (one.waits ?? []).filter((wait) => MOMENTS.includes(wait.kind));
    const shown = isTroubleOnly ? steps.filter(isTrouble).map((step) => ({ step })) : folded(steps, one.taskGroups ?? [], opened);
    const coming = isTroubleOnly ? troubles - shown.length : 0;
    return [...shown, ...(coming > 0 ? [{ coming }] : []), ...waits.map((wait) => ({ wait }))];
  }, [steps, one.taskGroups, one.waits, opened, isTroubleOnly]);
  const isMoreWanted = rows.some((row) => row.coming);
  useEffect(() => {
    if (isMoreWanted) want(true);
  }, [isMoreWanted, opened]);
  useEffect(() => () => want(false), []);
  const step = useMemo(() => steps.find((each) => each.step === chosen), [steps, chosen]);
  if (!rows.length && !stepCount(one)) return html`<${Empty} title="No step yet." />`;
  const toggle = (key) => {
    const next = new Set(opened);
    if (!next.delete(key)) next.add(key);
    setOpened(next);
  };
  return html`<div class=${`timeline ${areBarsShown ? "" : "without-bars"}`}>
    <div class="timeline-head">
      <p class="legend" aria-label="What bars mean">${areBarsShown && PHASES.map(([name, word]) => html`<span class="phase-name"><i class=${`phase ${name}`} />${word}</span>`)}</p>
      ${stepCount(one) > MOST_BARS && html`<button type="button" class="button small" aria-pressed=${areBarsShown} onClick=${() => setBars(!areBarsShown)}>${areBarsShown ? "Hide bars" : `Show bars of ${count(stepCount(one))} steps`}</button>`}
      ${troubles > 0 && html`<button type="button" class="button small" aria-pressed=${isTroubleOnly} onClick=${() => setTroubleOnly(!isTroubleOnly)}>${plural(troubles, "step has", "steps have")} failed attempts</button>`}
    </div>
    <${Rows} one=${one} rows=${rows} areBarsShown=${areBarsShown} opened=${opened} toggle=${toggle} choose=${setChosen} chosen=${chosen} news=${news} />
    ${step && html`<${StepPanel} key=${step.step} one=${one} step=${step} onClose=${() => setChosen("")} />`}
  </div>`;
}

/** As they began: the journal knows them in the order in which they ended. */
const inOrder = (one) =>
  (one.tasks ?? [])
    .map((step) => ({ step, at: since(step, 0) }))
    .sort((a, b) => a.at - b.at)
    .map(({ step }) => step);

function Rows({ one, rows, areBarsShown, opened, toggle, choose, chosen, news }) {
  // A run that is open grows; its scale follows once a second.
  const end = isClosed(one) ? millis(one.closeTime) : Math.max(now.value, millis(one.startTime));
  const begin = millis(one.startTime);
  const scale = { begin, end: Math.max(end, begin + 1), now: end };
  const told = news.value;
  const waitOf = new Map((one.waits ?? []).filter((wait) => (wait.count ?? 1) === 1).map((wait) => [wait.step, wait]));
  const row = (at) => {
    const { step, fold, wait, coming, isInside } = rows[at];
    if (coming) return html`<div class="step-row"><span class="step-name quiet">${plural(coming, "more step is", "more steps are")} being read…</span></div>`;
    if (wait) return html`<${WaitRow} wait=${wait} scale=${scale} areBarsShown=${areBarsShown} />`;
    if (fold) return html`<${FoldRow} fold=${fold} scale=${scale} areBarsShown=${areBarsShown} isOpened=${opened.has(fold.key)} toggle=${toggle} />`;
    return html`<${StepRow} step=${step} scale=${scale} areBarsShown=${areBarsShown} isInside=${isInside} isChosen=${chosen === step.step} choose=${choose} news=${told[step.step]} wait=${waitOf.get(step.step)} />`;
  };
  return html`${areBarsShown && html`<${Axis} scale=${scale} />`}
    <${VirtualList} className=${rows.length > 14 ? "tall" : "fitting"} count=${rows.length} rowHeight=${ROW} row=${row} label="Steps" />`;
}

function Axis({ scale }) {
  const marks = [0, 0.25, 0.5, 0.75, 1];
  return html`<div class="axis" aria-hidden="true"><span /><div class="axis-marks">${marks.map((at) => html`<span style=${{ left: `${at * 100}%` }}>${span((scale.end - scale.begin) * at)}</span>`)}</div><span /></div>`;
}

function StepRow({ step, scale, areBarsShown, isInside, isChosen, choose, news, wait }) {
  return html`<button type="button" data-row class=${`step-row ${isInside ? "inside" : ""} ${isChosen ? "chosen" : ""}`} onClick=${() => choose(isChosen ? "" : step.step)} aria-expanded=${isChosen}>
    <span class="step-name"><span class=${`symbol ${STEP[step.state]?.tone}`} aria-hidden="true">${STEP[step.state]?.symbol}</span><${Id}>${step.step}</${Id}><span class="visually-hidden">${STEP[step.state]?.word}</span></span>
    ${areBarsShown && html`<${Bar} parts=${partsOf(step, scale.begin, scale.now)} scale=${scale} step=${step} />`}
    <span class="step-note">${noteOf(step, scale, news, wait)}</span>
  </button>`;
}

function noteOf(step, scale, news, wait) {
  if (step.state === "TASK_STATE_FAILED" && step.failure) return html`<bdi class="words stuck">${failureWords(step.failure)}</bdi>`;
  const waiting = wait && isOpenStep(step) ? stepWords(wait, scale.now) : "";
  if (waiting) return html`<bdi class=${`words ${waitTone(wait)}`}>${waiting}</bdi>`;
  if (step.waitsFor) return html`<bdi class="words attention">${clean(step.waitsFor)}</bdi>`;
  if (step.state === "TASK_STATE_RUNNING") {
    const fraction = news?.fraction ?? step.fraction;
    const said = [fraction === undefined ? "" : percent(fraction), clean(news?.message), silence(wait, scale.now)].filter(Boolean).join(", ");
    return html`<bdi>${said}</bdi><bdi class="quiet">${clean(step.agentId)}</bdi>${attempts(step)}`;
  }
  const took = Object.values(spent(step, scale.now)).reduce((sum, each) => sum + each, 0);
  return html`<span class="figures">${took ? span(took) : DASH}</span><bdi class="quiet">${clean(step.agentId || step.childWorkflowId)}</bdi>${attempts(step)}`;
}

const attempts = (step) => step.attempt > 1 && html`<span class="tag">attempt ${step.attempt}${step.maxAttempts ? ` of ${step.maxAttempts}` : ""}</span>`;

function Bar({ parts, scale, step }) {
  const place = (ms) => Math.min(Math.max((ms - scale.begin) / (scale.end - scale.begin), 0), 1) * 100;
  const failed = step.state === "TASK_STATE_FAILED";
  return html`<span class="bar" aria-hidden="true">
    ${parts.map(({ phase, from, to }) => html`<i class=${`phase ${phase} ${failed ? "failed" : ""}`} title=${`${phase} ${span(to - from)}`} style=${{ left: `${place(from)}%`, width: `${Math.max(place(to) - place(from), 0.2)}%` }} />`)}
    ${isOpenStep(step) && html`<i class="tip" style=${{ left: `${place(scale.now)}%` }} />`}
  </span>`;
}

function FoldRow({ fold, scale, areBarsShown, isOpened, toggle }) {
  const parts = [{ phase: "ran", from: fold.from || scale.begin, to: Math.min(fold.to, scale.now) }];
  return html`<button type="button" data-row class="step-row fold" aria-expanded=${isOpened} onClick=${() => toggle(fold.key)}>
    <span class="step-name"><span class="symbol" aria-hidden="true">${isOpened ? "▾" : "▸"}</span><${Id}>${fold.name}</${Id}><span class="quiet"> ×${count(fold.count)}</span></span>
    ${areBarsShown && html`<${Bar} parts=${parts} scale=${scale} step=${{}} />`}
    <span class="step-note">${Object.entries(fold.counts).map(([state, number]) => html`<span class=${`count ${STEP[state]?.tone}`}>${count(number)} ${STEP[state]?.word ?? ""}</span>`)}</span>
  </button>`;
}

function WaitRow({ wait, scale, areBarsShown }) {
  const from = millis(wait.sinceTime) || scale.begin;
  const due = millis(wait.dueTime);
  return html`<div class="step-row wait-row">
    <span class="step-name"><span class="symbol" aria-hidden="true">◌</span><bdi>${clean(wait.signal ?? "timer")}</bdi></span>
    ${areBarsShown && html`<${Bar} parts=${[{ phase: "waiting", from, to: scale.now }]} scale=${scale} step=${{}} />`}
    <span class="step-note" title=${due ? exact(due) : ""}><bdi>${waitWords(wait, scale.now)}</bdi></span>
  </div>`;
}
