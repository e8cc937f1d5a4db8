// SPDX-License-Identifier: Apache-2.0
// Agents and nodes: how busy they are, what they run, drain and resume.
import { useLive, refresh } from "../core/live.js";
import { link } from "../core/router.js";
import { agentService, registry } from "../core/rpc.js";
import { agentMark, nodeMark } from "../core/states.js";
import { clean, labelsText, percent, plural } from "../core/text.js";
import { DASH, durationMs, millis, moment, now, span } from "../core/times.js";
import { html, useEffect, useMemo, useState } from "../core/ui.js";
import { Age, Answer, Empty, Facts, Id, Mark, Meter, Problems, Refusal } from "../parts/basics.js";
import { Dialog, say } from "../parts/dialog.js";

const MOST = 1000;
const SHOWN = 100;
const TASKS_EVERY_MS = 2000;

export function Agents({ id }) {
  const nodes = useLive("RegistryService/ListNodes", { pageSize: MOST }, 5);
  const agents = useLive("RegistryService/ListAgents", { pageSize: MOST, includeEjections: true }, 5);
  const [typed, setTyped] = useState("");
  return html`<header class="head"><h1>Agents and nodes</h1>
      <div class="search"><input type="search" data-search aria-label="Filter agents" placeholder="Filter agents   /" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div></header>
    <${Problems} answers=${[nodes.value.value, agents.value.value]} />
    <h2>Nodes</h2>
    <${Answer} state=${nodes}>${({ nodes: found = [] }) => html`<${Nodes} nodes=${found} />`}</${Answer}>
    <h2>Agents</h2>
    <${Answer} state=${agents}>${({ agents: found = [] }) => html`<${AgentList} agents=${found} filter=${typed.trim().toLowerCase()} chosen=${id} />`}</${Answer}>`;
}

function Nodes({ nodes }) {
  const [leaving, setLeaving] = useState(null);
  return html`<table class="table">
    <thead><tr><th>Node</th><th>State</th><th>Workflows</th><th class="wide-only">Definitions</th><th class="wide-only">Runs</th><th class="number">Up</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
    <tbody>${nodes.map(
      (node) => html`<tr key=${node.nodeId}>
        <td class="id-cell"><${Id}>${node.nodeId}</${Id}><span class="quiet labels">${clean(node.address)}</span></td>
        <td class="state-cell"><${Mark} mark=${nodeMark(node)} /></td>
        <td>${node.maxWorkflows ? html`<${Meter} value=${node.ownedWorkflows ?? 0} of=${node.maxWorkflows} label="workflows" />` : plural(node.ownedWorkflows ?? 0, "workflow")}</td>
        <td class="wide-only words-cell"><span class="words quiet">${(node.definitions ?? []).filter((ref) => !ref.name.includes(".")).map((ref) => `${clean(ref.name)} v${ref.version}`).join(", ") || DASH}</span></td>
        <td class="wide-only quiet">${clean(node.runtime)}</td>
        <td class="number"><${Age} time=${node.registerTime} /></td>
        <td class="act-cell">${node.state !== "NODE_STATE_DRAINING" && html`<button type="button" class="button small" onClick=${() => setLeaving(node)}>Drain…</button>`}</td>
      </tr>`,
    )}</tbody>
  </table>
  ${leaving && html`<${DrainNode} node=${leaving} isLast=${nodes.length === 1} onClose=${() => setLeaving(null)} />`}`;
}

function DrainNode({ node, isLast, onClose }) {
  const [error, setError] = useState(null);
  const drain = () =>
    registry("DrainNode", { nodeId: node.nodeId }).then((answer) => {
      say(`${node.nodeId} draining: ${plural(answer.ownedWorkflows ?? 0, "workflow")} to hand over.`);
      refresh();
      onClose();
    }, setError);
  return html`<${Dialog} title=${`Drain ${node.nodeId}?`} onClose=${onClose}>
    <p>It gives its ${plural(node.ownedWorkflows ?? 0, "workflow")} to other nodes and takes no new ones. It stays so until its process starts again.</p>
    ${isLast && html`<p class="words attention">It is the only node: workflows stand still until another one starts.</p>`}
    <${Refusal} error=${error} />
    <footer class="buttons"><button type="button" class="button" onClick=${onClose}>Change nothing</button><button type="button" class="button danger" onClick=${drain}>Drain</button></footer>
  </${Dialog}>`;
}

function AgentList({ agents, filter, chosen }) {
  const [room, setRoom] = useState(SHOWN);
  const found = useMemo(() => {
    const matching = filter ? agents.filter((each) => searchedText(each).includes(filter)) : agents;
    return [...matching].sort((a, b) => (b.load?.active ?? 0) - (a.load?.active ?? 0));
  }, [agents, filter]);
  if (!agents.length) return html`<${Empty} title="No live agent."><p>Start one: <code>nervenet agent APP</code></p></${Empty}>`;
  const one = agents.find((each) => each.agent.agentId === chosen);
  const active = agents.reduce((sum, each) => sum + (each.load?.active ?? 0), 0);
  const slots = agents.reduce((sum, each) => sum + slotsOf(each), 0);
  return html`<p class="quiet">${plural(agents.length, "agent")}, ${active} of ${plural(slots, "slot")} busy${filter && `, ${found.length} shown`}</p>
    ${agents.filter((each) => each.ejections?.length).map((each) => html`<p key=${each.agent.agentId} class="banner"><bdi>ejected: ${ejectionWords(each.ejections)}</bdi> → look at its log; repair what it lacks, or restart it</p>`)}
    <table class="table">
      <thead><tr><th>Agent</th><th>State</th><th>Slots</th><th class="wide-only">Serves</th><th class="number wide-only">Average</th><th class="number">Failed</th><th class="number wide-only">Last heard</th><th class="number wide-only">Up</th></tr></thead>
      <tbody>${found.slice(0, room).map((each) => html`<${AgentRow} key=${each.agent.agentId} entry=${each} />`)}</tbody>
    </table>
    ${found.length > room && html`<p class="more"><button type="button" class="button small" onClick=${() => setRoom(room + SHOWN)}>Show more (${found.length - room})</button></p>`}
    ${chosen && (one ? html`<${Agent} key=${chosen} entry=${one} />` : html`<${Gone} id=${chosen} />`)}`;
}

/** `ocr-1 gets no tasks until 09:12:40 from 1 node: 5 attempts at 'ocr' failed in a row, where ocr-2 succeeds: no disk`. */
function ejectionWords(ejections) {
  const last = ejections.reduce((a, b) => (millis(b.untilTime) > millis(a.untilTime) ? b : a));
  return clean(`${last.agentId} gets no tasks until ${moment(millis(last.untilTime), now.value)} from ${plural(ejections.length, "node")}: ${last.message}`);
}

const slotsOf = ({ agent, load }) => load?.slots || agent.slots || (agent.capabilities ?? []).reduce((sum, can) => sum + (can.slots ?? 0), 0);
const searchedText = ({ agent }) => [agent.agentId, agent.runtime, labelsText(agent.labels), ...(agent.capabilities ?? []).map((can) => can.name)].join(" ").toLowerCase();
const capabilityWord = (can) => clean(can.version ? `${can.name} v${can.version}` : can.name);
const close = () => (location.hash = link("agents"));

function AgentRow({ entry }) {
  const { agent, load = {} } = entry;
  const average = durationMs(load.averageTaskTime);
  return html`<tr>
    <td class="id-cell"><a data-row href=${link("agents", agent.agentId)}><${Id}>${agent.agentId}</${Id}></a><span class="quiet labels">${labelsText(agent.labels)}</span></td>
    <td class="state-cell"><${Mark} mark=${agentMark(entry)} /></td>
    <td><${Meter} value=${load.active ?? 0} of=${slotsOf(entry)} label="running tasks of slots" /></td>
    <td class="wide-only words-cell"><span class="words quiet">${(agent.capabilities ?? []).map(capabilityWord).join(", ")}</span></td>
    <td class="number wide-only">${average ? span(average) : DASH}</td>
    <td class="number">${percent(load.errorRate)}</td>
    <td class="number wide-only"><${Age} time=${load.sampleTime} suffix=" ago" /></td>
    <td class="number wide-only"><${Age} time=${agent.registerTime} /></td>
  </tr>`;
}

const Gone = ({ id }) => html`<${Dialog} title=${id} onClose=${close}><p>No live agent has this id. An agent gets a new id at every start.</p></${Dialog}>`;

/** One agent with its tasks, drain and resume. */
function Agent({ entry }) {
  const { agent, load = {} } = entry;
  const [tasks, setTasks] = useState(null);
  const [error, setError] = useState(null);
  const agentId = agent.agentId;
  useEffect(() => {
    const read = () => !document.hidden && agentService("ListActiveTasks", { agentId }).then((answer) => { setTasks(answer.tasks ?? []); setError(null); }, setError);
    read();
    const timer = setInterval(read, TASKS_EVERY_MS);
    return () => clearInterval(timer);
  }, [agentId]);
  const act = (method, done) => () => agentService(method, { agentId }).then(() => { say(`${agentId} ${done}.`); refresh(); }, setError);
  const isLeaving = ["AGENT_STATE_DRAINING", "AGENT_STATE_DRAINED"].includes(agent.state);
  return html`<${Dialog} title=${agentId} onClose=${close} isWide>
    <div class="dialog-acts"><${Mark} mark=${agentMark(entry)} />
      ${isLeaving ? html`<button type="button" class="button small primary" onClick=${act("ResumeAgent", "active")}>Resume</button>` : html`<button type="button" class="button small" onClick=${act("DrainAgent", "draining")}>Drain</button>`}</div>
    <${Facts} facts=${[
      ["slots", html`<${Meter} value=${load.active ?? 0} of=${slotsOf(entry)} label="running tasks of slots" />`],
      ["serves", (agent.capabilities ?? []).map(capabilityWord).join(", ")],
      ["runs", clean(agent.runtime)],
      ["way", agent.transport === "TRANSPORT_GATEWAY" ? "gateway" : "redis"],
      ["labels", labelsText(agent.labels)],
      ["cpu", load.cpu ? `${percent(load.cpu)} of one core` : ""],
      ["last heard", html`<${Age} time=${load.sampleTime} suffix=" ago" />`],
    ]} />
    <h3>Its tasks</h3>
    <${Refusal} error=${error} />
    ${tasks && (tasks.length ? html`<ul class="lines">${tasks.map((task) => html`<li key=${`${task.taskId} ${task.attempt}`}><a href=${link("workflows", task.workflowId)}>
        <${Id}>${task.taskId}</${Id}><bdi class="words">${[clean(task.capability), task.attempt > 1 ? `attempt ${task.attempt}` : "", task.fraction === undefined ? "" : percent(task.fraction), clean(task.message)].filter(Boolean).join("  ")}</bdi><span class="quiet"><${Age} ms=${millis(task.startTime)} /></span></a></li>`)}</ul>`
      : html`<${Empty} title="It runs nothing." />`)}
  </${Dialog}>`;
}
