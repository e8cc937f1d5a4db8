// SPDX-License-Identifier: Apache-2.0
// The keys, and what the symbols mean.
import { isHelpShown, KEYS } from "../core/keys.js";
import { WORKFLOW } from "../core/states.js";
import { html } from "../core/ui.js";
import { Mark } from "../parts/basics.js";
import { Dialog } from "../parts/dialog.js";

export const Help = () =>
  html`<${Dialog} title="Keyboard" onClose=${() => (isHelpShown.value = false)}>
    <dl class="keys">${KEYS.map(([key, words]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${words}</dd></div>`)}</dl>
    <h3>States</h3>
    <p class="legend">${Object.values(WORKFLOW).map((mark) => html`<${Mark} mark=${mark} />`)}</p>
  </${Dialog}>`;
