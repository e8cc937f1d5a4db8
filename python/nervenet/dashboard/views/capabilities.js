// SPDX-License-Identifier: Apache-2.0
// Capabilities: what waits for each, for how long, and who serves it. The charts begin when the page was opened.
import { useLive } from "../core/live.js";
import { link } from "../core/router.js";
import { samplesOf, takeSample } from "../core/samples.js";
import { clean, count, labelsText } from "../core/text.js";
import { durationMs, slowSpan } from "../core/times.js";
import { html, useEffect, useMemo, useState } from "../core/ui.js";
import { Answer, Empty, Id, Mark, Meter, Problems } from "../parts/basics.js";
import { Chart } from "../parts/chart.js";
import { Dialog } from "../parts/dialog.js";
import { LongText } from "../parts/payload.js";
import { laidOut } from "../core/payload.js";

const MOST = 1000;

export function Capabilities({ id }) {
  const agents = useLive("RegistryService/ListAgents", { pageSize: MOST }, 5);
  const [typed, setTyped] = useState("");
  const queues = agents.value.value?.queues;
  useEffect(() => takeSample(queues ?? []), [agents.value]);
  const filter = typed.trim().toLowerCase();
  return html`<header class="head"><h1>Capabilities</h1>
      <div class="search"><input type="search" data-search aria-label="Filter capabilities" placeholder="Filter   /" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div></header>
    <${Problems} answers=${[agents.value.value]} />
    <${Answer} state=${agents}>${(value) => html`<${List} value=${value} filter=${filter} chosen=${id} />`}</${Answer}>`;
}

function List({ value, filter, chosen }) {
  const all = useMemo(() => capabilitiesOf(value), [value]);
  const found = all.filter((each) => each.name.toLowerCase().includes(filter));
  if (!all.length) return html`<${Empty} title="No agent serves anything."><p>Start one: <code>nervenet agent APP</code></p></${Empty}>`;
  const one = all.find((each) => each.name === chosen);
  return html`<table class="table">
      <thead><tr><th>Capability</th><th>State</th><th class="number">Waiting</th><th class="number">Oldest</th><th class="wide-only">Queue over time</th><th>Slots</th><th class="number">Agents</th></tr></thead>
      <tbody>${found.map((each) => html`<${Row} key=${each.name} one=${each} />`)}</tbody>
    </table>
    ${one && html`<${Capability} one=${one} />`}`;
}

/** One for each name: from agents that serve it and queues in which something waits; the longest wait first. */
function capabilitiesOf({ agents = [], queues = [] }) {
  const found = new Map();
  const entry = (name) => {
    if (!found.has(name)) found.set(name, { name, waiting: 0, oldestMs: 0, active: 0, slots: 0, agents: [], versions: new Set(), queues: [] });
    return found.get(name);
  };
  for (const { agent, load = {} } of agents) {
    for (const can of agent.capabilities ?? []) {
      const one = entry(can.name);
      one.agents.push(agent);
      one.active += load.activeByCapability?.[can.name] ?? 0;
      one.slots += can.slots || load.slots || agent.slots || 0;
      one.can ??= can;
      if (can.version) one.versions.add(can.version);
    }
  }
  for (const queue of queues) {
    const one = entry(queue.capability);
    one.queues.push(queue);
    one.waiting += Number(queue.waiting ?? 0);
    one.oldestMs = Math.max(one.oldestMs, durationMs(queue.oldest));
  }
  return [...found.values()].sort((a, b) => b.oldestMs - a.oldestMs || b.active - a.active || a.name.localeCompare(b.name));
}

function markOf(one) {
  if (one.queues.some((queue) => Number(queue.waiting ?? 0) > 0 && !queue.agents) || !one.agents.length) return { symbol: "✗", tone: "bad", word: "no live agent serves it" };
  if (one.waiting) return { symbol: "●", tone: "human", word: "tasks wait" };
  return { symbol: "✓", tone: "good", word: "served" };
}

function Row({ one }) {
  const [times, waiting] = samplesOf(one.name);
  return html`<tr>
    <td class="id-cell"><a data-row href=${link("capabilities", one.name)}><${Id}>${one.name}</${Id}></a>${isVersionTold(one.versions) && html`<span class="quiet labels">${[...one.versions].map((each) => `v${clean(each)}`).join(", ")}</span>`}</td>
    <td class="state-cell"><${Mark} mark=${markOf(one)} /></td>
    <td class="number">${count(one.waiting)}</td>
    <td class="number">${one.waiting ? slowSpan(one.oldestMs) : "–"}</td>
    <td class="wide-only"><${Spark} times=${times} values=${waiting} /></td>
    <td><${Meter} value=${one.active} of=${one.slots} label="running tasks of slots" /></td>
    <td class="number">${count(one.agents.length)}</td>
  </tr>`;
}

/** Version 1 of everything says nothing. */
const isVersionTold = (versions) => versions.size > 1 || (versions.size === 1 && !versions.has("1"));

/** A line without axes: how many waited. */
function Spark({ times, values }) {
  if (times.length < 2 || !values.some(Boolean)) return html`<span class="quiet">–</span>`;
  const most = Math.max(...values);
  const x = (at) => ((times[at] - times[0]) / (times.at(-1) - times[0])) * 118 + 1;
  const points = values.map((value, at) => `${x(at).toFixed(1)},${(23 - (value / most) * 20).toFixed(1)}`).join(" ");
  return html`<svg class="spark" viewBox="0 0 120 26" width="120" height="26" role="img" aria-label=${`now ${values.at(-1)}, at most ${most}`}><polyline points=${points} /></svg>`;
}

function Capability({ one }) {
  const samples = samplesOf(one.name);
  return html`<${Dialog} title=${one.name} onClose=${() => (location.hash = link("capabilities"))} isWide>
    ${one.can?.description && html`<p>${clean(one.can.description)}</p>`}
    ${samples[0].length > 1
      ? html`<${Chart} data=${samples} series=${[{ label: "tasks waiting", tone: "running", isFilled: true }, { label: "oldest, s", tone: "human" }]} height=${150} label="Waiting tasks and their age while this page was open" />`
      : html`<p class="quiet">A chart of its queue grows while this page is open.</p>`}
    ${one.queues.filter((queue) => Number(queue.waiting ?? 0)).map((queue) => html`<p class=${`words ${queue.agents ? "" : "stuck"}`}>${count(queue.waiting)} waiting${labelsText(queue.matchLabels) && ` for ${labelsText(queue.matchLabels)}`}, oldest ${slowSpan(durationMs(queue.oldest))}${queue.agents ? "" : ", no live agent serves it"}</p>`)}
    <h3>Who serves it</h3>
    ${one.agents.length
      ? html`<ul class="names">${one.agents.slice(0, 100).map((agent) => html`<li key=${agent.agentId}><a href=${link("agents", agent.agentId)}><${Id}>${agent.agentId}</${Id}></a></li>`)}</ul>`
      : html`<p>Nobody. Start one: <code>nervenet agent APP --only ${clean(one.name)}</code></p>`}
    <p class="more"><a href=${link("workflows", "", { waiting: one.name })}>Workflows that wait for it</a></p>
    ${one.can?.inputSchema && html`<details><summary>Schemas</summary><${LongText} text=${laidOut(one.can.inputSchema)} title="Input" />${one.can.outputSchema && html`<${LongText} text=${laidOut(one.can.outputSchema)} title="Output" />`}</details>`}
  </${Dialog}>`;
}
