// SPDX-License-Identifier: Apache-2.0
// Definitions: what can be started, from the code of nodes and as stored data; a form to start one.
import { useLive } from "../core/live.js";
import { go, link } from "../core/router.js";
import { coordinator } from "../core/rpc.js";
import { person } from "../core/settings.js";
import { clean } from "../core/text.js";
import { html, useEffect, useMemo, useState } from "../core/ui.js";
import { Answer, Empty, Facts, Id, Loading, Refusal } from "../parts/basics.js";
import { Dialog, say } from "../parts/dialog.js";
import { Form, useForm } from "../parts/form.js";
import { LongText } from "../parts/payload.js";
import { laidOut } from "../core/payload.js";

const MOST = 1000;

export function Definitions({ id }) {
  const nodes = useLive("RegistryService/ListNodes", { pageSize: MOST }, 15);
  const stored = useLive("CoordinatorService/ListDefinitions", { pageSize: MOST }, 15);
  const [typed, setTyped] = useState("");
  const found = useMemo(() => definitionsOf(nodes.value.value?.nodes ?? [], stored.value.value?.definitions ?? []), [nodes.value, stored.value]);
  const shown = found.filter((each) => `${each.name} ${each.description}`.toLowerCase().includes(typed.trim().toLowerCase()));
  const one = found.find((each) => each.name === id);
  return html`<header class="head"><h1>Definitions</h1>
      <div class="search"><input type="search" data-search aria-label="Filter definitions" placeholder="Filter   /" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div></header>
    <${Answer} state=${nodes}>${() =>
      found.length
        ? html`<ul class="cards">${shown.map((each) => html`<${Card} key=${each.name} one=${each} />`)}</ul>`
        : html`<${Empty} title="No definition."><p>Start a node with code, or store one: <code>nervenet definitions put FILE</code></p></${Empty}>`}</${Answer}>
    ${one && html`<${Definition} key=${`${one.name} ${one.version}`} one=${one} />`}`;
}

/** The highest version of each name. Names with a dot are nervenet's own. */
function definitionsOf(nodes, stored) {
  const found = new Map();
  const add = (one) => {
    const before = found.get(one.name);
    if (!before || one.version > before.version) found.set(one.name, { ...one, versions: new Set([...(before?.versions ?? []), one.version]) });
    else before.versions.add(one.version);
  };
  for (const node of nodes) for (const ref of node.definitions ?? []) if (!ref.name.includes(".")) add({ ...ref, description: ref.description ?? "", isStored: false });
  for (const each of stored) add({ name: each.name, version: each.version ?? 1, description: each.description ?? "", isStored: true, inputSchema: "" });
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
}

const Card = ({ one }) =>
  html`<li><a data-row class="card definition" href=${link("definitions", one.name)}>
    <strong><${Id}>${one.name}</${Id}> <span class="quiet">v${one.version}</span></strong>
    <span class="quiet clamp" dir="auto">${clean(one.description) || "no description"}</span>
    <span class="tag">${one.isStored ? "stored" : "code"}</span>
  </a></li>`;

function Definition({ one }) {
  return html`<${Dialog} title=${`${one.name} v${one.version}`} onClose=${() => (location.hash = link("definitions"))} isWide>
    ${one.description && html`<p class="prose" dir="auto">${clean(one.description)}</p>`}
    <${Facts} facts=${[
      ["from", one.isStored ? "stored data" : "code of a node"],
      ["runtime", clean(one.runtime)],
      ["versions", one.versions.size > 1 ? [...one.versions].sort().map((each) => `v${each}`).join(", ") : ""],
      ["signals", (one.signals ?? []).map((each) => clean(each.name)).join(", ")],
      ["runs", html`<a href=${link("workflows", "", { definition: one.name })}>its workflows</a>`],
    ]} />
    <h3>Start one</h3>
    <${Start} one=${one} />
    ${one.isStored && html`<${Steps} one=${one} />`}
    ${one.outputSchema && html`<details><summary>Schema of the result</summary><${LongText} text=${laidOut(one.outputSchema)} title="Result" /></details>`}
  </${Dialog}>`;
}

function Start({ one }) {
  const form = useForm(one.inputSchema);
  const [id, setId] = useState("");
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const start = async (event) => {
    event.preventDefault();
    const { json, problems } = form.read();
    if (problems.length) return;
    setBusy(true);
    try {
      const request = { workflowId: id.trim() || newId(one.name), definition: one.name, version: one.version, input: json ? { json } : undefined, starter: person.value };
      const answer = await coordinator("StartWorkflow", { ...request, payloadFormat: "PAYLOAD_FORMAT_OMIT" });
      say(answer.created ? `${answer.workflow.workflowId} started.` : `${answer.workflow.workflowId} existed before. Nothing was started.`, answer.created ? "good" : "bad");
      go("workflows", answer.workflow.workflowId);
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  return html`<form onSubmit=${start}>
    <${Form} form=${form} label="Input" />
    <label class="field"><span class="field-name">Id <span class="quiet">optional</span></span><span class="field-help">What the workflow is about, for example order-7. The same id with the same input starts nothing again.</span>
      <input type="text" value=${id} onInput=${(event) => setId(event.target.value)} /></label>
    <${Refusal} error=${error} />
    <footer class="buttons"><button class="button primary" disabled=${isBusy}>Start</button></footer>
  </form>`;
}

/** An id that the page chooses is the same when the request is sent again. */
function newId(name) {
  const random = crypto.getRandomValues(new Uint8Array(5));
  return `${name}-${[...random].map((each) => (each % 32).toString(32)).join("")}`;
}

function Steps({ one }) {
  const [definition, setDefinition] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    coordinator("GetDefinition", { name: one.name, version: one.version }).then((answer) => setDefinition(answer.definition), setError);
  }, []);
  if (error) return html`<${Refusal} error=${error} />`;
  return definition ? html`<details><summary>Its steps</summary><${LongText} text=${laidOut(JSON.stringify(definition))} title="Definition" /></details>` : html`<${Loading} />`;
}
