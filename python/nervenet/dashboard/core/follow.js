// SPDX-License-Identifier: Apache-2.0
// One workflow, followed: read once, then again when its journal grows. News of running attempts come on the same stream.
// A hidden page follows nothing; a closed workflow needs no stream. Steps come in short, so that a workflow of thousands opens at
// once; all of them are read while somebody wants to see more.
import { events } from "./events.js";
import { workflowRequest } from "./first.js";
import { outputText } from "./payload.js";
import { coordinator } from "./rpc.js";
import { isClosed } from "./states.js";
import { areStepsMissing, stepCount } from "./steps.js";
import { signal } from "./ui.js";

const READ_AGAIN_MS = 700;
/** A step costs the node some work at each read: a workflow of thousands is read less often. */
const READ_AGAIN_MS_PER_STEP = 1;
const UNKNOWN_CHANGE_MS = 5000;
const REOPEN_AFTER_MS = 2000;
const MOST_OUTPUT = 100_000;
const MOST_OUTPUTS = 3;

/**
 * Follows until `close()`. Signals: `workflow`, `error`, `news` (step → last progress), `output` (step → text). With `want(true)` it
 * reads all steps from now on, with `want(false)` again what there is in short.
 */
export function followWorkflow(workflowId) {
  const found = { workflow: signal(null), error: signal(null), news: signal({}), output: signal({}) };
  let sequence = 0;
  let opened = null;
  let timer = 0;
  let isClosing = false;
  let isWanted = false;
  let isLong = false; // Too many steps that are unlike each other for an answer in short.
  let lastRead = 0;
  let isWholeComing = false;

  const read = async () => {
    clearTimeout(timer);
    timer = 0;
    const mine = ++lastRead;
    isWholeComing = isWanted || isLong;
    const [workflow, error] = await coordinator("GetWorkflow", workflowRequest(workflowId, isWholeComing)).then((answer) => [answer.workflow, null], (refused) => [null, refused]);
    if (mine !== lastRead) return found.workflow.value; // A later read tells more.
    isWholeComing = false;
    if (workflow) found.workflow.value = workflow;
    found.error.value = error;
    const one = found.workflow.value;
    if (workflow && !isLong && areStepsMissing(workflow)) {
      isLong = true;
      return read();
    }
    // What changes without an entry: a queue, an agent, a lost node.
    if (!isClosing && !document.hidden && one && !isClosed(one)) timer = setTimeout(read, UNKNOWN_CHANGE_MS);
    return one;
  };

  const readSoon = () => {
    clearTimeout(timer);
    const steps = found.workflow.value ? stepCount(found.workflow.value) : 0;
    timer = setTimeout(read, READ_AGAIN_MS + steps * READ_AGAIN_MS_PER_STEP);
  };

  const take = (event, data) => {
    if (event === "error") return;
    const { entry } = JSON.parse(data);
    if (entry?.progress) takeProgress(found, entry.progress);
    else {
      if (entry) sequence = Number(entry.sequence);
      readSoon();
    }
  };

  const open = async () => {
    opened?.abort();
    clearTimeout(timer);
    if (document.hidden || isClosing) return;
    const mine = (opened = new AbortController());
    const one = await read();
    if (mine.signal.aborted || !one || isClosed(one)) return;
    const after = Math.max(sequence, Number(one.journalEntries ?? 0));
    try {
      const address = `./live/workflows/${encodeURIComponent(workflowId)}?after=${after}&progress=1&partials=1&format=raw`;
      for await (const { event, data } of events(address, { stop: mine.signal })) {
        if (event === "end") return readSoon();
        take(event, data);
      }
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error.code === "not_found") return;
    }
    if (!mine.signal.aborted) timer = setTimeout(open, REOPEN_AFTER_MS);
  };

  const want = (isNow) => {
    isWanted = isNow;
    if (isNow && found.workflow.value?.taskCount && !isWholeComing) read();
  };

  document.addEventListener("visibilitychange", open);
  open();
  const close = () => {
    isClosing = true;
    clearTimeout(timer);
    opened?.abort();
    document.removeEventListener("visibilitychange", open);
  };
  return { ...found, read, want, close };
}

function takeProgress(found, progress) {
  const before = found.news.value[progress.step] ?? {};
  const isNewAttempt = before.attempt !== progress.attempt;
  const told = isNewAttempt ? {} : before;
  found.news.value = {
    ...found.news.value,
    [progress.step]: { attempt: progress.attempt, fraction: progress.fraction ?? told.fraction, message: progress.message || told.message },
  };
  if (!progress.partial && !(isNewAttempt && found.output.value[progress.step])) return;
  const text = (isNewAttempt ? "" : (found.output.value[progress.step] ?? "")) + (progress.partial ? outputText(progress.partial) : "");
  const others = Object.entries(found.output.value).filter(([step]) => step !== progress.step);
  found.output.value = Object.fromEntries([...others.slice(1 - MOST_OUTPUTS), [progress.step, text.slice(-MOST_OUTPUT)]]);
}
