// SPDX-License-Identifier: Apache-2.0
// Overview: how the mesh is now. Rates and durations are those of the newest workflows that one page of the list has.
import { useLive } from "../core/live.js";
import { link } from "../core/router.js";
import { CLOSED_STATES, OPEN_STATES, WORKFLOW } from "../core/states.js";
import { count, plural } from "../core/text.js";
import { DASH, durationMs, millis, slowSpan, span } from "../core/times.js";
import { html, useMemo } from "../core/ui.js";
import { failureWords } from "../core/waits.js";
import { Age, Answer, Empty, Id, Mark, Problems, WaitSummary } from "../parts/basics.js";
import { Chart } from "../parts/chart.js";

const NEWEST = 300;
const BUCKETS = 40;
const RATE_WINDOW_MS = 300_000;

export function Overview() {
  const counts = useLive("CoordinatorService/ListWorkflows", { pageSize: 1, includeCounts: true });
  const newest = useLive("CoordinatorService/ListWorkflows", { pageSize: NEWEST }, 10);
  return html`<header class="head"><h1>Overview</h1></header>
    <${Problems} answers=${[useAgents()]} />
    <${Answer} state=${counts}>${(value) => html`<${States} counts=${value} />`}</${Answer}>
    <${Figures} newest=${newest.value.value} />
    <section class="card"><${Rates} newest=${newest.value.value} /></section>
    <div class="columns">
      <section class="card"><h2>Needs a look</h2><${NeedsALook} /></section>
      <section class="card"><h2>Backlog by capability</h2><${Backlog} /></section>
    </div>
    <section class="card"><h2>Recent failures</h2><${Failures} /></section>`;
}

function States({ counts }) {
  const byState = Object.fromEntries((counts.stateCounts ?? []).map((each) => [each.state, Number(each.count)]));
  return html`<ul class="states" aria-label="Workflows by state">
    ${[...OPEN_STATES, ...CLOSED_STATES].map(
      (state) => html`<li key=${state}><a class=${`state-tile ${WORKFLOW[state].tone} ${byState[state] ? "" : "none"}`} href=${link("workflows", "", { state: state.replace("WORKFLOW_STATE_", "") })}>
        <strong>${count(byState[state] ?? 0)}</strong><${Mark} mark=${WORKFLOW[state]} /></a></li>`,
    )}
  </ul>`;
}

/** Four numbers that one looks at first. */
function Figures({ newest }) {
  const queues = useQueues();
  const questions = useLive("CoordinatorService/ListEscalations", { pageSize: 1 }).value.value;
  const found = useMemo(() => summary(newest?.workflows ?? [], Date.now()), [newest]);
  const oldest = Math.max(0, ...queues.map((queue) => durationMs(queue.oldest)));
  const waiting = queues.reduce((sum, queue) => sum + Number(queue.waiting ?? 0), 0);
  return html`<ul class="figures-row" aria-label="Figures">
    <${Figure} name="Finished in a minute" value=${newest ? found.rate : DASH} help=${`${found.started} started in a minute`} />
    <${Figure} name="Duration, p50" value=${found.p50 ?? DASH} help=${`p99 ${found.p99 ?? DASH}, of the newest ${found.closed}`} />
    <${Figure} name="Tasks in queues" value=${count(waiting)} help=${waiting ? `the oldest waits ${slowSpan(oldest)}` : "nothing waits for an agent"} tone=${queues.some(isStuck) ? "bad" : ""} href=${link("capabilities")} />
    <${Figure} name="People are asked" value=${count(questions?.openCount ?? 0)} help=${Number(questions?.openCount ?? 0) ? "open the inbox" : "no open question"} tone=${Number(questions?.openCount ?? 0) ? "human" : ""} href=${link("escalations")} />
  </ul>`;
}

function Figure({ name, value, help, tone = "", href }) {
  const inside = html`<span class="figure-name">${name}</span><strong>${value}</strong><span class="quiet">${help}</span>`;
  return html`<li class=${`figure ${tone}`}>${href ? html`<a href=${href}>${inside}</a>` : html`<div>${inside}</div>`}</li>`;
}

function summary(workflows, nowMs) {
  const durations = workflows
    .filter((each) => each.closeTime)
    .map((each) => millis(each.closeTime) - millis(each.startTime))
    .sort((a, b) => a - b);
  const at = (share) => (durations.length ? span(durations[Math.min(Math.floor(durations.length * share), durations.length - 1)]) : null);
  const first = workflows.length < NEWEST ? 0 : millis(workflows.at(-1)?.startTime);
  const minutes = Math.max(Math.min(nowMs - first, RATE_WINDOW_MS), 1000) / 60_000;
  const since = nowMs - minutes * 60_000;
  const inWindow = (name) => workflows.filter((each) => millis(each[name]) > since).length;
  const rate = (number) => String(Math.round((number / minutes) * 10) / 10);
  return { p50: at(0.5), p99: at(0.99), closed: durations.length, rate: rate(inWindow("closeTime")), started: rate(inWindow("startTime")) };
}

function Rates({ newest }) {
  const data = useMemo(() => buckets(newest?.workflows ?? [], Date.now()), [newest]);
  const series = [{ label: "started", tone: "running", isFilled: true }, { label: "finished", tone: "good" }, { label: "failed", tone: "bad" }];
  return html`<h2>Workflows over time <span class="quiet">of the newest ${NEWEST}</span></h2>
    <${Chart} data=${data} series=${series} label="Workflows started, finished and failed over time" />`;
}

/** [[seconds], started, finished, failed]: how many in each part of the time since the oldest of them. */
function buckets(workflows, nowMs) {
  // At least two minutes, at most an hour.
  const oldest = Math.max(Math.min(...workflows.map((each) => millis(each.startTime)), nowMs - 120_000), nowMs - 3_600_000);
  const width = Math.max(Math.ceil((nowMs - oldest) / BUCKETS / 1000), 1) * 1000;
  const first = Math.floor(oldest / width) * width;
  const times = Array.from({ length: Math.floor((nowMs - first) / width) + 1 }, (_, at) => (first + at * width) / 1000);
  const [started, finished, failed] = [0, 1, 2].map(() => times.map(() => 0));
  const add = (line, time) => {
    const at = Math.floor((millis(time) - first) / width);
    if (time && at >= 0 && at < times.length) line[at] += 1;
  };
  for (const each of workflows) {
    add(started, each.startTime);
    add(finished, each.closeTime);
    if (each.closeTime && WORKFLOW[each.state]?.tone === "bad") add(failed, each.closeTime);
  }
  return [times, started, finished, failed];
}

const useAgents = () => useLive("RegistryService/ListAgents", { pageSize: 1 }).value.value;
const useQueues = () => (useAgents()?.queues ?? []).filter((queue) => Number(queue.waiting ?? 0) > 0);
const isStuck = (queue) => !queue.agents;

function Backlog() {
  const queues = useQueues().sort((a, b) => durationMs(b.oldest) - durationMs(a.oldest));
  if (!queues.length) return html`<${Empty} title="No task waits for an agent." />`;
  const most = Math.max(...queues.map((queue) => Number(queue.waiting)));
  return html`<ul class="backlog">
    ${queues.slice(0, 8).map(
      (queue) => html`<li key=${queue.capability}>
        <span class="backlog-name"><${Id}>${queue.capability}</${Id}>${isStuck(queue) && html`<span class="words stuck">no agent serves it</span>`}</span>
        <span class="backlog-track" aria-hidden="true"><span class=${`backlog-fill ${isStuck(queue) ? "stuck" : ""}`} style=${{ width: `${(Number(queue.waiting) / most) * 100}%` }} /></span>
        <span class="backlog-words">${plural(queue.waiting, "task")}, oldest ${slowSpan(durationMs(queue.oldest))}</span>
      </li>`,
    )}
  </ul>`;
}

/** What is stuck, then what is tried again. */
function NeedsALook() {
  const stuck = useLive("CoordinatorService/ListWorkflows", { pageSize: 6, includeWaits: true, stuck: true }, 5).value.value;
  const retrying = useLive("CoordinatorService/ListWorkflows", { pageSize: 6, includeWaits: true, retrying: true }, 5).value.value;
  const found = new Map([...(stuck?.workflows ?? []), ...(retrying?.workflows ?? [])].map((each) => [each.workflowId, each]));
  if (!found.size) return html`<${Empty} title=${stuck ? "Nothing is stuck, nothing is tried again." : "…"} />`;
  return html`<ul class="lines">
    ${[...found.values()].slice(0, 6).map(
      (each) => html`<li key=${each.workflowId}><a data-row href=${link("workflows", each.workflowId)}><${Id}>${each.workflowId}</${Id}><${WaitSummary} workflow=${each} /></a></li>`,
    )}
  </ul>
  <p class="more"><a href=${link("workflows", "", { stuck: "1" })}>All that are stuck</a></p>`;
}

function Failures() {
  const state = useLive("CoordinatorService/ListWorkflows", { pageSize: 8, states: ["WORKFLOW_STATE_FAILED", "WORKFLOW_STATE_TIMED_OUT"] }, 5);
  return html`<${Answer} state=${state}>${({ workflows = [] }) =>
    workflows.length
      ? html`<ul class="lines">${workflows.map(
          (each) => html`<li key=${each.workflowId}><a data-row href=${link("workflows", each.workflowId)}>
            <${Id}>${each.workflowId}</${Id}><bdi class="words">${each.failure ? failureWords(each.failure) : each.note}</bdi><span class="quiet"><${Age} time=${each.closeTime} suffix=" ago" /></span></a></li>`,
        )}</ul>`
      : html`<${Empty} title="No workflow has failed." />`}</${Answer}>`;
}
