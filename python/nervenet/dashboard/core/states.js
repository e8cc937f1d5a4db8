// SPDX-License-Identifier: Apache-2.0
// States with their symbol, tone and word, as the command line shows them. A tone is a CSS class.

const mark = (symbol, tone, word) => ({ symbol, tone, word });

export const WORKFLOW = {
  WORKFLOW_STATE_RUNNING: mark("●", "running", "running"),
  WORKFLOW_STATE_WAITING_FOR_HUMAN: mark("?", "human", "waits for a human"),
  WORKFLOW_STATE_BLOCKED: mark("!", "blocked", "blocked"),
  WORKFLOW_STATE_CANCELING: mark("●", "running", "canceling"),
  WORKFLOW_STATE_SUCCEEDED: mark("✓", "good", "succeeded"),
  WORKFLOW_STATE_FAILED: mark("✗", "bad", "failed"),
  WORKFLOW_STATE_CANCELED: mark("–", "quiet", "canceled"),
  WORKFLOW_STATE_TIMED_OUT: mark("✗", "bad", "timed out"),
};
export const STEP = {
  TASK_STATE_QUEUED: mark("–", "quiet", "waits"),
  TASK_STATE_RUNNING: mark("●", "running", "running"),
  TASK_STATE_WAITING_FOR_HUMAN: mark("?", "human", "waits for a human"),
  TASK_STATE_SUCCEEDED: mark("✓", "good", "succeeded"),
  TASK_STATE_FAILED: mark("✗", "bad", "failed"),
  TASK_STATE_CANCELED: mark("–", "quiet", "canceled"),
};
export const AGENT = {
  AGENT_STATE_STARTING: mark("●", "running", "starting"),
  AGENT_STATE_ACTIVE: mark("✓", "good", "active"),
  AGENT_STATE_DRAINING: mark("–", "quiet", "draining"),
  AGENT_STATE_DRAINED: mark("–", "quiet", "drained"),
};

const CLOSED = ["SUCCEEDED", "FAILED", "CANCELED", "TIMED_OUT"];
export const OPEN_STATES = ["RUNNING", "WAITING_FOR_HUMAN", "BLOCKED", "CANCELING"].map((name) => `WORKFLOW_STATE_${name}`);
export const CLOSED_STATES = CLOSED.map((name) => `WORKFLOW_STATE_${name}`);

export const markOf = (marks, state) => marks[state] ?? mark(" ", "quiet", "in a state of a newer release");
export const isClosed = (workflow) => CLOSED_STATES.includes(workflow.state);
export const isOpenStep = (step) =>
  ["TASK_STATE_QUEUED", "TASK_STATE_RUNNING", "TASK_STATE_WAITING_FOR_HUMAN"].includes(step.state);

/** An agent that lives, to which at least one node sends nothing, is ejected. */
export function agentMark({ agent, ejections }) {
  return ejections?.length && agent.state === "AGENT_STATE_ACTIVE" ? mark("!", "human", "ejected") : markOf(AGENT, agent.state);
}

export function nodeMark(node) {
  if (node.state === "NODE_STATE_DRAINING") return mark("–", "quiet", "draining");
  const isFull = node.full || (node.maxWorkflows > 0 && (node.ownedWorkflows ?? 0) >= node.maxWorkflows);
  return isFull ? mark("!", "human", "full") : mark("✓", "good", "active");
}
