// SPDX-License-Identifier: Apache-2.0
// How queues were while this page was open: the mesh keeps no history. At most half an hour, one sample in five seconds.
import { durationMs } from "./times.js";

const EVERY_MS = 5000;
const MOST = 360;

/** capability → [[seconds], [waiting], [age of the oldest in s]] */
const samples = new Map();
let last = 0;

export function takeSample(queues, nowMs = Date.now()) {
  if (nowMs - last < EVERY_MS) return;
  last = nowMs;
  const waiting = new Map();
  for (const queue of queues) {
    const [number, age] = waiting.get(queue.capability) ?? [0, 0];
    waiting.set(queue.capability, [number + Number(queue.waiting ?? 0), Math.max(age, durationMs(queue.oldest) / 1000)]);
  }
  for (const name of new Set([...samples.keys(), ...waiting.keys()])) {
    const lines = samples.get(name) ?? [[], [], []];
    const [number, age] = waiting.get(name) ?? [0, 0];
    // New arrays: a chart draws again when it gets other ones.
    samples.set(name, [[...lines[0], nowMs / 1000], [...lines[1], number], [...lines[2], age]].map((line) => line.slice(-MOST)));
  }
}

export const samplesOf = (capability) => samples.get(capability) ?? [[], [], []];
