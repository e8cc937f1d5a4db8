// SPDX-License-Identifier: Apache-2.0
// Workflows: one page of the list, with all filters of `nervenet list`, and what can be done to many of them.
import { useLive } from "../core/live.js";
import { go, link, route, setFilters } from "../core/router.js";
import { coordinator } from "../core/rpc.js";
import { CLOSED_STATES, OPEN_STATES, WORKFLOW, isClosed } from "../core/states.js";
import { clean, count, labelsText, plural } from "../core/text.js";
import { html, useEffect, useMemo, useSignal, useState } from "../core/ui.js";
import { failureWords } from "../core/waits.js";
import { Age, Answer, Empty, Id, Mark, Took, WaitSummary } from "../parts/basics.js";
import { say } from "../parts/dialog.js";
import { ActOnMany } from "./many.js";

const PAGE_SIZE = 50;
const SINCE = { "15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800 };
const short = (state) => state.replace("WORKFLOW_STATE_", "");

/** The fields of a ListWorkflowsRequest for the filters in the address. */
export function requestOf(filters) {
  const request = {};
  const states = filters.getAll("state").flatMap((each) => each.split(",")).filter((each) => WORKFLOW[`WORKFLOW_STATE_${each}`]);
  if (states.length) request.states = states.map((each) => `WORKFLOW_STATE_${each}`);
  if (filters.get("definition")) request.definition = filters.get("definition");
  if (filters.get("waiting")) request.waitingFor = filters.get("waiting");
  for (const name of ["stuck", "retrying", "slow"]) if (filters.get(name)) request[name] = true;
  const labels = labelsOf(filters.get("label") ?? "");
  if (Object.keys(labels).length) request.labels = labels;
  const seconds = SINCE[filters.get("since")];
  // Whole minutes, so that the same filter stays the same request.
  if (seconds) request.startedAfter = new Date(Math.floor(Date.now() / 60_000 - seconds / 60) * 60_000).toISOString();
  return request;
}

const labelsOf = (text) => Object.fromEntries(text.split(/[\s,]+/).filter((each) => each.includes("=")).map((each) => [each.slice(0, each.indexOf("=")), each.slice(each.indexOf("=") + 1)]));

export function Workflows() {
  const filters = route.value.filters;
  const query = filters.toString();
  const request = useMemo(() => requestOf(filters), [query]);
  const counts = useLive("CoordinatorService/ListWorkflows", { pageSize: 1, includeCounts: true });
  return html`<header class="head"><h1>Workflows</h1><${Search} key=${filters.get("waiting")} filters=${filters} /></header>
    <${Filters} filters=${filters} counts=${counts.value.value?.stateCounts ?? []} />
    <${List} key=${query} request=${request} />`;
}

/** The pages of one request: other filters have other pages. */
function List({ request }) {
  const [pages, setPages] = useState([""]);
  const chosen = useSignal(new Map());
  const list = useLive("CoordinatorService/ListWorkflows", { ...request, pageSize: PAGE_SIZE, pageToken: pages.at(-1), includeWaits: true, includeCounts: true });
  const isFiltered = Object.keys(request).length > 0;
  return html`<${ActOnMany} chosen=${chosen} request=${request} isFiltered=${isFiltered} />
    <${Answer} state=${list}>${(page) => html`
      ${page.workflows?.length
        ? html`<${Table} workflows=${page.workflows} chosen=${chosen} />`
        : html`<${Empty} title=${emptyWords(page, isFiltered)}>${!isFiltered && html`<p>Start one: <a href=${link("definitions")}>Definitions</a>, or <code>nervenet start NAME INPUT</code></p>`}</${Empty}>`}
      <footer class="pager">
        <span class="quiet">${count(page.workflows?.length ?? 0)} of ${count(Math.max(Number(page.namespaceCount ?? 0), page.workflows?.length ?? 0))}${Number(page.uncounted ?? 0) > 0 && `; ${plural(page.uncounted, "older one")} not counted by state`}</span>
        <button type="button" class="button small" disabled=${pages.length === 1} onClick=${() => setPages(pages.slice(0, -1))}>Newer</button>
        <button type="button" class="button small" disabled=${!page.nextPageToken} onClick=${() => setPages([...pages, page.nextPageToken])}>Older</button>
      </footer>`}</${Answer}>`;
}

function emptyWords(page, isFiltered) {
  const total = Number(page.namespaceCount ?? 0);
  if (page.nextPageToken) return "No workflow on this page.";
  return total && isFiltered ? `No workflow matches; ${plural(total, "other")}.` : "No workflow yet.";
}

/** Opens the workflow with the id that was typed; any other text is a filter by what workflows wait for. */
function Search({ filters }) {
  const [typed, setTyped] = useState(filters.get("waiting") ?? "");
  const submit = async (event) => {
    event.preventDefault();
    const words = typed.trim();
    if (words) {
      try {
        await coordinator("GetWorkflow", { workflowId: words, payloadFormat: "PAYLOAD_FORMAT_OMIT" });
        return go("workflows", words);
      } catch (error) {
        if (error.reason !== "WORKFLOW_NOT_FOUND" && error.code !== "invalid_argument") return say(error.message, "bad");
      }
    }
    setFilters({ ...Object.fromEntries(filters), waiting: words });
  };
  return html`<form class="search" role="search" onSubmit=${submit}>
    <input type="search" data-search aria-label="Workflow id, or text of what it waits for" placeholder="Id, or what it waits for   /" value=${typed} onInput=${(event) => setTyped(event.target.value)} />
  </form>`;
}

function Filters({ filters, counts }) {
  const said = Object.fromEntries(filters);
  const set = (name, value) => setFilters({ ...said, [name]: value });
  const states = new Set((said.state ?? "").split(",").filter(Boolean));
  const numbers = Object.fromEntries(counts.map((each) => [each.state, each.count]));
  const toggleState = (name) => {
    if (!states.delete(name)) states.add(name);
    set("state", [...states].join(","));
  };
  return html`<div class="filters" role="group" aria-label="Filters">
    <div class="chips">
      ${[...OPEN_STATES, ...CLOSED_STATES].map(
        (state) => html`<button type="button" key=${state} class=${`chip ${WORKFLOW[state].tone}`} aria-pressed=${states.has(short(state))} onClick=${() => toggleState(short(state))}>
          <${Mark} mark=${WORKFLOW[state]} />${numbers[state] && html` <span class="chip-count">${count(numbers[state])}</span>`}</button>`,
      )}
    </div>
    <div class="chips">
      ${[["stuck", "goes on only if somebody does something"], ["retrying", "a step has failed and is tried again"], ["slow", "older than 95 % of the runs of its definition"]].map(
        ([name, help]) => html`<button type="button" key=${name} class="chip" title=${help} aria-pressed=${Boolean(said[name])} onClick=${() => set(name, said[name] ? "" : "1")}>${name}</button>`,
      )}
      <${Typed} label="Definition" value=${said.definition} set=${(value) => set("definition", value)} />
      <${Typed} label="Labels" placeholder="team=press" value=${said.label} set=${(value) => set("label", value)} />
      <label class="inline"><span class="visually-hidden">Started</span>
        <select value=${said.since ?? ""} onChange=${(event) => set("since", event.target.value)}>
          <option value="">started at any time</option>
          ${Object.keys(SINCE).map((each) => html`<option value=${each}>started in the last ${each}</option>`)}
        </select></label>
      ${filters.size > 0 && html`<button type="button" class="button small plain" onClick=${() => setFilters({})}>Clear</button>`}
    </div>
  </div>`;
}

/** What is being typed is kept here: the view is drawn again whenever the counts change. */
function Typed({ label, value = "", placeholder = label, set }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  return html`<input type="text" class="inline-input" aria-label=${label} placeholder=${placeholder} value=${typed}
    onInput=${(event) => setTyped(event.target.value)} onChange=${() => set(typed.trim())} />`;
}

function Table({ workflows, chosen }) {
  const choose = (workflow, isChosen) => {
    const next = new Map(chosen.value);
    if (isChosen) next.set(workflow.workflowId, workflow);
    else next.delete(workflow.workflowId);
    chosen.value = next;
  };
  const chooseAll = (event) => (chosen.value = new Map(event.target.checked ? workflows.map((each) => [each.workflowId, each]) : []));
  const areAllChosen = workflows.every((each) => chosen.value.has(each.workflowId));
  return html`<table class="table">
    <thead><tr>
      <th class="check-cell"><input type="checkbox" aria-label="Select all on this page" checked=${areAllChosen} onChange=${chooseAll} /></th>
      <th>Id</th><th class="wide-only">Definition</th><th>State</th><th>Waits for / note</th><th class="number">Started</th><th class="number wide-only">Took</th>
    </tr></thead>
    <tbody>${workflows.map((each) => html`<${Row} key=${each.workflowId} workflow=${each} isChosen=${chosen.value.has(each.workflowId)} choose=${choose} />`)}</tbody>
  </table>`;
}

function Row({ workflow, isChosen, choose }) {
  const labels = labelsText(workflow.labels);
  return html`<tr class=${isChosen ? "chosen" : ""}>
    <td class="check-cell"><input type="checkbox" aria-label=${`Select ${clean(workflow.workflowId)}`} checked=${isChosen} onChange=${(event) => choose(workflow, event.target.checked)} /></td>
    <td class="id-cell"><a data-row href=${link("workflows", workflow.workflowId)}><${Id}>${workflow.workflowId}</${Id}></a>${labels && html`<bdi class="quiet labels">${labels}</bdi>`}</td>
    <td class="wide-only definition-cell"><bdi>${clean(workflow.definition)} v${workflow.version}</bdi></td>
    <td class="state-cell"><${Mark} marks=${WORKFLOW} state=${workflow.state} /></td>
    <td class="words-cell">${isClosed(workflow) ? html`<bdi class="words quiet">${noteOf(workflow)}</bdi>` : html`<${WaitSummary} workflow=${workflow} />`}</td>
    <td class="number"><${Age} time=${workflow.startTime} suffix=" ago" /></td>
    <td class="number wide-only"><${Took} start=${workflow.startTime} end=${workflow.closeTime} /></td>
  </tr>`;
}

/** How a closed workflow ended. */
function noteOf(workflow) {
  const { failure } = workflow;
  if (!failure) return clean(workflow.note);
  if (workflow.state === "WORKFLOW_STATE_CANCELED") return clean(failure.message);
  return failureWords(failure) + (failure.attempt > 1 ? ` (${failure.attempt} attempts)` : "");
}
