// SPDX-License-Identifier: Apache-2.0
// Settings of this browser: who you are, where traces are, dark or light; the token of the mesh, and the namespace.
import { isDark, namespace, person, showNamespace, theme, token, tokenRefused, traceAddress } from "../core/settings.js";
import { html, useState } from "../core/ui.js";
import { Dialog } from "../parts/dialog.js";

export function swapTheme() {
  theme.value = isDark() ? "light" : "dark";
}

export function ThemeButton() {
  const next = isDark() ? "light" : "dark";
  return html`<button type="button" class="icon-button" aria-label=${`Switch to ${next}`} title=${`Switch to ${next} (t)`} onClick=${swapTheme}>${next === "dark" ? "☾" : "☀"}</button>`;
}

export function Settings({ onClose }) {
  const field = (setting) => ({ value: setting.value, onInput: (event) => (setting.value = event.target.value.trim()) });
  return html`<${Dialog} title="Settings" onClose=${onClose}>
    <label class="field"><span class="field-name">Your name</span>
      <span class="field-help">Others see it with what you decide. Empty: the owner of the token.</span>
      <input type="text" autocomplete="username" placeholder="ana@example" ...${field(person)} /></label>
    <label class="field"><span class="field-name">Address of a trace</span>
      <span class="field-help">With <code>{trace_id}</code> in it, for example http://localhost:16686/trace/{trace_id}</span>
      <input type="url" ...${field(traceAddress)} /></label>
    <label class="field"><span class="field-name">Colours</span>
      <select value=${theme.value} onChange=${(event) => (theme.value = event.target.value)}>
        <option value="">as the system</option><option value="light">light</option><option value="dark">dark</option>
      </select></label>
    <${NamespaceForm} />
    <p class="quiet">This browser keeps your name, the address and the colours. It forgets the token with the tab.</p>
  </${Dialog}>`;
}

function NamespaceForm() {
  const [typed, setTyped] = useState(namespace);
  const show = (event) => {
    event.preventDefault();
    showNamespace(typed.trim());
  };
  return html`<form onSubmit=${show}>
    <label class="field"><span class="field-name">Namespace</span>
      <span class="field-help">Whose workflows the page shows. It is in the address of the page. Empty: the first one of the node.</span>
      <input type="text" name="namespace" autocomplete="off" spellcheck="false" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></label>
    <button class="button" disabled=${typed.trim() === namespace}>Show this namespace</button>
  </form>`;
}

export function NamespaceQuestion() {
  return html`<div class="token">
    <h1>${namespace ? `The node does not show namespace ${namespace}` : "Which namespace?"}</h1>
    <p class="quiet">It is not served here, or you may not use it.</p>
    <${NamespaceForm} />
  </div>`;
}

export function TokenQuestion() {
  const [typed, setTyped] = useState("");
  const enter = (event) => {
    event.preventDefault();
    token.value = typed.trim();
    tokenRefused.value = false;
  };
  return html`<form class="token" onSubmit=${enter}>
    <h1>This mesh asks for a token</h1>
    <p class="quiet">${token.value ? "The node refused the token." : "It is the value of NERVENET_TOKEN."} The page keeps it until you close the tab.</p>
    <label class="field"><span class="field-name">Token</span>
      <input type="password" autocomplete="current-password" autofocus value=${typed} onInput=${(event) => setTyped(event.target.value)} /></label>
    <button class="button primary" disabled=${!typed.trim()}>Continue</button>
  </form>`;
}
