// SPDX-License-Identifier: Apache-2.0
// Small parts that every view uses: marks of states, ages, empty places, refusals.
import { html, useState } from "../core/ui.js";
import { markOf } from "../core/states.js";
import { clean } from "../core/text.js";
import { DASH, exact, millis, now, slowSpan, took } from "../core/times.js";
import { waitSummary, waitTone, waitWords } from "../core/waits.js";

/** `✓ succeeded` */
export const Mark = ({ marks, state, mark = markOf(marks, state) }) =>
  html`<span class=${`mark ${mark.tone}`}><span class="symbol" aria-hidden="true">${mark.symbol}</span>${mark.word}</span>`;

/** How long ago, as of now. */
export function Age({ time, ms = millis(time), suffix = "" }) {
  if (!ms) return html`<span class="quiet">${DASH}</span>`;
  return html`<time datetime=${exact(ms)} title=${exact(ms)}>${slowSpan(now.value - ms)}${suffix}</time>`;
}

/** From start to end; a dash for what goes on. */
export const Took = ({ start, end }) => html`<span class="figures">${took(start, end)}</span>`;

export const WaitSummary = ({ workflow }) =>
  html`<bdi class=${`words ${waitTone(workflow.waits?.[0])}`}>${waitSummary(workflow, now.value)}</bdi>`;

export const WaitWords = ({ wait }) => html`<bdi class=${`words ${waitTone(wait)}`}>${waitWords(wait, now.value)}</bdi>`;

export const Id = ({ children }) => html`<bdi class="id">${clean(children)}</bdi>`;

export const Empty = ({ title, children }) => html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;

export const Loading = () => html`<div class="loading" role="status"><span class="visually-hidden">Loading</span><i /><i /><i /></div>`;

/** A refusal of the node, with the fields that are wrong. */
export function Refusal({ error }) {
  if (!error) return null;
  return html`<div class="refusal" role="alert">
    <p>${error.message}</p>
    ${error.fields?.length > 0 && html`<ul>${error.fields.map((each) => html`<li><code>${each.field}</code> ${each.description}</li>`)}</ul>`}
    ${error.reason === "BACKEND_DOWN" && html`<p>Nothing is lost: the mesh goes on when it is back. What is wrong, and what to do: <code>nervenet doctor</code></p>`}
  </div>`;
}

/** What the node that answers cannot know now: queues without Redis, who is alive without etcd. `answers`: those of ListAgents and ListNodes. */
export function Problems({ answers }) {
  const of = (name) => answers.find((each) => each?.[name])?.[name];
  const [queues, members] = [of("queuesProblem"), of("registryProblem")];
  return html`${queues && html`<p class="banner" role="alert">queues cannot be read: <bdi>${clean(queues)}</bdi></p>`}
    ${members && html`<p class="banner" role="alert"><bdi>${clean(members)}</bdi>. What runs goes on; no workflow of a dead node is adopted → <code>nervenet doctor</code></p>`}`;
}

/** Shows the answer of a read, what stands in its place, or why there is none. */
export function Answer({ state, children }) {
  const { value } = state.value;
  const error = state.value.error?.isUnreachable ? null : state.value.error; // the frame says that, once
  if (!value) return error ? html`<${Refusal} error=${error} />` : html`<${Loading} />`;
  return html`${error && html`<${Refusal} error=${error} />`}${children(value)}`;
}

/** A share of something as a bar: running tasks of slots. */
export function Meter({ value, of, label }) {
  const share = of ? Math.min(value / of, 1) : 0;
  return html`<span class="meter">
    <span class="meter-track" role="img" aria-label=${`${label}: ${value} of ${of}`}><span class="meter-fill" style=${{ width: `${share * 100}%` }} /></span>
    <span class="figures" aria-hidden="true">${value}/${of || DASH}</span>
  </span>`;
}

export function CopyButton({ text, label = "Copy" }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1200);
  };
  return html`<button type="button" class="button small plain" onClick=${copy}>${isDone ? "Copied" : label}</button>`;
}

/** Names and what belongs to them; those that are empty are left out. */
export const Facts = ({ facts }) =>
  html`<dl class="facts">
    ${facts.filter(([, said]) => said || said === 0).map(([name, said]) => html`<div><dt>${name}</dt><dd>${said}</dd></div>`)}
  </dl>`;
