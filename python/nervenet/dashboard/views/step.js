// SPDX-License-Identifier: Apache-2.0
// One step: what its time went into, its attempts with their failures, its input and output, its tokens. Values are read when it is
// opened: the input costs its node a replay.
import { link } from "../core/router.js";
import { onEscape } from "../core/keys.js";
import { coordinator } from "../core/rpc.js";
import { STEP } from "../core/states.js";
import { spent, tokensOf } from "../core/steps.js";
import { clean, count } from "../core/text.js";
import { millis, now, span } from "../core/times.js";
import { html, useEffect, useState } from "../core/ui.js";
import { Facts, Id, Mark, Refusal } from "../parts/basics.js";
import { Failure } from "../parts/failure.js";
import { Payload } from "../parts/payload.js";

export function StepPanel({ one, step, onClose }) {
  const [values, setValues] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => onEscape(onClose), []);
  useEffect(() => {
    valuesOf(one.workflowId, step.step).then(setValues, setError);
  }, [step.state]);
  return html`<aside class="panel" aria-label=${`Step ${clean(step.step)}`}>
    <header><h2><${Id}>${step.step}</${Id}></h2><button type="button" class="icon-button" aria-label="Close the step" onClick=${onClose}>✕</button></header>
    <${Mark} marks=${STEP} state=${step.state} />
    <${StepFacts} step=${step} />
    ${step.failure && html`<${Failure} failure=${step.failure} />`}
    ${(step.failedAttempts ?? []).map((failure) => html`<${Failure} key=${failure.attempt} failure=${failure} title=${`attempt ${failure.attempt}${failure.agentId ? ` on ${clean(failure.agentId)}` : ""}`} />`)}
    <${Refusal} error=${error} />
    ${values?.input && html`<${Payload} payload=${values.input} title="Input" />`}
    ${values?.inputProblem && html`<p class="quiet">Input is unknown: <bdi>${clean(values.inputProblem)}</bdi></p>`}
    ${values?.output && html`<${Payload} payload=${values.output} title="Output" />`}
  </aside>`;
}

/** In short, an answer has the steps that `inputSteps` names, with their values, and few others. */
async function valuesOf(workflowId, step) {
  const { workflow } = await coordinator("GetWorkflow", { workflowId, payloadFormat: "PAYLOAD_FORMAT_RAW", includeTaskPayloads: true, inputSteps: [step], summarizeTasks: true });
  const found = workflow.tasks?.find((each) => each.step === step) ?? {};
  return { input: found.input, output: found.output, inputProblem: found.inputProblem };
}

function StepFacts({ step }) {
  const time = spent(step, now.value);
  const said = (ms) => (ms >= 1 ? span(ms) : "");
  return html`<${Facts} facts=${[
    ["capability", step.capability && html`<a href=${link("capabilities", step.capability)}><${Id}>${step.capability}</${Id}></a>`],
    ["agent", step.agentId && html`<${Id}>${step.agentId}</${Id}>`],
    ["attempt", step.attempt && `${step.attempt}${step.maxAttempts ? ` of ${step.maxAttempts}` : ""}`],
    ["waits", step.waitsFor && html`<bdi>${clean(step.waitsFor)}</bdi>`],
    ["queued", said(time.queued)],
    ["ran", said(time.ran)],
    ["between attempts", said(time.retry)],
    ["with humans", said(time.human)],
    ["ended", step.endTime && new Date(millis(step.endTime)).toLocaleString()],
    ["tokens", tokensOf(step).map((each) => `${clean(each.model)} ${count(each.input)} read, ${count(each.output)} written`).join(", ")],
    ["child", step.childWorkflowId && html`<a href=${link("workflows", step.childWorkflowId)}><${Id}>${step.childWorkflowId}</${Id}></a>`],
    ["question", step.escalationId && html`<a href=${link("escalations", step.escalationId)}>open it</a>`],
  ]} />`;
}
