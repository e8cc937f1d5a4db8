// SPDX-License-Identifier: Apache-2.0
// One workflow: how it is, what it waits for, its steps over time, its journal, its values.
import { VERBS } from "../core/acts.js";
import { followWorkflow } from "../core/follow.js";
import { link } from "../core/router.js";
import { traceLink } from "../core/settings.js";
import { WORKFLOW, isClosed } from "../core/states.js";
import { stepCount, tokensOf } from "../core/steps.js";
import { clean, count, labelsText, plural } from "../core/text.js";
import { millis, now, span } from "../core/times.js";
import { html, useEffect, useMemo, useState } from "../core/ui.js";
import { cure } from "../core/waits.js";
import { Age, CopyButton, Empty, Facts, Id, Loading, Mark, Refusal, Took, WaitWords } from "../parts/basics.js";
import { Failure } from "../parts/failure.js";
import { LongText, Payload } from "../parts/payload.js";
import { Confirm, SendSignal } from "./act.js";
import { Blocked } from "./blocked.js";
import { Journal } from "./journal.js";
import { Timeline } from "./timeline.js";

const TABS = ["Steps", "Journal", "Values"];

export function Workflow({ id }) {
  const followed = useMemo(() => followWorkflow(id), [id]);
  const [tab, setTab] = useState("Steps");
  useEffect(() => followed.close, [followed]);
  const [one, error] = [followed.workflow.value, followed.error.value];
  if (!one) return error ? html`<${Missing} id=${id} error=${error} />` : html`<${Loading} />`;
  return html`<${Head} one=${one} read=${followed.read} />
    ${error && !error.isUnreachable && html`<${Refusal} error=${error} />`}
    ${one.blocked && html`<${Blocked} one=${one} />`}
    ${one.failure && html`<section class="card tone-bad"><${Failure} failure=${one.failure} /></section>`}
    <${Waits} one=${one} />
    <${Output} followed=${followed} />
    <div class="tabs" role="tablist" aria-label="Parts of the workflow">
      ${TABS.map((name) => html`<button type="button" role="tab" key=${name} aria-selected=${tab === name} onClick=${() => setTab(name)}>${name}${tabCount(name, one)}</button>`)}
    </div>
    <div role="tabpanel" aria-label=${tab}>
      ${tab === "Steps" && html`<${Timeline} one=${one} news=${followed.news} want=${followed.want} />`}
      ${tab === "Journal" && html`<${Journal} key=${one.run} one=${one} />`}
      ${tab === "Values" && html`<${Values} one=${one} />`}
    </div>`;
}

const tabCount = (name, one) =>
  ({ Steps: html` <span class="quiet">${count(stepCount(one))}</span>`, Journal: html` <span class="quiet">${count(one.journalEntries)}</span>` })[name];

const Missing = ({ id, error }) =>
  html`<header class="head"><h1><${Id}>${id}</${Id}></h1></header>
    ${error.reason === "WORKFLOW_NOT_FOUND"
      ? html`<${Empty} title="There is no such workflow in this namespace, or its retention has passed."><a href=${link("workflows")}>All workflows</a></${Empty}>`
      : html`<${Refusal} error=${error} />`}`;

function Head({ one, read }) {
  const tokens = useMemo(() => tokensOf(one), [one]);
  return html`<header class="head workflow-head">
    <div class="head-title">
      <p class="crumb"><a href=${link("workflows")}>Workflows</a></p>
      <h1><${Id}>${one.workflowId}</${Id}></h1>
      <${Mark} marks=${WORKFLOW} state=${one.state} />
    </div>
    <${Acts} one=${one} read=${read} />
  </header>
  <${Facts} facts=${[
    ["definition", html`<a href=${link("definitions", one.definition)}><bdi>${clean(one.definition)} v${one.version}</bdi></a>`],
    ["took", one.closeTime && html`<${Took} start=${one.startTime} end=${one.closeTime} />`],
    ["started", html`<${Age} time=${one.startTime} suffix=" ago" />`],
    ["run", one.run > 1 ? one.run : ""],
    ["node", one.nodeId && html`<${Id}>${one.nodeId}</${Id}>${adopted(one)}`],
    ["labels", labelsText(one.labels)],
    ["tokens", tokens.map((each) => html`<span class="token-use">${clean(each.model)} ${count(each.input)} read, ${count(each.output)} written</span>`)],
    ["duplicates", Number(one.suppressedDuplicates ?? 0) ? plural(one.suppressedDuplicates, "duplicate delivery", "duplicate deliveries") + " changed nothing" : ""],
    ["trace", one.traceId && html`<${Trace} id=${one.traceId} />`],
  ].filter(([, said]) => !Array.isArray(said) || said.length)} />
  ${one.archived && html`<p class="banner">It was read from the archive: Redis no longer has it.</p>`}
  ${one.partial && html`<p class="banner">Its node cannot be reached, so pending steps are missing here.</p>`}`;
}

function adopted(one) {
  if (!one.adoptions) return "";
  return ` (adopted ${{ 1: "once", 2: "twice" }[one.adoptions] ?? `${one.adoptions} times`})`;
}

function Trace({ id }) {
  const address = traceLink(id);
  const short = html`<code title=${id}>${id.slice(0, 8)}…</code>`;
  return html`${address ? html`<a href=${address} target="_blank" rel="noopener noreferrer">${short} ↗</a>` : short}<${CopyButton} text=${id} />`;
}

function Acts({ one, read }) {
  const [act, setAct] = useState("");
  const close = () => {
    setAct("");
    read();
  };
  const name = one.state?.replace("WORKFLOW_STATE_", "");
  const can = {
    retry: name === "BLOCKED",
    restart: isClosed(one) || name === "BLOCKED",
    cancel: !isClosed(one) && name !== "CANCELING",
  };
  return html`<div class="buttons">
    ${!isClosed(one) && html`<button type="button" class="button" onClick=${() => setAct("signal")}>Signal…</button>`}
    ${Object.keys(can).filter((each) => can[each]).map((each) => html`<button type="button" key=${each} class=${`button ${each === "retry" ? "primary" : ""}`} onClick=${() => setAct(each)}>${VERBS[each].name}…</button>`)}
    ${VERBS[act] && html`<${Confirm} verb=${VERBS[act]} one=${one} onClose=${close} />`}
    ${act === "signal" && html`<${SendSignal} one=${one} onClose=${close} />`}
  </div>`;
}

/** What it waits for now, and signals that its code has not read. */
function Waits({ one }) {
  const waits = (one.waits ?? []).filter((wait) => wait.kind !== "WAIT_KIND_BLOCKED");
  if (!waits.length && !one.unreadSignals?.length) return null;
  const help = cure(waits);
  return html`<section class="card waits" aria-label="What it waits for">
    <ul>
      ${waits.map((wait) => html`<li><${WaitWords} wait=${wait} />${waitLink(wait)}</li>`)}
      ${one.moreWaits > 0 && html`<li class="quiet">and ${one.moreWaits} more</li>`}
      ${(one.unreadSignals ?? []).map((each) => html`<li class="quiet"><${Unread} signal=${each} /></li>`)}
    </ul>
    ${help && html`<p class="quiet">${help.words} ${help.command && html`<code>${help.command}</code>`}${help.agentId && html`<a href=${link("agents", help.agentId)}>What that agent runs</a>`}</p>`}
  </section>`;
}

const Unread = ({ signal }) => html`<bdi>${plural(signal.count, "signal")} ${clean(signal.signal)} unread, the oldest ${span(now.value - millis(signal.oldestTime))}</bdi>`;

function waitLink(wait) {
  if (wait.escalationId) return html`<a class="button small" href=${link("escalations", wait.escalationId)}>Answer</a>`;
  if (wait.kind === "WAIT_KIND_CHILD") return html`<a class="button small plain" href=${link("workflows", wait.workflowId)}>Open the child</a>`;
  return null;
}

/** What handlers emit while they run. */
function Output({ followed }) {
  const said = Object.entries(followed.output.value).filter(([, text]) => text);
  if (!said.length) return null;
  return html`<section class="card" aria-label="Live output">${said.map(([step, text]) => html`<div key=${step} class="output"><h3><${Id}>${step}</${Id}> <span class="quiet">live output</span></h3><${LongText} text=${text} /></div>`)}</section>`;
}

const Values = ({ one }) => html`<div class="values">
  ${[["Input", one.input], ["Result", one.output], ["View", one.view]].map(([title, payload]) => payload && html`<section class="card" key=${title}><${Payload} payload=${payload} title=${title} /></section>`)}
  ${!one.input && !one.output && !one.view && html`<${Empty} title="It has no input, and no result yet." />`}
</div>`;
