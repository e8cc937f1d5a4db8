// SPDX-License-Identifier: Apache-2.0
// Cancel, restart or retry many workflows: those that are selected, or all that the filters find. A dry run comes first: how many
// and which.
import { VERBS, actOnMany } from "../core/acts.js";
import { refresh } from "../core/live.js";
import { allPages, coordinator } from "../core/rpc.js";
import { WORKFLOW } from "../core/states.js";
import { plural } from "../core/text.js";
import { html, useState } from "../core/ui.js";
import { Id, Mark, Refusal } from "../parts/basics.js";
import { Dialog, say } from "../parts/dialog.js";

const MOST = 1000;
const NAMED = 8;

/** `chosen` is a signal with a Map of the selected ones; `request` has the filters. */
export function ActOnMany({ chosen, request, isFiltered }) {
  const [plan, setPlan] = useState(null);
  const number = chosen.value.size;
  if (!number && !isFiltered) return null;
  const dryRun = async (verb) => {
    if (number) return setPlan({ verb, workflows: [...chosen.value.values()], isWhole: true });
    try {
      const states = request.states ?? verb.states.map((each) => `WORKFLOW_STATE_${each}`);
      const { found, isWhole } = await allPages((page) => coordinator("ListWorkflows", page), { ...request, states }, "workflows", MOST);
      setPlan({ verb, workflows: found, isWhole });
    } catch (error) {
      say(error.message, "bad");
    }
  };
  const close = () => {
    setPlan(null);
    chosen.value = new Map();
    refresh();
  };
  return html`<div class="acts" role="group" aria-label="Act on many">
    <span>${number ? `${plural(number, "workflow")} selected` : "All that match:"}</span>
    ${Object.values(VERBS).map((verb) => html`<button type="button" key=${verb.name} class="button small" onClick=${() => dryRun(verb)}>${verb.name}…</button>`)}
    ${number > 0 && html`<button type="button" class="button small plain" onClick=${() => (chosen.value = new Map())}>Select none</button>`}
    ${plan && html`<${Plan} plan=${plan} onClose=${close} />`}
  </div>`;
}

function Plan({ plan: { verb, workflows, isWhole }, onClose }) {
  const [reason, setReason] = useState("");
  const [progress, setProgress] = useState(null);
  const many = plural(workflows.length, "workflow");
  const isOver = progress && progress.done + progress.refused.length === workflows.length;
  const confirm = () => {
    setProgress({ done: 0, refused: [] });
    actOnMany(verb, workflows, reason, (done, refused) => setProgress({ done, refused: [...refused] }));
  };
  return html`<${Dialog} title=${`${verb.name} ${many}`} onClose=${onClose}>
    ${!progress
      ? html`<p>${workflows.length ? `${many} would be ${verb.done}. Nothing was changed yet.` : `No workflow matches: nothing to ${verb.name.toLowerCase()}.`}</p>
          ${!isWhole && html`<p class="words attention">More than ${MOST} match: these are the newest.</p>`}
          <ul class="plan">${workflows.slice(0, NAMED).map((each) => html`<li key=${each.workflowId}><${Id}>${each.workflowId}</${Id}><${Mark} marks=${WORKFLOW} state=${each.state} /></li>`)}</ul>
          ${workflows.length > NAMED && html`<p class="quiet">and ${workflows.length - NAMED} more</p>`}
          ${workflows.length > 0 && verb !== VERBS.retry && html`<label class="field"><span class="field-name">Reason <span class="quiet">optional</span></span><input type="text" value=${reason} onInput=${(event) => setReason(event.target.value)} /></label>`}
          <footer class="buttons"><button type="button" class="button" onClick=${onClose}>Change nothing</button>
            ${workflows.length > 0 && html`<button type="button" class="button danger" onClick=${confirm}>${verb.name} ${many}</button>`}</footer>`
      : html`<p role="status">${plural(progress.done, "workflow")} ${verb.done}${progress.refused.length ? `, ${progress.refused.length} not.` : "."}</p>
          <progress max=${workflows.length} value=${progress.done + progress.refused.length} aria-label="How far it is" />
          ${progress.refused.slice(0, NAMED).map((each) => html`<${Refusal} key=${each.workflowId} error=${{ message: `${each.workflowId}: ${each.words}` }} />`)}
          <footer class="buttons"><button type="button" class="button primary" disabled=${!isOver} onClick=${onClose}>Close</button></footer>`}
  </${Dialog}>`;
}
