// SPDX-License-Identifier: Apache-2.0
// The capabilities that the conformance suite asks for (tests/conformance/README.md).
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "lossless-json";
import { FailureCode, Payload } from "@nervenet/protos/nervenet/v1/common";
import { Failed, type Handler, invalid, json, text } from "./handlers.js";

/** Integers as bigint: JSON.parse would round them beyond 2^53. */
const exactly = (value: string) => (/^-?\d+$/.test(value) ? BigInt(value) : parseFloat(value));
const read = (source: string): any => parse(source, null, exactly);
const write = (value: unknown): Payload => json(stringify(value)!);

const work: Handler = async (task) => {
  const told = read(text(task.input) ?? "null");
  if (typeof told?.log !== "string") throw invalid("an object with a log is wanted");
  const note = (word: string) => appendFileSync(told.log, `${word} ${task.taskId} ${task.attempt}\n`);
  note("begin");
  for (const [fraction, message] of told.progress ?? []) task.report({ fraction: Number(fraction), message });
  for (const part of told.emit ?? []) task.report({ partial: write(part) });
  if (told.checkpoint != null) task.report({ checkpoint: write(told.checkpoint) });
  try {
    await sleep(Number(told.sleep_ms ?? 0), undefined, { signal: task.signal });
  } catch (aborted) {
    note("canceled");
    throw aborted;
  }
  note("end");
  if (told.crash) (undefined as any).nowhere; // the crash that was asked for
  const fail = told.fail;
  if (fail && (fail.until_attempt == null || BigInt(task.attempt) <= fail.until_attempt)) {
    const after = Number(fail.retry_after_ms ?? 0);
    throw new Failed({
      code: FailureCode.FAILURE_CODE_APPLICATION,
      type: fail.type,
      message: fail.message,
      retryable: fail.retryable,
      details: fail.details == null ? undefined : write(fail.details),
      retryAfter: after ? { seconds: BigInt(Math.floor(after / 1000)), nanos: (after % 1000) * 1e6 } : undefined,
    });
  }
  return write({
    attempt: task.attempt,
    checkpoint: read(text(task.checkpoint) ?? "null"),
    filler: "x".repeat(Number(told.size ?? 0)),
    successor: told.number == null ? null : told.number + 1n,
  });
};

export const conformance: Record<string, Handler> = {
  conf_echo: (task) => task.input ?? Payload.fromPartial({}),
  conf_work: work,
};
