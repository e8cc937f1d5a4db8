// SPDX-License-Identifier: Apache-2.0
// The frame: where one can go, how the mesh is, and the question for a token where the node wants one.
import { isHelpShown } from "../core/keys.js";
import { useLive } from "../core/live.js";
import { link, route } from "../core/router.js";
import { isReachable } from "../core/rpc.js";
import { namespace, namespaceRefused, tokenRefused } from "../core/settings.js";
import { html, useSignal } from "../core/ui.js";
import { NamespaceQuestion, Settings, ThemeButton, TokenQuestion } from "./settings.js";

const PLACES = [
  ["overview", "Overview", "M3 12h4l3-8 4 16 3-8h4"],
  ["workflows", "Workflows", "M4 6h16M4 12h10M4 18h13"],
  ["escalations", "Escalations", "M4 5h16v11H9l-5 4z"],
  ["agents", "Agents", "M4 5h16v5H4zM4 14h16v5H4zM7.5 7.5h.01M7.5 16.5h.01"],
  ["capabilities", "Capabilities", "M5 20v-8M12 20V4M19 20v-5"],
  ["definitions", "Definitions", "M8 7l-5 5 5 5M16 7l5 5-5 5"],
];

export function Frame({ children }) {
  const isSettingsShown = useSignal(false);
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <div class="frame">
      <nav class="side" aria-label="Views">
        <a class="brand" href=${link("overview")}><img src="./icon.svg" alt="" width="26" height="26" />nervenet</a>
        ${namespace && html`<p class="quiet namespace" title="Namespace">${namespace}</p>`}
        <ul class="places">${PLACES.map(([view, word, path]) => html`<${Place} key=${view} view=${view} word=${word} path=${path} />`)}</ul>
        <div class="side-foot">
          <${ThemeButton} />
          <button type="button" class="icon-button" aria-label="Settings" title="Settings" onClick=${() => (isSettingsShown.value = true)}><${Icon} path="M4 7h10M18 7h2M4 17h2M10 17h10M14 4.5v5M6 14.5v5" /></button>
          <button type="button" class="icon-button" aria-label="Keyboard help" title="Keyboard (?)" onClick=${() => (isHelpShown.value = true)}>?</button>
        </div>
      </nav>
      <main id="main" tabindex="-1">
        ${!isReachable.value && html`<p class="banner" role="alert">The node does not answer. The page tries again; what you see may be old.</p>`}
        ${tokenRefused.value ? html`<${TokenQuestion} />` : namespaceRefused.value ? html`<${NamespaceQuestion} />` : children}
      </main>
    </div>
    ${isSettingsShown.value && html`<${Settings} onClose=${() => (isSettingsShown.value = false)} />`}`;
}

export const Icon = ({ path }) =>
  html`<svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${path} /></svg>`;

function Place({ view, word, path }) {
  const isHere = route.value.view === view;
  return html`<li><a href=${link(view)} aria-current=${isHere ? "page" : undefined}><${Icon} path=${path} /><span>${word}</span>${view === "escalations" && html`<${OpenQuestions} />`}</a></li>`;
}

function OpenQuestions() {
  const { value } = useLive("CoordinatorService/ListEscalations", { pageSize: 1 }).value;
  const open = Number(value?.openCount ?? 0);
  return open > 0 && html`<span class="badge" aria-label=${`${open} open`}>${open}</span>`;
}

/** The address belongs to the views, so the link moves the focus itself. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
