// SPDX-License-Identifier: Apache-2.0
// A failure: its words, the frames of the code where it was raised, and what it came from.
import { html } from "../core/ui.js";
import { clean, visible } from "../core/text.js";
import { failureWords } from "../core/waits.js";
import { LongText, Payload } from "./payload.js";

const FRAME = /^\s*File "(.+)", line (\d+), in (.+)$/;
const SHOWN_FRAMES = 3;
const DEEPEST_CAUSE = 8;

export function Failure({ failure, title = "" }) {
  const stack = stackOf(failure);
  return html`<div class="failure">
    <p class="failure-words">${title && html`<span class="quiet">${title} </span>`}<bdi>${failureWords(failure)}</bdi></p>
    ${framesOf(stack).map((frame) => html`<div class="stack-frame" dir="ltr"><span class="frame-place" title=${frame.file}>${frame.place}</span>${frame.code && html`<code>${frame.code}</code>`}</div>`)}
    ${failure.cause && html`<p class="quiet">It came from: <bdi>${failureWords(failure.cause)}</bdi></p>`}
    ${failure.details && html`<${Payload} payload=${failure.details} title="Details" />`}
    ${stack && html`<details><summary>All frames</summary><${LongText} text=${visible(stack)} title="Frames" /></details>`}
  </div>`;
}

/** The file and its two folders: the page does not know where the program stands. */
const near = (path) => path.split("/").slice(-3).join("/");

function stackOf(failure) {
  let found = failure;
  for (let i = 0; i < DEEPEST_CAUSE && !found.stackTrace && found.cause; i++) found = found.cause;
  return found.stackTrace ?? "";
}

/** The last frames, the innermost last: `shop/app.py:27 in fetch`, with the line of code. */
function framesOf(stack) {
  const lines = stack.split("\n");
  const frames = lines.flatMap((line, at) => {
    const found = FRAME.exec(line);
    if (!found) return [];
    const next = lines[at + 1] ?? "";
    return [{ place: clean(`${near(found[1])}:${found[2]} in ${found[3]}`), file: clean(found[1]), code: FRAME.test(next) ? "" : clean(next) }];
  });
  return frames.slice(-SHOWN_FRAMES);
}
