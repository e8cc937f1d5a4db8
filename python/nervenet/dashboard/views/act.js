// SPDX-License-Identifier: Apache-2.0
// What a person does to one workflow: cancel, restart, retry, send a signal.
import { VERBS } from "../core/acts.js";
import { coordinator, registry } from "../core/rpc.js";
import { person } from "../core/settings.js";
import { clean } from "../core/text.js";
import { html, useEffect, useState } from "../core/ui.js";
import { Refusal } from "../parts/basics.js";
import { Dialog, say } from "../parts/dialog.js";
import { Form, useForm } from "../parts/form.js";

export function Confirm({ verb, one, onClose }) {
  const [reason, setReason] = useState("");
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const act = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const answer = await verb.act(one, reason);
      const isStillBlocked = answer.workflow?.state === "WORKFLOW_STATE_BLOCKED";
      say(isStillBlocked ? `${clean(one.workflowId)} is blocked still.` : `${clean(one.workflowId)} ${verb.done}.`, isStillBlocked ? "bad" : "good");
      onClose();
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  const words = {
    Cancel: "It stops after its clean-up.",
    Restart: `Run ${(one.run ?? 1) + 1} begins with the same input.`,
    Retry: "Its node replays it now with the code that it has. No step runs twice.",
  };
  return html`<${Dialog} title=${`${verb.name} ${clean(one.workflowId)}?`} onClose=${onClose}>
    <form onSubmit=${act}>
      <p>${words[verb.name]}</p>
      ${verb !== VERBS.retry && html`<label class="field"><span class="field-name">Reason <span class="quiet">optional</span></span><input type="text" value=${reason} onInput=${(event) => setReason(event.target.value)} /></label>`}
      <${Refusal} error=${error} />
      <footer class="buttons"><button type="button" class="button" onClick=${onClose}>Change nothing</button><button class=${`button ${verb === VERBS.cancel ? "danger" : "primary"}`} disabled=${isBusy}>${verb.name}</button></footer>
    </form>
  </${Dialog}>`;
}

/** The signals that its code receives, each with a form; any other name too. */
export function SendSignal({ one, onClose }) {
  const [signals, setSignals] = useState(null);
  const [name, setName] = useState("");
  useEffect(() => {
    signalsOf(one).then((found) => {
      setSignals(found);
      setName(found[0]?.name ?? "");
    });
  }, []);
  if (!signals) return null;
  const schema = signals.find((each) => each.name === name)?.schema ?? "";
  return html`<${Dialog} title=${`Send a signal to ${clean(one.workflowId)}`} onClose=${onClose}>
    <label class="field"><span class="field-name">Signal</span>
      ${signals.length
        ? html`<select value=${name} onChange=${(event) => setName(event.target.value)}>${signals.map((each) => html`<option>${each.name}</option>`)}</select>`
        : html`<input type="text" value=${name} onInput=${(event) => setName(event.target.value)} />`}</label>
    <${Value} key=${schema} schema=${schema} one=${one} name=${name} onClose=${onClose} />
  </${Dialog}>`;
}

async function signalsOf(one) {
  try {
    const { nodes = [] } = await registry("ListNodes", { pageSize: 1000 });
    const refs = nodes.flatMap((node) => node.definitions ?? []).filter((ref) => ref.name === one.definition && ref.version === one.version);
    return refs.find((ref) => ref.signals?.length)?.signals ?? [];
  } catch {
    return [];
  }
}

function Value({ schema, one, name, onClose }) {
  const form = useForm(schema);
  const [error, setError] = useState(null);
  const [requestId] = useState(() => crypto.randomUUID?.() ?? String(Math.random()));
  const send = async (event) => {
    event.preventDefault();
    const { json, problems } = form.read();
    if (problems.length) return;
    try {
      await coordinator("SignalWorkflow", { workflowId: one.workflowId, signal: name, payload: json ? { json } : undefined, requestId, sender: person.value });
      say(`${clean(one.workflowId)} has signal ${name}.`);
      onClose();
    } catch (refused) {
      setError(refused);
    }
  };
  return html`<form onSubmit=${send}>
    <${Form} form=${form} label="Value" />
    <${Refusal} error=${error} />
    <footer class="buttons"><button type="button" class="button" onClick=${onClose}>Send nothing</button><button class="button primary" disabled=${!name}>Send</button></footer>
  </form>`;
}
