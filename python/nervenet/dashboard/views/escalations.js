// SPDX-License-Identifier: Apache-2.0
// Escalations: what waits for a human, as an inbox. The earliest deadline is first.
import { useLive } from "../core/live.js";
import { link } from "../core/router.js";
import { clean, plural } from "../core/text.js";
import { millis, now, slowSpan } from "../core/times.js";
import { html, useState } from "../core/ui.js";
import { Age, Answer, Empty, Id } from "../parts/basics.js";
import { Escalation } from "./escalation.js";

const PAGE_SIZE = 50;

export function Escalations({ id }) {
  const [pages, setPages] = useState([""]);
  const list = useLive("CoordinatorService/ListEscalations", { pageSize: PAGE_SIZE, pageToken: pages.at(-1) });
  return html`<header class="head"><h1>Escalations</h1>${list.value.value && html`<p class="quiet">${plural(list.value.value.openCount ?? 0, "open question")}</p>`}</header>
    <div class=${`inbox ${id ? "has-chosen" : ""}`}>
      <section class="inbox-list" aria-label="Open questions">
        <${Answer} state=${list}>${({ escalations = [], nextPageToken = "" }) => html`
          ${escalations.length ? html`<ul>${escalations.map((each) => html`<${Item} key=${each.escalationId} one=${each} isChosen=${each.escalationId === id} />`)}</ul>` : html`<${Empty} title="No open question."><p>When a workflow, an agent or a failed task asks a human, it is here.</p></${Empty}>`}
          ${(nextPageToken || pages.length > 1) && html`<footer class="pager">
            <button type="button" class="button small" disabled=${pages.length === 1} onClick=${() => setPages(pages.slice(0, -1))}>Earlier</button>
            <button type="button" class="button small" disabled=${!nextPageToken} onClick=${() => setPages([...pages, nextPageToken])}>Later</button></footer>`}`}</${Answer}>
      </section>
      <section class="inbox-one" aria-label="The question">${id ? html`<${Escalation} key=${id} id=${id} />` : html`<div class="wide-only"><${Empty} title="Choose a question." /></div>`}</section>
    </div>`;
}

const Item = ({ one, isChosen }) =>
  html`<li><a data-row class="inbox-item" href=${link("escalations", one.escalationId)} aria-current=${isChosen ? "true" : undefined}>
    <span class="inbox-text" dir="auto">${clean(one.question?.text)}</span>
    <span class="inbox-foot quiet"><${Id}>${one.workflowId}</${Id}><${Due} question=${one.question} /><${Age} time=${one.createTime} suffix=" ago" /></span>
  </a></li>`;

export function Due({ question }) {
  const due = millis(question?.deadline);
  if (!due) return null;
  const rest = due - now.value;
  return html`<span class=${`due ${rest < 3_600_000 ? "soon" : ""}`}>${rest > 0 ? `due in ${slowSpan(rest)}` : "due now"}</span>`;
}
