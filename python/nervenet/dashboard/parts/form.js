// SPDX-License-Identifier: Apache-2.0
// A form for a value that has a JSON Schema. It can be typed as JSON too; then the node alone checks it.
import { html, useMemo, useState } from "../core/ui.js";
import { draftOf, fieldOf, jsonOf } from "../core/schema.js";
import { laidOut } from "../core/payload.js";

/**
 * The state of a form: `schema` is the schema's text, `initialJson` what it shows at first.
 * `read()` returns {json, problems}; "" as json is "no value".
 */
export function useForm(schema, initialJson = "") {
  const field = useMemo(() => fieldOf(schema), [schema]);
  const [draft, setDraft] = useState(() => draftOf(field, parsed(initialJson) ?? field.initial));
  const [raw, setRaw] = useState(null);
  const [problems, setProblems] = useState([]);
  const current = () => (raw === null ? jsonOf(field, draft) : jsonOf({ kind: "json", isRequired: field.isRequired }, raw));
  const read = () => {
    const found = current();
    setProblems(found.problems);
    return found;
  };
  const swap = () => {
    if (raw === null) setRaw(laidOut(jsonOf(field, draft).json));
    else {
      setDraft(draftOf(field, parsed(raw)));
      setRaw(null);
    }
    setProblems([]);
  };
  return { field, draft, setDraft, raw, setRaw, problems, read, swap };
}

function parsed(json) {
  try {
    return json ? JSON.parse(json) : undefined;
  } catch {
    return undefined;
  }
}

export function Form({ form, label }) {
  const { field, draft, setDraft, raw, setRaw, problems, swap } = form;
  return html`<div class="form">
    ${raw === null
      ? html`<${Field} field=${{ ...field, title: field.title || label }} draft=${draft} change=${setDraft} path="" problems=${problems} />`
      : html`<label class="field"><span class="field-name">${label} as JSON</span>
          <textarea rows="8" spellcheck="false" class="code" value=${raw} onInput=${(event) => setRaw(event.target.value)} /></label>`}
    ${problems.filter((each) => raw !== null || !each.path).map((each) => html`<p class="problem" role="alert">${each.path || label} ${each.words}</p>`)}
    ${field.kind !== "json" && html`<button type="button" class="button small plain" onClick=${swap}>${raw === null ? "Write it as JSON" : "Back to the form"}</button>`}
  </div>`;
}

function Field({ field, draft, change, path, problems }) {
  const kinds = { object: ObjectField, array: ArrayField, boolean: BooleanField, enum: ChoiceField };
  const Kind = kinds[field.kind] ?? TextField;
  const mine = problems.filter((each) => path && each.path === path);
  return html`<${Kind} ...${{ field, draft, change, path, problems }} />
    ${mine.map((each) => html`<p class="problem" role="alert">${each.path} ${each.words}</p>`)}`;
}

const Name = ({ field }) =>
  html`<span class="field-name">${field.title || field.name || "value"}${!field.isRequired && field.kind !== "boolean" && html` <span class="quiet">optional</span>`}</span>
    ${field.description && html`<span class="field-help">${field.description}</span>`}`;

function ObjectField({ field, draft, change, path, problems }) {
  return html`<fieldset>
    <legend>${field.title || field.name}</legend>
    ${field.description && html`<p class="field-help">${field.description}</p>`}
    ${field.fields.map(
      (each) => html`<${Field} key=${each.name} field=${each} draft=${draft[each.name]} path=${path ? `${path}.${each.name}` : each.name}
        problems=${problems} change=${(value) => change({ ...draft, [each.name]: value })} />`,
    )}
  </fieldset>`;
}

function ArrayField({ field, draft, change, path, problems }) {
  const set = (at, value) => change(draft.map((each, index) => (index === at ? value : each)));
  return html`<fieldset>
    <legend>${field.title || field.name || "list"}</legend>
    ${field.description && html`<p class="field-help">${field.description}</p>`}
    ${draft.map(
      (each, at) => html`<div class="array-item" key=${at}>
        <${Field} field=${{ ...field.item, name: `${at + 1}` }} draft=${each} path=${`${path}[${at}]`} problems=${problems} change=${(value) => set(at, value)} />
        <button type="button" class="icon-button" aria-label=${`Remove item ${at + 1}`} onClick=${() => change(draft.filter((_, index) => index !== at))}>✕</button>
      </div>`,
    )}
    <button type="button" class="button small" onClick=${() => change([...draft, draftOf(field.item)])}>Add an item</button>
  </fieldset>`;
}

function BooleanField({ field, draft, change }) {
  if (field.isRequired || field.initial !== undefined) {
    return html`<label class="field check"><input type="checkbox" checked=${draft ?? false} onChange=${(event) => change(event.target.checked)} /><${Name} field=${field} /></label>`;
  }
  const words = [["", "not set"], ["true", "true"], ["false", "false"]];
  return html`<label class="field"><${Name} field=${field} />
    <select value=${draft === null ? "" : String(draft)} onChange=${(event) => change(event.target.value ? event.target.value === "true" : null)}>
      ${words.map(([value, word]) => html`<option value=${value}>${word}</option>`)}
    </select></label>`;
}

function ChoiceField({ field, draft, change }) {
  return html`<label class="field"><${Name} field=${field} />
    <select value=${String(draft)} onChange=${(event) => change(Number(event.target.value))}>
      <option value="-1">choose</option>
      ${field.options.map((option, at) => html`<option value=${String(at)}>${typeof option === "string" ? option : JSON.stringify(option)}</option>`)}
    </select></label>`;
}

function TextField({ field, draft, change }) {
  const input = (event) => change(event.target.value);
  const isLong = field.kind === "json" || field.isLong;
  const hint = { json: "JSON", number: "0.0", integer: "0" }[field.kind] ?? field.format ?? "";
  return html`<label class="field"><${Name} field=${field} />
    ${isLong
      ? html`<textarea rows=${field.kind === "json" ? 5 : 3} class=${field.kind === "json" ? "code" : ""} spellcheck="false" placeholder=${hint} value=${draft} onInput=${input} />`
      : html`<input type="text" dir="auto" inputmode=${field.kind === "text" ? "text" : "decimal"} placeholder=${hint} value=${draft} onInput=${input} />`}
  </label>`;
}
