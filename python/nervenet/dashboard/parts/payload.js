// SPDX-License-Identifier: Apache-2.0
// A payload as text. Long ones are folded: what is not shown costs the page nothing.
import { html, useMemo, useState } from "../core/ui.js";
import { payloadText } from "../core/payload.js";
import { size } from "../core/text.js";
import { CopyButton } from "./basics.js";

const FOLDED = 2000;
const MORE = 50_000;

export function Payload({ payload, title = "" }) {
  const { text, kind } = useMemo(() => payloadText(payload), [payload]);
  return html`<${LongText} text=${text} title=${title} isQuiet=${kind === "none"} />`;
}

export function LongText({ text, title = "", isQuiet = false }) {
  const [room, setRoom] = useState(FOLDED);
  const isLong = text.length > room;
  return html`<div class="payload">
    ${(title || text.length > 40) &&
    html`<div class="payload-head"><span>${title}</span>${text.length > FOLDED && html`<span class="quiet">${size(text.length)}</span>`}<${CopyButton} text=${text} /></div>`}
    <pre class=${isQuiet ? "quiet" : ""} dir="auto" tabindex="0" aria-label=${title || "value"}>${isLong ? text.slice(0, room) : text}</pre>
    ${isLong &&
    html`<button type="button" class="button small" onClick=${() => setRoom(room + MORE)}>Show more (${size(text.length - room)} hidden)</button>`}
    ${room > FOLDED && html` <button type="button" class="button small plain" onClick=${() => setRoom(FOLDED)}>Fold</button>`}
  </div>`;
}
