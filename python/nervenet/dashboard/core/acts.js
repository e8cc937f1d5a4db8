// SPDX-License-Identifier: Apache-2.0
// What a person can do to a workflow, and to many: each is one call of the contract.
import { coordinator } from "./rpc.js";
import { person } from "./settings.js";

const AT_ONCE = 8;

/** name → {name, done, states that filters choose, act(workflow, reason)}. */
export const VERBS = {
  cancel: {
    name: "Cancel",
    done: "canceled",
    states: ["RUNNING", "WAITING_FOR_HUMAN", "BLOCKED"],
    act: ({ workflowId }, reason) => coordinator("CancelWorkflow", { workflowId, reason, requester: person.value }),
  },
  restart: {
    name: "Restart",
    done: "restarted",
    states: ["FAILED", "TIMED_OUT", "BLOCKED"],
    // The run is named, so that a request that is sent again begins one run.
    act: ({ workflowId, run }, reason) => coordinator("RestartWorkflow", { workflowId, run, reason, requester: person.value }),
  },
  retry: {
    name: "Retry",
    done: "retried",
    states: ["BLOCKED"],
    act: ({ workflowId }) => coordinator("RetryWorkflow", { workflowId }),
  },
};

/** Act on each of them. `onDone(done, refused)` is called after each; one that is refused does not stop the others. */
export async function actOnMany(verb, workflows, reason, onDone) {
  const rest = [...workflows];
  const refused = [];
  let done = 0;
  const work = async () => {
    for (let one = rest.shift(); one; one = rest.shift()) {
      try {
        await verb.act(one, reason);
        done += 1;
      } catch (error) {
        refused.push({ workflowId: one.workflowId, words: error.message });
      }
      onDone(done, refused);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
