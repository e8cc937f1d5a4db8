// SPDX-License-Identifier: Apache-2.0
// Why a workflow is blocked: what the journal has beside what the code asks for, or the programming error with its frames.
import { clean, plural, visible } from "../core/text.js";
import { html } from "../core/ui.js";
import { Age } from "../parts/basics.js";

export function Blocked({ one }) {
  const why = one.blocked;
  return html`<section class="card tone-blocked" aria-label="Why it is blocked">
    <h2>${title(one)} <span class="quiet">${why.time && html`for <${Age} time=${why.time} />`}</span></h2>
    ${why.where && html`<p class="frame-place"><bdi>${clean(why.where)}</bdi></p>`}
    ${(why.expected || why.found) && html`<div class="versus">
      <div><span class="quiet">the journal has</span><code>${clean(why.expected) || "nothing more"}</code></div>
      <div><span class="quiet">this code asks for</span><code>${clean(why.found) || "nothing more"}</code></div>
    </div>`}
    ${why.agreedSteps > 0 && !why.error && html`<p class="quiet">${plural(why.agreedSteps, "step")} before it ${why.agreedSteps === 1 ? "agrees" : "agree"}.</p>`}
    ${why.detail && (why.error ? html`<pre tabindex="0" aria-label="Frames">${visible(why.detail)}</pre>` : html`<p><bdi>${clean(why.detail)}</bdi></p>`)}
    ${(why.error || why.expected || why.found) && html`<p class="quiet">Correct the code and reload the node, then Retry. No step runs twice.</p>`}
  </section>`;
}

function title(one) {
  const why = one.blocked;
  if (why.error) return html`blocked: <bdi>${clean(why.error)}</bdi>`;
  return why.expected || why.found ? "blocked: the code and the journal disagree" : "blocked";
}
