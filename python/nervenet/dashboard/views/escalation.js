// SPDX-License-Identifier: Apache-2.0
// One question to a human: what helps to decide, and the decision. Of two people at once one wins; the other learns who, and what.
import { link } from "../core/router.js";
import { refresh } from "../core/live.js";
import { coordinator } from "../core/rpc.js";
import { person } from "../core/settings.js";
import { payloadJson, payloadLine } from "../core/payload.js";
import { clean, plural } from "../core/text.js";
import { html, useEffect, useState } from "../core/ui.js";
import { Age, Facts, Id, Loading, Mark, Refusal } from "../parts/basics.js";
import { say } from "../parts/dialog.js";
import { Failure } from "../parts/failure.js";
import { Form, useForm } from "../parts/form.js";
import { Payload } from "../parts/payload.js";
import { Due } from "./escalations.js";

const LOOK_AGAIN_MS = 3000;

export function Escalation({ id }) {
  const [one, setOne] = useState(null);
  const [error, setError] = useState(null);
  const read = () => coordinator("GetEscalation", { escalationId: id }).then(({ escalation }) => setOne(escalation), setError);
  useEffect(() => {
    read();
    const timer = setInterval(() => !document.hidden && read(), LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, [id]);
  if (!one) return error ? html`<${Refusal} error=${error} />` : html`<${Loading} />`;
  const { question = {} } = one;
  return html`<article class="question card">
    <p class="crumb phone-only"><a href=${link("escalations")}>All questions</a></p>
    <h2 dir="auto">${clean(question.text)}</h2>
    <${Facts} facts=${[
      ["workflow", html`<a href=${link("workflows", one.workflowId)}><${Id}>${one.workflowId}</${Id}></a>`],
      ["step", html`<${Id}>${one.step}</${Id}>`],
      ["from", sourceOf(one)],
      ["since", html`<${Age} time=${one.createTime} suffix=" ago" />`],
      ["due", question.deadline && html`<${Due} question=${question} />`],
      ["for", clean(question.assignee)],
    ]} />
    ${question.context && html`<${Payload} payload=${question.context} title="Context" />`}
    ${question.failure && html`<${Failure} failure=${question.failure} title="The last failure:" />`}
    ${question.defaultAnswer && html`<${Payload} payload=${question.defaultAnswer} title="If nobody answers in time" />`}
    ${isOpen(one) ? html`<${Decision} one=${one} setOne=${setOne} />` : html`<${Decided} one=${one} />`}
  </article>`;
}

const isOpen = (one) => !one.state || one.state === "ESCALATION_STATE_OPEN";

function sourceOf({ question, definition }) {
  if (question?.source === "QUESTION_SOURCE_EXHAUSTED") {
    const attempts = question.failure?.attempt;
    return `${attempts ? plural(attempts, "attempt") : "failed attempts"} in ${clean(definition)}`;
  }
  return question?.source === "QUESTION_SOURCE_AGENT" ? `agent in ${clean(definition)}` : `workflow ${clean(definition)}`;
}

function Decided({ one }) {
  return html`<div class="decided" role="status"><${Mark} mark=${one.state === "ESCALATION_STATE_RESOLVED" ? { symbol: "✓", tone: "good", word: "decided" } : { symbol: "–", tone: "quiet", word: "over" }} />
    <p><bdi>${decisionWords(one)}</bdi> ${one.resolveTime && html`<span class="quiet"><${Age} time=${one.resolveTime} suffix=" ago" /></span>`}</p></div>`;
}

/** `ana@example decided: no (“known issue”)` */
function decisionWords(one) {
  if (one.state === "ESCALATION_STATE_EXPIRED") return "nobody answered in time";
  if (one.state === "ESCALATION_STATE_WITHDRAWN") return "its step or workflow ended without an answer";
  const made = one.resolution ?? {};
  const comment = made.comment ? ` (“${clean(made.comment)}”)` : "";
  return `${clean(made.resolver) || "somebody"} decided: ${verdictOf(made)}${comment}`;
}

function verdictOf(made) {
  if (made.action === "ESCALATION_ACTION_COMPLETE") return payloadLine(made.value);
  if (made.action === "ESCALATION_ACTION_RETRY") return `${plural(Math.max(made.attempts ?? 0, 1), "attempt")} more`;
  return made.action === "ESCALATION_ACTION_CANCEL_WORKFLOW" ? "cancel the workflow" : "fail";
}

/** The answer: a choice, a form, or what to do with a task that failed. */
function Decision({ one, setOne }) {
  const { question } = one;
  const isTask = question.source === "QUESTION_SOURCE_AGENT" || question.source === "QUESTION_SOURCE_EXHAUSTED";
  const isExhausted = question.source === "QUESTION_SOURCE_EXHAUSTED";
  const [way, setWay] = useState(isExhausted ? "retry" : "answer");
  const [comment, setComment] = useState("");
  const [attempts, setAttempts] = useState("1");
  const [error, setError] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const form = useForm(question.answerSchema, payloadJson(question.suggestion));
  const decide = async (resolution) => {
    setBusy(true);
    setError(null);
    try {
      const answer = await coordinator("ResolveEscalation", { escalationId: one.escalationId, resolution: { ...resolution, comment, resolver: person.value } });
      say("Decided.");
      setOne(answer.escalation);
    } catch (refused) {
      setError(refused);
      const { escalation } = await coordinator("GetEscalation", { escalationId: one.escalationId }).catch(() => ({ escalation: one }));
      if (!isOpen(escalation)) say(`Somebody was faster: ${decisionWords(escalation)}`, "bad");
      setOne(escalation);
    }
    setBusy(false);
    refresh();
  };
  const complete = (json) => decide({ action: "ESCALATION_ACTION_COMPLETE", value: { json } });
  const submit = (event) => {
    event.preventDefault();
    if (way === "retry") return decide({ action: "ESCALATION_ACTION_RETRY", attempts: Number(attempts) || 1 });
    if (way === "fail") return decide({ action: "ESCALATION_ACTION_FAIL" });
    if (way === "cancel") return decide({ action: "ESCALATION_ACTION_CANCEL_WORKFLOW" });
    const { json, problems } = form.read();
    if (!problems.length) complete(json || "null");
  };
  const ways = { ...(isTask && { retry: "Retry" }), answer: isTask ? "Give the result" : "Answer", ...(isTask && { fail: "Fail the step" }), cancel: "Cancel the workflow" };
  const choices = way === "answer" ? (question.choices ?? []) : [];
  return html`<form class="decision" onSubmit=${submit}>
    <div class="ways" role="radiogroup" aria-label="What to do">
      ${Object.entries(ways).map(([name, word]) => html`<label key=${name} class="way"><input type="radio" name="way" checked=${way === name} onChange=${() => setWay(name)} />${word}</label>`)}
    </div>
    ${way === "retry" && html`<label class="field short"><span class="field-name">Attempts more</span><input type="number" min="1" max="100" value=${attempts} onInput=${(event) => setAttempts(event.target.value)} /></label>`}
    ${way === "answer" && !choices.length && html`<${Form} form=${form} label="Answer" />`}
    <label class="field"><span class="field-name">${commentName(way)} <span class="quiet">optional</span></span><textarea rows="2" dir="auto" value=${comment} onInput=${(event) => setComment(event.target.value)} /></label>
    <${Refusal} error=${error} />
    <footer class="buttons">
      ${choices.length
        ? choices.map((choice) => html`<button type="button" key=${choice} class="button choice" disabled=${isBusy} onClick=${() => complete(JSON.stringify(choice))}><bdi>${clean(choice)}</bdi></button>`)
        : html`<button class=${`button ${way === "fail" || way === "cancel" ? "danger" : "primary"}`} disabled=${isBusy}>${{ retry: "Retry", answer: isTask ? "Use this result" : "Answer", fail: "Fail the step", cancel: "Cancel the workflow" }[way]}</button>`}
    </footer>
  </form>`;
}

const commentName = (way) => ({ retry: "Hint for the handler", fail: "Message of the failure" })[way] ?? "Comment";
