// SPDX-License-Identifier: Apache-2.0
// A dialog, and short messages at the edge of the page.
import { html, signal, useEffect, useRef } from "../core/ui.js";

/** A window above the page; Escape and a click beside it close it. */
export function Dialog({ title, onClose, children, isWide = false }) {
  const ref = useRef();
  useEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const clicked = (event) => event.target === ref.current && onClose();
  return html`<dialog ref=${ref} class=${isWide ? "wide" : ""} aria-label=${title} onCancel=${cancel} onMouseDown=${clicked}>
    <div class="dialog-body">
      <header><h2 tabindex="-1" autofocus>${title}</h2><button type="button" class="icon-button" aria-label="Close" onClick=${onClose}>✕</button></header>
      ${children}
    </div>
  </dialog>`;
}

const messages = signal([]);
const SHOWN_MS = 6000;
let count = 0;

/** Say something for some seconds. `tone`: "good" or "bad". */
export function say(words, tone = "good") {
  const message = { id: ++count, words, tone };
  messages.value = [...messages.value.slice(-3), message];
  setTimeout(() => (messages.value = messages.value.filter((each) => each !== message)), SHOWN_MS);
}

export const Messages = () =>
  html`<div class="messages" role="status" aria-live="polite">
    ${messages.value.map((each) => html`<p key=${each.id} class=${`message ${each.tone}`}>${each.words}</p>`)}
  </div>`;
