// SPDX-License-Identifier: Apache-2.0
// The journal as a list that keeps only the rows in sight. Entries come without payloads; the one that is opened is read whole.
import { journalLine } from "../core/journal.js";
import { coordinator } from "../core/rpc.js";
import { clock, exact } from "../core/times.js";
import { html, useEffect, useState } from "../core/ui.js";
import { Empty, Refusal } from "../parts/basics.js";
import { Dialog } from "../parts/dialog.js";
import { LongText } from "../parts/payload.js";
import { VirtualList } from "../parts/virtual.js";
import { laidOut } from "../core/payload.js";
import { count, visible } from "../core/text.js";

const ROW = 30;
const PAGE_SIZE = 1000;

export function Journal({ one }) {
  const [lines, setLines] = useState([]);
  const [error, setError] = useState(null);
  const [chosen, setChosen] = useState(0);
  // Read again from the last line whenever the journal has grown.
  useEffect(() => {
    let isShown = true;
    const take = (more) => isShown && setLines((before) => withoutTwins(before, more));
    readAfter(one.workflowId, lines.at(-1)?.sequence ?? 0, take, () => isShown).catch(setError);
    return () => (isShown = false);
  }, [one.journalEntries]);
  const row = (at) => html`<${Line} line=${lines[at]} choose=${setChosen} />`;
  return html`<div class="journal">
    <${Refusal} error=${error} />
    ${lines.length ? html`<${VirtualList} className="tall" count=${lines.length} rowHeight=${ROW} row=${row} label="Journal" />` : html`<${Empty} title="…" />`}
    <p class="quiet">${count(lines.length)} of ${count(Math.max(Number(one.journalEntries ?? 0), lines.length))} entries</p>
    ${chosen > 0 && html`<${Entry} workflowId=${one.workflowId} sequence=${chosen} onClose=${() => setChosen(0)} />`}
  </div>`;
}

/** Two readings may overlap. */
function withoutTwins(before, more) {
  const last = before.at(-1)?.sequence ?? 0;
  return [...before, ...more.filter((line) => line.sequence > last)];
}

async function readAfter(workflowId, afterSequence, take, isWanted) {
  let pageToken = "";
  do {
    const page = await coordinator("ListJournal", { workflowId, afterSequence, pageSize: PAGE_SIZE, pageToken, payloadFormat: "PAYLOAD_FORMAT_OMIT" });
    take((page.entries ?? []).map(journalLine));
    pageToken = page.nextPageToken ?? "";
  } while (pageToken && isWanted());
}

const Line = ({ line, choose }) =>
  html`<button type="button" data-row class="journal-row" onClick=${() => choose(line.sequence)}>
    <span class="figures quiet">${line.sequence}</span><time class="figures" title=${exact(line.ms)}>${clock(line.ms)}</time>
    <span class=${`symbol ${line.tone}`} aria-hidden="true">${line.symbol}</span><bdi class="journal-what">${line.what}</bdi><bdi class="journal-words quiet">${line.words}</bdi>
  </button>`;

function Entry({ workflowId, sequence, onClose }) {
  const [entry, setEntry] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    coordinator("ListJournal", { workflowId, afterSequence: sequence - 1, pageSize: 1, payloadFormat: "PAYLOAD_FORMAT_VALUE" }).then(({ entries }) => setEntry(entries?.[0]), setError);
  }, [sequence]);
  return html`<${Dialog} title=${`Entry ${sequence}: ${entry?.name ?? ""}`} onClose=${onClose} isWide>
    <${Refusal} error=${error} />
    ${entry && html`<${LongText} text=${visible(laidOut(JSON.stringify(entry)))} title=${entry.name} />`}
  </${Dialog}>`;
}
